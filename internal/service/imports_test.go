package service_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

// importLine is a line of a test's file: somebody's yes or no to analytics, so many hours before noon.
type importLine struct {
	who      consent.Identifier
	also     []consent.Identifier
	action   consent.Action // 0: import
	lasts    int            // hours; 0: as the purpose says
	state    consent.State
	hours    int
	external string
	fault    *consent.Error
	purpose  string
	blank    bool
}

// yes is a line by which a user accepted analytics.
func yes(name string, hours int) importLine {
	return importLine{who: user(name)[0], state: consent.Accepted, hours: hours}
}

func no(name string, hours int) importLine {
	return importLine{who: user(name)[0], state: consent.Withdrawn, hours: hours}
}

func (l *importLine) line(number int64) consent.ImportLine {
	purpose := l.purpose
	if purpose == "" {
		purpose = consent.Analytics
	}
	text := fmt.Sprint(*l)
	d := consent.Decision{Purpose: consent.PurposeRef{Key: purpose}, State: l.state, Action: consent.Import,
		OccurredAt: noon.Add(-time.Duration(l.hours) * time.Hour)}
	if l.action != 0 {
		d.Action = l.action
	}
	if l.lasts > 0 {
		d.ExpiresAt = d.OccurredAt.Add(time.Duration(l.lasts) * time.Hour)
	}
	out := consent.ImportLine{Number: number, ExternalID: l.external, Digest: sha256.Sum256([]byte(text)), Fault: l.fault,
		Item: consent.Item{Identifiers: append([]consent.Identifier{l.who}, l.also...), Decisions: []consent.Decision{d}}}
	if l.who.Kind == consent.SubjectID {
		out.Item.Subject, _ = consent.ParseID(l.who.Value)
		out.Item.Identifiers = nil
	}
	return out
}

// chunked sends a file's lines from a number on, so many to a part, and then an error where there is one.
func chunked(file []importLine, from int64, size int, then error) func(int64) iter.Seq2[*consent.ImportChunk, error] {
	return func(int64) iter.Seq2[*consent.ImportChunk, error] {
		return func(yield func(*consent.ImportChunk, error) bool) {
			number := from
			for part := range slices.Chunk(file[from-1:], size) {
				c := &consent.ImportChunk{From: number, Next: number + int64(len(part)),
					Field: func(noun string) string { return "/" + noun }}
				for i := range part {
					if !part[i].blank {
						c.Lines = append(c.Lines, part[i].line(number+int64(i)))
					}
				}
				if number = c.Next; !yield(c, nil) {
					return
				}
			}
			if then != nil {
				yield(nil, then)
			}
		}
	}
}

func (h *harness) newImport(t tester, a consent.Actor, source string) consent.ID {
	t.Helper()
	view, err := h.svc.CreateImport(context.Background(), a, consent.NewImport{Source: source})
	if err != nil {
		t.Fatalf("create import: %v", err)
	}
	return view.ID
}

// sendLines sends a whole file, ten lines to a part.
func (h *harness) sendLines(t tester, a consent.Actor, id consent.ID, from int64,
	file ...importLine) *consent.ImportView {
	t.Helper()
	view, err := h.svc.ImportLines(context.Background(), a, id, from, chunked(file, from, 10, nil))
	if err != nil {
		t.Fatalf("send lines: %v", err)
	}
	return view
}

// linesOf is how far an import is: next line, accepted, duplicates, rejected.
func linesOf(v *consent.ImportView) [4]int64 {
	return [4]int64{v.NextLine, v.Accepted, v.Duplicates, v.Rejected}
}

