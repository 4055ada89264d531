package consent

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Store keeps everything. What it must do is written down as a test:
// internal/store/storetest. It decides nothing.
type Store interface {
	// View reads one consistent state, which has every write that was acknowledged before.
	// Many may run at once.
	View(ctx context.Context, read func(Reader) error) error
	// Ask is View for a read that calls one method once, which may cost less.
	Ask(ctx context.Context, read func(Reader) error) error
	// Person tells who has the identifier, as Owners and Claimants do, with their current consents in a project. It
	// has every write that was acknowledged before, and may come from memory: the lists must not be changed.
	Person(ctx context.Context, name OwnedName, project int) (Who, error)
	// Update runs write in a transaction and returns nil when it is durable. All that it writes belongs to the
	// organization (NoID: to the instance, or to an organization that it makes), unless the store Mixes; the
	// organization's other transactions, in whatever process, come before it or after it. write may run
	// again after a failure, so it has no effect but through Tx. An error leaves nothing behind, unless it is
	// ErrUnknown; one of kind Unavailable may be gone at the next try. Where write wrote nothing, what it read
	// of the organization is as durable when Update returns nil as if it had written it.
	Update(ctx context.Context, organization ID, write func(Tx) error) error
	// Mixes tells whether one transaction may write for several organizations, so that they share its commit.
	Mixes() bool
	// Ready tells whether writes can be expected to succeed, else why not.
	Ready() error
	// Close flushes and closes; nothing else may be running.
	Close() error
}

// ErrUnknown is the error of a write of which nobody can say whether it was done: the commit was sent, and no answer came.
var ErrUnknown = errors.New("it is unknown whether the write was done; a retry with the same Idempotency-Key settles it")

// Reader reads. Every method is one query or a pipelined group of one. Absent
// things are absent from maps and lists, and nil where one thing is asked for.
type Reader interface {
	// Directory gives an organization, its projects and their purposes.
	Directory(ctx context.Context, organization ID) (*Directory, error)
	// Organizations lists organizations with their projects, in order of id, and the size of the whole;
	// only, where set, narrows it to that one.
	Organizations(ctx context.Context, only ID, filter OrganizationFilter) ([]OrganizationView, int64, error)
	// SlugTaken tells whether an organization has the slug.
	SlugTaken(ctx context.Context, slug string) (bool, error)
	// Key gives a key; organization zero asks for the root key of whatever id.
	Key(ctx context.Context, organization, id ID) (*Key, error)
	// Keys lists keys with an id greater than after, in order of id.
	Keys(ctx context.Context, organization, after ID, limit int) ([]Key, error)
	// Secret gives a secret of the instance itself.
	Secret(ctx context.Context, name string) ([]byte, error)
	// Text gives a text by its SHA-256.
	Text(ctx context.Context, organization ID, hash []byte) (string, error)

	// Owners tells which subject has each identifier, by index of names; NoID: nobody. A
	// subject's own id is an AnonymousID of it, and of the person that it was merged into.
	Owners(ctx context.Context, names []OwnedName) ([]ID, error)
	// Claimants gives those who named an identifier that was somebody else's, by index of names, MaxClaimants and one
	// more at most.
	Claimants(ctx context.Context, names []OwnedName) ([][]ID, error)
	// Identifiers gives all identifiers of each subject.
	Identifiers(ctx context.Context, subjects []SubjectKey) (map[SubjectKey][]Identifier, error)
	// Consents gives the current consents, by index of keys; zero where there is none.
	Consents(ctx context.Context, keys []ConsentKey) ([]Consent, error)
	// ConsentsOf gives all current consents of each subject.
	ConsentsOf(ctx context.Context, subjects []SubjectKey) (map[SubjectKey][]Consent, error)
	// History gives what the fold needs of all events of a key that led to its consent, in any order.
	History(ctx context.Context, keys []ConsentKey) (map[ConsentKey][]Step, error)
	// Merges gives those who were merged into each subject.
	Merges(ctx context.Context, subjects []SubjectKey) (map[SubjectKey][]SubjectMerge, error)
	// Heads gives the ledger's head of each organization.
	Heads(ctx context.Context, organizations []ID) (map[ID]Head, error)
	// Answers gives the kept answers, by index of keys; nil: none.
	Answers(ctx context.Context, keys []AnswerKey) ([]*KeptAnswer, error)
	// ExpiredAnswers names the organizations that have answers which expired before an instant.
	ExpiredAnswers(ctx context.Context, before time.Time) ([]ID, error)

	// Events gives a part of the history and the size of the whole that the query matches.
	Events(ctx context.Context, query EventQuery) ([]Event, int64, error)
	// Subject gives a subject.
	Subject(ctx context.Context, organization, id ID) (*Subject, error)
	// ArchivedRecord gives an earlier version of a subject's record.
	ArchivedRecord(ctx context.Context, organization, subject ID, version int) (*Record, error)
	// HasEvents tells whether any event is on record for a subject.
	HasEvents(ctx context.Context, organization, subject ID) (bool, error)
	// NamedSubjects lists subjects that have a name (see SaveSubject), in order of type
	// and name, and the size of the whole.
	NamedSubjects(ctx context.Context, organization ID, filter SubjectFilter) ([]SubjectView, int64, error)
}

