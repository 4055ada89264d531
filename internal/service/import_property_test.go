package service_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// told writes down the decisions of a ledger without what differs by nature: people are numbered as they come.
func (h *harness) told(t tester, a consent.Actor) (all []string) {
	t.Helper()
	numbers := map[consent.ID]int{}
	for _, e := range h.events(t, a) {
		if _, known := numbers[e.Subject]; !known {
			numbers[e.Subject] = len(numbers)
		}
		all = append(all, fmt.Sprint(numbers[e.Subject], e.Identity.Identifiers, e.PurposeOf.Key, e.State, e.Action, e.Weight,
			e.OccurredAt, e.ExpiresAt))
	}
	return all
}

// killed sends lines as chunked does, until somebody is killed behind so many parts.
func killed(file []importLine, from int64, size, parts int, kill func()) func(int64) iter.Seq2[*consent.ImportChunk,
	error] {
	return func(next int64) iter.Seq2[*consent.ImportChunk, error] {
		return func(yield func(*consent.ImportChunk, error) bool) {
			sent := 0
			for chunk, err := range chunked(file, from, size, nil)(next) {
				if sent++; sent > parts {
					kill()
				}
				if !yield(chunk, err) {
					return
				}
			}
		}
	}
}

// TestImportIsTheSameHoweverItIsSent: in whatever calls and parts, sent again, and killed in the middle of calls, the
// decisions, the counts and the errors are those of one call.
func TestImportIsTheSameHoweverItIsSent(t *testing.T) {
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		ctx, file := context.Background(), anyFile(t, "file", 15)
		a, b := h.organization(t), h.organization(t)
		whole := h.newImport(t, a, "old")
		want := h.sendLines(t, a, whole, 1, file...)
		id := h.newImport(t, b, "old")
		for next := int64(1); next <= int64(len(file)); {
			from := max(1, next-rapid.Int64Range(0, 3).Draw(t, "again"))
			living, kill := context.WithCancel(ctx)
			_, err := h.svc.ImportLines(living, b, id, from, killed(file, from, rapid.IntRange(1, 4).Draw(t, "size"),
				rapid.IntRange(0, 6).Draw(t, "parts"), kill))
			kill()
			if err != nil && !consent.IsKind(err, consent.Unavailable) {
				t.Fatalf("%v", err)
			}
			state, err := h.svc.Import(ctx, b, id)
			if err != nil {
				t.Fatalf("%v", err)
			}
			next = state.NextLine
			if rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
				next = h.sendLines(t, b, id, 1, file...).NextLine
			}
		}
		got := h.sendLines(t, b, id, 1, file...) // waits for what was under way when somebody was killed
		if linesOf(got) != linesOf(want) {
			t.Fatalf("%v, and in one call %v", linesOf(got), linesOf(want))
		}
		if d := cmp.Diff(h.told(t, a), h.told(t, b)); d != "" {
			t.Fatalf("(-in one call +in many):\n%s", d)
		}
		errors, err := h.svc.ImportErrors(ctx, a, whole, 0, 100)
		errors2, err2 := h.svc.ImportErrors(ctx, b, id, 0, 100)
		if d := cmp.Diff(errors, errors2); d != "" || err != nil || err2 != nil {
			t.Fatalf("%v, %v (-in one call +in many):\n%s", err, err2, d)
		}
	})
}

// TestImportMakesNoYesOfALaterNo: whatever an import brings, a yes decides only where every no is older.
func TestImportMakesNoYesOfALaterNo(t *testing.T) {
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		a := h.organization(t)
		byUser := func(label string) (file []importLine) {
			for n := range rapid.IntRange(1, 6).Draw(t, label) {
				l := anyLine(t, fmt.Sprint(label, n))
				l.who, l.also, l.lasts = user("ann")[0], nil, 0
				file = append(file, l)
			}
			return file
		}
		for _, l := range byUser("said") {
			if line := l.line(0); l.purpose != "nobody's" {
				line.Item.Decisions[0].Action = consent.UserClick
				h.record(t, a, line.Item)
			}
		}
		h.sendSplit(t, a, h.newImport(t, a, "old"), byUser("line"), "import")
		events := h.events(t, a)
		for key, c := range h.stands(t, a).consents {
			if c.State.No() || c.State == consent.Viewed {
				continue
			}
			for i := range events {
				if e := &events[i]; e.Purpose == key.Purpose && e.State.No() && (!e.OccurredAt.Before(c.OccurredAt) ||
					c.State == consent.Implied) {
					t.Fatalf("%s at %s stands over %s at %s", c.State, c.OccurredAt, e.State, e.OccurredAt)
				}
			}
		}
	})
}

