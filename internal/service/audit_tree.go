package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// feed reads the hashes of the entries as far as one, builds the tree over them and holds its rows against those that
// are stored. It gives entries their hashes.
func (w *LedgerAudit) feed(ctx context.Context, r Reader, entries []auditedEntry, to int64) error {
	next := 0
	for w.fed < to && w.stored != nil {
		hashes, err := w.storedHashes(ctx, r, w.fed, min(to, w.fed+auditRows))
		if err != nil {
			return err
		}
		for ; next < len(entries); next++ {
			n := entries[next].Sequence - 1 - w.fed
			if n >= int64(len(hashes)) {
				break
			}
			if n >= 0 {
				entries[next].hash = hashes[n]
			}
		}
		if err := w.grow(ctx, r, hashes); err != nil {
			return err
		}
		w.fed += int64(len(hashes))
	}
	return nil
}

// feedAll is feed of hashes without their entries, in states of their own.
func (w *LedgerAudit) feedAll(ctx context.Context, to int64) error {
	for w.fed < to && w.stored != nil {
		err := w.view(ctx, func(r Reader) error { return w.feed(ctx, r, nil, min(to, w.fed+auditRows)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// storedHashes reads the hashes of entries as they are stored. Of a row that is not there, or has another length, they
// are nil.
func (w *LedgerAudit) storedHashes(ctx context.Context, r Reader, from, to int64) ([]*tlog.Hash, error) {
	reader := ledger.NewReader(w.stored, rowsFrom(ctx, r, w.organization))
	read := func(from, to int64) ([]tlog.Hash, error) {
		indexes := make([]int64, 0, to-from)
		for n := from; n < to; n++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, n))
		}
		return reader.ReadHashes(indexes)
	}
	all := make([]*tlog.Hash, to-from)
	take := func(from int64, hashes []tlog.Hash, into []*tlog.Hash) {
		for i := range hashes {
			into[i] = &hashes[i]
		}
	}
	hashes, err := read(from, to)
	if take(from, hashes, all); err == nil || !damagedRow(err) {
		return all, err
	}
	const leavesOfRow = ledger.RowSize / tlog.HashSize
	for at := from; at < to; { // row by row, to tell which
		end := min(to, (at/leavesOfRow+1)*leavesOfRow)
		hashes, err := read(at, end)
		switch {
		case err == nil:
			take(at, hashes, all[at-from:])
		case damagedRow(err):
			w.notef(0, "", "row %d of level 0 of the tree, with the hashes of entries %d to %d, is not there or damaged",
				at/leavesOfRow, at/leavesOfRow*leavesOfRow+1, (at/leavesOfRow+1)*leavesOfRow)
		default:
			return nil, err
		}
		at = end
	}
	return all, nil
}

func damagedRow(err error) bool {
	return errors.Is(err, consent.ErrNoLedgerRow) || errors.Is(err, ledger.ErrMalformed)
}

// grow adds hashes to the tree, and compares the rows above them with those that are stored.
func (w *LedgerAudit) grow(ctx context.Context, r Reader, hashes []*tlog.Hash) error {
	if w.tree == nil {
		return nil
	}
	known := make([]tlog.Hash, len(hashes))
	for i, hash := range hashes {
		if hash == nil {
			w.tree = nil // nothing can be told of what is above
			return nil
		}
		known[i] = *hash
	}
	var upper []ledger.Row
	for _, row := range w.tree.Add(nil, known...) {
		if row.Level > 0 { // those of level 0 are what was added
			upper = append(upper, row)
		}
	}
	stored, err := storedRows(ctx, r, w.organization, upper)
	var refused *mismatch
	if errors.As(err, &refused) {
		w.notef(0, "", "%s", refused.what)
		return nil
	}
	if err != nil {
		return err
	}
	for i, row := range upper {
		if !bytes.Equal(stored[i].Hashes, row.Hashes) {
			w.notef(0, "", "row %d of level %d of the tree does not follow from the hashes below it", row.Number, row.Level)
		}
	}
	return nil
}

// checkTexts holds the texts that people were shown against their names, each once.
func (w *LedgerAudit) checkTexts(ctx context.Context, r Reader, entries []auditedEntry) error {
	if len(w.texts) > knownTexts {
		clear(w.texts)
	}
	var names []string
	var hashes [][]byte
	first := map[string]int64{}
	for i := range entries {
		name := string(entries[i].TextName())
		if _, seen := first[name]; name == "" || seen || w.texts[name] {
			continue
		}
		first[name] = entries[i].Sequence
		hash, err := hex.DecodeString(strings.TrimPrefix(name, "sha256:"))
		if err != nil || len(hash) != sha256.Size {
			w.notef(entries[i].Sequence, "displayed_text", "is no name of a text")
			continue
		}
		names, hashes = append(names, name), append(hashes, hash)
	}
	texts, err := r.Texts(ctx, w.organization, hashes)
	if err != nil {
		return err
	}
	for i, text := range texts {
		switch sum := sha256.Sum256([]byte(text)); {
		case bytes.Equal(sum[:], hashes[i]):
			w.texts[names[i]] = true
		case text == "":
			w.notef(first[names[i]], "displayed_text", "the text that the person was shown, %s, is not there", names[i])
		default:
			w.notef(first[names[i]], "displayed_text", "the text kept as %s is not the one with that hash", names[i])
		}
	}
	return nil
}
