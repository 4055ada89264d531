package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
)

func save(t tester, h *harness, a consent.Actor, in consent.SaveSubject) *consent.SubjectView {
	t.Helper()
	view, err := h.svc.SaveSubject(context.Background(), a, in)
	if err != nil {
		t.Fatalf("save: %v", err)
	}
	return view
}

func subject(t tester, h *harness, a consent.Actor, typ, name string, version int) *consent.SubjectView {
	t.Helper()
	view, err := h.svc.Subject(context.Background(), a, typ, name, version)
	if err != nil {
		t.Fatalf("subject: %v", err)
	}
	return view
}

func TestMergeAndRewrite(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	for i, step := range []struct {
		mode consent.SaveMode
		data string
		want string
	}{
		{consent.Merge, `{"b":1.00,"a":{"x":1e2},"n":12345678901234567890.10}`,
			`{"b":1.00,"a":{"x":1e2},"n":12345678901234567890.10}`},
		{consent.Merge, `{"a":{"y":-0},"c":null}`, `{"b":1.00,"a":{"y":-0},"n":12345678901234567890.10,"c":null}`},
		{consent.Merge, ``, `{"b":1.00,"a":{"y":-0},"n":12345678901234567890.10,"c":null}`},
		{consent.Merge, `{"b":"\u00e9","\u0061":[1.0]}`, `{"b":"\u00e9","a":[1.0],"n":12345678901234567890.10,"c":null}`},
		{consent.Rewrite, `{"z":0.10}`, `{"z":0.10}`},
		{consent.Merge, `{}`, `{"z":0.10}`},
		{consent.Rewrite, ``, `{}`},
		{consent.Merge, `{"\"":1}`, `{"\"":1}`},
	} {
		view := save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(step.data), Mode: step.mode})
		if got := string(view.Record.Data); got != step.want || view.Record.Version != i+1 || view.Created != (i == 0) {
			t.Errorf("step %d: version %d, created %t: %s, want %s", i, view.Record.Version, view.Created, got, step.want)
		}
		if got := string(subject(t, h, a, "user", "ada", 0).Record.Data); got != step.want {
			t.Errorf("step %d reads back %s", i, got)
		}
	}
	_, err := h.svc.SaveSubject(context.Background(), a, consent.SaveSubject{Type: "user", Name: "ada",
		Data: []byte(`[1]`)})
	isKind(t, "data that is a list", err, consent.Invalid, "data")
}

// TestMergeOfMembers merges random objects and compares with a list of members kept beside.
func TestMergeOfMembers(t *testing.T) {
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		a := h.organization(t)
		var names []string
		values := map[string]string{}
		for version := 1; version <= rapid.IntRange(1, 4).Draw(t, "saves"); version++ {
			var parts []string
			mode := rapid.SampledFrom([]consent.SaveMode{consent.Merge, consent.Rewrite}).Draw(t, "mode")
			if mode == consent.Rewrite {
				names, values = nil, map[string]string{}
			}
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "é", "a.b", " "}), 0, 5,
				rapid.ID).Draw(t, "names") {
				value := rapid.SampledFrom([]string{`1`, `1.0`, `1e400`, `-0.00`, `"x"`, `[]`, `{"a":{}}`, `null`}).Draw(t, "value")
				parts = append(parts, fmt.Sprintf("%q:%s", name, value))
				if _, ok := values[name]; !ok {
					names = append(names, name)
				}
				values[name] = value
			}
			view := save(t, h, a, consent.SaveSubject{Type: "device", Name: "d", Mode: mode,
				Data: []byte("{" + strings.Join(parts, ",") + "}")})
			var want []string
			for _, name := range names {
				want = append(want, fmt.Sprintf("%q:%s", name, values[name]))
			}
			if got := string(view.Record.Data); got != "{"+strings.Join(want, ",")+"}" || view.Record.Version != version {
				t.Fatalf("version %d is %s, want {%s}", view.Record.Version, got, strings.Join(want, ","))
			}
		}
	})
}

// TestNoUpdateIsLost lets many merge a member of their own at once: all are there, and no version is missing.
func TestNoUpdateIsLost(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	const writers, each = 8, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				_, err := h.svc.SaveSubject(context.Background(), a, consent.SaveSubject{Type: "user", Name: "ada",
					Data: fmt.Appendf(nil, `{"m%d_%d":1}`, w, i)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	view := subject(t, h, a, "user", "ada", 0)
	if n := strings.Count(string(view.Record.Data), ":1"); n != writers*each || view.Record.Version != writers*each {
		t.Errorf("version %d with %d members, want %d", view.Record.Version, n, writers*each)
	}
	for version := 1; version <= writers*each; version++ {
		old := subject(t, h, a, "user", "ada", version)
		if n := strings.Count(string(old.Record.Data), ":1"); n != version || old.Record.Version != version {
			t.Errorf("version %d reads %d with %d members", version, old.Record.Version, n)
		}
	}
	_, err := h.svc.Subject(context.Background(), a, "user", "ada", writers*each+1)
	isKind(t, "a version that is not there yet", err, consent.NotFound, "version")
}

// TestSubjectSpellings finds a subject by every spelling of its name.
func TestSubjectSpellings(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	made, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "device", Name: "\ufeffZoe\u0308"})
	if err != nil || made.Name != "Zoë" {
		t.Fatal(made, err)
	}
	for _, name := range []string{"Zoë", "Zoe\u0308", " Zoë\u200b"} {
		if view := subject(t, h, a, "device", name, 0); view.ID != made.ID {
			t.Errorf("%+q is another subject", name)
		}
		page, err := h.svc.Subjects(ctx, a, consent.SubjectFilter{Type: "device", Name: name, Limit: 10})
		if err != nil || page.Total != 1 || len(page.Items) != 1 {
			t.Errorf("%+q is not in the list: %+v, %v", name, page, err)
		}
	}
	_, err = h.svc.Subjects(ctx, a, consent.SubjectFilter{Name: "Zo\u200bë", Limit: 10})
	isKind(t, "an invisible character in a name", err, consent.Invalid, "id")
}

