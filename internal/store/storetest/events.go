package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// event makes an event with something in every column.
func (f *fixture) event(o, subject consent.ID, project, purpose int, change func(*consent.Event)) consent.Event {
	id := f.id()
	e := consent.Event{Organization: o, ID: id, Sequence: int64(f.made), Subject: subject, Project: project,
		Purpose: purpose, PurposeVersion: 5, State: consent.Accepted,
		Action: consent.UserClick, Weight: consent.WeightActive, Grants: true, OccurredAt: noon,
		RecordedAt: noon.Add(time.Microsecond), Key: consent.ID{7}, Domain: "shop.example",
		Country: "DE", Protocol: "native", BodyJSON: []byte(`{"b":1}`), IdentityJSON: []byte(`{"i":"é"}`)}
	if change != nil {
		change(&e)
	}
	return e
}

func consentOf(e consent.Event) consent.Consent {
	return consent.Consent{Organization: e.Organization, Subject: e.Subject, Project: e.Project, Purpose: e.Purpose,
		Event: e.ID, Last: e.ID, PurposeVersion: e.PurposeVersion,
		State: e.State, Weight: e.Weight, Grants: e.Grants, Active: true, OccurredAt: e.OccurredAt, ExpiresAt: e.ExpiresAt}
}

func testEvent(f *fixture) {
	o := f.organization()
	full := f.event(o, f.id(), 1, 2, func(e *consent.Event) {
		e.State, e.Action, e.ExpiresAt, e.Previous = consent.Viewed, consent.System, noon.AddDate(7973, 0, 0), consent.ID{3}
		e.Sequence, e.Domain, e.Country, e.Protocol, e.PurposeVersion = 1<<60, odd[0], odd[1], odd[2], 1<<31-1
		e.BodyJSON, e.IdentityJSON = []byte("\x00\xff"), make([]byte, 100_000)
	})
	bare := f.event(o, f.id(), 1, 2, func(e *consent.Event) {
		e.Weight, e.Grants, e.Domain, e.Country, e.Protocol = consent.WeightUndated, false, "", "", ""
		e.Key, e.BodyJSON, e.IdentityJSON = consent.NoID, []byte{}, []byte{}
		e.OccurredAt = time.UnixMicro(0).UTC()
	})
	f.append(consent.Changes{Events: []consent.Event{full, bare}})
	f.view(func(ctx context.Context, r service.Reader) error {
		got, _, err := r.Events(ctx, consent.EventQuery{Organization: o, Ascending: true, Limit: 10})
		same(f, "events", got, []consent.Event{full, bare})
		for _, e := range []consent.Event{full, bare} {
			one, err := r.Event(ctx, o, e.ID)
			if err != nil {
				return err
			}
			same(f, "an event", one, &e)
		}
		for _, absent := range []consent.Event{{Organization: o, ID: f.id()}, {Organization: f.id(), ID: full.ID}} {
			if one, err := r.Event(ctx, absent.Organization, absent.ID); one != nil || err != nil {
				f.Errorf("an event that is not there: %+v, %v", one, err)
			}
		}
		return err
	})
	f.refuses("an event twice", consent.Changes{Events: []consent.Event{full}})
}

// searchable is an organization whose events differ in everything that a query asks for.
type searchable struct {
	o      consent.ID
	people []consent.ID
	into   map[consent.ID]consent.ID
	events []consent.Event
}

