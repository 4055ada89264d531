package service_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/ledger"
)

const ledgerName = "ledger.example/test"

// signing is a service that signs, beside the one of a harness, which does not.
type signing struct {
	*service.Service
	outcomes counted
	log      logtest.Buffer
}

type counted struct{ signed, refused, failed, behind atomic.Int64 }

func (c *counted) add(outcome string) {
	map[string]*atomic.Int64{service.CheckpointSigned: &c.signed, service.CheckpointRefused: &c.refused,
		service.CheckpointFailed: &c.failed, service.CheckpointBehind: &c.behind}[outcome].Add(1)
}

// signing starts another service over the harness's store.
func (h *harness) signing(t testing.TB, s service.Store) *signing { return h.keeping(t, s, nil) }

// keeping starts one that keeps checkpoints apart from the store.
func (h *harness) keeping(t testing.TB, s service.Store, kept service.Checkpoints) *signing {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := &signing{}
	g.Service = service.New(service.Options{Store: s, Keys: sealingtest.Ring(), SigningKey: sealingtest.SigningKey(),
		LedgerName: ledgerName, Places: places, Clock: h.clock.now, Checkpointed: g.outcomes.add, Checkpoints: kept,
		Log: slog.New(slog.NewTextHandler(&g.log, nil))})
	t.Cleanup(g.Close)
	return g
}

// await waits until something holds, for no longer than a slow machine needs.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// checkpoint waits for one of a size, and verifies it.
func (g *signing) checkpoint(t testing.TB, a consent.Actor, size int64) *ledger.Checkpoint {
	t.Helper()
	var newest *consent.Checkpoint
	await(t, fmt.Sprintf("a checkpoint of %d entries", size), func() bool {
		var err error
		newest, err = g.Checkpoint(context.Background(), a)
		return err == nil && newest.Size == size
	})
	opened, _, err := ledger.Open(newest.Note, origin(a), verifiers(t, a))
	if err != nil {
		t.Fatalf("%s: %v", newest.Note, err)
	}
	if opened.Size != size {
		t.Fatalf("the note is of %d entries, want %d", opened.Size, size)
	}
	return opened
}

func origin(a consent.Actor) string { return ledgerName + "/" + a.Organization.String() }