// TestIfMatch proves that a condition is looked at last of all, and that a refused change changes nothing.
func TestIfMatch(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	is := func(versions ...int) consent.IfMatch { return consent.IfMatch{Given: true, Versions: versions} }
	anyOne := consent.IfMatch{Given: true, Any: true}
	ada := consent.SaveSubject{Type: "user", Name: "ada"}
	save(t, h, a, ada)
	for _, tc := range []struct {
		name  string
		of    string
		exist bool
		data  string
		when  consent.IfMatch
		kind  consent.Kind
		field string
	}{
		{"no version", "ada", true, "", is(), consent.PreconditionFailed, "If-Match"},
		{"other versions", "ada", true, "", is(0, 2, 3), consent.PreconditionFailed, "If-Match"},
		{"unknown, any", "eve", false, "", anyOne, consent.PreconditionFailed, "If-Match"},
		{"unknown, version 0", "eve", false, "", is(0), consent.PreconditionFailed, "If-Match"},
		{"unknown, to be made", "", false, "", is(1), consent.PreconditionFailed, "If-Match"},
		{"unknown and must exist", "eve", true, "", is(1), consent.NotFound, ""},
		{"bad data", "ada", true, "[]", is(2), consent.Invalid, "data"},
	} {
		_, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: tc.of, MustExist: tc.exist,
			Data: []byte(tc.data), If: tc.when})
		isKind(t, tc.name, err, tc.kind, tc.field)
	}
	for _, when := range []consent.IfMatch{is(7, 1), anyOne, {}} {
		ada.If = when
		save(t, h, a, ada)
	}
	if v := subject(t, h, a, "user", "ada", 0); v.Record.Version != 4 {
		t.Errorf("version %d", v.Record.Version)
	}
	remove := func(keepProof bool, when consent.IfMatch) error {
		return h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user", Name: "ada", KeepProof: keepProof,
			If: when})
	}
	isKind(t, "delete a stale version", remove(true, is(3)), consent.PreconditionFailed, "If-Match")
	h.record(t, a, item(user("ada")))
	isKind(t, "delete a stale version with proof on record", remove(true, is(3)), consent.Conflict, "")
	if err := remove(false, is(4)); err != nil {
		t.Error(err)
	}
}

func TestSubjectErrors(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	big := `{"x":"` + strings.Repeat("y", consent.MaxData) + `"}`
	for _, tc := range []struct {
		name  string
		in    consent.SaveSubject
		kind  consent.Kind
		field string
	}{
		{"bad type", consent.SaveSubject{Type: "a b", Name: "x"}, consent.Invalid, "type"},
		{"no type", consent.SaveSubject{Name: "x"}, consent.Invalid, "type"},
		{"long type", consent.SaveSubject{Type: strings.Repeat("x", 65), Name: "x"}, consent.Invalid, "type"},
		{"control in name", consent.SaveSubject{Type: "user", Name: "a\x01"}, consent.Invalid, "id"},
		{"slash in name", consent.SaveSubject{Type: "device", Name: "a/b"}, consent.Invalid, "id"},
		{"too much data", consent.SaveSubject{Type: "user", Name: "x", Data: []byte(big)}, consent.Invalid, "data"},
		{"unknown and must exist", consent.SaveSubject{Type: "user", Name: "x", MustExist: true}, consent.NotFound, ""},
	} {
		_, err := h.svc.SaveSubject(ctx, a, tc.in)
		isKind(t, tc.name, err, tc.kind, tc.field)
	}
	half := `{"%s":"` + strings.Repeat("y", consent.MaxData/2) + `"}`
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "x", Data: fmt.Appendf(nil, half, "one")})
	_, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "x", Data: fmt.Appendf(nil, half, "two")})
	isKind(t, "too much data together", err, consent.Invalid, "data")
	if v := subject(t, h, a, "user", "x", 0); v.Record.Version != 1 {
		t.Errorf("refused, but version %d", v.Record.Version)
	}
	_, err = h.svc.Subject(ctx, a, "user", "y", 0)
	isKind(t, "unknown", err, consent.NotFound, "")
	generated := save(t, h, a, consent.SaveSubject{Type: "user"})
	if id, ok := consent.ParseID(generated.Name); !ok || id.Version() != 7 ||
		subject(t, h, a, "user", generated.Name, 0).ID != generated.ID {
		t.Errorf("the name made is %q", generated.Name)
	}
}

