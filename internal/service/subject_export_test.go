package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

// taken is an export of a person, as it was handed over.
type taken struct {
	person   *consent.ExportedSubject
	versions []consent.Subject
	events   []consent.ExportedEvent
	requests []consent.SubjectRequest
	calls    []string
	largest  int                // bytes of the largest part
	during   func(string) error // where set, is called within each call
}

func (x *taken) called(name string, size int) error {
	x.calls, x.largest = append(x.calls, name), max(x.largest, size)
	if x.during == nil {
		return nil
	}
	return x.during(name)
}

func (x *taken) Person(p *consent.ExportedSubject) error {
	x.person = p
	return x.called("person", 0)
}

func (x *taken) Versions(part []consent.Subject) error {
	size := 0
	for _, s := range part {
		size += len(s.Record.Data)
	}
	x.versions = append(x.versions, part...)
	return x.called("versions", size)
}

func (x *taken) Events(part *consent.ExportedEvents) error {
	size := len(part.Blobs)
	for _, e := range part.Rows {
		e.BodyJSON, e.IdentityJSON = bytes.Clone(e.BodyJSON), bytes.Clone(e.IdentityJSON)
		x.events = append(x.events, e)
		size += len(e.Text)
	}
	return x.called("events", size)
}

func (x *taken) Requests(part []consent.SubjectRequest) error {
	x.requests = append(x.requests, part...)
	return x.called("requests", 0)
}

// sequences are those of the events.
func (x *taken) sequences() (all []int64) {
	for i := range x.events {
		all = append(all, x.events[i].Sequence)
	}
	return all
}

func (h *harness) take(t tester, a consent.Actor, id consent.ID) *taken {
	t.Helper()
	var x taken
	if err := h.svc.ExportSubject(context.Background(), a, id, &x); err != nil {
		t.Fatalf("export: %v", err)
	}
	return &x
}

func (h *harness) unmerge(t tester, a consent.Actor, from, other consent.ID) {
	t.Helper()
	_, err := h.svc.UnmergeSubjects(context.Background(), a, consent.UnmergeSubjects{Subject: from, Other: other})
	if err != nil {
		t.Fatalf("unmerge: %v", err)
	}
}

// TestExportSubject: what is held of somebody who is three by now is there once and in order, by whichever id, and
// nothing of anybody else.
func TestExportSubject(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	desk, made := h.key(t, a, consent.SubjectsRead, consent.ConsentsRead)
	ada := save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(`{"city":"London"}`)}).ID
	h.record(t, a, item(user("ada"), shown(consent.Marketing, "May we?", consent.Accepted)), item(user("eve")))
	eve := h.events(t, a, user("eve")[0])[0].Subject
	second := h.record(t, a, item(named(consent.Email, "ada@example.org"),
		shown(consent.Analytics, "And this?", consent.Declined))).Items[0].Subject
	third := h.record(t, a, item(named(consent.Phone, "+31612345678"))).Items[0].Subject
	h.clock.add(time.Hour)
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(`{"city":"Turin"}`), Mode: consent.Rewrite})
	h.restrict(t, a, third)
	h.restrict(t, a, eve)
	h.merge(t, a, second, third)
	h.merge(t, a, ada, second)
	h.unrestrict(t, a, ada)
	h.record(t, a, item(named(consent.Phone, "+31612345678")))
	for _, id := range []consent.ID{ada, second, third} {
		x := h.take(t, desk, id)
		p := x.person
		if p.Subject.ID != ada || p.By.ID != made.ID || p.By.Name != "key" || !p.At.Equal(noon.Add(time.Hour)) {
			t.Errorf("%s by %+v at %s", p.Subject.ID, p.By, p.At)
		}
		names := map[string]consent.ID{}
		for _, n := range p.Names {
			names[n.Value] = n.Origin
		}
		want := map[string]consent.ID{"ada": {}, "ada@example.org": second, "+31612345678": third}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("identifiers (-want +got):\n%s", diff)
		}
		if m := p.Merges; len(m) != 2 || m[0].From != third || m[0].Into != second || m[1].From != second ||
			m[1].Into != ada {
			t.Errorf("merges: %+v", m)
		}
		if len(p.Consents) != 2 {
			t.Errorf("consents: %+v", p.Consents)
		}
		checkTaken(t, x, []string{"ada 1 {\"city\":\"London\"}", "ada 2 {\"city\":\"Turin\"}", "third 1 {}", "second 1 {}"},
			[]string{"ada 1 May we?", "second 3 And this?", "third 4 ", "ada 10 "},
			[]string{"ada 8 merge second", "ada 9 unrestriction ", "third 5 restriction ", "second 7 merge third"},
			map[consent.ID]string{ada: "ada", second: "second", third: "third"})
	}
	if x := h.take(t, a, eve); len(x.events) != 1 || len(x.requests) != 1 || x.person.By.ID != a.Key {
		t.Errorf("of the other one: %v, %v, by %+v", x.sequences(), x.requests, x.person.By)
	}
}

