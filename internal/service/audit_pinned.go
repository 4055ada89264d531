package service

import (
	"context"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// Pinned is a checkpoint of a ledger from elsewhere, which the ledger has to go on from.
type Pinned struct {
	consent.LedgerRoot
	What   string // it is
	Advice string // what to do where the ledger does not go on from it; empty: nothing is said of that
	// Kept tells that it is what servers keep, who sign nothing while the ledger is behind it: where an entry names it as
	// lost, the ledger was recovered, and nothing is wrong.
	Kept bool
}

// Verify verifies the note of a checkpoint of the ledger, also one from earlier, by the key file's key or by those that
// the store has. Errors: ledger.ErrUnsigned and others of a note that is none.
func (w *LedgerAudit) Verify(signed []byte) (*ledger.Checkpoint, error) {
	said, _, err := w.verified(signed)
	return said, err
}

// goesOn holds a checkpoint against the tree, and tells of one that the ledger does not go on from.
func (w *LedgerAudit) goesOn(ctx context.Context, p *Pinned) error {
	if p.Size > w.head.Sequence {
		w.tellPinned(p, "covers %d entries, and the ledger has %d: its end was cut off, or an older state was put back",
			p.Size, w.head.Sequence)
		return nil
	}
	if w.stored == nil {
		return nil
	}
	differs := false
	err := w.view(ctx, func(r Reader) error {
		differs = false
		root, err := tlog.TreeHash(p.Size, ledger.NewReader(w.stored, rowsFrom(ctx, r, w.organization)))
		if errors.Is(err, consent.ErrNoLedgerRow) || errors.Is(err, ledger.ErrMalformed) {
			return nil // was told of
		}
		differs = root != p.Root
		return err
	})
	if err == nil && differs {
		w.tellPinned(p, "was signed over other entries than the first %d of the ledger", p.Size)
	}
	return err
}

// tellPinned tells of a checkpoint that the ledger does not go on from; an entry that says that it was lost tells more.
func (w *LedgerAudit) tellPinned(p *Pinned, format string, args ...any) {
	advice := ""
	if p.Advice != "" {
		advice = ". To do: " + p.Advice
	}
	longer := int64(0) // the first entry that tells of a lost one of more entries
	for sequence, lost := range w.told.epochs {
		switch {
		case lost == p.LedgerRoot && p.Kept:
			w.found.Recovered = sequence
			return
		case lost == p.LedgerRoot:
			w.faultf(0, "", "%s, over %d entries, is the checkpoint that the epoch in entry %d names as lost%s", p.What, p.Size,
				sequence, advice)
			return
		case lost.Size > p.Size && (longer == 0 || sequence < longer):
			longer = sequence
		}
	}
	if longer > 0 {
		args = append(args, longer, w.told.epochs[longer].Size)
		format += "; the epoch in entry %d says that what was signed over %d entries was lost, and it may have been signed " +
			"on the way there, which nothing here can prove"
	}
	w.faultf(0, "", p.What+" "+format+"%s", append(args, advice)...)
}