func (f *fixture) searchable() *searchable {
	c := &searchable{o: f.organization(), into: map[consent.ID]consent.ID{}}
	for range 5 {
		c.people = append(c.people, f.subject(c.o))
	}
	random := rand.New(rand.NewPCG(1, 2))
	current := map[consent.ConsentKey]consent.Consent{}
	for i := range 80 {
		key := consent.ConsentKey{Organization: c.o, Subject: c.people[random.IntN(5)], Project: 1 + random.IntN(2),
			Purpose: 1 + random.IntN(3)}
		e := f.event(c.o, key.Subject, key.Project, key.Purpose, func(e *consent.Event) {
			e.State, e.Action = consent.State(1+random.IntN(5)), consent.Action(1+random.IntN(4))
			e.Key, e.Domain, e.Country = consent.ID{byte(1 + random.IntN(2))},
				[]string{"", "a.example", "B.example"}[random.IntN(3)], []string{"DE", "US"}[random.IntN(2)]
			e.OccurredAt = noon.Add(time.Duration(random.IntN(20)) * time.Microsecond)
			e.Protocol, e.RecordedAt = []string{"native", "other"}[random.IntN(2)], noon.Add(time.Duration(i)*time.Microsecond)
			e.Previous, e.Sequence = current[key].Last, int64(i+1)
		})
		c.events = append(c.events, e)
		now := consentOf(e)
		current[key] = now
		f.append(consent.Changes{Events: []consent.Event{e}, Consents: []consent.Consent{now},
			Counts: []consent.Count{{Organization: c.o, Name: consent.EventCount(e.Project), Add: 1}}})
	}
	for _, from := range c.people[3:] { // two turned out to be the first
		c.into[from] = c.people[0]
		f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: c.o, Into: c.people[0], From: from,
			MergedAt: noon}}})
	}
	return c
}

// matches says of one event whether a query means it.
func (c *searchable) matches(q consent.EventQuery, e consent.Event) bool {
	person := c.into[e.Subject]
	return listed(q.Projects, e.Project) && (q.Purposes == nil ||
		slices.Contains(q.Purposes, consent.ProjectPurpose{Project: e.Project, Purpose: e.Purpose})) &&
		(q.Subjects == nil || slices.Contains(q.Subjects, e.Subject) || slices.Contains(q.Subjects, person)) &&
		listed(q.States, e.State) && listed(q.Actions, e.Action) && listed(q.Keys, e.Key) && listed(q.Domains, e.Domain) &&
		listed(q.Countries, e.Country) && listed(q.Protocols, e.Protocol) &&
		(q.RecordedFrom.IsZero() || !e.RecordedAt.Before(q.RecordedFrom)) &&
		(q.RecordedTo.IsZero() || e.RecordedAt.Before(q.RecordedTo)) &&
		(q.From.IsZero() || !e.OccurredAt.Before(q.From)) && (q.To.IsZero() || e.OccurredAt.Before(q.To))
}

func listed[T comparable](list []T, v T) bool { return list == nil || slices.Contains(list, v) }

// pick gives some of a list, now and then nothing, which does not narrow.
func pick[T any](random *rand.Rand, list ...T) []T {
	if random.IntN(3) > 0 {
		return nil
	}
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:1+random.IntN(len(list))]
}