// checkTaken compares versions, events and requests, with the subjects by their names and sequences from the first.
func checkTaken(t *testing.T, x *taken, versions, events, requests []string, names map[consent.ID]string) {
	t.Helper()
	var got [3][]string
	for _, v := range x.versions {
		got[0] = append(got[0], fmt.Sprint(names[v.ID], " ", v.Record.Version, " ", string(v.Record.Data)))
	}
	before := x.events[0].Sequence - 1
	for _, e := range x.events {
		got[1] = append(got[1], fmt.Sprint(names[e.Subject], " ", e.Sequence-before, " ", e.Text))
	}
	for _, r := range x.requests {
		got[2] = append(got[2], fmt.Sprint(names[r.Subject], " ", r.Sequence-before, " ", r.Kind, " ", names[r.From]))
	}
	if diff := cmp.Diff([3][]string{versions, events, requests}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestExportSubjectInParts: of somebody with much of everything each is there once, in order, and a part stays small.
func TestExportSubjectInParts(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	const versions, events, requests = 250, 700, 230
	data := func(n int) []byte {
		return []byte(fmt.Sprintf(`{"n":%d,"note":"%s"}`, n, strings.Repeat("x", 20_000)))
	}
	var id consent.ID
	for n := range versions {
		id = save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: data(n), Mode: consent.Rewrite}).ID
	}
	long := strings.Repeat("Do you agree? ", 4000)
	text := func(n int) string { return fmt.Sprint(n, long[:len(long)*(n%3)/2]) }
	for n := 0; n < events; n += 70 {
		var items []consent.Item
		for i := range 70 {
			items = append(items, item(user("ada"), shown(consent.Analytics, text(n+i), consent.Accepted)))
		}
		h.record(t, a, items...)
	}
	for range requests / 2 {
		h.restrict(t, a, id)
		h.unrestrict(t, a, id)
	}
	x := h.take(t, a, id)
	for n, v := range x.versions {
		if v.Record.Version != n+1 || !bytes.Equal(v.Record.Data, data(n)) {
			t.Fatalf("version %d is %d", n+1, v.Record.Version)
		}
	}
	for n, e := range x.events {
		if e.Sequence != int64(n+1) || e.Text != text(n) {
			t.Fatalf("event %d is %d with a text of %d bytes", n+1, e.Sequence, len(e.Text))
		}
	}
	for n, r := range x.requests {
		if r.Sequence != int64(events+n+1) {
			t.Fatalf("request %d is entry %d", n, r.Sequence)
		}
	}
	if len(x.versions) != versions || len(x.events) != events || len(x.requests) != requests {
		t.Errorf("%d versions, %d events, %d requests", len(x.versions), len(x.events), len(x.requests))
	}
	if x.largest > 8<<20 {
		t.Errorf("a part has %d bytes", x.largest)
	}
	if order := slices.Compact(slices.Clone(x.calls)); !slices.Equal(order, []string{"person", "versions", "events",
		"requests"}) || len(x.calls) < 10 {
		t.Errorf("in parts %v", x.calls)
	}
}

