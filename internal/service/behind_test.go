package service_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/journal"
)

func newCheckpoints(t testing.TB) *journal.Checkpoints {
	t.Helper()
	c, err := journal.OpenCheckpoints(filepath.Join(t.TempDir(), "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newest is what is kept apart of a ledger.
func newest(t testing.TB, kept *journal.Checkpoints, a consent.Actor) consent.LedgerRoot {
	t.Helper()
	root, err := kept.Newest(a.Organization)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// lose lets a store be behind: what is kept apart tells of another history.
func lose(t testing.TB, kept *journal.Checkpoints, a consent.Actor, size int64) consent.LedgerRoot {
	t.Helper()
	lost := consent.LedgerRoot{Size: size, Root: [32]byte{1, 2, byte(size)}}
	if ok, err := kept.Put(a.Organization, newest(t, kept, a), lost); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return lost
}

// late records something, of which the service knows by itself.
func (g *signing) late(t testing.TB, a consent.Actor) {
	t.Helper()
	if _, err := g.Record(context.Background(), a, write(item(user("late")))); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsSignedBehind: of a store that was put back, with fewer entries than the newest checkpoint, as many, or
// more of others, nothing is signed, also by a server that is started on it; until it is recovered, whereupon the entry
// says what was lost. Reads and writes go on.
func TestNothingIsSignedBehind(t *testing.T) {
	for name, behind := range map[string]int64{"shorter": 9, "as long": 4, "longer": 3} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			ctx := context.Background()
			a := h.bare(t)
			kept := newCheckpoints(t)
			h.people(t, a, 0, 3)
			first := h.keeping(t, h.store, kept)
			first.checkpoint(t, a, 3)
			if is := newest(t, kept, a); is.Size != 3 {
				t.Fatalf("kept apart is a checkpoint of %d entries", is.Size)
			}
			first.Close()
			lost := lose(t, kept, a, behind)
			h.people(t, a, 3, 1)
			second := h.keeping(t, h.store, kept)
			await(t, "it is behind", func() bool { return second.BehindLedgers() == 1 })
			second.checkpoint(t, a, 3) // of then
			if second.outcomes.behind.Load() == 0 || !strings.Contains(second.log.String(), "ledger recover") {
				t.Errorf("it says: %s", second.log.String())
			}
			second.Close()
			at, sequence, err := h.svc.RecoverLedger(ctx, kept, a.Organization, "backup put back")
			if err != nil || at != lost || sequence != 5 {
				t.Fatalf("recovered at %d, of %v: %v", sequence, at, err)
			}
			_, _, err = h.svc.RecoverLedger(ctx, kept, a.Organization, "again")
			if !consent.IsKind(err, consent.Conflict) {
				t.Errorf("recovered twice: %v", err)
			}
			third := h.keeping(t, h.store, kept)
			third.checkpoint(t, a, 5)
			if is := newest(t, kept, a); is.Size != 5 || third.BehindLedgers() != 0 {
				t.Errorf("kept apart is a checkpoint of %d entries; %d are behind", is.Size, third.BehindLedgers())
			}
			third.late(t, a)
			third.checkpoint(t, a, 6)
			third.Close()
			lose(t, kept, a, 100) // once more: the epoch of before does not count
			fourth := h.keeping(t, h.store, kept)
			await(t, "it is behind again", func() bool { return fourth.BehindLedgers() == 1 })
		})
	}
}

// TestBehindWithoutWrites: that a ledger is behind is found at the start, though there is nothing to sign.
func TestBehindWithoutWrites(t *testing.T) {
	h := newHarness(t)
	a, other := h.bare(t), h.bare(t)
	kept := newCheckpoints(t)
	h.people(t, a, 0, 3)
	h.people(t, other, 0, 2)
	first := h.keeping(t, h.store, kept)
	first.checkpoint(t, a, 3)
	first.checkpoint(t, other, 2)
	first.Close()
	lose(t, kept, a, 4)
	second := h.keeping(t, h.store, kept)
	await(t, "it is behind", func() bool { return second.BehindLedgers() == 1 })
	second.late(t, other)
	second.checkpoint(t, other, 3) // the others' go on
}

// TestAheadOfTheStore: a server that ended between keeping a checkpoint apart and storing it, or another server that
// has stored none, is not behind.
func TestAheadOfTheStore(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	kept := newCheckpoints(t)
	h.people(t, a, 0, 70) // more than a row of the tree
	first := h.keeping(t, h.store, kept)
	first.checkpoint(t, a, 70)
	first.Close()
	h.damage(t, `DELETE FROM ledger_checkpoints`)
	h.people(t, a, 70, 1)
	second := h.keeping(t, h.store, kept)
	second.checkpoint(t, a, 71)
	if second.BehindLedgers() != 0 || second.outcomes.behind.Load() != 0 {
		t.Errorf("it is behind: %s", second.log.String())
	}
}

// TestRecoverRefuses: a ledger of which nothing is lost gets no epoch.
func TestRecoverRefuses(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.bare(t)
	kept := newCheckpoints(t)
	recovering := func(what string, o consent.ID, reason string, kind consent.Kind) {
		t.Helper()
		if _, _, err := h.svc.RecoverLedger(ctx, kept, o, reason); !consent.IsKind(err, kind) {
			t.Errorf("%s: %v", what, err)
		}
	}
	recovering("nothing was signed", a.Organization, "", consent.Conflict)
	h.people(t, a, 0, 3)
	g := h.keeping(t, h.store, kept)
	g.checkpoint(t, a, 3)
	g.Close()
	h.people(t, a, 3, 2)
	recovering("it goes on", a.Organization, "", consent.Conflict)
	recovering("nobody's", consent.ID{1}, "", consent.NotFound)
	recovering("a long reason", a.Organization, strings.Repeat("x", consent.MaxReason+1), consent.Unprocessable)
}
