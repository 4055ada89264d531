package service_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// anyLine draws a line about one of few people, who are known by several names, so that lines meet.
func anyLine(t *rapid.T, label string) importLine {
	kinds := []consent.IdentifierKind{consent.UserID, consent.Email, consent.AnonymousID}
	var ids []consent.Identifier
	for _, kind := range kinds {
		if n := rapid.IntRange(0, 4).Draw(t, label+" "+string(kind)); n < 3 {
			value := fmt.Sprint("p", n)
			if kind == consent.Email {
				value += "@shop.example"
			}
			ids = append(ids, consent.Identifier{Kind: kind, Value: value})
		}
	}
	if len(ids) == 0 {
		ids = user("p0")
	}
	l := importLine{who: ids[0], also: ids[1:],
		state:   consent.State(rapid.IntRange(1, 5).Draw(t, label+" state")),
		hours:   rapid.IntRange(0, 5).Draw(t, label+" hours"),
		purpose: rapid.SampledFrom([]string{consent.Analytics, consent.Marketing}).Draw(t, label+" purpose"),
		action:  consent.Action(rapid.IntRange(0, 3).Draw(t, label+" action")),
		lasts:   rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, label+" lasts")}
	if rapid.IntRange(0, 9).Draw(t, label+" bad") == 0 {
		l.purpose = "nobody's"
	}
	return l
}

func anyFile(t *rapid.T, label string, most int) []importLine {
	file := make([]importLine, rapid.IntRange(1, most).Draw(t, label+" lines"))
	for i := range file {
		if i > 0 && rapid.IntRange(0, 4).Draw(t, label+" once more") == 0 {
			file[i] = file[rapid.IntRange(0, i-1).Draw(t, label+" which")]
			continue
		}
		file[i] = anyLine(t, fmt.Sprint(label, " ", i))
	}
	return file
}

// sendSplit sends a file in calls and parts of whatever sizes, some of them again.
func (h *harness) sendSplit(t *rapid.T, a consent.Actor, id consent.ID, file []importLine, label string) (
	last *consent.ImportView) {
	for from := 1; from <= len(file); {
		to := rapid.IntRange(from, len(file)).Draw(t, label+" to")
		size := rapid.IntRange(1, 4).Draw(t, label+" size")
		view, err := h.svc.ImportLines(context.Background(), a, id, int64(from), chunked(file[:to], int64(from), size, nil))
		if err != nil {
			t.Fatalf("%v", err)
		}
		last = view
		from = max(1, to+1-rapid.IntRange(0, 2).Draw(t, label+" again"))
		if to == len(file) {
			break
		}
	}
	return last
}

// stand is who is on record, and how their consents stand.
type stand struct {
	subjects map[consent.ID]bool
	consents map[consent.ConsentKey]consent.Consent
	merges   []consent.SubjectMerge
}

func (h *harness) stands(t tester, a consent.Actor) stand {
	t.Helper()
	s := stand{map[consent.ID]bool{}, map[consent.ConsentKey]consent.Consent{}, nil}
	var keys []consent.SubjectKey
	for _, e := range h.events(t, a) {
		if !s.subjects[e.Subject] {
			s.subjects[e.Subject] = true
			keys = append(keys, consent.SubjectKey{Organization: a.Organization, Subject: e.Subject})
		}
	}
	h.view(t, func(r service.Reader) error {
		all, err := r.ConsentsOf(context.Background(), keys)
		for _, consents := range all {
			for _, c := range consents {
				s.consents[consent.ConsentKey{Organization: c.Organization, Subject: c.Subject, Project: c.Project,
					Purpose: c.Purpose}] = c
			}
		}
		if err == nil {
			s.merges, err = r.AllMerges(context.Background(), a.Organization, consent.SubjectMerge{}, 1000)
		}
		return err
	})
	return s
}

// outcome counts what an import has done, from how all stood before and after.
func outcome(before, after stand, events []consent.EventView, id consent.ID) consent.ImportOutcome {
	var would consent.ImportOutcome
	moved, known := map[consent.ConsentKey]bool{}, map[consent.ID]bool{}
	for i := range events {
		if e := &events[i]; e.Identity.Import == id.String() {
			moved[consent.ConsentKey{Organization: e.Organization, Subject: e.Subject, Project: e.Project,
				Purpose: e.Purpose}] = true
			known[e.Subject] = before.subjects[e.Subject]
		}
	}
	for _, m := range after.merges {
		if slices.ContainsFunc(before.merges, func(b consent.SubjectMerge) bool { return b.Number == m.Number }) {
			continue
		}
		for key := range after.consents {
			if key.Subject == m.From {
				key.Subject = m.Into
				moved[key] = true
			}
		}
	}
	for id := range after.subjects {
		if !before.subjects[id] {
			would.SubjectsMade++
		} else if known[id] {
			would.SubjectsKnown++
		}
	}
	for key := range moved {
		would.Consents = counts(would.Consents, before.consents[key], after.consents[key])
	}
	slices.SortFunc(would.Consents, func(a, b consent.ImportedState) int {
		return cmp.Or(a.Project-b.Project, a.Purpose-b.Purpose, int(a.State)-int(b.State))
	})
	return would
}

