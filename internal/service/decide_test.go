package service_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// TestArrivalDoesNotMatter sends dated decisions of one person in random order, cut into random batches: the consent
// is the greatest event's, whatever came when, and the history is whole.
func TestArrivalDoesNotMatter(t *testing.T) {
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		h.clock.set(noon)
		a := h.organization(t)
		n := rapid.IntRange(1, 8).Draw(t, "n")
		for sent := 0; sent < n; {
			var items []consent.Item
			for range rapid.IntRange(1, n-sent).Draw(t, "batch") {
				d := decided(consent.Analytics, rapid.SampledFrom([]consent.State{consent.Accepted, consent.Declined,
					consent.Withdrawn}).Draw(t, "state"))
				d.OccurredAt = noon.Add(time.Duration(rapid.IntRange(-6, 3).Draw(t, "minute")) * time.Minute)
				if rapid.Bool().Draw(t, "short") {
					d.ExpiresAt = d.OccurredAt.Add(2 * time.Minute)
				}
				items = append(items, item(user("ada"), d))
				sent++
			}
			h.record(t, a, items...)
		}
		events := h.events(t, a, user("ada")[0])
		if len(events) != n {
			t.Fatalf("%d events of %d", len(events), n)
		}
		current := h.person(t, a, user("ada")[0]).Consents[consent.Analytics]
		want := decidingOf(events, events[0].Purpose)
		if current.Event != want.ID || current.State != want.State || !current.ExpiresAt.Equal(want.ExpiresAt) {
			t.Fatalf("stands %s by %s, the event that decides is %s by %s", current.State, current.Event, want.State, want.ID)
		}
		if since := sinceOf(events); !current.Since.Equal(since) {
			t.Fatalf("since %v, by the history %v", current.Since, since)
		}
	})
}

// effective is when an event takes its place in the order: not later than it was recorded.
func effective(e consent.EventView) time.Time {
	if e.OccurredAt.After(e.RecordedAt) {
		return e.RecordedAt
	}
	return e.OccurredAt
}

// inTime orders what was said: by time, of one time a no behind a yes, then by id.
func inTime(x, y consent.EventView) int {
	no := map[bool]int{true: 1}
	return cmp.Or(effective(x).Compare(effective(y)), no[x.State != consent.Accepted]-no[y.State != consent.Accepted],
		slices.Compare(x.ID[:], y.ID[:]))
}

// decidingOf gives the event of a purpose that decides, where all were said.
func decidingOf(events []consent.EventView, purpose int) consent.EventView {
	of := slices.DeleteFunc(slices.Clone(events), func(e consent.EventView) bool { return e.Purpose != purpose })
	return slices.MaxFunc(of, inTime)
}

// sinceOf walks a history in order of time and tells since when its last state is granted without a break.
func sinceOf(events []consent.EventView) (since time.Time) {
	sorted := slices.Clone(events)
	slices.SortFunc(sorted, inTime)
	var until time.Time
	for _, e := range sorted {
		switch {
		case !e.Grants:
			since = time.Time{}
		case since.IsZero() || !effective(e).Before(until):
			since = effective(e)
		}
		until = e.ExpiresAt
	}
	return since
}

// TestSequencesWithoutGaps has many writers at once, some of whose writes are refused, under a clock that jumps:
// numbers run 1, 2, 3 … and ids grow with them.
func TestSequencesWithoutGaps(t *testing.T) {
	h := newHarness(t)
	organizations := []consent.Actor{h.bare(t), h.bare(t)}
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				h.clock.add(time.Duration((w*i)%7-3) * time.Second)
				good := item(user(fmt.Sprintf("u%d", w)))
				if _, err := h.svc.Record(context.Background(), organizations[i%2], write(good, good)); err != nil {
					t.Error(err)
				}
				bad := item(user("nobody"))
				bad.Known = true
				_, err := h.svc.Record(context.Background(), organizations[i%2], write(good, bad))
				isKind(t, "a write with an unknown person", err, consent.NotFound, "")
			}
		})
	}
	wg.Wait()
	total := 0
	for _, a := range organizations {
		last := consent.NoID
		for i, e := range h.events(t, a) {
			if e.Sequence != int64(i+1) || slices.Compare(last[:], e.ID[:]) >= 0 || e.ID.Version() != 7 {
				t.Fatalf("event %d has number %d and id %s after %s", i, e.Sequence, e.ID, last)
			}
			last = e.ID
			total++
		}
	}
	if total != writers*each*2 {
		t.Errorf("%d events of %d", total, writers*each*2)
	}
}

