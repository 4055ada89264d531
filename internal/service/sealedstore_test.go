package service_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

// TestListsOfSubjects: the pages of a list are all of it, each subject once, in an order that stays; a text is found in
// the data without regard to case, and with what else narrows the list.
func TestListsOfSubjects(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	type named struct{ typ, name, data string }
	var all []named
	for i, data := range []string{`{"city":"Köln"}`, `{"city":"KÖLN"}`, `{"rate":"100%"}`, `{"rate":"100_"}`,
		`{"path":"a\\b"}`, `{"City":"x"}`, `{"w":"ΟΔΟΣ ΑΣ"}`, `{"w":"οδος İstanbul"}`, `{}`} {
		for _, typ := range []string{"user", "Device", "device", "de_ice"} {
			n := named{typ, fmt.Sprintf("%s n%d", typ, i), data}
			save(t, h, a, consent.SaveSubject{Type: n.typ, Name: n.name, Data: []byte(n.data)})
			all = append(all, n)
		}
	}
	for i := range 230 { // more than are decrypted at once
		n := named{"many", fmt.Sprint("many ", i), fmt.Sprintf(`{"n":"n%d."}`, i)}
		save(t, h, a, consent.SaveSubject{Type: n.typ, Name: n.name, Data: []byte(n.data)})
		all = append(all, n)
	}
	folded := func(s string) string {
		return strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(s, "İ", "i")), "ς", "σ")
	}
	for _, filter := range []consent.SubjectFilter{{}, {Type: "user"}, {Type: "Device"}, {Type: "de_ice"},
		{Type: "DEVICE"}, {Name: "user n1"}, {Type: "device", Name: "device n1"}, {Type: "device", Name: "user n1"},
		{Name: "USER N1"}, {Text: "köln"}, {Text: "KÖLN"}, {Text: "100%"}, {Text: "0_"}, {Text: `a\\b`}, {Text: "CITY"},
		{Text: "city", Type: "user"}, {Text: "'"}, {Text: "absent"}, {Text: "ΟΔΟΣ"}, {Text: "οδος"}, {Text: "ΑΣ"},
		{Text: "istanbul"}, {Text: "İSTANBUL"}, {Text: "köln", Name: "user n1"},
		{Text: "N2"}, {Text: "n2", Type: "many"}, {Text: "n2", Name: "many 22", Type: "many"}} {
		var want, got []string
		for _, n := range all {
			if (filter.Type == "" || filter.Type == n.typ) && (filter.Name == "" || filter.Name == n.name) &&
				strings.Contains(folded(n.data), folded(filter.Text)) {
				want = append(want, fmt.Sprint(n))
			}
		}
		filter.Limit = 5
		for {
			page, err := h.svc.Subjects(ctx, a, filter)
			if err != nil {
				t.Fatal(err)
			}
			if page.Total != int64(len(want)) {
				t.Errorf("%+v: total %d, want %d", filter, page.Total, len(want))
			}
			for _, v := range page.Items {
				got = append(got, fmt.Sprint(named{v.Type, v.Name, string(v.Record.Data)}))
			}
			if filter.Offset += filter.Limit; len(page.Items) < filter.Limit {
				break
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%+v:\ngot  %q\nwant %q", filter, got, want)
		}
	}
}

// TestNothingIsReadWithoutKeys: in the tables of a person of whom there is everything, no text that tells of them can
// be read.
func TestNothingIsReadWithoutKeys(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.organization(t)
	words := h.canary(t, a)
	if found := filesHold(t, h.folder, words); len(found) > 0 {
		t.Errorf("these can be read: %q", found)
	}
	view, err := h.svc.LookUpSubject(context.Background(), a, consent.NoID, []consent.Identifier{email(words[1])})
	if err != nil || !strings.Contains(string(view.Record.Data), "canary-data") || view.Name != words[0] {
		t.Errorf("the service reads %+v, %v", view, err)
	}
}

// canary puts somebody on record with all that can be, and gives the words by which it would be found.
func (h *harness) canary(t *testing.T, a consent.Actor) []string {
	t.Helper()
	words := []string{"canary-user", "canary@example.org", "canary-data", "canary-old-data", "canary-browser"}
	ada := []consent.Identifier{{Kind: consent.UserID, Value: words[0]}, email(words[1])}
	h.record(t, a, item(append(ada[:2:2], consent.Identifier{Kind: consent.AnonymousID, Value: words[4]})))
	for _, data := range []string{words[3], words[2]} {
		save(t, h, a, consent.SaveSubject{Type: "user", Name: words[0], Mode: consent.Rewrite,
			Data: fmt.Appendf(nil, `{"note":%q}`, data)})
	}
	return words
}

