// Package evidence knows the evidence bundle: a zip that shows what one person decided, with what it takes to verify
// that offline. It makes bundles and verifies them; it does not know where anything is kept, who may read it, or whose
// key is to be trusted. It reads no clock, starts no goroutine, and opens no file or connection by itself.
//
// Everything in a bundle but the data of evidence.json, purposes.json, keys.json and the texts is rendered from those,
// always the same bytes. So Verify renders it again and compares. It imports package ledger alone of this module, so an
// auditor can use both without the rest.
package evidence

import (
	"errors"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrUnreadable is about what is no bundle, or none in the form that Write gives. Verify's errors wrap it, but for
// those about its options.
var ErrUnreadable = errors.New("not a readable evidence bundle")

// ErrTooLarge is about what would make a bundle beyond the bounds that Verify reads.
var ErrTooLarge = errors.New("too large for an evidence bundle")

// MaxDecisions is how many decisions a bundle may have.
const MaxDecisions = 10_000

// MaxEpochs is how many epochs a bundle may have.
const MaxEpochs = 100

// The names of the files that are in each bundle. A text is texts/ and the SHA-256 of it in hex, and .txt.
const (
	ReadmeFile   = "README.txt"
	PageFile     = "evidence.html"
	DataFile     = "evidence.json"
	KeysFile     = "keys.json"
	PurposesFile = "purposes.json"
	ReceiptFile  = "receipt.jsonld"
	textFolder   = "texts/"
	textSuffix   = ".txt"
)

// format is what evidence.json says of its own form, so that another can follow.
const format = "consentd/evidence/v1"

// A Bundle is all that a bundle is made of. Times are texts by RFC 3339 in UTC.
type Bundle struct {
	Organization Organization
	Person       Person
	Purpose      string // the key of the one that the decisions are on, where the bundle was narrowed to it
	Checkpoint   string // the signed note that covers all decisions
	Earlier      *Earlier
	Epochs       []Entry           // the last ones up to the checkpoint, MaxEpochs at most, see there
	Merges       []Entry           // by which other subjects that decisions name are the person, with idents
	Entries      []Entry           // newest of the versions, and of those after them
	Decisions    []Decision        // in the order of the ledger
	Versions     []Version         // those that decisions name
	Keys         []Key             // all that ever signed the ledger's checkpoints
	Texts        map[string]string // those that decisions and versions name, by SHA-256 in hex
}

// Organization is who keeps the ledger.
type Organization struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Person is whom the decisions are about, as the organization knew the person when the bundle was made.
type Person struct {
	ID          string       `json:"id"`
	Merged      []string     `json:"merged"` // ids of those who turned out to be the same person
	Identifiers []Identifier `json:"identifiers"`
}

// Identifier is a name of a person.
type Identifier struct {
	Kind    string `json:"kind"`
	Value   string `json:"value"`
	Project string `json:"project,omitempty"` // where the name is of one project
}

// Earlier shows that the ledger only grew since it had Size entries, under Root (RFC 6962, section 2.1.2).
type Earlier struct {
	Size   int64       `json:"size"`
	Root   tlog.Hash   `json:"root"`
	Hashes []tlog.Hash `json:"hashes"`
}

// Decision is an entry of the ledger with its opening and its proof of inclusion under the bundle's checkpoint.
type Decision struct {
	Event      string      `json:"event"`   // its id
	Subject    string      `json:"subject"` // under which id of the person it was recorded
	Index      int64       `json:"index"`   // of the leaf, from 0
	Sequence   int64       `json:"sequence"`
	RecordedAt string      `json:"recordedAt"` // to the millisecond, as in the leaf
	Body       string      `json:"body"`       // what was decided, byte for byte as hashed
	Ident      string      `json:"ident"`      // who, and from where
	BodySalt   []byte      `json:"bodySalt"`
	IdentSalt  []byte      `json:"identSalt"`
	Leaf       []byte      `json:"leaf"`
	Hashes     []tlog.Hash `json:"hashes"` // from the leaf up to the root
}

// Entry is an entry of the ledger that is no decision. An epoch says that the ledger goes on from before a checkpoint
// that was signed and is lost, as when a backup was put back. Who holds the lost one learns by it why this ledger does
// not go on from there.
type Entry struct {
	Index      int64       `json:"index"`
	Sequence   int64       `json:"sequence"`
	RecordedAt string      `json:"recordedAt"`
	Body       string      `json:"body"` // such as the size and the root that were lost
	BodySalt   []byte      `json:"bodySalt"`
	Ident      string      `json:"ident,omitempty"` // of a merge: the two ids
	IdentSalt  []byte      `json:"identSalt,omitempty"`
	Leaf       []byte      `json:"leaf"`
	Hashes     []tlog.Hash `json:"hashes"`
}

// Version is a version of a purpose. LegalText and Translations are sha256: and the hash of a text, or empty.
type Version struct {
	Project         string `json:"project"`
	Purpose         string `json:"purpose"` // its key
	Version         int    `json:"version"`
	Name            string `json:"name"`
	Description     string `json:"description"`
	URL             string `json:"url"`
	LegalBasis      string `json:"legalBasis"`
	RequireReaccept bool   `json:"requireReaccept"`
	HeldFrom        string `json:"heldFrom"`
	HeldTo          string `json:"heldTo,omitempty"` // absent: it held when the bundle was made
	LegalText       string `json:"legalText,omitempty"`
	Translations    string `json:"translations,omitempty"` // what it says in other languages, a JSON object
}

// Key verifies checkpoints (C2SP signed-note, "vkey").
type Key struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to,omitempty"` // absent: it signed when the bundle was made
}
