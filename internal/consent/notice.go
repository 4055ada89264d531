package consent

import "time"

// Notice is what a message to a webhook tells.
type Notice struct {
	Type EventType
	At   time.Time // when it happened: was recorded, expired, or was asked for
	// Event is the decision that was recorded, or that expired.
	Event *EventView
	// Sequence is that of the ledger's entry, where it is no decision.
	Sequence int64
	// Subject is who was erased, or who stays of a merge, and Merged who was, or is no more, a part of them.
	Subject, Merged ID
	// Project, Purpose and Version are of a purpose that has a new version.
	Project ID
	Purpose string // its key
	Version int
	Webhook ID // of a ping
}
