package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// exportedEvents reads an export to its end, in parts of a size, and copies its rows.
func (f *fixture) exportedEvents(q consent.EventQuery, limit int) (rows []consent.ExportedEvent) {
	f.Helper()
	var part consent.ExportedEvents
	var span consent.EventSpan
	f.view(func(ctx context.Context, r service.Reader) error {
		heads, err := r.Heads(ctx, []consent.ID{q.Organization})
		span = consent.WholeLedger(heads[q.Organization].LastID, q.Ascending)
		return err
	})
	for range 1000 {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			span.After, err = r.ExportEvents(ctx, &q, span, limit, &part)
			return err
		})
		for _, e := range part.Rows {
			e.BodyJSON, e.IdentityJSON = bytes.Clone(e.BodyJSON), bytes.Clone(e.IdentityJSON)
			rows = append(rows, e)
		}
		if span.After == span.To {
			return rows
		}
	}
	f.Fatal("an export does not end")
	return nil
}

// testExportEvents reads exports by many queries, and holds them against the events themselves.
func testExportEvents(f *fixture) {
	c := f.searchable()
	f.searchable() // another organization's are never exported
	last := c.events[len(c.events)-1]
	f.append(consent.Changes{Heads: []consent.Head{{Organization: c.o, Sequence: last.Sequence, LastID: last.ID}}})
	later := f.event(c.o, c.people[0], 1, 1, nil) // behind the head: recorded after the export began
	f.append(consent.Changes{Events: []consent.Event{later}})
	queries := []consent.EventQuery{{}, {Projects: []int{1}}, {States: []consent.State{consent.Accepted}},
		{Purposes: []consent.ProjectPurpose{}}, {Subjects: []consent.ID{}}, {Subjects: c.people[:1]},
		{Subjects: c.people[1:3], Projects: []int{2}}, {Countries: []string{"XX"}}, {Protocols: []string{"other"}},
		{RecordedFrom: noon.Add(30 * time.Microsecond)}, {Subjects: []consent.ID{f.id()}}}
	random := rand.New(rand.NewPCG(5, 6))
	for range rounds(20) {
		queries = append(queries, consent.EventQuery{Projects: pick(random, 1, 2), States: pick(random, consent.Accepted,
			consent.Declined), Domains: pick(random, "", "a.example", "B.example"), Subjects: pick(random, c.people...)})
	}
	for _, q := range queries {
		q.Organization = c.o
		var want []consent.ExportedEvent
		for _, e := range c.events {
			if c.matches(q, e) {
				want = append(want, consent.ExportedEvent{ID: e.ID, Subject: e.Subject, Sequence: e.Sequence,
					OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt, ExpiresAt: e.ExpiresAt, BodyJSON: e.BodyJSON,
					IdentityJSON: e.IdentityJSON})
			}
		}
		for _, limit := range []int{1, 7, 80, 1000}[4-rounds(4):] {
			q.Ascending = true
			same(f, fmt.Sprintf("%+v in parts of %d", q, limit), f.exportedEvents(q, limit), want)
		}
		q.Ascending = false
		slices.Reverse(want)
		same(f, fmt.Sprintf("%+v descending", q), f.exportedEvents(q, 7), want)
	}
	empty := f.organization()
	for _, ascending := range []bool{true, false} {
		same(f, "an empty ledger", f.exportedEvents(consent.EventQuery{Organization: empty, Ascending: ascending}, 7),
			[]consent.ExportedEvent(nil))
	}
}

// testExportConsents reads the consents of everybody, in parts of several sizes.
func testExportConsents(f *fixture) {
	o, other := f.organization(), f.organization()
	var want, all []consent.Consent
	add := func(c consent.Consent) {
		all = append(all, c)
		if c.Organization == o {
			want = append(want, c)
		}
	}
	of := func(organization, subject consent.ID) {
		for project := 1; project <= 2; project++ {
			for purpose := 1; purpose <= 2; purpose++ {
				add(consent.Consent{Organization: organization, Subject: subject, Project: project, Purpose: purpose,
					Event: f.id(), Last: f.id(), PurposeVersion: purpose, State: consent.Accepted,
					Weight: consent.WeightActive, Grants: true, Active: true, OccurredAt: noon, Since: noon})
			}
		}
	}
	ada, bob, anonymous := f.subject(o), f.subject(o), f.subject(o)
	for _, person := range []consent.ID{bob, ada} {
		of(o, person)
	}
	of(other, f.subject(other))
	f.append(consent.Changes{Consents: all})
	slices.SortFunc(want, func(a, b consent.Consent) int {
		return cmp.Or(bytes.Compare(a.Subject[:], b.Subject[:]), a.Project-b.Project, a.Purpose-b.Purpose)
	})
	gone, merged := want[0], want[0]
	gone.Subject, merged.Subject = f.id(), anonymous
	f.append(consent.Changes{Consents: []consent.Consent{gone, merged},
		Merges: []consent.SubjectMerge{{Organization: o, Into: ada, From: anonymous, MergedAt: noon}}})
	for _, limit := range []int{1, 3, 5, 100} {
		var got []consent.Consent
		var part consent.ExportedConsents
		after, more := consent.ConsentKey{Organization: o}, true
		for rounds := 0; more; rounds++ {
			f.view(func(ctx context.Context, r service.Reader) (err error) {
				after, more, err = r.ExportConsents(ctx, after, limit, &part)
				return err
			})
			if got = append(got, part.Rows...); rounds > 20 {
				f.Fatal("an export does not end")
			}
		}
		same(f, fmt.Sprintf("consents in parts of %d", limit), got, want)
	}
}
