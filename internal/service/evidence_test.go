package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/evidence"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/ledger"
)

// verified writes a bundle and verifies it by the ledger's key, as somebody elsewhere does.
func verified(t testing.TB, a consent.Actor, b *evidence.Bundle, pinned []byte) *evidence.Report {
	t.Helper()
	key, err := ledger.VerifierKey(origin(a), sealingtest.SigningKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := evidence.Write(&out, b); err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(bytes.NewReader(out.Bytes()), int64(out.Len()), evidence.Options{Keys: []string{key},
		Checkpoint: pinned})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func shown(purpose, text string, state consent.State) consent.Decision {
	d := decided(purpose, state)
	d.DisplayedText = text
	return d
}

// TestEvidenceVerifies: what a person decided, before and after merging, on versions of purposes with texts, verifies
// elsewhere, whole, narrowed to a purpose, and against a checkpoint of before.
func TestEvidenceVerifies(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.bare(t), context.Background()
	legal, later := "We write letters.", "We write many letters."
	if _, err := h.svc.AddPurpose(ctx, a, consent.NoID, consent.NewPurpose{Key: "letter", Name: "Letter", Document: legal,
		Texts: consent.Texts{"de": {Name: "Brief"}}}, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	browser := named(consent.AnonymousID, "0199f4c8-7a00-7000-8000-0000000000aa")
	h.clock.add(time.Minute)
	h.record(t, a, item(browser, shown("letter", "Letters?", consent.Accepted)))
	h.people(t, a, 0, 40)
	g := h.signing(t, h.store)
	g.checkpoint(t, a, 42)
	pinned, err := g.Checkpoint(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.add(time.Minute)
	change(t, h, a, "letter", consent.PurposeChange{Document: &later})
	both := append(slices.Clone(browser), user("ada")...)
	made := h.record(t, a, item(user("ada"), shown(consent.Analytics, "Figures?", consent.Declined)),
		item(both, shown("letter", "Letters?", consent.Withdrawn)), item(user("ada"), decided("letter", consent.Accepted)))
	person := made.Items[2].Subject
	whole, err := g.Evidence(ctx, a, person, "", 42, nil) // no checkpoint covers it yet: it waits
	if err != nil {
		t.Fatal(err)
	}
	r := verified(t, a, whole, pinned.Note) // the store of a test has no entries of the purposes that it begins with
	if !r.Holds() || len(r.Notes) != 1+len(evidence.Unproved) ||
		!strings.Contains(r.Notes[0], `What version 1 of the purpose "analytics"`) {
		t.Errorf("the whole: %+v", r)
	}
	for _, says := range []string{"1 other ids for which decisions were recorded are the same person by entries",
		"2 versions of purposes say what their entries in the ledger say"} {
		if !slices.ContainsFunc(r.Checks, func(c evidence.Check) bool { return c.OK && strings.Contains(c.Says, says) }) {
			t.Errorf("it lacks %s: %+v", says, r)
		}
	}
	was := whole.Versions[1].HeldTo
	whole.Versions[1].HeldTo, whole.Versions[2].Name = whole.Versions[1].HeldFrom, "Another"
	if r := verified(t, a, whole, nil); r.Holds() {
		t.Errorf("versions that are not what they were: %+v", r)
	}
	whole.Versions[1].HeldTo, whole.Versions[2].Name = was, "Letter"
	if len(whole.Decisions) != 4 || len(whole.Versions) != 3 || len(whole.Texts) != 5 || len(whole.Person.Merged) != 1 ||
		len(whole.Person.Identifiers) != 2 || whole.Organization.Name != "Test Shop" {
		t.Errorf("%d decisions, %d versions, %d texts, %+v", len(whole.Decisions), len(whole.Versions), len(whole.Texts),
			whole.Person)
	}
	letters, err := g.Evidence(ctx, a, person, "letter", 0, nil)
	if err != nil || len(letters.Decisions) != 3 || letters.Earlier != nil {
		t.Fatalf("%d decisions on letters, %v", len(letters.Decisions), err)
	}
	if r := verified(t, a, letters, nil); !r.Holds() {
		t.Errorf("letters: %+v", r)
	}
	before, ok := consent.ParseID(whole.Decisions[0].Subject)
	if !ok || before == person {
		t.Fatalf("nobody was merged: %s", whole.Decisions[0].Subject)
	}
	merged, err := g.Evidence(ctx, a, before, "", 42, nil)
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := evidence.Write(&one, whole); err != nil {
		t.Fatal(err)
	}
	if err := evidence.Write(&two, merged); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("by the id of before the merge it is another bundle, %v", err)
	}
}

// TestEvidenceOfOneEntry: the smallest ledger there is.
func TestEvidenceOfOneEntry(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	g := h.signing(t, h.store)
	made := h.record(t, a, item(user("ada")))
	for _, since := range []int64{0, 1} {
		b, err := g.Evidence(context.Background(), a, made.Items[0].Subject, "", since, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r := verified(t, a, b, nil); !r.Holds() {
			t.Errorf("%+v", r)
		}
	}
}

// TestEvidenceRefuses: who may not, what is not there, and what was changed.
func TestEvidenceRefuses(t *testing.T) {
	h := newHarness(t)
	a, other, ctx := h.bare(t), h.bare(t), context.Background()
	theirs := h.record(t, other, item(user("eve"))).Items[0].Subject
	ada := h.record(t, a, item(user("ada"), shown(consent.Analytics, "Figures?", consent.Accepted))).Items[0].Subject
	silent, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "silent", Data: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	g := h.signing(t, h.store)
	ask := func(s *service.Service, a consent.Actor, subject consent.ID, purpose string, since int64) error {
		b, err := s.Evidence(ctx, a, subject, purpose, since, nil)
		if err != nil && b != nil {
			t.Errorf("%v came with a bundle", err)
		}
		return err
	}
	scopes := []consent.Scope{consent.LedgerRead, consent.ConsentsRead, consent.SubjectsRead}
	for i := range scopes {
		without, _ := h.key(t, a, slices.Delete(slices.Clone(scopes), i, i+1)...)
		isKind(t, "without "+string(scopes[i]), ask(g.Service, without, ada, "", 0), consent.Forbidden, "")
	}
	none, _ := h.key(t, a, consent.ConsentsWrite)
	if err := ask(g.Service, none, ada, "", 0); err == nil || !strings.Contains(err.Error(),
		"the key lacks the scopes ledger:read, consents:read and subjects:read") {
		t.Errorf("without any of the scopes: %v", err)
	}
	only, _ := h.key(t, a, scopes...)
	if err := ask(g.Service, only, ada, "", 0); err != nil {
		t.Errorf("with the scopes: %v", err)
	}
	isKind(t, "nobody", ask(g.Service, a, consent.ID{7}, "", 0), consent.NotFound, "")
	isKind(t, "another's", ask(g.Service, a, theirs, "", 0), consent.NotFound, "")
	isKind(t, "who decided nothing", ask(g.Service, a, silent.ID, "", 0), consent.NotFound, "")
	isKind(t, "nothing on a purpose", ask(g.Service, a, ada, consent.Marketing, 0), consent.NotFound, "")
	isKind(t, "no purpose", ask(g.Service, a, ada, "none of it", 0), consent.Unprocessable, "purpose")
	isKind(t, "a size that the ledger never had", ask(g.Service, a, ada, "", h.size(t, a)+1), consent.Invalid, "since")
	h.damage(t, "UPDATE subject_texts SET text_sealed = CAST(text_sealed || x'00' AS BLOB)")
	isKind(t, "a text that was changed", ask(g.Service, a, ada, "", 0), consent.Internal, "")
	h.damage(t, "UPDATE subject_texts SET text_sealed = substr(text_sealed, 1, length(text_sealed) - 1)")
	h.damage(t, "UPDATE events SET ident = CAST('{}' AS BLOB) WHERE subject_id = "+idOf(ada))
	isKind(t, "an event that was changed", ask(g.Service, a, ada, "", 0), consent.Internal, "")
	h.damage(t, "DELETE FROM subject_keys WHERE subject_id = "+idOf(ada))
	isKind(t, "what is gone", ask(g.Service, a, ada, "", 0), consent.NotFound, "")
	late := h.record(t, other, item(user("late"))).Items[0].Subject
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it waits for what does not come
	defer cancel()
	_, err = h.svc.Evidence(ctx, other, late, "", 0, nil)
	isKind(t, "what nobody signs", err, consent.Conflict, "")
}

// TestEvidenceOfARecoveredLedger: a bundle names the epochs up to its checkpoint, and who verifies it is told of them.
func TestEvidenceOfARecoveredLedger(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	kept := newCheckpoints(t)
	ada := h.record(t, a, item(user("ada"))).Items[0].Subject
	first := h.keeping(t, h.store, kept)
	first.checkpoint(t, a, h.size(t, a))
	first.Close()
	lost := lose(t, kept, a, 1000)
	_, sequence, err := h.svc.RecoverLedger(ctx, kept, a.Organization, "backup put back")
	if err != nil {
		t.Fatal(err)
	}
	g := h.keeping(t, h.store, kept)
	g.checkpoint(t, a, sequence)
	b, err := g.Evidence(ctx, a, ada, "", 0, nil)
	if err != nil || len(b.Epochs) != 1 || b.Epochs[0].Sequence != sequence {
		t.Fatalf("%+v, %v", b, err)
	}
	report := verified(t, a, b, nil)
	told := strings.Join(report.Notes, "\n")
	if !report.Holds() || !strings.Contains(told, fmt.Sprintf("Entry %d says that the ledger goes on from before a "+
		"checkpoint of %d entries that was lost", sequence, lost.Size)) || !strings.Contains(told, "backup put back") {
		t.Errorf("it tells %s: %+v", told, report.Checks)
	}
}

// TestEvidenceSince: a size that the ledger has, and no checkpoint covers yet, is worth asking for again; a larger one
// is not.
func TestEvidenceSince(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	ada := h.record(t, a, item(user("ada"))).Items[0].Subject
	g := h.signing(t, h.store)
	g.checkpoint(t, a, 1)
	g.Close() // nobody signs what follows
	h.record(t, a, item(user("bob")))
	ask := func(since int64) error {
		_, err := h.svc.Evidence(context.Background(), a, ada, "", since, nil)
		return err
	}
	if err := ask(1); err != nil {
		t.Error(err)
	}
	isKind(t, "a size to come", ask(2), consent.Conflict, "")
	isKind(t, "a size that the ledger never had", ask(3), consent.Invalid, "since")
	isKind(t, "the largest size", ask(math.MaxInt64), consent.Invalid, "since")
}

// idOf is an id as SQLite writes a blob.
func idOf(id consent.ID) string {
	return fmt.Sprintf("x'%s'", strings.ReplaceAll(id.String(), "-", ""))
}

// TestEvidenceHasABound: more than a bundle holds is refused, and one purpose of it is not.
func TestEvidenceHasABound(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	few := decided(consent.Analytics, consent.Accepted)
	var ada consent.ID
	for range 11 {
		items := slices.Repeat([]consent.Item{item(user("ada"), decided(consent.Marketing, consent.Accepted))}, 1000)
		ada = h.record(t, a, append(items[1:], item(user("ada"), few))...).Items[0].Subject
	}
	g := h.signing(t, h.store)
	_, err := g.Evidence(context.Background(), a, ada, "", 0, nil)
	isKind(t, "11,000 decisions", err, consent.Unprocessable, "purpose")
	b, err := g.Evidence(context.Background(), a, ada, consent.Analytics, 0, nil)
	if err != nil || len(b.Decisions) != 11 {
		t.Fatalf("11 of them: %v", err)
	}
	if r := verified(t, a, b, nil); !r.Holds() {
		t.Errorf("%+v", r)
	}
}

// TestEvidenceThatIsTooLargeAsAZip: what is within the bounds until it is written is refused like what is not, with
// nothing written; what else goes wrong is told as it is.
func TestEvidenceThatIsTooLargeAsAZip(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	ada := h.record(t, a, item(user("ada"), decided(consent.Analytics, consent.Accepted))).Items[0].Subject
	g := h.signing(t, h.store)
	b, err := g.Evidence(context.Background(), a, ada, "", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := service.WriteEvidence(&out, b); err != nil || out.Len() == 0 {
		t.Errorf("as it is: %d bytes, %v", out.Len(), err)
	}
	away := errors.New("away")
	if err := service.WriteEvidence(&fullWriter{away}, b); !errors.Is(err, away) {
		t.Errorf("to who is away: %v", err)
	}
	for i, text := 0, strings.Repeat("text", 1<<20); i < 100; i++ {
		b.Texts[strconv.Itoa(i)] = text
	}
	out.Reset()
	isKind(t, "large", service.WriteEvidence(&out, b), consent.Unprocessable, "purpose")
	if out.Len() > 0 {
		t.Errorf("%d bytes were written", out.Len())
	}
}

// fullWriter takes nothing.
type fullWriter struct{ err error }

func (w *fullWriter) Write([]byte) (int, error) { return 0, w.err }

// lateWrites records something behind the back of whoever waits for a checkpoint.
type lateWrites struct {
	service.Store
	after func()
}

func (l *lateWrites) ViewOnce(ctx context.Context, read func(service.Reader) error) error {
	err := l.Store.ViewOnce(ctx, read)
	l.after()
	return err
}

// TestEvidenceWaitsForWhatWasThere: it is of what was decided before it was asked for; what comes while it waits, and
// is not covered, is left out.
func TestEvidenceWaitsForWhatWasThere(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	ada := h.record(t, a, item(user("ada"))).Items[0].Subject
	late := 0
	g := h.signing(t, &lateWrites{h.store, func() {
		late++
		h.record(t, a, item(user("ada")))
	}})
	b, err := g.Evidence(context.Background(), a, ada, "", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := verified(t, a, b, nil); !r.Holds() || len(b.Decisions) > late {
		t.Errorf("%d decisions, %d came late: %+v", len(b.Decisions), late, r)
	}
	if late == 0 {
		t.Error("it did not wait")
	}
}

// BenchmarkEvidence makes the bundle of a person with 100 decisions, and writes it.
func BenchmarkEvidence(b *testing.B) {
	h := newHarness(b)
	a := h.bare(b)
	var ada consent.ID
	for i := range 100 {
		d := shown(consent.Marketing, fmt.Sprintf("Shall we write to you %d times a month?", i/10), consent.Accepted)
		ada = h.record(b, a, item(user("ada"), d)).Items[0].Subject
		h.people(b, a, i, 20)
	}
	g := h.signing(b, h.store)
	g.checkpoint(b, a, 2100)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		bundle, err := g.Evidence(context.Background(), a, ada, "", 1000, nil)
		if err != nil {
			b.Fatal(err)
		}
		var out bytes.Buffer
		if err := evidence.Write(&out, bundle); err != nil {
			b.Fatal(err)
		}
		size = out.Len()
	}
	b.ReportMetric(float64(size), "B/bundle")
}