// TestBatchIsAllOrNothing: one bad item leaves no subject, no identifier, no purpose, no event and no count.
func TestBatchIsAllOrNothing(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	h.record(t, a, item(user("there")))
	before := h.census(t, a)
	fresh := item(user("new"), consent.Decision{Purpose: consent.PurposeRef{Key: "new purpose", Create: true},
		State: consent.Accepted, Action: consent.UserClick})
	for name, bad := range map[string]consent.Item{
		"unknown person":  {Identifiers: user("absent"), Known: true},
		"unknown purpose": item(user("b"), decided("absent", consent.Accepted)),
		"no identifier":   item(nil),
		"bad e-mail":      item(named(consent.Email, "no")),
		"future": item(user("b"), consent.Decision{Purpose: consent.PurposeRef{Key: consent.Analytics},
			State:  consent.Accepted,
			Action: consent.UserClick, OccurredAt: noon.Add(6 * time.Minute)}),
	} {
		for _, w := range [][]consent.Item{{fresh, bad}, {bad, fresh}, {fresh, item(user("there")), bad}} {
			if _, err := h.svc.Record(context.Background(), a, write(w...)); err == nil ||
				consent.IsKind(err, consent.Internal) {
				t.Errorf("%s: %v", name, err)
			}
			if after := h.census(t, a); after != before {
				t.Fatalf("%s left something: before %s, after %s", name, before, after)
			}
		}
	}
	h.record(t, a, fresh)
	if after := h.census(t, a); after == before {
		t.Error("the census sees nothing")
	}
}

// census counts all that a write could leave in an organization.
func (h *harness) census(t tester, a consent.Actor) string {
	t.Helper()
	var out []string
	h.view(t, func(r service.Reader) error {
		d, err := r.Catalog(context.Background(), a.Organization)
		if err != nil {
			return err
		}
		heads, err := r.Heads(context.Background(), []consent.ID{a.Organization})
		if err != nil {
			return err
		}
		out = append(out, fmt.Sprintf("%d purposes, head %d", len(d.Purposes), heads[a.Organization].Sequence))
		_, total, err := r.Events(context.Background(), consent.EventQuery{Organization: a.Organization, Limit: 1})
		out = append(out, fmt.Sprintf("%d events", total))
		return err
	})
	for _, table := range []string{"subjects", "identifiers", "events", "consents", "texts", "counts", "kept_answers",
		"subject_merges"} {
		out = append(out, fmt.Sprintf("%s %d", table, h.rows(t, table, a.Organization)))
	}
	return strings.Join(out, ", ")
}

