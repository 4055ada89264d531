package consent

import (
	"encoding/json"
	"time"
)

// EntryKind tells what an entry of a ledger is. The numbers are stored, so they never change.
type EntryKind uint8

// The kinds of entries.
const (
	DecisionEntry      EntryKind = iota // an Event
	ErasedEntry                         // it was about somebody who was erased: its leaf is left
	ErasureEntry                        // somebody was erased
	RestrictionEntry                    // what is held of somebody is not to be used (GDPR Art. 18)
	UnrestrictionEntry                  // it may be used again
	EpochEntry                          // the ledger goes on from before a checkpoint that was signed
	MergeEntry                          // somebody turned out to be somebody else
	UnmergeEntry                        // they are two again
	PurposeEntry                        // a purpose as it is from now on: made, or changed
	KeyEntry                            // an API key was made
	KeyRevocationEntry                  // it was ended
	ImportEntry                         // an import ended
)

var entryNames = [...]string{"decision", "erased", "erasure", "restriction", "unrestriction", "epoch",
	"merge", "unmerge", "purpose", "key", "key_revocation", "import"}

func (k EntryKind) String() string {
	if int(k) < len(entryNames) {
		return entryNames[k]
	}
	return name(nil, uint8(k))
}

// KindOf gives the name of the kind that the body of an entry says it is of, which is what was committed; empty: it is
// a decision's, or cannot be read.
func KindOf(body []byte) string {
	var said struct {
		Entry string `json:"entry"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	return said.Entry
}

// LedgerEntry is an entry of a ledger that is no decision. With the events, in one order of ids, it makes a sequence
// without gaps.
type LedgerEntry struct {
	Organization ID
	ID           ID
	Sequence     int64
	Kind         EntryKind
	RecordedAt   time.Time
	// Subject is with whose secret it is committed; NoID: with the organization's own.
	Subject ID
	// Leaf is what the tree holds of an ErasedEntry (ledger.Leaf); those of other entries are made anew of what follows.
	Leaf                   []byte
	BodyJSON, IdentityJSON []byte // canonical JSON, kept byte for byte; an ErasedEntry has none
	// ErasedBy is the sequence of the erasure that took an ErasedEntry.
	ErasedBy int64
}

// Exported gives the entry as it is exported.
func (e *LedgerEntry) Exported() *ExportedEvent {
	return &ExportedEvent{ID: e.ID, Subject: e.Subject, Sequence: e.Sequence, RecordedAt: e.RecordedAt,
		BodyJSON: e.BodyJSON, IdentityJSON: e.IdentityJSON, Kind: e.Kind, Leaf: e.Leaf, ErasedBy: e.ErasedBy}
}

// LedgerRoot is what a checkpoint says of a ledger: how many entries it has, and the root of the tree over them.
type LedgerRoot struct {
	Size int64
	Root [32]byte
}
