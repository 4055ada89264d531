package service_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/ledger"
)

// memory is a tlog.HashReader of hashes by their index.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) (hashes []tlog.Hash, err error) {
	for _, i := range indexes {
		hashes = append(hashes, m[i])
	}
	return hashes, nil
}

// checkLedger makes the tree of an organization anew from its entries, by tlog alone, and holds what is on record
// against it: the head, its right edge, and each row. It gives how many entries there are.
func (h *harness) checkLedger(t tester, o consent.ID) (size int64) {
	t.Helper()
	h.view(t, func(r service.Reader) error {
		ctx := context.Background()
		heads, err := r.Heads(ctx, []consent.ID{o})
		if err != nil {
			return err
		}
		head := heads[o]
		size = head.Sequence
		var part consent.ExportedEvents
		if _, err := r.Entries(ctx, o, consent.EventSpan{To: head.LastID}, 1<<20, &part); err != nil {
			return err
		}
		entries := part.Rows
		var stored memory
		for i := range entries {
			leaf, err := h.leaf(ctx, r, o, &entries[i])
			if err != nil {
				return err
			}
			more, err := tlog.StoredHashesForRecordHash(int64(i), leaf.Hash(), stored)
			if err != nil {
				return err
			}
			stored = append(stored, more...)
		}
		if size == 0 && head.Tree == nil {
			return nil
		}
		tree, err := ledger.ParseTree(head.Tree)
		if err != nil {
			return err
		}
		root, err := tlog.TreeHash(int64(len(entries)), stored)
		if err != nil {
			return err
		}
		if tree.Size != head.Sequence || tree.Size != int64(len(entries)) || tree.Root() != root {
			t.Errorf("%d entries; the head says %d, its tree %d, by root %s and not %s", len(entries), head.Sequence,
				tree.Size, tree.Root(), root)
		}
		all := make([]int64, len(stored))
		for i := range all {
			all[i] = int64(i)
		}
		got, err := ledger.NewReader(tree, rowsOf(ctx, r, o)).ReadHashes(all)
		for i := range got {
			if got[i] != stored[i] {
				t.Errorf("hash %d of %d is not what the entries make", i, len(stored))
				break
			}
		}
		return err
	})
	return size
}

// rowsOf reads rows of an organization's tree.
func rowsOf(ctx context.Context, r service.Reader, o consent.ID) ledger.FetchRows {
	return func(ids []ledger.RowID) ([][]byte, error) {
		rows := make([]consent.LedgerRow, len(ids))
		for i, id := range ids {
			rows[i] = consent.LedgerRow{Organization: o, Level: id.Level, Number: id.Number}
		}
		err := r.LedgerRows(ctx, rows)
		hashes := make([][]byte, len(rows))
		for i := range rows {
			hashes[i] = rows[i].Hashes
		}
		return hashes, err
	}
}

// leaf makes the leaf of an entry from what is on record.
func (h *harness) leaf(ctx context.Context, r service.Reader, o consent.ID, e *consent.ExportedEvent) (leaf ledger.Leaf,
	err error) {
	wrapped, err := r.SubjectSecrets(ctx, []consent.SubjectKey{{Organization: o, Subject: e.Subject}})
	if err != nil {
		return leaf, err
	}
	key, err := sealingtest.Ring().Unwrap(wrapped[0], o, e.Subject)
	if err != nil {
		return leaf, err
	}
	return ledger.NewLeaf(e.RecordedAt.UnixMilli(), (*ledger.Secret)(key.Secret()), uint64(e.Sequence), e.BodyJSON,
		e.IdentityJSON), nil
}

// TestLedger puts decisions of all sorts on record, of two organizations at once, with people who are new, known, and
// turn out to be one, with requests that are refused and others that are repeated: the tree is that of the entries.
func TestLedger(t *testing.T) {
	h := newHarness(t)
	a, b := h.organization(t), h.organization(t)
	if n := h.checkLedger(t, a.Organization); n != startsWith {
		t.Errorf("a new ledger has %d entries", n)
	}
	var writing sync.WaitGroup
	for w := range 8 {
		random := rand.New(rand.NewPCG(uint64(w), 7))
		writing.Go(func() {
			for n := range 250 {
				actor := []consent.Actor{a, b}[random.IntN(2)]
				request := write()
				for range 1 + random.IntN(4) {
					given := user(fmt.Sprint("user-", random.IntN(40)))
					if random.IntN(3) == 0 {
						given = append(given, consent.Identifier{Kind: consent.AnonymousID,
							Value: consent.ID{0: byte(random.IntN(60)), 6: 0x70, 8: 0x80}.String()})
					}
					if random.IntN(3) == 0 {
						given = given[len(given)-1:]
					}
					request.Items = append(request.Items, item(given, decided([]string{consent.Analytics, consent.Marketing,
						fmt.Sprint("own-", random.IntN(3))}[random.IntN(3)],
						[]consent.State{consent.Accepted, consent.Declined, consent.Viewed}[random.IntN(3)])))
				}
				if random.IntN(4) == 0 {
					request.Idempotency = consent.Idempotency{Key: fmt.Sprint("key-", n%7)}
				}
				if random.IntN(6) == 0 {
					request.Items = append(request.Items, item(user("")))
				}
				_, _ = h.svc.Record(context.Background(), actor, request) // some are refused
			}
		})
	}
	writing.Wait()
	for _, actor := range []consent.Actor{a, b} {
		if n := h.checkLedger(t, actor.Organization); n < 300 {
			t.Errorf("only %d entries", n)
		}
	}
}
