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

// LedgerKey is a key by which checkpoints of an organization's ledger are verified.
type LedgerKey struct {
	Organization ID
	FromSize     int64  // of the first checkpoint that it signed
	Text         string // in the form that verifiers read (C2SP signed-note, "vkey")
	From         time.Time
	To           time.Time // when the next key took its place; zero: it signs. The store does not keep it
}