// TestExportSubjectAsItWas: what is recorded while an export goes on is not in it; and where the person becomes another
// meanwhile, it ends with an error, whichever part it has come to.
func TestExportSubjectAsItWas(t *testing.T) {
	for what, tc := range map[string]struct {
		change func(*testing.T, *harness, consent.Actor, consent.ID, consent.ID)
		merged bool // the two are one when it begins
		kind   consent.Kind
	}{
		"written about": {change: func(t *testing.T, h *harness, a consent.Actor, ada, bob consent.ID) {
			h.record(t, a, item(user("ada")))
			save(t, h, a, consent.SaveSubject{Type: "user", Name: "ada", Data: []byte(`{"new":1}`)})
			h.restrict(t, a, ada)
		}},
		"erased": {kind: consent.Gone, change: func(t *testing.T, h *harness, a consent.Actor, ada, bob consent.ID) {
			h.erase(t, a, ada)
		}},
		"merged": {kind: consent.Conflict, change: func(t *testing.T, h *harness, a consent.Actor, ada, bob consent.ID) {
			h.merge(t, a, ada, bob)
		}},
		"merged into": {kind: consent.Conflict, change: func(t *testing.T, h *harness, a consent.Actor, ada,
			bob consent.ID) {
			h.merge(t, a, bob, ada)
		}},
		"taken apart": {merged: true, kind: consent.Conflict, change: func(t *testing.T, h *harness, a consent.Actor, ada,
			bob consent.ID) {
			h.unmerge(t, a, ada, bob)
		}},
	} {
		for _, when := range []string{"person", "versions", "events", "the last events"} {
			t.Run(what+" in "+when, func(t *testing.T) {
				h := newHarness(t)
				a := h.organization(t)
				r := h.record(t, a, item(user("ada")), item(named(consent.Email, "bob@example.org")))
				ada, bob := r.Items[0].Subject, r.Items[1].Subject
				h.record(t, a, slices.Repeat([]consent.Item{item(user("ada"))}, 700)...) // two parts
				total := 701
				if tc.merged {
					h.merge(t, a, ada, bob)
					total++
				}
				var x taken
				x.during = func(name string) error {
					first := name == when && !slices.Contains(x.calls[:len(x.calls)-1], when)
					if first || when == "the last events" && name == "events" && len(x.events) == total {
						tc.change(t, h, a, ada, bob)
					}
					return nil
				}
				err := h.svc.ExportSubject(context.Background(), a, ada, &x)
				if tc.kind != consent.Internal {
					isKind(t, "the export", err, tc.kind, "")
				} else if err != nil || len(x.events) != total || len(x.versions) != 1 || len(x.requests) > 0 {
					t.Errorf("%d events, %d versions, %d requests, %v", len(x.events), len(x.versions), len(x.requests), err)
				}
			})
		}
	}
}

// TestExportSubjectForAMoment: who is merged and taken apart again meanwhile is in no part of it.
func TestExportSubjectForAMoment(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	ada := h.record(t, a, slices.Repeat([]consent.Item{item(user("ada"))}, 700)...).Items[0].Subject
	bob := h.record(t, a, item(named(consent.Email, "bob@example.org"))).Items[0].Subject
	x := taken{}
	x.during = func(name string) error {
		if name == "events" && len(x.events) < 700 {
			h.merge(t, a, ada, bob)
		}
		return nil
	}
	err := h.svc.ExportSubject(context.Background(), a, ada, &x)
	isKind(t, "the export", err, consent.Conflict, "")
	if len(x.events) == 0 || len(x.events) == 700 { // it does not go on to the end for nothing
		t.Errorf("it ended behind %d decisions", len(x.events))
	}
}

