package consent

import (
	"strconv"
	"time"
)

// Changes is everything that one transaction writes, in the order in which it
// must be written. Rows that the rules made are written as they are.
type Changes struct {
	Organizations      []Organization // new
	Projects           []Project      // new
	Purposes           []Purpose      // new
	ChangedPurposes    []Purpose
	PurposeVersions    []PurposeVersion // that ended by a change
	Keys               []Key            // new or changed
	Secrets            []Secret         // new
	Texts              []Text           // new or the same as before
	SubjectTexts       []SubjectText    // new or the same as before
	SharedTexts        []Text           // kept by one person's key before; nothing of that is left
	Subjects           []Subject        // new or changed
	Archive            []ArchivedRecord
	Identifiers        []OwnedIdentifier // new, or given to another subject by a merge
	Claims             []OwnedIdentifier // who named what is somebody else's, new or known
	Merges             []SubjectMerge
	Unmerges           []SubjectMerge // that stood, and are undone
	Events             []Event
	Entries            []LedgerEntry   // new
	ErasedEntries      []LedgerEntry   // each in the place of the decision or other entry that it was
	Consents           []Consent       // new or changed
	SubjectSecrets     []SubjectSecret // new
	Rewrapped          []RewrappedSecret
	Heads              []Head // new or changed
	LedgerRows         []LedgerRow
	Checkpoints        []Checkpoint  // each in the place of the one before
	LedgerKeys         []LedgerKey   // new
	Cosignatures       []Cosignature // each in the place of one of fewer entries; else nothing is written
	Counts             []Count       // to add
	IdempotencyRecords []IdempotencyRecord
	Jobs               []Job // new: one that is there stays as it is
	JobClaims          []JobClaim
	HeldJobs           []HeldJob
	RetriedJobs        []Job // due at RunAt, as if never tried; what somebody runs stays as it is
	DroppedJobs        []JobKey
	FreedJobs          time.Time // not zero: whatever is held, of all organizations, is due then
	Webhooks           []Webhook // new, with where they begin; or changed, but for how far they have come
	MovedWebhooks      []MovedWebhook
	DisabledWebhooks   []Webhook       // that are told nothing any more
	Deliveries         []Delivery      // new or changed
	Imports            []ImportRun     // new or changed
	ImportedLines      []ImportedLine  // new
	ImportErrors       []KeptLineError // new
	ImportNotes        []ImportNote    // new or changed
	SweptImports       []SweptImport

	RemovedIdentifiers []OwnedName
	RemovedClaims      []OwnedIdentifier
	RemovedConsents    []ConsentKey
	RemovedSubjects    []SubjectKey        // with their archive, and with those merged into them
	Suppressions       []Suppression       // new
	LiftedSuppressions []Suppression       // that there are
	SuppressedNames    []OwnedName         // of both, for who remembers answers: they are not written
	Restrictions       []RestrictedSubject // new, or known already
	EndedRestrictions  []SubjectKey
	// ErasedSubjects leaves their ids with nothing but the erasure; their entries are named above.
	ErasedSubjects []ErasedSubject
	// DropExpired removes idempotency records that expired, some at a time.
	DropExpired []ExpiredRecords
	// DropDeliveries removes deliveries that are old, some at a time.
	DropDeliveries   []OldDeliveries
	RemovedWebhooks  []WebhookKey // their deliveries stay: see DropDeliveriesOf
	DropDeliveriesOf []DeliveriesFrom
}

// OwnedName is an identifier within its organization.
type OwnedName struct {
	Organization ID
	Identifier
	// Own is what a store is told where the value may be a subject's own id, since it cannot read the value; NoID: it
	// is none.
	Own ID
}

// NamedConsent names the consent of whoever has an identifier.
type NamedConsent struct {
	Name             OwnedName
	Project, Purpose int
}

