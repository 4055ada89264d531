package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// ErrPinned is wrapped by what Verify fails with where the checkpoint that was given is none that a key of the ledger
// has signed.
var ErrPinned = errors.New("the checkpoint file is damaged")

// readPinned reads the checkpoint that was given, and verifies it by a key that is trusted, or by one of the folder's:
// it may have been signed by an earlier one.
func (v *verifier) readPinned() error {
	if v.o.Pinned == nil {
		return nil
	}
	text, _, _ := bytes.Cut(v.o.Pinned, []byte("\n\n"))
	said, err := ledger.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPinned, err)
	}
	if said.Origin != v.said.Origin {
		v.faultf("checkpoint: the one that was given is of %q over %d entries, and this of %q over %d", said.Origin,
			said.Size, v.said.Origin, v.said.Size)
		return nil
	}
	err = ledger.ErrUnsigned
	for _, text := range once(slices.Concat(v.o.Keys, v.own)) {
		verifier, wrong := ledger.NewVerifier(text)
		if wrong != nil {
			continue // of the folder, whose own checkpoint was held against it
		}
		if _, _, err = ledger.Open(v.o.Pinned, said.Origin, note.VerifierList(verifier)); err == nil {
			v.pinned = said
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrPinned, err)
}

// goesOn tells whether the ledger, all leaves of which were read, goes on from the checkpoint that was given.
func (v *verifier) goesOn() error {
	p := v.pinned
	if p == nil {
		return nil
	}
	if !v.forked && p.Size <= v.said.Size {
		v.report.Pinned = p.Size
		return nil
	}
	lost := consent.LedgerRoot{Size: p.Size, Root: p.Root}
	if i := slices.IndexFunc(v.report.Epochs, func(e Epoch) bool { return e.Lost == lost }); i >= 0 {
		v.faultf("checkpoint: the one that was given, over %d entries, is the checkpoint that the epoch in entry %d names "+
			"as lost", p.Size, v.report.Epochs[i].Sequence)
		return nil
	}
	may := ""
	if i := slices.IndexFunc(v.report.Epochs, func(e Epoch) bool { return e.Lost.Size > p.Size }); i >= 0 {
		may = fmt.Sprintf("; the epoch in entry %d says that what was signed over %d entries was lost, and it may have been "+
			"signed on the way there, which nothing here can prove", v.report.Epochs[i].Sequence, v.report.Epochs[i].Lost.Size)
	}
	if p.Size > v.said.Size {
		v.faultf("checkpoint: the one that was given is of %q over %d entries, and this of %q over %d%s", p.Origin, p.Size,
			v.said.Origin, v.said.Size, may)
		return nil
	}
	v.faultf("the checkpoint that was given was signed over other entries than the first %d: the ledger was forked, or "+
		"changed since%s", p.Size, may)
	return nil
}