// TestSealedTextsStayInTheirPlace: what is sealed opens at the place where it was written and nowhere else: whoever can
// write to the database cannot give one person another's address or data, nor an older version for the current one.
func TestSealedTextsStayInTheirPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		statement string
		read      func(h *harness, a consent.Actor, people []consent.ID) error
	}{
		"an identifier of somebody else": {`UPDATE identifiers SET value_sealed = (SELECT o.value_sealed FROM identifiers o
WHERE o.subject_id <> identifiers.subject_id AND o.kind = identifiers.kind)`, readRecord},
		"another identifier of the same person": {`UPDATE identifiers SET value_sealed = (SELECT o.value_sealed
FROM identifiers o WHERE o.subject_id = identifiers.subject_id AND o.kind = 'email')
WHERE kind = 'user_id'`, readRecord},
		"data of somebody else": {`UPDATE subjects SET data = (SELECT o.data FROM subjects o
WHERE o.subject_id <> subjects.subject_id)`, readRecord},
		"an older version": {`UPDATE subjects SET data = (SELECT v.data FROM subject_archive v
WHERE v.subject_id = subjects.subject_id ORDER BY version DESC LIMIT 1)`, readRecord},
		"an ident of another entry": {`UPDATE events SET ident = (SELECT o.ident FROM events o
WHERE o.event_id <> events.event_id AND o.subject_id = events.subject_id)`, readEvents},
		"the key of the organization": {`UPDATE subject_keys SET wrapped_key = (SELECT o.wrapped_key FROM subject_keys o
WHERE o.subject_id = zeroblob(16)) WHERE subject_id <> zeroblob(16)`,
			readEvents},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			a := h.organization(t)
			var people []consent.ID
			for _, who := range []string{"ada", "bob"} {
				of := []consent.Identifier{{Kind: consent.UserID, Value: who}, email(who + "@example.org")}
				made := h.record(t, a, item(of), item(of, decided(consent.Analytics, consent.Declined)))
				people = append(people, made.Items[0].Subject)
				for _, data := range []string{"old", "new"} {
					save(t, h, a, consent.SaveSubject{Type: "user", Name: who, Mode: consent.Rewrite,
						Data: fmt.Appendf(nil, `{"note":"%s of %s"}`, data, who)})
				}
			}
			if err := tc.read(h, a, people); err != nil {
				t.Fatal(err)
			}
			h.damage(t, tc.statement)
			if err := tc.read(h, a, people); err == nil || consent.AsError(err).Kind != consent.Internal {
				t.Errorf("it is read all the same: %v", err)
			}
		})
	}
}

func readRecord(h *harness, a consent.Actor, people []consent.ID) error {
	var errs []error
	for _, id := range people {
		_, err := h.svc.SubjectByID(context.Background(), a, id)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func readEvents(h *harness, a consent.Actor, people []consent.ID) error {
	var errs []error
	for _, id := range people {
		events, err := h.svc.Timeline(context.Background(), a, id, consent.NoID, 10)
		errs = append(errs, err)
		for _, e := range events { // a list goes on past one that cannot be read, which alone is an error
			_, err := h.svc.Event(context.Background(), a, e.ID)
			if e.Unreadable != (err != nil) {
				return nil
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// TestDamagedAreErased: somebody of whom what is stored was changed can be erased all the same, but not suppressed:
// nobody can tell by which identifiers.
func TestDamagedAreErased(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(`{"note":"x"}`)})
	h.damage(t, "UPDATE identifiers SET value_sealed = zeroblob(40)")
	h.damage(t, "UPDATE subjects SET data = zeroblob(40) WHERE data IS NOT NULL")
	if err := readRecord(h, a, []consent.ID{id}); err == nil {
		t.Fatal("the record can be read")
	}
	_, err := h.svc.EraseSubject(ctx, a, consent.EraseSubject{Subject: id, Suppress: true})
	isKind(t, "suppressed", err, consent.Unprocessable, "suppress")
	h.erase(t, a, id)
	if n := h.rows(t, "identifiers", a.Organization); n != 0 {
		t.Errorf("%d identifiers are left", n)
	}
	page, err := h.svc.Subjects(ctx, a, consent.SubjectFilter{Limit: 10})
	if err != nil || page.Total != 0 || len(page.Items) != 0 {
		t.Errorf("listed: %+v, %v", page, err)
	}
}

// TestKeyThatIsLacking: where the key file lacks what people's keys are encrypted by, as over a backup from before it
// was retired, whoever asks is told to come again, and no yes is given.
func TestKeyThatIsLacking(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	other, _, err := sealing.Create(filepath.Join(t.TempDir(), "kek"), rand.Reader, noon)
	if err != nil {
		t.Fatal(err)
	}
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	svc := service.New(service.Options{Store: h.store, Keys: other.Ring(rand.Reader), Places: places,
		Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(svc.Close)
	_, err = svc.LookUpSubject(ctx, a, consent.NoID, user("ada"))
	isKind(t, "a look-up", err, consent.Unavailable, "")
	_, err = svc.SubjectByID(ctx, a, id)
	isKind(t, "by id", err, consent.Unavailable, "")
	_, err = svc.Check(ctx, a, consent.CheckQuery{People: [][]consent.Identifier{user("ada")},
		Purposes: []string{consent.Marketing}})
	isKind(t, "a check", err, consent.Unavailable, "")
	_, err = svc.Record(ctx, a, write(item(user("ada"))))
	isKind(t, "a write", err, consent.Unavailable, "")
}

// TestErasedKeyIsForgotten: the key of who was erased is in no memory of the server either.
func TestErasedKeyIsForgotten(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	h.erase(t, a, id)
	if h.svc.KnowsKeyForTest(consent.SubjectKey{Organization: a.Organization, Subject: id}) {
		t.Error("the key of who was erased is still in memory")
	}
	if err := readRecord(h, a, []consent.ID{id}); !consent.IsKind(err, consent.Gone) {
		t.Errorf("reading the record: %v", err)
	}
}