// TestExportSubjectOfMany: decisions of several who are one, on several purposes, come in the order of the ledger, each
// once and with its times, however they are mixed.
func TestExportSubjectOfMany(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	names := [][]consent.Identifier{user("ada"), named(consent.Email, "ada@example.org"),
		named(consent.Phone, "+31612345678"), named(consent.Email, "eve@example.org")}
	ids := map[consent.ID]bool{}
	var want []consent.EventView
	for seed, batch := rand.NewPCG(1, 2), 0; batch < 30; batch++ {
		draw := rand.New(seed)
		var items []consent.Item
		for range 60 {
			d := decided(among[draw.IntN(len(among))], consent.Accepted)
			d.OccurredAt = noon.Add(-time.Duration(draw.IntN(1e6)) * time.Millisecond)
			items = append(items, item(names[draw.IntN(len(names))], d))
		}
		for i, recorded := range h.record(t, a, items...).Items {
			if items[i].Identifiers[0] != names[3][0] {
				ids[recorded.Subject] = true
				want = append(want, recorded.Events[0])
			}
		}
	}
	all := slices.Collect(maps.Keys(ids))
	h.merge(t, a, all[0], all[1])
	h.merge(t, a, all[2], all[0])
	x := h.take(t, a, all[1])
	if len(x.events) != len(want) {
		t.Fatalf("%d events, want %d", len(x.events), len(want))
	}
	for i, e := range x.events {
		w := &want[i]
		if e.ID != w.ID || e.Subject != w.Subject || e.Sequence != w.Sequence || !e.OccurredAt.Equal(w.OccurredAt) ||
			!e.RecordedAt.Equal(w.RecordedAt) || !e.ExpiresAt.Equal(w.ExpiresAt) || !bytes.Equal(e.BodyJSON, w.BodyJSON) ||
			!bytes.Equal(e.IdentityJSON, w.IdentityJSON) {
			t.Fatalf("event %d is %+v, want %+v", i, e, w.Event)
		}
	}
}

// TestExportSubjectRefuses: who may not, and who is not there or gone.
func TestExportSubjectRefuses(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	without := func(scope consent.Scope) consent.Actor {
		actor, _ := h.key(t, a, slices.DeleteFunc(slices.Clone(consent.AllScopes),
			func(s consent.Scope) bool { return s == scope })...)
		return actor
	}
	own, _ := h.key(t, a)
	own.Person = "ada"
	refused := func(what string, actor consent.Actor, id consent.ID, kind consent.Kind) {
		t.Helper()
		var x taken
		err := h.svc.ExportSubject(ctx, actor, id, &x)
		isKind(t, what, err, kind, "")
		if len(x.calls) > 0 {
			t.Errorf("%s: %v", what, x.calls)
		}
	}
	refused("without subjects:read", without(consent.SubjectsRead), id, consent.Forbidden)
	refused("without consents:read", without(consent.ConsentsRead), id, consent.Forbidden)
	refused("a person", own, id, consent.Forbidden)
	refused("nobody", a, consent.ID{7}, consent.NotFound)
	refused("another's", h.organization(t), id, consent.NotFound)
	h.clock.add(time.Hour)
	h.erase(t, a, id)
	refused("the erased", a, id, consent.Gone)
	if err := h.svc.ExportSubject(ctx, a, id, &taken{}); !consent.AsError(err).ErasedAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("erased at %s", consent.AsError(err).ErasedAt)
	}
}

// TestExportSubjectTakesTurns: an export whose taker fails gives its place back, and a third at a time is refused.
func TestExportSubjectTakesTurns(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	id := h.record(t, a, item(user("ada"))).Items[0].Subject
	failure := errors.New("the reader is gone")
	for _, when := range []string{"person", "versions", "events", "requests"} { // each gives its place back
		x := &taken{during: func(name string) error {
			if name == when {
				return failure
			}
			return nil
		}}
		if err := h.svc.ExportSubject(ctx, a, id, x); !errors.Is(err, failure) {
			t.Errorf("a taker that fails at %s: %v", when, err)
		}
	}
	outer := &taken{during: func(string) error {
		inner := &taken{during: func(string) error {
			third := &taken{}
			if err := h.svc.ExportSubject(ctx, a, id, third); !consent.IsKind(err, consent.Unavailable) ||
				len(third.calls) > 0 {
				t.Errorf("a third export: %v, %v", third.calls, err)
			}
			return failure
		}}
		if err := h.svc.ExportSubject(ctx, a, id, inner); !errors.Is(err, failure) {
			t.Errorf("a second export: %v", err)
		}
		return failure
	}}
	if err := h.svc.ExportSubject(ctx, a, id, outer); !errors.Is(err, failure) {
		t.Error(err)
	}
}
