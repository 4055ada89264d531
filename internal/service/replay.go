package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

// mismatch tells that what is stored of a ledger is not what was committed. It names places, and nothing that is kept
// there.
type mismatch struct{ what string }

func (m *mismatch) Error() string { return "the ledger does not match: " + m.what }

func mismatchf(format string, args ...any) error { return &mismatch{fmt.Sprintf(format, args...)} }

// replaying is a ledger of which the entries are hashed again, in parts as those of an export: that bounds what a long
// backlog takes of memory, and for how long it holds a view.
type replaying struct {
	organization consent.ID
	keys         *vault
	tree         *ledger.Tree
	span         consent.EventSpan
	limit        int
	part         consent.ExportedEvents
}

// replay hashes again what was added to a ledger since a checkpoint, and gives the tree with it. What is older was
// looked at when that was signed; all is looked at where there is none that the signer's key has signed. Errors:
// *mismatch where it is not what the ledger's head and rows say; those of the store.
func (g *signer) replay(ctx context.Context, head *consent.Head, since *consent.Checkpoint) (*ledger.Tree, error) {
	p := replaying{organization: head.Organization, keys: g.s.keys, tree: &ledger.Tree{},
		span: consent.EventSpan{To: head.LastID}, limit: leastInPart}
	if since != nil {
		if tree := g.trusted(since); tree != nil {
			p.tree, p.span.After = tree, since.LastID
		}
	}
	for p.span.After != p.span.To {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var tree *ledger.Tree
		var last consent.ID
		err := g.view(ctx, func(ctx context.Context, r Reader) (err error) { // it may run again
			tree, last, err = p.next(ctx, r)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("hash the entries of a ledger again: %w", err)
		}
		p.tree, p.span.After = tree, last
		p.limit = nextLimit(p.limit, len(p.part.Blobs))
	}
	if p.tree.Size != head.Sequence {
		return nil, mismatchf("%d entries are there, and its head says %d", p.tree.Size, head.Sequence)
	}
	if bytes.Equal(p.tree.Append(nil), head.Tree) {
		return p.tree, nil
	}
	kept, err := ledger.ParseTree(head.Tree)
	if err != nil || kept.Size != p.tree.Size {
		return nil, mismatchf("the tree in its head cannot be read")
	}
	return nil, differentTail(p.tree, kept)
}

// next hashes the next part, and gives the tree with it and the last entry that was looked at.
func (p *replaying) next(ctx context.Context, r Reader) (*ledger.Tree, consent.ID, error) {
	last, err := r.Entries(ctx, p.organization, p.span, p.limit, &p.part)
	if err != nil {
		return nil, last, err
	}
	known, err := secretsOf(ctx, r, p.keys, p.organization, each(p.part.Rows))
	if err != nil {
		return nil, last, err
	}
	leaves, err := leavesOf(p.part.Rows, known, p.tree.Size)
	if err != nil {
		return nil, last, err
	}
	tree := p.tree.Clone()
	return tree, last, sameRows(ctx, r, p.organization, tree.Add(nil, hashesOf(leaves)...))
}

// leavesOf makes the leaves of entries that follow each other in a ledger behind so many, by what secretsOf gave.
// Errors: *mismatch.
func leavesOf(entries []consent.ExportedEvent, known map[consent.ID]*ledger.Secret,
	before int64) ([]ledger.Leaf, error) {
	leaves := make([]ledger.Leaf, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Sequence != before+int64(i)+1 {
			return nil, mismatchf("where entry %d was, entry %d is", before+int64(i)+1, e.Sequence)
		}
		var err error
		if leaves[i], err = leafOf(e, known[e.Subject]); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// leafOf makes the leaf of an entry anew; where the leaf is all that is left, it is that one. Errors: *mismatch.
func leafOf(e *consent.ExportedEvent, secret *ledger.Secret) (ledger.Leaf, error) {
	at := e.RecordedAt.UnixMilli()
	if e.Kind == consent.ErasedEntry {
		leaf, err := ledger.ParseLeaf(e.Leaf)
		if err != nil || leaf.RecordedAt != at {
			return leaf, mismatchf("the leaf that is left of entry %d", e.Sequence)
		}
		return leaf, nil
	}
	switch {
	case secret == nil:
		return ledger.Leaf{}, mismatchf("what entry %d was committed with is gone, or was changed", e.Sequence)
	case at < 0:
		return ledger.Leaf{}, mismatchf("entry %d was recorded at an impossible time", e.Sequence)
	}
	return ledger.NewLeaf(at, secret, uint64(e.Sequence), e.BodyJSON, e.IdentityJSON), nil
}

// secretsOf gives what entries are committed with, by subject; NoID: the organization. Where it is gone or was changed
// it is nil. What was about somebody who was erased needs none. It reads those by which r has not decrypted idents
// already. Errors: those of the store, and such as say nothing of what is stored.
func secretsOf(ctx context.Context, r Reader, v *vault, organization consent.ID,
	entries iter.Seq[*consent.ExportedEvent]) (map[consent.ID]*ledger.Secret, error) {
	found := map[consent.ID]*ledger.Secret{}
	var missing []consent.SubjectKey
	var opened map[consent.SubjectKey]*sealing.Subject
	if o := openedOf(r); o != nil {
		opened = o.opened
	}
	for e := range entries {
		if _, noted := found[e.Subject]; noted || e.Kind == consent.ErasedEntry {
			continue
		}
		of := consent.SubjectKey{Organization: organization, Subject: e.Subject}
		found[e.Subject] = nil
		if subject, is := opened[of]; is {
			found[e.Subject] = secretOf(subject)
			continue
		}
		missing = append(missing, of)
	}
	subjects, err := v.subjectsOf(ctx, r, missing)
	for i := range subjects {
		found[missing[i].Subject] = secretOf(subjects[i])
	}
	return found, err
}

// secretOf gives what a subject's entries are committed with; nil: there is nothing.
func secretOf(s *sealing.Subject) *ledger.Secret {
	if s == nil {
		return nil
	}
	return (*ledger.Secret)(s.Key().Secret())
}

// each goes through entries.
func each(rows []consent.ExportedEvent) iter.Seq[*consent.ExportedEvent] {
	return func(yield func(*consent.ExportedEvent) bool) {
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}
}

func hashesOf(leaves []ledger.Leaf) []tlog.Hash {
	hashes := make([]tlog.Hash, len(leaves))
	for i := range leaves {
		hashes[i] = leaves[i].Hash()
	}
	return hashes
}

// sameRows compares rows of a tree with those that are stored.
func sameRows(ctx context.Context, r Reader, organization consent.ID, rows []ledger.Row) error {
	stored, err := storedRows(ctx, r, organization, rows)
	if err != nil {
		return err
	}
	for i, row := range rows {
		if bytes.Equal(stored[i].Hashes, row.Hashes) {
			continue
		}
		if row.Level > 0 || len(stored[i].Hashes) != len(row.Hashes) {
			return mismatchf("row %d of level %d of its tree", row.Number, row.Level)
		}
		at := 0
		for row.Hashes[at] == stored[i].Hashes[at] {
			at++
		}
		const leavesOfRow = ledger.RowSize / tlog.HashSize
		return mismatchf("entry %d, or its hash", row.Number*leavesOfRow+int64(at/tlog.HashSize)+1)
	}
	return nil
}

// storedRows reads rows as they are stored. One that is not there is a *mismatch.
func storedRows(ctx context.Context, r Reader, organization consent.ID,
	rows []ledger.Row) ([]consent.LedgerRow, error) {
	stored := make([]consent.LedgerRow, len(rows))
	for i, row := range rows {
		stored[i] = consent.LedgerRow{Organization: organization, Level: row.Level, Number: row.Number}
	}
	err := r.LedgerRows(ctx, stored)
	if errors.Is(err, consent.ErrNoLedgerRow) {
		return nil, &mismatch{err.Error()}
	}
	return stored, err
}

// differentTail names the first entry by which two trees of a size differ, where it is in no complete row.
func differentTail(a, b *ledger.Tree) error {
	const leavesOfRow = ledger.RowSize / tlog.HashSize
	var indexes []int64
	for n := a.Size / leavesOfRow * leavesOfRow; n < a.Size; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	noRows := func([]ledger.RowID) ([][]byte, error) { return nil, errors.New("a row was asked for") }
	of, err := ledger.NewReader(a, noRows).ReadHashes(indexes)
	if err != nil {
		return err
	}
	kept, err := ledger.NewReader(b, noRows).ReadHashes(indexes)
	if err != nil {
		return err
	}
	if slices.Equal(of, kept) {
		return mismatchf("the tree in its head")
	}
	for i := range of {
		if of[i] != kept[i] {
			return mismatchf("entry %d, or its hash", a.Size/leavesOfRow*leavesOfRow+int64(i)+1)
		}
	}
	return nil
}