func counts(all []consent.ImportedState, was, is consent.Consent) []consent.ImportedState {
	at := slices.IndexFunc(all, func(s consent.ImportedState) bool {
		return s.Project == is.Project && s.Purpose == is.Purpose && s.State == is.State
	})
	if at < 0 {
		at = len(all)
		all = append(all, consent.ImportedState{Project: is.Project, Purpose: is.Purpose, State: is.State})
	}
	switch {
	case was.Event == consent.NoID:
		all[at].Made++
	case was.Event != is.Event:
		all[at].Changed++
	default:
		all[at].Unchanged++
	}
	return all
}

// TestDryRunIsWhatARealRunDoes: whatever is on record and however the lines are split, a dry run counts and refuses
// what the import does afterwards, and writes nothing.
func TestDryRunIsWhatARealRunDoes(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		a := h.organization(t)
		h.sendSplit(t, a, h.newImport(t, a, "before"), anyFile(t, "before", 8), "before")
		before := h.stands(t, a)
		size := h.size(t, a)
		file := anyFile(t, "file", 12)
		trial, err := h.svc.CreateImport(ctx, a, consent.NewImport{Source: "old", DryRun: true})
		if err != nil {
			t.Fatalf("%v", err)
		}
		would := h.sendSplit(t, a, trial.ID, file, "trial")
		if now := h.size(t, a); now != size || len(h.stands(t, a).subjects) != len(before.subjects) {
			t.Fatalf("a dry run has written: %d entries, and before %d", now, size)
		}
		h.clock.add(time.Second)
		id := h.newImport(t, a, "old")
		real := h.sendSplit(t, a, id, file, "real")
		if linesOf(would) != linesOf(real) {
			t.Fatalf("a dry run counts %v, and the import %v", linesOf(would), linesOf(real))
		}
		did := outcome(before, h.stands(t, a), h.events(t, a), id)
		if d := gocmp.Diff(did, *would.Would); d != "" {
			t.Fatalf("(-done +dry run):\n%s", d)
		}
	})
}

// TestDryRunKnowsWhoIsMergedByIt: somebody who is named by their own id, behind a line by which they turn out to be
// somebody else, counts as that one.
func TestDryRunKnowsWhoIsMergedByIt(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	browser := consent.Identifier{Kind: consent.AnonymousID, Value: "browser-1"}
	made := h.record(t, a, item([]consent.Identifier{browser}), item(user("ann")))
	own := consent.Identifier{Kind: consent.AnonymousID, Value: made.Items[0].Subject.String()}
	before := h.stands(t, a)
	sameIs, byOwnID := yes("ann", 1), no("", 0)
	sameIs.also, byOwnID.who = []consent.Identifier{browser}, own
	file := []importLine{sameIs, byOwnID}
	trial, err := h.svc.CreateImport(ctx, a, consent.NewImport{Source: "old", DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	would, err := h.svc.ImportLines(ctx, a, trial.ID, 1, chunked(file, 1, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	h.clock.add(time.Second)
	id := h.newImport(t, a, "old")
	h.sendLines(t, a, id, 1, file...)
	did := outcome(before, h.stands(t, a), h.events(t, a), id)
	if d := gocmp.Diff(did, *would.Would); d != "" || did.SubjectsKnown != 1 {
		t.Errorf("%+v (-done +dry run):\n%s", did, d)
	}
}

// TestDryRunSweep: the end of a dry run writes no entry, and what it noted goes; so it does a week after the last lines
// of one that nobody ended, which takes none then.
func TestDryRunSweep(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	var ids []consent.ID
	for range 2 {
		trial, err := h.svc.CreateImport(ctx, a, consent.NewImport{Source: "old", DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, trial.ID)
		h.sendLines(t, a, trial.ID, 1, yes("ann", 1), no("bob", 1))
	}
	size := h.size(t, a)
	done, err := h.svc.FinishImport(ctx, a, ids[0], consent.Idempotency{})
	if err != nil || done.Would.SubjectsMade != 2 || h.size(t, a) != size {
		t.Errorf("%+v, %v: %d entries, and %d before", done, err, h.size(t, a), size)
	}
	notes := func(id consent.ID) (n int) {
		if err := h.svc.SweepImports(ctx); err != nil {
			t.Fatal(err)
		}
		h.view(t, func(r service.Reader) error {
			found, err := r.ImportNotesUnder(ctx, consent.ImportKey{Organization: a.Organization, Import: id}, [][]byte{{}})
			n = len(found[0])
			return err
		})
		return n
	}
	if left, kept := notes(ids[0]), notes(ids[1]); left != 0 || kept == 0 {
		t.Errorf("%d notes of one that is done, %d of one that is open", left, kept)
	}
	h.clock.add(7*24*time.Hour - time.Second)
	if kept := notes(ids[1]); kept == 0 {
		t.Error("nothing is left a second too early")
	}
	h.clock.add(time.Second)
	if left := notes(ids[1]); left != 0 {
		t.Errorf("%d notes of one that was left alone", left)
	}
	_, err = h.svc.ImportLines(ctx, a, ids[1], 1, chunked(nil, 1, 1, nil))
	isKind(t, "lines of one that was left alone", err, consent.Conflict, "")
}