// TestImport brings lines in, of which some are wrong, and looks at what became of each.
func TestImport(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	id := h.newImport(t, a, "old")
	unknown := yes("dee", 1)
	unknown.purpose = "nobody's"
	future := yes("eve", -1)
	undated := yes("flo", 1)
	undated.hours = int(noon.Sub(time.Time{}).Hours())
	nobody := importLine{who: consent.Identifier{Kind: consent.SubjectID, Value: noonID.String()}, state: consent.Accepted}
	spoilt := importLine{who: user("gus")[0], fault: consent.Errorf(consent.Invalid, "/x", "is no line")}
	long := yes("hal", 1)
	long.external = string(make([]byte, 257))
	file := []importLine{yes("ann", 3), no("bob", 2), unknown, {blank: true}, future, spoilt, nobody, long,
		yes("ann", 3), yes("cat", 1), no("ann", 2), {blank: true}}
	view := h.sendLines(t, a, id, 1, file...)
	if got := linesOf(view); got != [4]int64{13, 4, 1, 5} {
		t.Errorf("%v", got)
	}
	wrong := []consent.LineError{{Line: 3, Field: "/purpose", Msg: "is not known in this project"},
		{Line: 5, Field: "/occurred_at", Msg: "must not be more than 5 minutes in the future"},
		{Line: 6, Field: "/x", Msg: "is no line"}, {Line: 7, Field: "/subject_id", Msg: "names nobody"},
		{Line: 8, Field: "/external_id", Msg: "must have 256 bytes of UTF-8 at most"}}
	kept, err := h.svc.ImportErrors(context.Background(), a, id, 0, 10)
	if d := cmp.Diff(wrong, view.Errors) + cmp.Diff(wrong, kept); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	events := h.events(t, a)
	for i, want := range []string{"ann accepted", "bob withdrawn", "cat accepted", "ann withdrawn"} {
		e := &events[i]
		if got := e.Identity.Identifiers["user_id"] + " " + e.State.String(); got != want || e.Action != consent.Import ||
			e.Protocol != "import" || e.Identity.Import != id.String() {
			t.Errorf("event %d: %s, %+v", i, got, e)
		}
	}
	again, err := h.svc.Import(context.Background(), a, id)
	if err != nil || !cmp.Equal(again.ImportRun, view.ImportRun) {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

var noonID = consent.NewID(noon, [10]byte{7})

// TestImportTakesNothingTwice sends lines again: in one part, in one call, to the same import, to another one of the
// same source, and to one of another.
func TestImportTakesNothingTwice(t *testing.T) {
	h := newHarness(t)
	a, b := h.organization(t), h.organization(t)
	named := func(external, name string) importLine { l := yes(name, 1); l.external = external; return l }
	file := []importLine{named("1", "ann"), named("1", "bob"), yes("ann", 1), yes("ann", 1), named("2", "ann"),
		named("1", "cat")}
	id := h.newImport(t, a, "old")
	view, err := h.svc.ImportLines(context.Background(), a, id, 1, chunked(file, 1, 4, nil))
	if err != nil || linesOf(view) != [4]int64{7, 3, 3, 0} {
		t.Fatalf("%+v, %v", view, err)
	}
	if again := h.sendLines(t, a, id, 1, file...); linesOf(again) != linesOf(view) {
		t.Errorf("sent again: %+v", again)
	}
	if more := h.sendLines(t, a, id, 5, append(file, named("3", "dee"))...); linesOf(more) != [4]int64{8, 4, 3, 0} {
		t.Errorf("sent with one more: %+v", more)
	}
	if same := h.sendLines(t, a, h.newImport(t, a, "old"), 1, file...); linesOf(same) != [4]int64{7, 0, 6, 0} {
		t.Errorf("the same source: %+v", same)
	}
	if other := h.sendLines(t, a, h.newImport(t, a, "new"), 1, file...); linesOf(other) != [4]int64{7, 3, 3, 0} {
		t.Errorf("another source: %+v", other)
	}
	if other := h.sendLines(t, b, h.newImport(t, b, "old"), 1, file...); linesOf(other) != [4]int64{7, 3, 3, 0} {
		t.Errorf("another organization: %+v", other)
	}
}

// TestImportIsOrdered: lines that do not follow those before, or come after the end, are refused; the end stays.
func TestImportIsOrdered(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	id, file := h.newImport(t, a, "old"), []importLine{yes("ann", 1), yes("bob", 1), yes("cat", 1)}
	_, err := h.svc.ImportLines(ctx, a, id, 2, chunked(file, 2, 10, nil))
	isKind(t, "a gap", err, consent.Conflict, "")
	h.sendLines(t, a, id, 1, file[:1]...)
	spoilt := consent.Errorf(consent.TooLarge, "", "too much")
	_, err = h.svc.ImportLines(ctx, a, id, 1, chunked(file, 1, 2, spoilt))
	isKind(t, "an error at the end", err, consent.TooLarge, "")
	if view, err := h.svc.Import(ctx, a, id); err != nil || linesOf(view) != [4]int64{4, 3, 0, 0} {
		t.Errorf("after that: %+v, %v", view, err)
	}
	before := len(h.events(t, a))
	done, err := h.svc.FinishImport(ctx, a, id, consent.Idempotency{})
	if err != nil || !done.Done() {
		t.Fatalf("%+v, %v", done, err)
	}
	h.clock.add(time.Hour)
	again, err := h.svc.FinishImport(ctx, a, id, consent.Idempotency{})
	if err != nil || !cmp.Equal(again.ImportRun, done.ImportRun) {
		t.Errorf("ended again: %+v, %v", again, err)
	}
	for from := range int64(5) {
		_, err = h.svc.ImportLines(ctx, a, id, from, chunked(nil, 1, 1, nil))
		isKind(t, "lines after the end", err, consent.Conflict, "")
	}
	if after := len(h.events(t, a)); after != before {
		t.Errorf("%d events, and %d before the end", after, before)
	}
	_, err = h.svc.Import(ctx, h.organization(t), id)
	isKind(t, "another organization's", err, consent.NotFound, "")
	entries := h.says(t, a, consent.ImportEntry)
	want := fmt.Sprintf(`{"accepted":3,"created_at":"2026-03-01T12:00:00.000000Z","duplicates":0,"entry":"import",`+
		`"finished_at":"2026-03-01T12:00:00.000000Z","import_id":"%s","project":"%s","rejected":0,"source":"old"}`, id,
		done.Catalog.Projects[0].ID)
	if len(entries) != 1 || entries[0] != want {
		t.Errorf("entries %s, want %s", entries, want)
	}
	if faults := h.audit(t, a); faults != "" {
		t.Errorf("an audit finds %s", faults)
	}
}

// TestImportOfSuppressed: lines that name who was erased and wants no more are rejected, whatever they say.
func TestImportOfSuppressed(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	gone := h.record(t, a, item(user("ann")), item(user("bob")))
	for n, suppress := range []bool{true, false} {
		_, err := h.svc.EraseSubject(ctx, a, consent.EraseSubject{Subject: gone.Items[n].Subject, Suppress: suppress})
		if err != nil {
			t.Fatal(err)
		}
	}
	h.clock.add(time.Hour)
	late := yes("ann", 0)
	view := h.sendLines(t, a, h.newImport(t, a, "old"), 1, yes("ann", 1), late, yes("bob", 1), no("cat", 1))
	if linesOf(view) != [4]int64{5, 2, 0, 2} || view.Errors[0].Field != "/identifiers" {
		t.Errorf("%+v", view)
	}
	byID := importLine{who: consent.Identifier{Kind: consent.SubjectID, Value: gone.Items[1].Subject.String()},
		state: consent.Accepted, hours: 1}
	if view := h.sendLines(t, a, h.newImport(t, a, "old"), 1, byID); linesOf(view) != [4]int64{2, 0, 0, 1} {
		t.Errorf("by the id of somebody erased: %+v", view)
	}
}

// TestImportScope: who lacks imports:write does nothing with imports.
func TestImportScope(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	id := h.newImport(t, a, "old")
	others := slices.DeleteFunc(slices.Clone(consent.AllScopes), func(s consent.Scope) bool {
		return s == consent.ImportsWrite
	})
	without, _ := h.key(t, a, others...)
	_, err := h.svc.CreateImport(ctx, without, consent.NewImport{Source: "x"})
	_, err2 := h.svc.Import(ctx, without, id)
	_, err3 := h.svc.Imports(ctx, without, consent.ImportFilter{Limit: 1})
	_, err4 := h.svc.ImportErrors(ctx, without, id, 0, 1)
	_, err5 := h.svc.ImportLines(ctx, without, id, 1, chunked(nil, 1, 1, nil))
	_, err6 := h.svc.FinishImport(ctx, without, id, consent.Idempotency{})
	for n, err := range []error{err, err2, err3, err4, err5, err6} {
		isKind(t, fmt.Sprint("call ", n), err, consent.Forbidden, "")
	}
	with, _ := h.key(t, a, consent.ImportsWrite)
	if view := h.sendLines(t, with, id, 1, yes("ann", 1)); view.Accepted != 1 {
		t.Errorf("%+v", view)
	}
	for _, in := range []consent.NewImport{{}, {Source: "a b"}, {Source: "é"}, {Source: string(make([]byte, 65))}} {
		_, err := h.svc.CreateImport(ctx, a, in)
		isKind(t, fmt.Sprintf("source %q", in.Source), err, consent.Unprocessable, "source")
	}
	_, err = h.svc.CreateImport(ctx, a, consent.NewImport{Source: "x", Fingerprint: "a\n"})
	isKind(t, "a fingerprint of two lines", err, consent.Unprocessable, "fingerprint")
	_, err = h.svc.CreateImport(ctx, a, consent.NewImport{Source: "x", Project: noonID})
	isKind(t, "no project", err, consent.NotFound, "")
}

// TestImportSweep: why lines were refused stays for a month after the end, and what a dry run noted for a week.
func TestImportSweep(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	unknown := yes("dee", 1)
	unknown.purpose = "nobody's"
	id, open := h.newImport(t, a, "old"), h.newImport(t, a, "old")
	for _, id := range []consent.ID{id, open} {
		h.sendLines(t, a, id, 1, unknown)
	}
	if _, err := h.svc.FinishImport(ctx, a, id, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	kept := func(id consent.ID) int {
		if err := h.svc.SweepImports(ctx); err != nil {
			t.Fatal(err)
		}
		errors, err := h.svc.ImportErrors(ctx, a, id, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(errors)
	}
	h.clock.add(30*24*time.Hour - time.Second)
	if n := kept(id); n != 1 {
		t.Errorf("%d after a month less a second", n)
	}
	h.clock.add(time.Second)
	if n := kept(id); n != 0 {
		t.Errorf("%d after a month", n)
	}
	if view, err := h.svc.Import(ctx, a, id); err != nil || view.ErrorsKept != 0 || view.Rejected != 1 {
		t.Errorf("%+v, %v", view, err)
	}
	if n := kept(open); n != 1 {
		t.Errorf("%d of one that is open", n)
	}
}

// TestImportBringsNobodyBack: lines that were had are had for good, so the same file makes nobody of whom was erased.
func TestImportBringsNobodyBack(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	file := []importLine{yes("ann", 2), no("bob", 1)}
	h.sendLines(t, a, h.newImport(t, a, "old"), 1, file...)
	ann := h.events(t, a, user("ann")[0])[0].Subject
	if _, err := h.svc.EraseSubject(ctx, a, consent.EraseSubject{Subject: ann}); err != nil {
		t.Fatal(err)
	}
	if view := h.sendLines(t, a, h.newImport(t, a, "old"), 1, file...); linesOf(view) != [4]int64{3, 0, 2, 0} {
		t.Errorf("%+v", view)
	}
	_, err := h.svc.Person(ctx, a, consent.PersonQuery{Identifier: user("ann")[0]})
	isKind(t, "who was erased", err, consent.NotFound, "")
}

// TestImportErrorsAreBounded: past a number of them refused lines are counted alone.
func TestImportErrorsAreBounded(t *testing.T) {
	h := newHarness(t)
	ctx, a := context.Background(), h.organization(t)
	id := h.newImport(t, a, "old")
	const lines = consent.MaxImportErrors + 1500
	spoilt := importLine{fault: consent.Errorf(consent.Invalid, "", "is no line")}
	view, err := h.svc.ImportLines(ctx, a, id, 1, chunked(slices.Repeat([]importLine{spoilt}, lines), 1,
		consent.MaxImportChunk,
		nil))
	if err != nil || view.Rejected != lines || view.ErrorsKept != consent.MaxImportErrors ||
		len(view.Errors) != consent.MaxMistakes {
		t.Errorf("%d rejected, %d kept, %d told, %v", view.Rejected, view.ErrorsKept, len(view.Errors), err)
	}
	last, err := h.svc.ImportErrors(ctx, a, id, consent.MaxImportErrors-1, 10)
	if err != nil || len(last) != 1 || last[0].Line != consent.MaxImportErrors {
		t.Errorf("the last are %v, %v", last, err)
	}
}