// TestImportOfTwoSenders: two servers are sent the same lines at the same time, and each is taken once.
func TestImportOfTwoSenders(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Places: places, Clock: h.clock.now,
		Log: slog.New(slog.DiscardHandler)})
	defer other.Close()
	file := make([]importLine, 400)
	for i := range file {
		file[i] = yes(fmt.Sprint("user-", i%300), i)
	}
	for _, dry := range []bool{true, false} {
		run, err := h.svc.CreateImport(ctx, a, consent.NewImport{Source: "old", DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		var sending sync.WaitGroup
		for _, svc := range []*service.Service{h.svc, other, h.svc} {
			sending.Go(func() {
				view, err := svc.ImportLines(ctx, a, run.ID, 1, chunked(file, 1, 7, nil))
				if err != nil || linesOf(view) != [4]int64{401, 400, 0, 0} {
					t.Errorf("%+v, %v", view, err)
				}
			})
		}
		sending.Wait()
	}
	if n := len(h.events(t, a)); n != len(file) {
		t.Errorf("%d events of %d lines", n, len(file))
	}
}

// TestImportsAreAudited: what the table of imports says is held against the entries.
func TestImportsAreAudited(t *testing.T) {
	for what, tc := range map[string]struct{ statement, says string }{
		"nothing":   {"", ""},
		"a count":   {"UPDATE imports SET accepted = 7", "accepted"},
		"a source":  {"UPDATE imports SET source = 'other'", "source"},
		"the end":   {"UPDATE imports SET entry_sequence = 0", "no entry tells of the end of import"},
		"the entry": {"DELETE FROM imports", "of which it tells, is not on record"},
	} {
		h := newHarness(t)
		ctx, a := context.Background(), h.organization(t)
		id := h.newImport(t, a, "old")
		h.sendLines(t, a, id, 1, yes("ann", 1))
		if _, err := h.svc.FinishImport(ctx, a, id, consent.Idempotency{}); err != nil {
			t.Fatal(err)
		}
		h.newImport(t, a, "open")
		if tc.statement != "" {
			h.damage(t, tc.statement)
		}
		if faults := h.audit(t, a); (tc.says == "") != (faults == "") || !strings.Contains(faults, tc.says) {
			t.Errorf("%s: it tells\n%s\nwant %s", what, faults, tc.says)
		}
	}
}

// TestImportOthersWriteMeanwhile: a call of many lines keeps nobody else waiting until its end.
func TestImportOthersWriteMeanwhile(t *testing.T) {
	h := newHarness(t)
	ctx, a, b := context.Background(), h.organization(t), h.organization(t)
	id := h.newImport(t, a, "old")
	var wrote []int64
	lines := func(int64) iter.Seq2[*consent.ImportChunk, error] {
		return func(yield func(*consent.ImportChunk, error) bool) {
			file := slices.Repeat([]importLine{yes("ann", 1)}, 5)
			for chunk := range chunked(file, 1, 1, nil)(1) {
				h.record(t, b, item(user("bob")))
				wrote = append(wrote, chunk.From)
				if !yield(chunk, nil) {
					return
				}
			}
		}
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	view, err := h.svc.ImportLines(within, a, id, 1, lines)
	if err != nil || len(wrote) != 5 || view.NextLine != 6 {
		t.Errorf("%v, %+v, %v", wrote, view, err)
	}
}
