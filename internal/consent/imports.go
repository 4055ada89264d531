package consent

import (
	"strings"
	"time"
)

// ImportProtocol is the Origin.Protocol of decisions that an import brought.
const ImportProtocol = "import"

// Bounds of imports.
const (
	// MaxImportErrors is how many refused lines of one import are kept; more are counted alone.
	MaxImportErrors = 100_000
	maxSource       = 64
	maxFingerprint  = 128
	maxExternalID   = 256 // bytes
)

// How long what helps with an import is kept.
const (
	dryRunKept = 7 * 24 * time.Hour  // what an open dry run has noted, since its last lines
	errorsKept = 30 * 24 * time.Hour // why lines were refused, since the import ended
)

// ImportRun is a file, or whatever else has lines, that is brought in from another system call by call. Its row says
// how far it has come, so whoever was interrupted goes on where that was.
type ImportRun struct {
	Organization ID
	ID           ID
	Source       string // what the lines come from; an externalId means one line of it
	Project      int    // number within the organization
	Fingerprint  string // by which a caller finds it again; may be empty
	DryRun       bool   // nothing is recorded
	Notify       bool   // webhooks are told of what it records
	NextLine     int64  // those before it are done, from 1
	// What became of lines. ErrorsKept is how many of the rejected ones say why.
	Accepted, Duplicates, Rejected, ErrorsKept int64
	Would                                      *ImportOutcome // nil: it is no dry run
	CreatedAt, UpdatedAt                       time.Time
	FinishedAt                                 time.Time // zero: it is open
	Entry                                      int64     // the sequence of the entry that tells of its end; 0: none does
}

// Done tells whether it takes no more lines.
func (i *ImportRun) Done() bool { return !i.FinishedAt.IsZero() }

// Takes refuses lines from a number on that do not follow those before; nil: there is no such import. Errors: NotFound,
// Conflict.
func (i *ImportRun) Takes(from int64) error {
	switch {
	case i == nil:
		return ErrNoImport
	case i.Done():
		return Errorf(Conflict, "", "the import is done and takes no more lines")
	case from > i.NextLine:
		return Errorf(Conflict, "", "line %d is wanted next: send from=%d", i.NextLine, i.NextLine)
	}
	return nil
}

// ErrNoImport is said of an import that is not there, and of another tenant's.
var ErrNoImport = &Error{Kind: NotFound, Msg: "import not found"}

// SweepAt says when something is to be removed that was kept for it; zero: nothing is kept.
func (i *ImportRun) SweepAt() time.Time {
	switch {
	case i.DryRun && !i.Done():
		return i.UpdatedAt.Add(dryRunKept)
	case i.DryRun:
		return i.FinishedAt // what it has noted serves nobody any more
	case i.Done() && i.ErrorsKept > 0:
		return i.FinishedAt.Add(errorsKept)
	}
	return time.Time{}
}

// ImportKey names an import.
type ImportKey struct{ Organization, Import ID }

// Key names it.
func (i *ImportRun) Key() ImportKey { return ImportKey{i.Organization, i.ID} }

// ImportOutcome is what a dry run says that an import would do.
type ImportOutcome struct {
	SubjectsMade  int64           `json:"made"`
	SubjectsKnown int64           `json:"known"` // who are on record, and are in lines
	Consents      []ImportedState `json:"consents,omitempty"`
}

// ImportedState counts the consents on a purpose that the lines are about, by the state that they would be in.
type ImportedState struct {
	Project   int   `json:"project"`
	Purpose   int   `json:"purpose"`
	State     State `json:"state"`
	Made      int64 `json:"made"`      // nothing was on record
	Changed   int64 `json:"changed"`   // a line would decide in the place of what is on record
	Unchanged int64 `json:"unchanged"` // what is on record would go on deciding
}

// NewImport asks for an import.
type NewImport struct {
	Source      string
	Project     ID // zero: the default one
	Fingerprint string
	DryRun      bool
	Notify      bool
	Idempotency Idempotency
}

// Check refuses what no import is made of. Errors: Unprocessable.
func (n *NewImport) Check() error {
	if n.Source == "" || len(n.Source) > maxSource || strings.ContainsFunc(n.Source, notInSource) {
		return Errorf(Unprocessable, "source", "must have 1 to %d letters, digits, '_', '.', ':' and '-'", maxSource)
	}
	if len(n.Fingerprint) > maxFingerprint || strings.ContainsFunc(n.Fingerprint, notPrintable) {
		return Errorf(Unprocessable, "fingerprint", "must have %d printable ASCII characters at most", maxFingerprint)
	}
	return nil
}

func notInSource(r rune) bool {
	return notLetter(r) && (r < '0' || r > '9') && !strings.ContainsRune("_.:-", r)
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// ImportFilter narrows a list of imports; zero members do not.
type ImportFilter struct {
	Organization ID
	After        ID // in the order in which they were made: what comes behind it
	Open, Done   bool
	Source       string
	Limit        int
}

// ImportView is an import with what is needed to show it. Only the last call of lines has Errors.
type ImportView struct {
	ImportRun
	Catalog *Catalog
	Errors  []LineError // of this call, MaxMistakes at most
}

// LineError says why a line was refused. It has nothing of what the line says.
type LineError struct {
	Line  int64
	Field string // the place in the caller's words; empty: all of the line
	Msg   string
}

// KeptLineError is a LineError of an import, as it is stored.
type KeptLineError struct {
	ImportKey
	LineError
}

// LineKey is what stays of a line that was taken: a keyed hash of its source and what it is known by there.
type LineKey [16]byte

// ImportedLine says that an organization has had a line.
type ImportedLine struct {
	Organization ID
	Key          LineKey
}

// ImportNote is what a dry run has to know of the lines before: a value by a key, both for whoever does it alone to
// read.
type ImportNote struct {
	ImportKey
	Name, Value []byte
}

// SweptImport is an import of which the store removes a part of what helped with it: Limit rows of each kind at most.
// When nothing is left it is not to be swept any more.
type SweptImport struct {
	ImportKey
	Limit int
}