// TestDeletedSubjectIsNotFound: with proof it is refused; without, no name of the person leads anywhere, those of
// a browser that was merged into it included, and the events stay, with
// what they were recorded with.
func TestDeletedSubjectIsNotFound(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	browser := named(consent.AnonymousID, valueOf(consent.AnonymousID, 1))
	anonymous := h.record(t, a, item(browser)).Items[0].Subject
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(`{"a":1}`)})
	person := h.record(t, a, item(append(user("ada"), browser...))).Items[0].Subject
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(`{"b":1}`)})
	isKind(t, "delete with proof on record", h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user",
		Name: "ada", KeepProof: true}), consent.Conflict, "")
	if err := h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user", Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	isKind(t, "delete again", h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user", Name: "ada"}),
		consent.NotFound, "")
	own := func(id consent.ID) consent.Identifier {
		return consent.Identifier{Kind: consent.AnonymousID, Value: id.String()}
	}
	for _, name := range []consent.Identifier{user("ada")[0], browser[0], own(anonymous), own(person)} {
		if _, err := h.svc.Person(ctx, a, consent.PersonQuery{Identifier: name}); !consent.IsKind(err, consent.NotFound) {
			t.Errorf("%v still names somebody: %v", name, err)
		}
		if n := len(h.events(t, a, name)); n != 0 {
			t.Errorf("%v still has %d events", name, n)
		}
	}
	left := h.events(t, a)
	if len(left) != 2 {
		t.Fatalf("%d events are left of 2", len(left))
	}
	if !slices.ContainsFunc(left,
		func(e consent.EventView) bool { return e.Identity.Identifiers["user_id"] == "ada" }) {
		t.Error("the events have lost what they were recorded with: say in README.md that deleting erases")
	}
	again := save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada"})
	if again.ID == person || again.Record.Version != 1 || !again.Created {
		t.Errorf("made anew: %+v", again)
	}
	if n := len(h.person(t, a, user("ada")[0]).Consents); n != 0 {
		t.Errorf("who was made anew has %d consents", n)
	}
	// A browser that comes back is somebody new.
	if back := h.record(t, a, item(named(consent.AnonymousID, anonymous.String()))).Items[0].Subject; back == person {
		t.Error("the browser is the person who was deleted")
	}
}

func TestSavePerson(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	mail := func(s string) consent.Identifier {
		return consent.Identifier{Kind: consent.Email, Value: s + "@example.com"}
	}
	personOf := func(in consent.SavePerson) *consent.SubjectView {
		t.Helper()
		view, err := h.svc.SavePerson(ctx, a, in)
		if err != nil {
			t.Fatal(err)
		}
		return view
	}
	first := personOf(consent.SavePerson{Handles: []consent.Identifier{mail("a")}, Data: []byte(`{"x":1}`)})
	if !first.Created || first.Record.Version != 1 || len(first.Identifiers) != 2 {
		t.Errorf("made %+v", first)
	}
	_, err := h.svc.SavePerson(ctx, a, consent.SavePerson{Handles: []consent.Identifier{mail("a")}})
	isKind(t, "a known person", err, consent.Conflict, "")
	_, err = h.svc.SavePerson(ctx, a, consent.SavePerson{Name: "nobody", Upsert: true})
	isKind(t, "an unknown name", err, consent.NotFound, "")
	_, err = h.svc.SavePerson(ctx, a, consent.SavePerson{})
	isKind(t, "no handle", err, consent.Invalid, "handles")
	// Another address beside the known one is the same person's.
	second := personOf(consent.SavePerson{Handles: []consent.Identifier{mail("b"), mail("a")}, Upsert: true,
		Data: []byte(`{"x":2}`)})
	if second.Created || second.ID != first.ID || second.Name != first.Name || second.Record.Version != 2 ||
		len(second.Identifiers) != 3 {
		t.Errorf("upserted %+v", second)
	}
	same := personOf(consent.SavePerson{Handles: []consent.Identifier{mail("b")}, Upsert: true, Data: []byte(`{"x":2}`)})
	if same.Record.Version != 2 {
		t.Errorf("the same data made version %d", same.Record.Version)
	}
	// Known by a consent alone: made a person now, with what was decided before.
	decidedBefore := h.record(t, a, item([]consent.Identifier{mail("c")})).Items[0].Subject
	third := personOf(consent.SavePerson{Handles: []consent.Identifier{mail("c")}, Profile: []byte(`{"p":1}`)})
	if !third.Created || third.ID != decidedBefore || string(third.Record.Profile) != `{"p":1}` ||
		third.Record.Version != 2 {
		t.Errorf("named %+v", third)
	}
	if got := h.person(t, a, consent.Identifier{Kind: consent.UserID, Value: third.Name}); len(got.Consents) != 1 {
		t.Errorf("has %d consents", len(got.Consents))
	}
}