// Tx reads and writes. It sees what it wrote itself.
type Tx interface {
	Reader
	// Ahead runs reads that nobody needs at once, so that they share a round trip with those that follow. Their answers
	// are filled in when wait returns, which is to be called; their errors come from it, or from a read before it.
	Ahead(read func(Reader) error) (wait func() error, err error)
	// Append writes all of the changes. What the store refuses may show only in the error of Update.
	Append(ctx context.Context, changes *Changes) error
}

// Changes is everything that one transaction writes, in the order in which it
// must be written. Rows that the rules made are written as they are.
type Changes struct {
	Organizations []Organization // new
	Projects      []Project      // new
	Purposes      []Purpose      // new
	Keys          []Key          // new or changed
	Secrets       []Secret       // new
	Texts         []Text         // new or the same as before
	Subjects      []Subject      // new or changed
	Archive       []ArchivedRecord
	Identifiers   []OwnedIdentifier // new, or given to another subject by a merge
	Claims        []OwnedIdentifier // who named what is somebody else's, new or known
	Merges        []SubjectMerge
	Events        []Event
	Consents      []Consent // new or changed
	Heads         []Head    // new or changed
	Counts        []Count   // to add
	Answers       []KeptAnswer

	RemovedIdentifiers []OwnedName
	RemovedSubjects    []SubjectKey // with their archive, and with those merged into them
	// ForgetAnswers removes kept answers that expired, some at a time.
	ForgetAnswers []AnswersBefore
}

// OwnedName is an identifier within its organization.
type OwnedName struct {
	Organization ID
	Identifier
}

// OwnedIdentifier says which subject has an identifier.
type OwnedIdentifier struct {
	OwnedName
	Subject ID
}

// SubjectKey names a subject.
type SubjectKey struct{ Organization, Subject ID }

// ConsentKey names the consents of a subject for a purpose.
type ConsentKey struct {
	Organization, Subject ID
	Project, Purpose      int
}

// Who is everybody whom an identifier may mean: an address may be several people's.
type Who struct {
	Subject   ID        // who has it; NoID: nobody
	Claimants []ID      // who named it while it was somebody else's, MaxClaimants and one more at most
	Consents  []Consent // of all of them, MaxShared at most
}

// Known tells whether it means anybody.
func (w *Who) Known() bool { return w.Subject != NoID || len(w.Claimants) > 0 }

// Crowded tells whether there are more people, or more that they decided, than are read.
func (w *Who) Crowded() bool { return len(w.Claimants) > MaxClaimants || len(w.Consents) >= MaxShared }

// MaxShared is how many consents are read of people who share an identifier: more than one person can have in a
// project. It bounds what a question may cost.
const MaxShared = 5000

// MaxClaimants is how many people are heard who share an identifier with the one who has it. Where there are more,
// nobody's yes is given: among those who are not heard somebody may have said no.
const MaxClaimants = 1000

// SubjectMerge records that a subject turned out to be another; the ledger's events stay as they are.
type SubjectMerge struct {
	Organization, Into, From ID
	MergedAt                 time.Time // when the decision was taken that named both: they were one person by then
	After                    int64     // the ledger's sequence when it was recorded
}

// Head is where an organization's ledger ends.
type Head struct {
	Organization ID
	Sequence     int64
	LastID       ID
}

// Count is a kept count of an organization: of events by project, of named subjects by type.
type Count struct {
	Organization ID
	Name         string
	Add          int64
}

// EventCount is the name of the kept count of a project's events.
func EventCount(project int) string { return "events/" + strconv.Itoa(project) }

// Text is a text kept once, by its SHA-256.
type Text struct {
	Organization ID
	Hash         []byte
	Text         string
}

// Secret is a secret of the instance itself, such as a signing key.
type Secret struct {
	Name  string
	Value []byte
}

// ArchivedRecord is an earlier version of a subject's record.
type ArchivedRecord struct {
	Organization, Subject ID
	Record                Record
}

// AnswerKey names a kept answer: whose, and the SHA-256 of the Idempotency-Key.
type AnswerKey struct {
	Organization, Key ID
	Hash              [32]byte
}

// KeptAnswer is the answer to a write that was done.
type KeptAnswer struct {
	AnswerKey
	Fingerprint [32]byte
	Sealed      []byte
	ExpiresAt   time.Time
}

// AnswersBefore names the expired answers of an organization.
type AnswersBefore struct {
	Organization ID
	Before       time.Time
	Limit        int
}

// EventQuery is an EventFilter with all names looked up. A nil list does not narrow; Subjects and
// Purposes that are empty but not nil match nothing.
type EventQuery struct {
	Organization  ID
	Projects      []int
	Purposes      []ProjectPurpose
	Subjects      []ID // with those merged into them
	From, To      time.Time
	States        []State
	Actions       []Action
	Keys          []ID
	Domains       []string
	Countries     []string
	ByOccurredAt  bool
	Ascending     bool
	Offset, Limit int
}

// ProjectPurpose names a purpose by numbers.
type ProjectPurpose struct{ Project, Purpose int }

// Narrowed tells whether the query asks for more than projects and times.
func (q *EventQuery) Narrowed() bool {
	return len(q.Purposes)+len(q.States)+len(q.Actions)+len(q.Keys)+len(q.Domains)+len(q.Countries) > 0 ||
		q.Subjects != nil
}