// TestCountsAreTrue compares the kept counts with the rows, after writes, merges and removals.
func TestCountsAreTrue(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	project, err := h.svc.CreateProject(ctx, a, consent.NewProject{Name: "second"}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		h.record(t, a, item(user(fmt.Sprintf("u%d", i))), item(named(consent.AnonymousID, valueOf(consent.AnonymousID, i+1))))
		w := write(item(named(consent.ProjectUserID, fmt.Sprint(i))))
		w.Project = project.ID
		if _, err := h.svc.Record(ctx, a, w); err != nil {
			t.Fatal(err)
		}
		save(t, h, a, consent.SaveSubject{Type: "device", Name: fmt.Sprint(i)})
		save(t, h, a, consent.SaveSubject{Type: "user", Name: fmt.Sprintf("u%d", i+5)})
	}
	h.record(t, a, item(append(user("u1"), named(consent.AnonymousID, valueOf(consent.AnonymousID, 1))...)))
	for _, name := range []string{"3", "4"} {
		if err := h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "device", Name: name,
			KeepProof: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user", Name: "u2"}); err != nil {
		t.Fatal(err)
	}
	for _, projects := range [][]consent.ID{nil, {project.ID}, {mainProject(t, h, a)},
		{project.ID, mainProject(t, h, a)}} {
		kept, err := h.svc.Events(ctx, a, consent.EventFilter{Projects: projects, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		counted, err := h.svc.Events(ctx, a, consent.EventFilter{Projects: projects, From: noon.AddDate(-50, 0, 0),
			Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		if kept.Total != counted.Total || int64(len(counted.Items)) != kept.Total {
			t.Errorf("events of %v: kept %d, counted %d, listed %d", projects, kept.Total, counted.Total, len(counted.Items))
		}
	}
	for typ, want := range map[string]int64{"user": 14, "device": 8, "": 22} {
		page, err := h.svc.Subjects(ctx, a, consent.SubjectFilter{Type: typ, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if page.Total != want || int64(len(page.Items)) != want {
			t.Errorf("subjects of type %q: kept %d, listed %d, want %d", typ, page.Total, len(page.Items), want)
		}
	}
}

func mainProject(t tester, h *harness, a consent.Actor) consent.ID {
	view, err := h.svc.Organization(context.Background(), a)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return view.DefaultProject().ID
}

// TestMergeOfAnAnonymousPerson: the consents fold over both, the history has the events of both, and the events are
// what they were.
func TestMergeOfAnAnonymousPerson(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	browser, ada := named(consent.AnonymousID, valueOf(consent.AnonymousID, 1)), user("ada")
	at := func(minute int, purpose string, state consent.State) consent.Decision {
		d := decided(purpose, state)
		d.OccurredAt = noon.Add(time.Duration(minute) * time.Minute)
		return d
	}
	anonymous := h.record(t, a, item(browser, at(-9, consent.Analytics, consent.Accepted),
		at(-2, consent.Marketing, consent.Declined),
		at(-7, consent.Functional, consent.Accepted))).Items[0].Subject
	known := h.record(t, a, item(ada, at(-5, consent.Analytics, consent.Accepted),
		at(-4, consent.Marketing, consent.Accepted))).Items[0].Subject
	before := h.events(t, a)
	h.record(t, a, item(append(ada, browser...), at(-1, consent.Tracking, consent.Accepted)))

	person := h.person(t, a, ada[0])
	for purpose, want := range map[string]struct {
		state consent.State
		since int
	}{consent.Analytics: {consent.Accepted, -9}, consent.Marketing: {consent.Declined,
		0}, consent.Functional: {consent.Accepted, -7},
		consent.Tracking: {consent.Accepted, -1}} {
		c := person.Consents[purpose]
		since := time.Time{}
		if want.since != 0 {
			since = noon.Add(time.Duration(want.since) * time.Minute)
		}
		if c.State != want.state || !c.Since.Equal(since) || c.Subject != known {
			t.Errorf("%s stands %+v, want %s since %v of %s", purpose, c, want.state, since, known)
		}
	}
	tenant := &tenant{harness: h, actor: a, people: []consent.ID{anonymous, known}}
	if got := tenant.merges(t); len(got) != 1 || got[0] != "person 0 turned out to be person 1 after 5" {
		t.Errorf("of the merge is recorded %q", got)
	}
	after := h.events(t, a)
	if len(after) != 6 || !slices.EqualFunc(before, after[:5], sameEvent) {
		t.Errorf("the merge changed events:\n%v\n%v", before, after)
	}
	own := consent.Identifier{Kind: consent.AnonymousID, Value: anonymous.String()}
	for _, name := range []consent.Identifier{ada[0], browser[0], own} {
		if got := h.events(t, a, name); len(got) != 6 {
			t.Errorf("the history by %v has %d events of 6", name, len(got))
		}
		if got := h.person(t, a, name); got.Subject != known {
			t.Errorf("%v names %s, want %s", name, got.Subject, known)
		}
	}
	// A later decision by the browser's id is the person's, and late ones fold over both.
	h.record(t, a, item(browser, at(-3, consent.Functional, consent.Withdrawn),
		at(-8, consent.Analytics, consent.Withdrawn)))
	person = h.person(t, a, ada[0])
	if c := person.Consents[consent.Functional]; c.State != consent.Withdrawn {
		t.Errorf("functional stands %+v", c)
	}
	if c := person.Consents[consent.Analytics]; c.State != consent.Accepted || !c.Since.Equal(noon.Add(-5*time.Minute)) {
		t.Errorf("analytics stands %+v, the late withdrawal breaks what was granted before it", c)
	}
}

func sameEvent(x, y consent.EventView) bool {
	return x.ID == y.ID && x.Subject == y.Subject && x.Previous == y.Previous &&
		string(x.BodyJSON) == string(y.BodyJSON) &&
		string(x.IdentityJSON) == string(y.IdentityJSON) && x.Sequence == y.Sequence && x.OccurredAt.Equal(y.OccurredAt)
}

// TestBlobs: both are canonical, say what was recorded, and the body names nobody.
func TestBlobs(t *testing.T) {
	h := newHarness(t)
	a, made := h.key(t, h.organization(t))
	it := item([]consent.Identifier{{Kind: consent.UserID, Value: "ada-1815"},
		{Kind: consent.Email, Value: "Ada@Example.com"},
		{Kind: consent.Phone, Value: "+1 650 253 0000"}, {Kind: consent.ProjectUserID, Value: "p\"1\\"}},
		consent.Decision{Purpose: consent.PurposeRef{Key: consent.Marketing}, State: consent.Accepted,
			Action: consent.UserClick, DisplayedText: "We may write to you."})
	it.Evidence = consent.Evidence{FormURL: "https://shop.example/form?x=1&y=<2>", Locale: "de-DE"}
	w := write(it)
	w.Origin.UserAgent, w.Origin.Domain = "Agent/1.0 \x01é", "shop.example"
	if _, err := h.svc.Record(context.Background(), a, w); err != nil {
		t.Fatal(err)
	}
	e := h.events(t, a)[0]
	for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
		canonical := jsontext.Value(slices.Clone(blob))
		if err := canonical.Canonicalize(); err != nil || string(canonical) != string(blob) {
			t.Errorf("%s is kept, canonical is %s (%v)", blob, canonical, err)
		}
	}
	for _, secret := range []string{"ada", "Ada", "650", "p\\\"1", "Agent", "shop.example", "We may",
		made.Key.ID.String()} {
		if strings.Contains(string(e.BodyJSON), secret) {
			t.Errorf("the body has %q: %s", secret, e.BodyJSON)
		}
	}
	var ident consent.Identity
	if err := json.Unmarshal(e.IdentityJSON, &ident); err != nil {
		t.Fatal(err)
	}
	if ident.Identifiers["email"] != "ada@example.com" || ident.Identifiers["phone"] != "+16502530000" ||
		ident.Key != made.Key.ID.String() ||
		ident.AnonymousID != e.Subject.String() || ident.FormURL != it.Evidence.FormURL {
		t.Errorf("ident says %+v", ident)
	}
	if e.Body.DisplayedText == "" || e.Body.Purpose != consent.Marketing || e.Body.Locale != "de-DE" ||
		e.Body.OccurredAt != "2026-03-01T12:00:00.000000Z" || e.Body.ExpiresAt != "2027-03-01T12:00:00.000000Z" {
		t.Errorf("body says %+v", e.Body)
	}
}

// TestTenantsNeverMeet: nobody reaches another organization's people.
func TestTenantsNeverMeet(t *testing.T) {
	h := newHarness(t)
	a, b := h.organization(t), h.organization(t)
	first := h.record(t, a, item(user("ada"))).Items[0].Subject
	if _, err := h.svc.Person(context.Background(), b,
		consent.PersonQuery{Identifier: user("ada")[0]}); !consent.IsKind(err, consent.NotFound) {
		t.Errorf("another organization's person: %v", err)
	}
	second := h.record(t, b, item(user("ada"), decided(consent.Analytics, consent.Declined)),
		item(named(consent.AnonymousID, first.String()), decided(consent.Analytics, consent.Declined))).Items
	if second[0].Subject == first || second[1].Subject == first || second[1].Subject == second[0].Subject {
		t.Errorf("%s is %v elsewhere", first, second)
	}
	if c := h.person(t, a, user("ada")[0]).Consents[consent.Analytics]; c.State != consent.Accepted {
		t.Errorf("stands %+v", c)
	}
	if n := len(h.events(t, a)); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestLateBehindAnOverwrite takes a decision that was taken earlier behind an overwrite in one batch: what the
// overwrite does is not known before, so the late one must count as if each came alone.
func TestLateBehindAnOverwrite(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	earlier := decided(consent.Analytics, consent.Accepted)
	earlier.OccurredAt = noon.Add(-time.Minute)
	h.record(t, a, replace(user("ada"), consent.Analytics), item(user("ada"), earlier))
	h.checkConsents(t, a.Organization)
	person, err := h.svc.Person(context.Background(), a, consent.PersonQuery{Identifier: user("ada")[0]})
	if err != nil {
		t.Fatal(err)
	}
	if got := person.Consents[consent.Analytics]; !got.Since.Equal(earlier.OccurredAt) || !got.OccurredAt.Equal(noon) {
		t.Errorf("granted since %v, not %v", got.Since, earlier.OccurredAt)
	}
}
