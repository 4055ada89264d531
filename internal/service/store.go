package service

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// Store keeps everything. What it must do is written down as a test:
// internal/store/storetest. It decides nothing.
type Store interface {
	// View reads one consistent state, which has every write that was acknowledged before.
	// Many may run at once.
	View(ctx context.Context, read func(Reader) error) error
	// ViewOnce is View for a read that calls one method once, which may cost less.
	ViewOnce(ctx context.Context, read func(Reader) error) error
	// Person tells who has the identifier, as Owners and Claimants do, with their current consents in a project. It
	// has every write that was acknowledged before, and may come from memory: the lists must not be changed.
	// hash is the identifier's SuppressionHash, nil where it is not to be looked for.
	Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (consent.Who, error)
	// Update runs write in a transaction and returns nil when it is durable. All that it writes belongs to the
	// organization (NoID: to the instance, or to an organization that it makes), unless the store batches across tenants;
	// the organization's other transactions, in whatever process, come before it or after it. write may run again after a
	// failure, so it has no effect but through Tx. An error leaves nothing behind, unless it is ErrUnknown; one of kind
	// Unavailable may be gone at the next try. Where write wrote nothing, what it read of the organization is as durable
	// when Update returns nil as if it had written it.
	Update(ctx context.Context, organization consent.ID, write func(Tx) error) error
	// BatchesAcrossTenants tells whether one transaction may write for several organizations, so that they share its
	// commit.
	BatchesAcrossTenants() bool
	// Shared tells whether other servers may serve from the same data.
	Shared() bool
	// Ready tells whether writes can be expected to succeed, else why not.
	Ready() error
	// Close flushes and closes; nothing else may be running.
	Close() error
}