func testEventQueries(f *fixture) {
	c := f.searchable()
	f.searchable() // another organization's are never found
	queries := []consent.EventQuery{{}, {Projects: []int{1}}, {Projects: []int{1, 2}}, {Projects: []int{9}},
		{States: []consent.State{consent.Accepted}},
		{Purposes: []consent.ProjectPurpose{{Project: 1, Purpose: 2}}}, {Purposes: []consent.ProjectPurpose{}},
		{Subjects: c.people[:1]}, {Subjects: c.people[1:3]}, {Subjects: c.people[3:4]}, {Subjects: []consent.ID{}},
		{Subjects: []consent.ID{f.id()}},
		{Actions: []consent.Action{consent.Import}}, {Keys: []consent.ID{{1}}}, {Keys: []consent.ID{f.id()}},
		{Domains: []string{"a.example", ""}},
		{Protocols: []string{"native"}}, {Protocols: []string{"none"}}, {RecordedFrom: noon.Add(7 * time.Microsecond)},
		{RecordedFrom: noon.Add(7 * time.Microsecond), RecordedTo: noon.Add(9 * time.Microsecond)},
		{Domains: []string{"b.example"}}, {Countries: []string{"US"}}, {From: noon.Add(5 * time.Microsecond)},
		{To: noon.Add(5 * time.Microsecond)},
		{From: noon.Add(5 * time.Microsecond), To: noon.Add(6 * time.Microsecond)},
		{From: noon.Add(6 * time.Microsecond), To: noon.Add(5 * time.Microsecond)},
		{Subjects: c.people[:1], Projects: []int{2}}, {Subjects: c.people[:2],
			Purposes: []consent.ProjectPurpose{{Project: 1, Purpose: 1}, {Project: 2, Purpose: 3}}},
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range rounds(100) {
		q := consent.EventQuery{Projects: pick(random, 1, 2), States: pick(random, consent.Accepted, consent.Declined,
			consent.Implied, consent.Withdrawn),
			Actions: pick(random, consent.UserClick, consent.Import), Keys: pick(random, consent.ID{1}, consent.ID{2}),
			Domains:   pick(random, "", "a.example", "B.example"),
			Countries: pick(random, "DE", "US", "FR"), Subjects: pick(random, c.people...),
			Purposes: pick(random, consent.ProjectPurpose{Project: 1, Purpose: 1},
				consent.ProjectPurpose{Project: 2, Purpose: 2}, consent.ProjectPurpose{Project: 2, Purpose: 3})}
		if random.IntN(4) == 0 {
			q.From = noon.Add(time.Duration(random.IntN(20)) * time.Microsecond)
		}
		if random.IntN(4) == 0 {
			q.To = noon.Add(time.Duration(random.IntN(20)) * time.Microsecond)
		}
		queries = append(queries, q)
	}
	for i, q := range queries {
		q.Organization, q.Ascending, q.ByOccurredAt = c.o, i%2 == 0, i%3 == 0
		c.checkAfter(f, q, 1+i%7)
		q.Limit = 1000
		c.check(f, q)
		q.Limit, q.Offset = 1+random.IntN(10), random.IntN(8)
		c.check(f, q)
		q.Ascending, q.ByOccurredAt = !q.Ascending, !q.ByOccurredAt
		c.check(f, q)
	}
}

func (c *searchable) check(f *fixture, q consent.EventQuery) {
	var want []consent.Event
	for _, e := range c.events {
		if c.matches(q, e) {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(x, y consent.Event) int {
		order := slices.Compare(x.ID[:], y.ID[:])
		if byTime := x.OccurredAt.Compare(y.OccurredAt); q.ByOccurredAt && byTime != 0 {
			order = byTime
		}
		if !q.Ascending {
			order = -order
		}
		return order
	})
	f.view(func(ctx context.Context, r service.Reader) error {
		got, total, err := r.Events(ctx, q)
		if total != int64(len(want)) {
			f.Errorf("%+v: total %d of %d", q, total, len(want))
		}
		same(f, fmt.Sprintf("%+v", q), got, page(want, q.Offset, q.Limit))
		return err
	})
}

// checkAfter reads a list part by part, so many events at most in each.
func (c *searchable) checkAfter(f *fixture, q consent.EventQuery, limit int) {
	q.Limit, q.ByOccurredAt = limit, false
	var want, got []consent.Event
	for _, e := range c.events {
		if c.matches(q, e) {
			want = append(want, e)
		}
	}
	if !q.Ascending {
		slices.Reverse(want)
	}
	span := consent.WholeLedger(c.events[len(c.events)-1].ID, q.Ascending)
	for span.After != span.To {
		f.view(func(ctx context.Context, r service.Reader) error {
			events, last, err := r.EventsAfter(ctx, &q, span)
			if len(events) > limit {
				f.Errorf("%+v: %d events at once", q, len(events))
			}
			got, span.After = append(got, events...), last
			return err
		})
	}
	same(f, fmt.Sprintf("%+v part by part", q), got, want)
}

// stepOf is how History gives an event; all are those among which another may have been recorded behind it.
func stepOf(e *consent.Event, all []consent.Event) consent.Step {
	last := !slices.ContainsFunc(all, func(other consent.Event) bool { return other.Previous == e.ID })
	return consent.Step{Event: e.ID, PurposeVersion: e.PurposeVersion, State: e.State, Weight: e.Weight, Grants: e.Grants,
		OccurredAt: consent.Effective(e.OccurredAt, e.RecordedAt), RecordedAt: e.RecordedAt,
		ExpiresAt: e.ExpiresAt, Subject: e.Subject, Sequence: e.Sequence, Last: last, First: e.Previous == consent.NoID}
}

func testHistory(f *fixture) {
	c := f.searchable()
	want := map[consent.ConsentKey][]consent.Step{}
	for _, e := range c.events {
		person := e.Subject
		if into, ok := c.into[person]; ok {
			person = into
			key := consent.ConsentKey{Organization: c.o, Subject: e.Subject, Project: e.Project, Purpose: e.Purpose}
			want[key] = append(want[key], stepOf(&e, c.events)) // the merged one's own chain stays
		}
		key := consent.ConsentKey{Organization: c.o, Subject: person, Project: e.Project, Purpose: e.Purpose}
		want[key] = append(want[key], stepOf(&e, c.events))
	}
	keys := []consent.ConsentKey{{Organization: c.o, Subject: c.people[0], Project: 1, Purpose: 9},
		{Organization: c.o, Subject: f.id(), Project: 1, Purpose: 1}}
	keys = slices.AppendSeq(keys, maps.Keys(want))
	f.view(func(ctx context.Context, r service.Reader) error {
		got, err := r.History(ctx, keys)
		for _, history := range got {
			slices.SortFunc(history, func(a, b consent.Step) int { return bytes.Compare(a.Event[:], b.Event[:]) })
		}
		same(f, "history", got, want)
		for _, subject := range append([]consent.ID{f.id(), f.subject(c.o)}, c.people...) {
			has, err := r.HasEvents(ctx, c.o, subject)
			if known := slices.Contains(c.people, subject); err != nil || has != known {
				f.Errorf("%s has events: %t, %v", subject, has, err)
			}
		}
		return err
	})
	// One whose only events are of somebody merged into it has events too, and a history.
	heir := f.subject(c.o)
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: c.o, Into: heir, From: c.people[1],
		MergedAt: noon}}})
	f.view(func(ctx context.Context, r service.Reader) error {
		has, err := r.HasEvents(ctx, c.o, heir)
		if err != nil || !has {
			f.Errorf("the heir has events: %t, %v", has, err)
		}
		return err
	})
}