// NamedHolder is who has the identifier of a NamedConsent; all zero: nobody.
type NamedHolder struct {
	Subject ID
	Consent Consent // zero: there is none
	// Secret is a SubjectSecret's; nil: there is none, or it was not looked for, where a subject's own id is the name.
	Secret []byte
}

// OwnedIdentifier says which subject has an identifier.
type OwnedIdentifier struct {
	OwnedName
	Subject ID
	Origin  ID // whose it was before merges gave it to that one; NoID: it was never another's
	// Sealed is how a store keeps what can be shown of it, encrypted: in there the value is an index. Secret is the
	// SubjectSecret of First, where the store was asked for names.
	Sealed, Secret []byte
}

// First is who had it first, by whose key is encrypted.
func (o *OwnedIdentifier) First() SubjectKey {
	if o.Origin != NoID {
		return SubjectKey{o.Organization, o.Origin}
	}
	return SubjectKey{o.Organization, o.Subject}
}

// IdentifiersOf gives the identifiers alone.
func IdentifiersOf(owned []OwnedIdentifier) []Identifier {
	out := make([]Identifier, len(owned))
	for i := range owned {
		out[i] = owned[i].Identifier
	}
	return out
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
	// RestrictedAt is since when one of them is restricted; zero: none is.
	RestrictedAt time.Time
	SuppressedAt time.Time // since when the identifier is, whoever has it; zero: it is not
}

// AddRestriction notes that one of them is restricted since then; zero: that one is not.
func (w *Who) AddRestriction(at time.Time) {
	if !at.IsZero() && (w.RestrictedAt.IsZero() || at.Before(w.RestrictedAt)) {
		w.RestrictedAt = at
	}
}

// Known tells whether it means anybody.
func (w *Who) Known() bool { return w.Subject != NoID || len(w.Claimants) > 0 }

// TooMany tells whether there are more people, or more that they decided, than are read.
func (w *Who) TooMany() bool { return len(w.Claimants) > MaxClaimants || len(w.Consents) >= MaxShared }

// MaxShared is how many consents are read of people who share an identifier: more than one person can have in a
// project. It bounds what a question may cost.
const MaxShared = 5000

// MaxClaimants is how many people are heard who share an identifier with the one who has it. Where there are more,
// nobody's yes is given: among those who are not heard somebody may have said no.
const MaxClaimants = 1000

// SubjectMerge records that a subject turned out to be another; the ledger's events stay as they are. One that was
// undone stays on record too, and counts for nothing.
type SubjectMerge struct {
	Organization, Into, From ID
	Number                   int64     // in which order the organization's merges were recorded; the store counts them
	MergedAt                 time.Time // when the decision was taken that named both: they were one person by then
	RecordedAt               time.Time // when that was recorded; zero, where it is to be written: MergedAt
	After                    int64     // the ledger's sequence when it was recorded
	UndoneAt                 time.Time // zero: it stands
	UndoneAfter              int64     // the ledger's sequence when it was undone
}

// Head is where an organization's ledger ends.
type Head struct {
	Organization ID
	Sequence     int64
	LastID       ID
	Tree         []byte // the right edge of the tree over all entries (ledger.Tree); empty: there is none
	Suppressed   int64  // how many suppressions the organization has; written by them alone
}

// SubjectSecret is what a subject's entries of the ledger are committed with (ledger.Secret), encrypted.
type SubjectSecret struct {
	SubjectKey
	Wrapped []byte
}

// ErasedSubject is one of those who were a person that was erased. The store has nothing of them afterwards: no
// identifiers, consents, claims, merges, archive, secret, and no answers about them.
type ErasedSubject struct {
	SubjectKey
	Erasure
}

// RewrappedSecret is a SubjectSecret that is encrypted by another key than before. It is written only in the place of
// what was there: where that is gone or is another by now, nothing is.
type RewrappedSecret struct {
	SubjectSecret
	Before []byte
}

