// Package audit knows the folder that a whole ledger is exported to: how it is written, and how it is verified by who
// has nothing else. It does not know a store, a key file or a server.
//
// The folder holds the ledger's newest checkpoint and its tiles as C2SP's tlog-tiles lays them out, so that other
// people's tools read it, and beside them what the leaves commit to:
//
//	checkpoint                      the signed note
//	keys.json                       the keys by which it is verified
//	tile/<L>/<N>, tile/entries/<N>  hashes and leaves, 256 a file
//	openings/<N>                    a line of JSON for each entry, in the files as the leaves; where an erasure took it,
//	                                its sequence (ledger.ErasedSet says how it tells what it took)
//	texts/<xx>/<sha256>.txt         the texts that people were shown
//	consents.ndjson                 the consents that follow, each with the decisions it follows from
package audit

import (
	"encoding/base64"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// Entry is an entry of a ledger.
type Entry struct {
	Sequence   int64
	ID         consent.ID
	Kind       consent.EntryKind
	Subject    consent.ID // NoID: it is about no person, or about one that was erased
	RecordedAt time.Time
	Leaf       *ledger.Leaf // nil: retention dropped it, and the hash alone is left
	Hash       tlog.Hash    // of the leaf
	Opening    *ledger.Opening
	ErasedBy   int64 // where the leaf alone is left: the sequence of the erasure that took the entry
}

// Kinds of lines of openings beside those of consent.EntryKind.
const droppedKind = "dropped"

// opening is a line of openings.
type opening struct {
	Sequence   int64      `json:"sequence"`
	Kind       string     `json:"kind"`
	ID         consent.ID `json:"id,omitzero"`
	Subject    consent.ID `json:"subject,omitzero"`
	RecordedAt time.Time  `json:"recordedAt,omitzero"` // the leaf has its milliseconds
	Body       string     `json:"body,omitempty"`
	BodySalt   encoded    `json:"bodySalt,omitempty"`
	Ident      string     `json:"ident,omitempty"`
	IdentSalt  encoded    `json:"identSalt,omitempty"`
	Hash       encoded    `json:"hash,omitempty"`    // where there is no leaf
	ErasedBy   int64      `json:"erasedBy,omitzero"` // the sequence of the erasure that took it
	Leaf       encoded    `json:"leaf,omitempty"`    // where entries beside it have none, so there is no tile of leaves
}

// encoded is bytes as text in base64, of which only the form is taken that an encoder writes: package base64 alone
// would take several texts for the same bytes.
type encoded []byte

// MarshalText implements encoding.TextMarshaler.
func (e encoded) MarshalText() ([]byte, error) { return base64.StdEncoding.AppendEncode(nil, e), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *encoded) UnmarshalText(text []byte) (err error) {
	*e, err = base64.StdEncoding.Strict().AppendDecode(nil, text)
	return err
}

// Consent is a line of consents: a current consent, and what led to it.
type Consent struct {
	Subject   consent.ID `json:"subject"`
	Project   consent.ID `json:"project"`
	Purpose   string     `json:"purpose"`
	Decisions []int64    `json:"decisions"` // sequences, of those that were merged into the subject too
	Merges    []Merge    `json:"merges,omitempty"`
	// Later tells that a decision or a merge from behind the checkpoint belongs to it, or that a merge was undone there,
	// so that how it stands is not said.
	Later bool `json:"later,omitzero"`
	// Dropped tells that retention has dropped decisions that belong to it.
	Dropped  bool     `json:"dropped,omitzero"`
	Standing Standing `json:"standing,omitzero"`
}

// Standing is how a consent stands.
type Standing struct {
	DecidedBy      consent.ID `json:"decidedBy"`
	PurposeVersion int        `json:"purposeVersion"`
	State          string     `json:"state"`
	Weight         int        `json:"weight"`
	Grants         bool       `json:"grants"`
	Active         bool       `json:"active"`
	OccurredAt     time.Time  `json:"occurredAt"`
	ExpiresAt      time.Time  `json:"expiresAt,omitzero"`
	Since          time.Time  `json:"since,omitzero"`
}

// Merge tells that one person turned out to be another.
type Merge struct {
	Into       consent.ID `json:"into"`
	From       consent.ID `json:"from"`
	Number     int64      `json:"number"`
	MergedAt   time.Time  `json:"mergedAt"`
	RecordedAt time.Time  `json:"recordedAt"`
	After      int64      `json:"after"`
}

// Key is an element of keys.json: a key by which checkpoints are verified, from the first size that it signed.
type Key struct {
	Key      string    `json:"key"`
	FromSize int64     `json:"fromSize"`
	From     time.Time `json:"from"`
}

// Names of files.
const (
	checkpointFile = "checkpoint"
	keysFile       = "keys.json"
	consentsFile   = "consents.ndjson"
	readmeFile     = "README.txt"
)

// bundle names the tile of entries that begins behind so many.
func bundle(before int64, width int) ledger.Tile {
	return ledger.Tile{Level: ledger.EntriesLevel, Number: before / ledger.TileWidth, Width: width}
}

// openingsPath gives the path of the openings of a bundle: the tile's, in another folder.
func openingsPath(t ledger.Tile) string {
	return filepath.Join("openings", filepath.FromSlash(t.Path()[len("tile/entries/"):]))
}

func textPath(hash string) string { return filepath.Join("texts", hash[:2], hash+".txt") }