func verifiers(t testing.TB, a consent.Actor) note.Verifiers {
	t.Helper()
	text, err := ledger.VerifierKey(origin(a), sealingtest.SigningKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	return note.VerifierList(v)
}

// people records a decision of each of so many people.
func (h *harness) people(t tester, a consent.Actor, from, n int) (ids []consent.ID) {
	t.Helper()
	for i := range n {
		made := h.record(t, a, item(user(fmt.Sprint("user-", (from+i)%7))))
		ids = append(ids, made.Items[0].Events[0].ID)
	}
	return ids
}

// TestCheckpointFollowsWrites: what was there at start is signed, and then what is written, by this process or another.
func TestCheckpointFollowsWrites(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	h.people(t, a, 0, 3)
	g := h.signing(t, h.store)
	first := g.checkpoint(t, a, 3)
	if _, err := g.Record(context.Background(), a, write(item(user("late")))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	second := g.checkpoint(t, a, 4)
	t.Logf("signed %s after the write", time.Since(began).Round(time.Millisecond))
	grown, err := g.Consistency(context.Background(), a, 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := grown.Verify(first, second); err != nil {
		t.Error(err)
	}
	// Nothing changed, so nothing is signed.
	before := g.outcomes.signed.Load()
	g.AwaitCheckpoint(context.Background(), a, 4, time.Second)
	time.Sleep(50 * time.Millisecond)
	if n := g.outcomes.signed.Load(); n != before || n != 2 {
		t.Errorf("signed %d times, want 2", n)
	}
	if text := g.log.String(); text != "" {
		t.Error(text)
	}
}

// TestLongBacklogIsSignedInParts: more entries than one part has, and complete rows of two levels.
func TestLongBacklogIsSignedInParts(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	items := itemsOf(1100)
	h.record(t, a, items[:600]...)
	h.record(t, a, items[600:]...)
	g := h.signing(t, h.store)
	g.checkpoint(t, a, 1100)
}

// damage runs a statement on the file of a harness, past its service.
func (h *harness) damage(t testing.TB, statement string, args ...any) {
	t.Helper()
	c, err := zombiezen.OpenConn(filepath.Join(h.folder, sqlite.FileName), zombiezen.OpenReadWrite|zombiezen.OpenWAL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetBlockOnBusy()
	changed := 0
	err = sqlitex.Execute(c, statement, &sqlitex.ExecOptions{Args: args})
	if changed = c.Changes(); err != nil || changed == 0 {
		t.Fatalf("%s: changed %d rows, %v", statement, changed, err)
	}
	time.Sleep(150 * time.Millisecond) // readers may show for 100 ms what was before another process's commit
}

// TestDamageIsNotSigned: whatever is changed in the file since the last checkpoint, no checkpoint covers it; the log
// and the metric tell, and say nothing of anybody. Other organizations' checkpoints go on.
func TestDamageIsNotSigned(t *testing.T) {
	const entries = 70 // two complete rows and a tail
	for _, tc := range []struct{ what, statement, says string }{
		{"a body", "UPDATE events SET body = CAST('{}' AS BLOB) WHERE sequence = 40", "entry 40, or its hash"},
		{"a body in the tail", "UPDATE events SET body = CAST('{}' AS BLOB) WHERE sequence = 67", "entry 67, or its hash"},
		{"an ident", "UPDATE events SET ident = CAST('{}' AS BLOB) WHERE sequence = 10", "entry 10, or its hash"},
		{"a time", "UPDATE events SET recorded_at = recorded_at + 1000 WHERE sequence = 5", "entry 5, or its hash"},
		{"an impossible time", "UPDATE events SET recorded_at = -5000000 WHERE sequence = 5", "an impossible time"},
		{"a subject", "UPDATE events SET subject_id = (SELECT subject_id FROM events WHERE sequence = 2) WHERE sequence = 1",
			"entry 1, or its hash"},
		{"the order", "UPDATE events SET sequence = CASE sequence WHEN 20 THEN 21 ELSE 20 END WHERE sequence IN (20, 21)",
			"where entry 20 was, entry 21 is"},
		{"idents swapped", `UPDATE events SET ident = (SELECT o.ident FROM events o WHERE o.sequence = 41 - events.sequence
			AND o.organization_id = events.organization_id) WHERE sequence IN (20, 21)`, "entry 20, or its hash"},
		{"the tail cut", "DELETE FROM events WHERE sequence > 60", "60 entries are there, and its head says 70"},
		{"one taken out", "DELETE FROM events WHERE sequence = 33", "where entry 33 was, entry 34 is"},
		{"the first taken out", "DELETE FROM events WHERE sequence = 1", "where entry 1 was, entry 2 is"},
		{"a row", "UPDATE ledger_rows SET hashes = zeroblob(1024) WHERE number = 1", "entry 33, or its hash"},
		{"a short row", "UPDATE ledger_rows SET hashes = zeroblob(32) WHERE number = 1", "row 1 of level 0"},
		{"a row taken out", "DELETE FROM ledger_rows WHERE number = 0", "row 0 of level 0"},
		{"the head's tree", "UPDATE ledger_heads SET tree = zeroblob(length(tree)) WHERE sequence > 0",
			"the tree in its head cannot be read"},
		{"a hash in the head's tree", "UPDATE ledger_heads SET tree = " +
			"CAST(substr(tree, 1, length(tree) - 1) || x'00' AS BLOB) WHERE sequence > 0", "the tree in its head"},
		{"the head's sequence", "UPDATE ledger_heads SET sequence = 69 WHERE sequence = 70",
			"70 entries are there, and its head says 69"},
		{"a secret", "UPDATE subject_keys SET wrapped_key = CAST(substr(wrapped_key, 1, 64) || x'00' AS BLOB)",
			"committed with is gone"},
		{"a secret taken out", "DELETE FROM subject_keys", "committed with is gone"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			a, other := h.bare(t), consent.Actor{}
			h.people(t, a, 0, entries)
			h.damage(t, tc.statement)
			other = h.bare(t)
			h.people(t, other, 0, 1)
			g := h.signing(t, h.store)
			g.checkpoint(t, other, 1)
			await(t, "a refusal", func() bool { return g.outcomes.refused.Load() > 0 })
			if newest, err := g.Checkpoint(context.Background(), a); !consent.IsKind(err, consent.NotFound) {
				t.Errorf("signed %v, %v", newest, err)
			}
			text := g.log.String()
			if !strings.Contains(text, a.Organization.String()) || !strings.Contains(text, tc.says) {
				t.Errorf("the log does not tell %q of %s: %s", tc.says, a.Organization, text)
			}
			if strings.Contains(text, "user-") || g.outcomes.failed.Load() > 0 {
				t.Errorf("failed %d times: %s", g.outcomes.failed.Load(), text)
			}
		})
	}
}

// TestDamagedCheckpointIsNotTrusted: what is kept with a checkpoint is believed only as far as it is signed; else all
// is read anew from the beginning, and a ledger that became shorter is not signed.
func TestDamagedCheckpointIsNotTrusted(t *testing.T) {
	for _, tc := range []struct {
		what, statement string
		size            int64 // of what is signed then; 0: nothing
	}{
		{"another tree", "UPDATE ledger_checkpoints SET tree = zeroblob(length(tree))", 11},
		{"a hash in the tree", "UPDATE ledger_checkpoints SET tree = " +
			"CAST(substr(tree, 1, length(tree) - 1) || x'00' AS BLOB)", 11},
		{"another note", "UPDATE ledger_checkpoints SET note = CAST('x' AS BLOB)", 11},
		{"none", "DELETE FROM ledger_checkpoints", 11},
		{"a body before, and another tree", "UPDATE ledger_checkpoints SET tree = zeroblob(length(tree));" +
			"UPDATE events SET body = CAST('{}' AS BLOB) WHERE sequence = 2", 0},
		{"a later size", "UPDATE ledger_checkpoints SET size = 99", 0},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			a := h.bare(t)
			h.people(t, a, 0, 10)
			before := h.signing(t, h.store)
			before.checkpoint(t, a, 10)
			before.Close()
			for statement := range strings.SplitSeq(tc.statement, ";") {
				h.damage(t, statement)
			}
			h.people(t, a, 10, 1)
			g := h.signing(t, h.store)
			if tc.size > 0 {
				g.checkpoint(t, a, tc.size)
				return
			}
			await(t, "a refusal", func() bool { return g.outcomes.refused.Load() > 0 })
			newest, err := g.Checkpoint(context.Background(), a)
			if err != nil || newest.Size == 11 {
				t.Errorf("signed %v, %v", newest, err)
			}
		})
	}
}

// TestForgedCheckpointIsNotTrusted: who can write to the store and has no key puts another history in place of what was
// signed, with head, tree and checkpoint to match. Signed by another key, it is not gone on from.
func TestForgedCheckpointIsNotTrusted(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	h.people(t, a, 0, 10)
	before := h.signing(t, h.store)
	before.checkpoint(t, a, 10)
	before.Close()
	forged := &ledger.Tree{}
	forged.Add(nil, make([]tlog.Hash, 10)...)
	key, err := ledger.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewSigner(origin(a), key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ledger.Sign(&ledger.Checkpoint{Origin: origin(a), Size: 10, Root: forged.Root()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	h.damage(t, "UPDATE ledger_checkpoints SET tree = ?, note = ?", forged.Append(nil), signed)
	h.damage(t, "UPDATE ledger_heads SET tree = ? WHERE sequence = 10", forged.Append(nil))
	h.people(t, a, 10, 1)
	g := h.signing(t, h.store)
	await(t, "a refusal", func() bool { return g.outcomes.refused.Load() > 0 })
	if text := g.log.String(); g.outcomes.signed.Load() > 0 || !strings.Contains(text, "entry 1, or its hash") {
		t.Errorf("signed %d times: %s", g.outcomes.signed.Load(), text)
	}
}

// TestKeysOverTime: each key is noted with the checkpoint that it signed first, be it another name or another key.
func TestKeysOverTime(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	h.people(t, a, 0, 1)
	for i, name := range []string{"one.example", "one.example", "two.example", "one.example"} {
		h.people(t, a, i, 1)
		h.clock.add(time.Hour)
		svc := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), SigningKey: sealingtest.SigningKey(),
			LedgerName: name, Clock: h.clock.now, Log: slog.New(slog.DiscardHandler)})
		if !svc.AwaitCheckpoint(context.Background(), a, int64(i+2), 5*time.Second) {
			t.Fatalf("nothing was signed as %s", name)
		}
		svc.Close()
	}
	keys, err := h.svc.LedgerKeys(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		name, _, _ := strings.Cut(k.Text, "/")
		to := "now"
		if !k.To.IsZero() {
			to = k.To.Sub(noon).String()
		}
		got = append(got, fmt.Sprint(name, " ", k.FromSize, " ", k.From.Sub(noon), " to ", to))
	}
	want := []string{"one.example 2 1h0m0s to 3h0m0s", "two.example 4 3h0m0s to 4h0m0s", "one.example 5 4h0m0s to now"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
