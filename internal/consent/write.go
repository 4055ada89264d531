package consent

import (
	"fmt"
	"time"
)

// MaxItems is the most decisions that one write may carry.
const MaxItems = 1000

// Write is a batch of decisions: all or nothing.
type Write struct {
	Scope       Scope // what the actor needs; empty: ConsentsWrite
	Project     ID    // zero: the organization's default project
	Items       []Item
	Origin      Origin
	Idempotency Idempotency
	// AllMistakes asks for all mistakes of the items, MaxMistakes at most, rather than for the first: in Error.More.
	AllMistakes bool
	// Field names the place of a mistake in the caller's words, from the index of the item and
	// our noun ("identifiers", "email", "purpose", "state", "occurred_at", …). Nil: ours are used.
	Field func(item int, noun string) string
}

func (w *Write) field(item int, noun string) string {
	if w.Field != nil {
		return w.Field(item, noun)
	}
	return fmt.Sprintf("items[%d].%s", item, noun)
}

// Item is what one person decided.
type Item struct {
	Identifiers []Identifier // at least one, one a kind
	// Subject, where set, names the person instead of Identifiers: by the id of a subject, or of one that was merged into
	// somebody. Who is not known is Unprocessable, and nobody is made.
	Subject ID
	// EmailFirst ranks the e-mail address before all else, for callers who name people by it.
	EmailFirst bool
	// Known refuses an unknown person with NotFound: nobody is made, nothing attached.
	Known     bool
	Decisions []Decision
	// Replace, where set, stands instead of Decisions.
	Replace  *Replacement
	Evidence Evidence
	Metadata Metadata
}

// Decision is one choice about one purpose.
type Decision struct {
	Purpose PurposeRef
	State   State
	Action  Action
	// OccurredAt is when the person decided. At most 5 minutes in the future. Zero: now, and then it counts as later than
	// everything on record; of an Import it says only that somebody once said so: see WeightUndated.
	OccurredAt time.Time
	ExpiresAt  time.Time // zero: OccurredAt and the purpose's duration
	// PurposeVersion is the version of the purpose's text that the person saw; 0: the one of when they decided.
	PurposeVersion int
	// DisplayedText is what the person was told; kept once by its hash.
	DisplayedText string
}

// Replacement makes the purposes of Among that are in force exactly those of Granted: accepted
// for each of these, which renews what stands, and withdrawn for each no longer there.
// With nothing in Granted it takes back what is in force among Among.
type Replacement struct {
	Among, Granted []string // keys of purposes
	Action         Action
}

// Recorded is what became of a Write, items in its order.
type Recorded struct {
	Session ID // one a write, in each event's Identity
	Items   []RecordedItem
	// Import is how far an import has come by this part of it, Refused the lines of the part that were not taken.
	Import  *ImportRun
	Refused []LineError
}

// RecordedItem is what became of an Item.
type RecordedItem struct {
	Subject     ID
	AnonymousID string      // the id by which a browser may know the person from now on
	Events      []EventView // one for each decision that was recorded, in order
	// Consents are those of a Replacement by the keys of their purposes; who was never asked has none.
	Consents map[string]Consent
}

// Consent is the current state of (subject, purpose): a fold of its events.
type Consent struct {
	Organization ID
	Subject      ID
	Project      int
	Purpose      int
	Event        ID // the event that decides
	Last         ID // the event recorded last: the head of the chain of Event.Previous
	// PurposeVersion is the version of the purpose that the event that decides is about.
	PurposeVersion int
	State          State
	Weight         Weight
	Grants         bool      // see grants
	Active         bool      // something active is on record: the person has made a choice once
	OccurredAt     time.Time // from when on the event decides, see Effective; behind what a merge set aside, see timeline
	ExpiresAt      time.Time
	// Since is when it was first granted without a break since; zero: not granted. What was said and what was implied
	// are granted apart.
	Since time.Time
}

// Expired tells whether its time is over at that instant: from the very instant of ExpiresAt on.
func (c *Consent) Expired(at time.Time) bool {
	return !c.ExpiresAt.IsZero() && !at.Before(c.ExpiresAt)
}

// Said tells whether the person said what decides, rather than that it was implied.
func (c *Consent) Said() bool { return c.Weight >= WeightUndated }

// InForce tells whether it may be acted on at that instant.
func (c *Consent) InForce(at time.Time) bool { return c.Grants && !c.Expired(at) }

// PersonQuery asks for the current consents of one person.
type PersonQuery struct {
	Scope      Scope // what the actor needs; empty: ConsentsRead
	Project    ID    // zero: the default project
	Identifier Identifier
}

// Person is one person's current consents by key of purpose; a purpose that is absent was never asked.
type Person struct {
	Subject   ID
	Ambiguous bool      // the identifier is several people's: a no of any of them is a no
	At        time.Time // the instant for which it is the answer
	Consents  map[string]Consent
}

// EventFilter narrows the history; zero members do not. Lists mean any of.
type EventFilter struct {
	Projects      []ID
	Project       string // its id, its slug or "default"
	Purpose       string // a key, in whatever projects
	Subject       ID     // of a person, with those merged into it
	Protocols     []string
	RecordedFrom  time.Time // RecordedAt, From included, To not
	RecordedTo    time.Time
	After         ID        // in the order of ids: what comes behind it
	From, To      time.Time // OccurredAt, From included, To not
	Categories    []string
	Subcategories []string
	Labels        []string
	States        []State
	Actions       []Action
	Keys          []ID
	Domains       []string
	Countries     []string
	People        []Identifier // any of these people
	ByOccurredAt  bool         // sort by OccurredAt; else in the order of the ledger
	Ascending     bool
	Offset, Limit int
}

// EventPage is a part of the history and the size of the whole.
type EventPage struct {
	Items []EventView
	Total int64
}

// EventView is an event with what is needed to show it.
type EventView struct {
	Event
	ProjectID ID
	PurposeOf *Purpose
	Body      Body
	Identity  Identity
	Text      string // what the person was told, where it was looked up
}