// Reader reads. Every method is one query or a pipelined group of one. Absent
// things are absent from maps and lists, and nil where one thing is asked for.
type Reader interface {
	// Catalog gives an organization, its projects and their purposes.
	Catalog(ctx context.Context, organization consent.ID) (*consent.Catalog, error)
	// Organizations lists organizations with their projects, in order of id, and the size of the whole;
	// only, where set, narrows it to that one.
	Organizations(ctx context.Context, only consent.ID, filter consent.OrganizationFilter) ([]consent.OrganizationView,
		int64, error)
	// SlugTaken tells whether an organization has the slug.
	SlugTaken(ctx context.Context, slug string) (bool, error)
	// Key gives a key; organization zero asks for the root key of whatever id.
	Key(ctx context.Context, organization, id consent.ID) (*consent.Key, error)
	// Keys lists keys with an id greater than after, in order of id.
	Keys(ctx context.Context, organization, after consent.ID, limit int) ([]consent.Key, error)
	// Secret gives a secret of the instance itself.
	Secret(ctx context.Context, name string) ([]byte, error)
	// Text gives a text by its SHA-256.
	Text(ctx context.Context, organization consent.ID, hash []byte) (string, error)
	// Texts gives texts by index of their SHA-256.
	Texts(ctx context.Context, organization consent.ID, hashes [][]byte) ([]string, error)
	// SubjectTexts gives texts that one person alone was shown by index of their SHA-256: one that is not there is without
	// a subject. It is for who decrypts them: Texts gives all.
	SubjectTexts(ctx context.Context, organization consent.ID, hashes [][]byte) ([]consent.SubjectText, error)
	// TextHolders tells who was shown texts, by index of them.
	TextHolders(ctx context.Context, texts []consent.Text) ([]consent.TextHolders, error)
	// PurposeVersions lists the versions of a purpose before the current one, with a number greater than after, in order.
	PurposeVersions(ctx context.Context, of consent.PurposeKey, after, limit int) ([]consent.PurposeVersion, error)
	// NamedVersions gives versions of purposes before their current ones, by index of names; number 0: there is none.
	NamedVersions(ctx context.Context, names []consent.VersionKey) ([]consent.PurposeVersion, error)

	// Owners tells which subject has each identifier, by index of names; NoID: nobody. A
	// subject's own id is a SubjectID and an AnonymousID of it, and of the person that it was merged into.
	Owners(ctx context.Context, names []consent.OwnedName) ([]consent.ID, error)
	// Names gives all identifiers of each subject, with whose they were before merges.
	Names(ctx context.Context, subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.OwnedIdentifier, error)
	// Claimants gives those who named an identifier that was somebody else's, or whom they were merged into, by index of
	// names, MaxClaimants and one more at most.
	Claimants(ctx context.Context, names []consent.OwnedName) ([][]consent.ID, error)
	// Persons is Store.Person for many names, by index of them, from the state that the reader shows.
	Persons(ctx context.Context, names []consent.OwnedName, project int, hashes [][]byte) ([]consent.Who, error)
	// MergedInto gives into whom a subject was merged, whether their records are there or not; NoID: into nobody.
	MergedInto(ctx context.Context, subject consent.SubjectKey) (consent.ID, error)
	// Suppressed tells since when hashes are suppressed, by index of them; zero: one is not.
	Suppressed(ctx context.Context, organization consent.ID, hashes [][]byte) ([]time.Time, error)
	// Consents gives the current consents, by index of keys; zero where there is none.
	Consents(ctx context.Context, keys []consent.ConsentKey) ([]consent.Consent, error)
	// ConsentsByName gives what Owners, and Consents and SubjectSecrets of those owners would, by index of asked.
	ConsentsByName(ctx context.Context, asked []consent.NamedConsent) ([]consent.NamedHolder, error)
	// ConsentsOf gives all current consents of each subject.
	ConsentsOf(ctx context.Context, subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.Consent, error)
	// History gives what the fold needs of all events of a key that led to its consent, in any order.
	History(ctx context.Context, keys []consent.ConsentKey) (map[consent.ConsentKey][]consent.Step, error)
	// Timeline gives, in the order of the ledger, events of a subject and of all who were merged into it that come behind
	// an id (NoID: from the beginning).
	Timeline(ctx context.Context, subject consent.SubjectKey, after consent.ID, limit int) ([]consent.Event, error)
	// Merges gives the merges that stand and led to each subject: those into it, and those into whoever was merged.
	Merges(ctx context.Context, subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.SubjectMerge, error)
	// UndoneMerges gives the merges of any of some subjects of an organization, into whomever, that were undone.
	UndoneMerges(ctx context.Context, subjects []consent.SubjectKey) ([]consent.SubjectMerge, error)
	// AllMerges lists the merges of an organization behind one (the zero value: from the beginning), also those that were
	// undone, in order of Into, From and Number, limit at most.
	AllMerges(ctx context.Context, organization consent.ID, after consent.SubjectMerge,
		limit int) ([]consent.SubjectMerge, error)
	// SubjectSecrets gives what each subject's entries of the ledger are committed with, encrypted, by index of subjects;
	// nil: nothing is on record.
	SubjectSecrets(ctx context.Context, subjects []consent.SubjectKey) ([][]byte, error)
	// SubjectSecretsFrom lists the same of subjects with an id of from or greater, in order of id. The all-zero id is in
	// it where there is such a row.
	SubjectSecretsFrom(ctx context.Context, organization, from consent.ID, limit int) ([]consent.SubjectSecret, error)
	// LedgerRows gives complete rows of an organization's tree, in the order of rows, of which the hashes are filled in.
	LedgerRows(ctx context.Context, rows []consent.LedgerRow) error
	// Checkpoint gives the newest checkpoint of an organization's ledger.
	Checkpoint(ctx context.Context, organization consent.ID) (*consent.Checkpoint, error)
	// LedgerKeys lists the keys that signed an organization's checkpoints, the first one first.
	LedgerKeys(ctx context.Context, organization consent.ID) ([]consent.LedgerKey, error)
	// Unsigned names organizations with an id greater than after, in order of id, whose newest checkpoint does not cover
	// exactly what is in their ledger.
	Unsigned(ctx context.Context, after consent.ID, limit int) ([]consent.ID, error)
	// Cosignatures gives the newest that each witness gave of an organization's ledger, in order of the witness.
	Cosignatures(ctx context.Context, organization consent.ID) ([]consent.Cosignature, error)
	// Uncosigned names organizations with an id greater than after, in order of id, of whose newest checkpoint no
	// cosignature by a witness was kept.
	Uncosigned(ctx context.Context, witness string, after consent.ID, limit int) ([]consent.ID, error)
	// WitnessLag tells of how many organizations a witness has not cosigned the newest checkpoint; those of which a
	// cosignature was kept since an instant do not count.
	WitnessLag(ctx context.Context, witness string, since time.Time) (consent.WitnessLag, error)
	// Entries fills a part with the entries of an organization's ledger within a span, in the order of the ledger,
	// decisions and others: about limit of them, and less than twice as many. last is the end of what was read: the
	// span's, at its end.
	Entries(ctx context.Context, organization consent.ID, span consent.EventSpan, limit int,
		into *consent.ExportedEvents) (last consent.ID, err error)
	// OtherEntries gives those of the entries within a span that are no decisions, in order, limit at most, and the end of
	// what was read.
	OtherEntries(ctx context.Context, organization consent.ID, span consent.EventSpan,
		limit int) (found []consent.ExportedEvent, last consent.ID, err error)
	// EntriesOf gives, in order, the first entries behind an id (NoID: from the beginning) that are no decisions and are
	// committed with a subject's secret, limit at most.
	EntriesOf(ctx context.Context, subject consent.SubjectKey, after consent.ID,
		limit int) ([]consent.ExportedEvent, error)
	// OwnEntries gives, in order, the last entries of a kind that are about no person, up to a sequence, limit at most.
	OwnEntries(ctx context.Context, organization consent.ID, kind consent.EntryKind, upTo int64,
		limit int) ([]consent.ExportedEvent, error)
	// EventsBefore gives an event and those before it for the same subject and purpose, the last one first, limit at most:
	// what leaves are made of, Project and Previous.
	EventsBefore(ctx context.Context, organization, last consent.ID, limit int) ([]consent.Event, error)
	// LedgerEntry gives an entry that is no decision, or not any more.
	LedgerEntry(ctx context.Context, organization, id consent.ID) (*consent.LedgerEntry, error)
	// EntryAfter gives the first entry of an organization behind an id, and its sequence; NoID: there is none.
	EntryAfter(ctx context.Context, organization, after consent.ID) (id consent.ID, sequence int64, err error)
	// Heads gives the ledger's head of each organization.
	Heads(ctx context.Context, organizations []consent.ID) (map[consent.ID]consent.Head, error)
	// IdempotencyRecords gives the records, by index of keys; nil: none.
	IdempotencyRecords(ctx context.Context, keys []consent.IdempotencyKey) ([]*consent.IdempotencyRecord, error)
	// WithExpiredRecords names the organizations that have idempotency records which expired before an instant.
	WithExpiredRecords(ctx context.Context, before time.Time) ([]consent.ID, error)
	// Webhooks lists the webhooks of an organization, in order of id.
	Webhooks(ctx context.Context, organization consent.ID) ([]consent.Webhook, error)
	// Webhook gives a webhook.
	Webhook(ctx context.Context, key consent.WebhookKey) (*consent.Webhook, error)
	// WebhooksBehind names active webhooks of all organizations behind one (the zero value: from the beginning), in order
	// of organization and webhook, limit at most, that something is to be done for by now: there is more in the ledger
	// than they were told of, an expiry may be due, or a delivery is.
	WebhooksBehind(ctx context.Context, now time.Time, after consent.WebhookKey, limit int) ([]consent.WebhookKey, error)
	// Delivery gives a delivery of a webhook.
	Delivery(ctx context.Context, of consent.WebhookKey, id consent.ID) (*consent.Delivery, error)
	// Deliveries lists the deliveries of a webhook with an id smaller than before (NoID: from the newest), the greatest id
	// first, limit at most.
	Deliveries(ctx context.Context, of consent.WebhookKey, before consent.ID, limit int) ([]consent.Delivery, error)
	// DueDeliveries lists the deliveries of a webhook that are to be tried by now, what waits longest first, limit at
	// most.
	DueDeliveries(ctx context.Context, of consent.WebhookKey, now time.Time, limit int) ([]consent.Delivery, error)
	// ParkedDeliveries lists the deliveries of an organization that were given up, behind an id in order of id, limit at
	// most.
	ParkedDeliveries(ctx context.Context, organization, after consent.ID, limit int) ([]consent.Delivery, error)
	// WebhookCounts counts the webhooks of all organizations.
	WebhookCounts(ctx context.Context) (consent.WebhookCount, error)
	// WithOldDeliveries names the organizations that have deliveries which wait for nothing and were made before an
	// instant.
	WithOldDeliveries(ctx context.Context, before time.Time) ([]consent.ID, error)

	// DueJobs gives, of all organizations, jobs that are due and not parked, behind one (the zero value: from the
	// beginning) in order of RunAt, organization and id, limit at most.
	DueJobs(ctx context.Context, now time.Time, after *consent.Job, limit int) ([]consent.Job, error)
	// Job gives a job; nil: there is none.
	Job(ctx context.Context, of consent.JobKey) (*consent.Job, error)
	// Jobs lists jobs of an organization with an id greater than after, in order of id; parked: those alone that are.
	Jobs(ctx context.Context, organization, after consent.ID, parked bool, limit int) ([]consent.Job, error)
	// JobCounts counts the jobs of each kind, of all organizations, in order of the kind.
	JobCounts(ctx context.Context, now time.Time) ([]consent.JobCount, error)

	// Expiries gives decisions of an organization whose time is over at upTo, behind one (by At and Event) in that order,
	// limit at most.
	Expiries(ctx context.Context, organization consent.ID, after consent.Expiry, upTo time.Time,
		limit int) ([]consent.Expiry, error)
	// AnyExpiry tells whether the time of a decision is over between two instants, the later one included.
	AnyExpiry(ctx context.Context, organization consent.ID, after, upTo time.Time) (bool, error)

	// Imports gives imports, by index of keys; nil: there is none.
	Imports(ctx context.Context, keys []consent.ImportKey) ([]*consent.ImportRun, error)
	// ImportList lists the imports of a filter in the order in which they were made, its limit at most.
	ImportList(ctx context.Context, filter consent.ImportFilter) ([]consent.ImportRun, error)
	// ImportedLines tells which lines an organization has had, by index of lines.
	ImportedLines(ctx context.Context, lines []consent.ImportedLine) ([]bool, error)
	// ImportErrors lists what is kept of refused lines behind a line, in order, limit at most.
	ImportErrors(ctx context.Context, of consent.ImportKey, after int64, limit int) ([]consent.LineError, error)
	// ImportNotes gives the values that a dry run noted, by index of names; nil: none.
	ImportNotes(ctx context.Context, of consent.ImportKey, names [][]byte) ([][]byte, error)
	// ImportNotesUnder gives all that a dry run noted by names which begin so and have eight bytes more at most, in any
	// order, by index of prefixes.
	ImportNotesUnder(ctx context.Context, of consent.ImportKey, prefixes [][]byte) ([][]consent.ImportNote, error)
	// ImportsToSweep names imports of any organization of which something is to be removed by then, limit at most.
	ImportsToSweep(ctx context.Context, now time.Time, limit int) ([]consent.ImportKey, error)

	// Event gives an event.
	Event(ctx context.Context, organization, id consent.ID) (*consent.Event, error)
	// Events gives a part of the history and the size of the whole that the query matches.
	Events(ctx context.Context, query consent.EventQuery) ([]consent.Event, int64, error)
	// EventsAfter gives events of a span that a query matches, in the query's order of ids: Limit at most, among a number
	// that is bounded. last is the last one that was looked at: what is behind it may match too, unless it is the span's.
	EventsAfter(ctx context.Context, query *consent.EventQuery, span consent.EventSpan) (events []consent.Event,
		last consent.ID, err error)
	// ExportEvents fills a part with events of a span that a query matches, in the query's order of ids: limit at most, or
	// those among the next few thousand of the ledger. last is the end of what was looked at: the span's, at its end.
	ExportEvents(ctx context.Context, query *consent.EventQuery, span consent.EventSpan, limit int,
		into *consent.ExportedEvents) (last consent.ID, err error)
	// ExportConsents looks at the next limit consents of an organization, in order of subject, project and purpose, and
	// fills a part with those of people who are not merged into another. last is the last one that it looked at; more
	// tells that others may follow.
	ExportConsents(ctx context.Context, after consent.ConsentKey, limit int,
		into *consent.ExportedConsents) (last consent.ConsentKey, more bool, err error)
	// Subject gives a subject.
	Subject(ctx context.Context, organization, id consent.ID) (*consent.Subject, error)
	// ArchivedRecord gives an earlier version of a subject's record.
	ArchivedRecord(ctx context.Context, organization, subject consent.ID, version int) (*consent.Record, error)
	// ErasedAfter lists who was erased, of all organizations, behind one (the zero value: from the beginning) in order of
	// when, organization and subject, limit at most.
	ErasedAfter(ctx context.Context, last consent.ErasedSubject, limit int) ([]consent.ErasedSubject, error)
	// Unerased tells which of some subjects of an organization have a record, or something in the ledger, and were not
	// erased, by index of them.
	Unerased(ctx context.Context, subjects []consent.SubjectKey) ([]bool, error)
	// HasEvents tells whether any event is on record for a subject.
	HasEvents(ctx context.Context, organization, subject consent.ID) (bool, error)
	// NamedSubjects lists subjects that have a name (see SaveSubject), in order of type and of what the store has of the
	// name, and the size of the whole. The filter's text is left out.
	NamedSubjects(ctx context.Context, organization consent.ID, filter consent.SubjectFilter) ([]consent.NamedSubject,
		int64, error)
	// NamedAfter lists the first of them behind a place (zero but for the organization: from the beginning), of the
	// filter's type, as many as its limit says.
	NamedAfter(ctx context.Context, filter consent.SubjectFilter, after consent.OwnedName) ([]consent.NamedSubject, error)
}

// Tx reads and writes. It sees what it wrote itself.
type Tx interface {
	Reader
	// Prefetch runs reads of this transaction that nobody needs at once, so that they share a round trip with those that
	// follow. Their answers are filled in when wait returns, which is to be called; their errors come from it, or from a
	// read before it.
	Prefetch(read func() error) (wait func() error, err error)
	// Append writes all of the changes. What the store refuses may show only in the error of Update.
	Append(ctx context.Context, changes *consent.Changes) error
}
