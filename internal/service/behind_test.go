package service_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	recovering("nothing was signed", a.Organization, "lost", consent.Conflict)
	h.people(t, a, 0, 3)
	g := h.keeping(t, h.store, kept)
	g.checkpoint(t, a, 3)
	g.Close()
	h.people(t, a, 3, 2)
	recovering("it goes on", a.Organization, "lost", consent.Conflict)
	recovering("nobody's", consent.ID{1}, "lost", consent.NotFound)
	recovering("no reason", a.Organization, "", consent.Unprocessable)
	recovering("a blank reason", a.Organization, " \t\u00a0\n", consent.Unprocessable)
	recovering("a long reason", a.Organization, strings.Repeat("x", consent.MaxReason+1), consent.Unprocessable)
}

// TestUnkept: of a ledger that was signed before, and of which nothing is kept apart any more, the log tells once. It
// goes on from the newest checkpoint in the store, which is kept apart from then on: a store that is put back later is
// seen to be behind.
func TestUnkept(t *testing.T) {
	h := newHarness(t)
	a, other := h.bare(t), h.bare(t)
	kept := newCheckpoints(t)
	h.people(t, a, 0, 3)
	first := h.keeping(t, h.store, kept)
	first.checkpoint(t, a, 3)
	first.late(t, other) // a ledger that begins while it runs lacks nothing
	first.checkpoint(t, other, 1)
	first.Close()
	if log := first.log.String(); strings.Contains(log, "journal of checkpoints") {
		t.Errorf("nothing was missing: %s", log)
	}
	h.clock.add(time.Hour)

	empty := newCheckpoints(t)
	second := h.keeping(t, h.store, empty)
	await(t, "it is told", func() bool { return strings.Contains(second.log.String(), "level=ERROR") })
	second.Close()
	if log := second.log.String(); strings.Count(log, "holds none") != 1 || !strings.Contains(log, "ledgers=2") {
		t.Errorf("an empty one: %s", log)
	}
	if is, was := newest(t, empty, a), newest(t, kept, a); is != was || newest(t, empty, other).Size != 1 {
		t.Errorf("kept is one of %d entries, want %d", is.Size, was.Size)
	}

	one := newCheckpoints(t)
	if ok, err := one.Put(a.Organization, consent.LedgerRoot{}, newest(t, kept, a)); err != nil || !ok {
		t.Fatal(ok, err)
	}
	third := h.keeping(t, h.store, one)
	await(t, "it is told", func() bool { return strings.Contains(third.log.String(), "lacks ledgers") })
	third.Close()
	if log := third.log.String(); !strings.Contains(log, "ledgers=1 organization="+other.Organization.String()) {
		t.Errorf("one is missing: %s", log)
	}

	fourth := h.keeping(t, h.store, one)
	fourth.late(t, a)
	fourth.checkpoint(t, a, 4)
	fourth.Close()
	if log := fourth.log.String(); strings.Contains(log, "journal of checkpoints") {
		t.Errorf("told again: %s", log)
	}
}
