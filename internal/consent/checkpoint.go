package consent

import (
	"errors"
	"time"
)

// ErrNoLedgerRow tells that a row of a ledger's tree is not there that once was complete.
var ErrNoLedgerRow = errors.New("a row of the tree is not there")

// Checkpoint is the newest signed checkpoint of an organization's ledger.
type Checkpoint struct {
	Organization ID
	Size         int64  // how many entries it covers
	LastID       ID     // the last of them
	Tree         []byte // the right edge of the tree over them (ledger.Tree)
	Note         []byte // the checkpoint, signed
	KeyID        int64  // tells which key signed, among those of the ledger (C2SP signed-note)
	SignedAt     time.Time
}

// Cosignature is the newest one that a witness gave of an organization's ledger.
type Cosignature struct {
	Organization ID
	Witness      string    // its key, in the form that verifiers read (C2SP signed-note, "vkey")
	Size         int64     // how many entries the checkpoint covers
	Note         []byte    // the checkpoint, as the ledger's key signed it
	Line         []byte    // the witness's line of signature, with its newline
	At           time.Time // when it was kept
}

// WitnessLag is how far a witness is behind the checkpoints of all ledgers.
type WitnessLag struct {
	Ledgers int64 // of which it has not cosigned the newest checkpoint
	Never   int64 // of these, those of which it never cosigned any
	Entries int64 // the most that it is behind one of these
}

// LedgerKey is a key by which checkpoints of an organization's ledger are verified.
type LedgerKey struct {
	Organization ID
	FromSize     int64  // of the first checkpoint that it signed
	Text         string // in the form that verifiers read (C2SP signed-note, "vkey")
	From         time.Time
	To           time.Time // when the next key took its place; zero: it signs. The store does not keep it
}