// LedgerRow is a complete row of an organization's tree (ledger.Row), which never changes.
type LedgerRow struct {
	Organization ID
	Level        int
	Number       int64
	Hashes       []byte
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
	Subject      ID // who was shown it; NoID: it is meant for everybody
}

// SubjectText is a text that one person alone was shown, as it is stored.
type SubjectText struct {
	SubjectKey
	Hash   []byte
	Sealed []byte
}

// TextHolders tells who was shown a text.
type TextHolders struct {
	Everybody bool // several people, or it is meant for everybody
	Subject   bool // the subject that was asked for
	Others    bool // somebody else, whom nobody merged with the subject
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

// IdempotencyKey names an idempotency record: whose, and the SHA-256 of the Idempotency-Key.
type IdempotencyKey struct {
	Organization, Key ID
	Hash              [32]byte
}

// IdempotencyRecord is the answer to a write that was done.
type IdempotencyRecord struct {
	IdempotencyKey
	Fingerprint [32]byte
	Sealed      []byte // empty: it was about somebody who was erased since
	ExpiresAt   time.Time
	About       []ID // subjects that the answer tells of, so that it can be erased with them
}

// ExpiredRecords names the expired idempotency records of an organization.
type ExpiredRecords struct {
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
	Protocols     []string
	RecordedFrom  time.Time
	RecordedTo    time.Time
	ByOccurredAt  bool
	Ascending     bool
	Offset, Limit int
}

// PurposeKey names a purpose of an organization.
type PurposeKey struct {
	Organization     ID
	Project, Purpose int
}

// VersionKey names a version of a purpose.
type VersionKey struct {
	PurposeKey
	Version int
}

// ProjectPurpose names a purpose by numbers.
type ProjectPurpose struct{ Project, Purpose int }

// Narrowed tells whether the query asks for more than projects and times.
func (q *EventQuery) Narrowed() bool {
	return len(q.Purposes)+len(q.States)+len(q.Actions)+len(q.Keys)+len(q.Domains)+len(q.Countries)+
		len(q.Protocols) > 0 || !q.RecordedFrom.IsZero() || !q.RecordedTo.IsZero() ||
		q.Subjects != nil
}

// AddName gives a subject its first identifier by which the organization names it, and counts it.
func (c *Changes) AddName(id Identifier, subject *Subject) {
	c.Identifiers = append(c.Identifiers, OwnedIdentifier{Subject: subject.ID,
		OwnedName: OwnedName{Organization: subject.Organization, Identifier: id}})
	c.CountName(subject.Organization, id.Kind, 1)
}

// CountName counts subjects that have a name, where an identifier of the kind is one.
func (c *Changes) CountName(organization ID, kind IdentifierKind, add int64) {
	if kind.Naming() {
		c.Counts = append(c.Counts, Count{organization, NamedCount(kind), add})
	}
}

// RemoveName takes an identifier away from whoever has it, and counts it.
func (c *Changes) RemoveName(organization ID, id Identifier) {
	c.RemovedIdentifiers = append(c.RemovedIdentifiers, OwnedName{Organization: organization, Identifier: id})
	c.CountName(organization, id.Kind, -1)
}

// AddClaims notes what somebody named that is somebody else's.
func (c *Changes) AddClaims(organization ID, who Identified) {
	for _, id := range who.Claim {
		c.Claims = append(c.Claims, OwnedIdentifier{OwnedName: OwnedName{Organization: organization, Identifier: id},
			Subject: who.Subject})
	}
}

// NamedCount is the name of the kept count of subjects that have a name of that kind.
func NamedCount(k IdentifierKind) string { return "named/" + string(k) }

// Empty tells whether a batch has nothing to write.
func (c *Changes) Empty() bool {
	return len(c.Subjects)+len(c.Identifiers)+len(c.Claims)+len(c.Merges)+len(c.Events)+len(c.Consents)+
		len(c.IdempotencyRecords)+len(c.Purposes)+len(c.Imports) == 0
}