// testTimeline: what is on record for a subject and whoever was merged into it, in the order of the ledger, in parts;
// of a merge that was undone nothing.
func testTimeline(f *fixture) {
	o := f.organization()
	top, middle, low, apart := f.subject(o), f.subject(o), f.subject(o), f.subject(o)
	merge := func(into, from consent.ID, number int64) consent.SubjectMerge {
		return consent.SubjectMerge{Organization: o, Into: into, From: from, Number: number, MergedAt: noon}
	}
	undone := merge(top, apart, 3)
	undone.UndoneAt = noon
	f.append(consent.Changes{Merges: []consent.SubjectMerge{merge(middle, low, 1), merge(top, middle, 2), merge(top,
		apart, 3)}})
	f.append(consent.Changes{Unmerges: []consent.SubjectMerge{undone}})
	var all []consent.Event
	last := map[consent.ConsentKey]consent.ID{}
	for i, who := range []consent.ID{low, top, apart, middle, top, low, apart, top} {
		e := f.event(o, who, 1, 1+i%2, nil)
		key := consent.ConsentKey{Organization: o, Subject: who, Project: 1, Purpose: e.Purpose}
		e.Previous = last[key]
		last[key] = e.ID
		f.append(consent.Changes{Events: []consent.Event{e}, Consents: []consent.Consent{consentOf(e)}})
		if who != apart {
			all = append(all, e)
		}
	}
	part := func(subject, after consent.ID, limit int) (got []consent.Event) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.Timeline(ctx, consent.SubjectKey{Organization: o, Subject: subject}, after, limit)
			return err
		})
		return got
	}
	same(f, "all", part(top, consent.NoID, 100), all)
	same(f, "the first", part(top, consent.NoID, 2), all[:2])
	same(f, "the next", part(top, all[1].ID, 2), all[2:4])
	same(f, "the last", part(top, all[3].ID, 100), all[4:])
	same(f, "behind the last", part(top, all[len(all)-1].ID, 100), []consent.Event{})
	if got := part(apart, consent.NoID, 100); len(got) != 2 {
		f.Errorf("who was taken apart has %d events of 2", len(got))
	}
	same(f, "a stranger's", part(f.id(), consent.NoID, 100), []consent.Event{})
	f.view(func(ctx context.Context, r service.Reader) error {
		got, err := r.Timeline(ctx, consent.SubjectKey{Organization: f.organization(), Subject: top}, consent.NoID, 100)
		same(f, "in another organization", got, []consent.Event{})
		return err
	})
}
