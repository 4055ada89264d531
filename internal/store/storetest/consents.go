package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func testConsents(f *fixture) {
	o := f.organization()
	ada, bob := f.subject(o), f.subject(o)
	full := consent.Consent{Organization: o, Subject: ada, Project: 1, Purpose: 2, Event: f.id(), Last: f.id(),
		PurposeVersion: 7, State: consent.Implied, Weight: consent.WeightPassive, Grants: true, Active: true,
		OccurredAt: noon, ExpiresAt: noon.Add(time.Microsecond), Since: noon.Add(-time.Hour)}
	bare := consent.Consent{Organization: o, Subject: ada, Project: 2, Purpose: 2, Event: f.id(), State: consent.Declined,
		OccurredAt: noon}
	bobs := bare
	bobs.Subject, bobs.Project = bob, 1
	f.append(consent.Changes{Consents: []consent.Consent{full, bare, bobs}})
	key := func(c consent.Consent) consent.ConsentKey {
		return consent.ConsentKey{Organization: c.Organization, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose}
	}
	check := func(all ...consent.Consent) {
		f.Helper()
		var keys []consent.ConsentKey
		byPerson := map[consent.SubjectKey][]consent.Consent{}
		for _, c := range all {
			person := consent.SubjectKey{Organization: o, Subject: c.Subject}
			keys, byPerson[person] = append(keys, key(c)), append(byPerson[person], c)
		}
		f.view(func(ctx context.Context, r service.Reader) error {
			got, err := r.Consents(ctx, append(keys, consent.ConsentKey{Organization: o, Subject: ada, Project: 1, Purpose: 1}))
			same(f, "by key", got, append(slices.Clone(all), consent.Consent{}))
			if err != nil {
				return err
			}
			of, err := r.ConsentsOf(ctx, []consent.SubjectKey{{Organization: o, Subject: ada}, {Organization: o, Subject: bob},
				{Organization: o, Subject: f.id()}})
			for _, list := range of {
				slices.SortFunc(list, func(x, y consent.Consent) int { return x.Project - y.Project })
			}
			same(f, "by person", of, byPerson)
			return err
		})
	}
	check(full, bare, bobs)
	full, bare = consent.Consent{Organization: o, Subject: ada, Project: 1, Purpose: 2, Event: f.id(),
		State: consent.Withdrawn, Weight: consent.WeightActive,
		OccurredAt: noon.Add(time.Second)},
		consent.Consent{Organization: o, Subject: ada, Project: 2, Purpose: 2, Event: f.id(), Last: f.id(),
			PurposeVersion: 2, State: consent.Accepted, Grants: true, OccurredAt: noon, ExpiresAt: noon.AddDate(1, 0, 0),
			Since: noon}
	f.append(consent.Changes{Consents: []consent.Consent{full, bare}})
	check(full, bare, bobs)
}

// testConsentsByName asks of people who are named in every way, one alone and all at once: it gives what Owners and
// Consents give.
func testConsentsByName(f *fixture) {
	o, other := f.organization(), f.organization()
	ada, merged, nobody := named(consent.UserID, "ada"), named(consent.AnonymousID, "browser"), named(consent.Email, "x@y.z")
	scoped := consent.Identifier{Kind: consent.UserID, Project: 2, Value: "ada"}
	subject, two, own, from := f.subject(o, ada), f.subject(o, scoped), f.subject(o), f.subject(o, merged)
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: o, Into: own, From: from, MergedAt: noon}},
		Identifiers: []consent.OwnedIdentifier{owned(o, merged, own)}})
	elsewhere := f.subject(other, ada)
	for n, s := range []consent.ID{subject, two, own, elsewhere} {
		of := o
		if s == elsewhere {
			of = other
		}
		f.append(consent.Changes{Consents: []consent.Consent{{Organization: of, Subject: s, Project: 1,
			Purpose: 2, Event: f.id(), Last: f.id(), State: consent.Accepted, Weight: consent.WeightActive, Grants: true,
			Active: true, OccurredAt: noon.Add(time.Duration(n) * time.Hour), ExpiresAt: noon.AddDate(1, n, 0), Since: noon}},
			SubjectSecrets: []consent.SubjectSecret{{SubjectKey: consent.SubjectKey{Organization: of, Subject: s},
				Wrapped: []byte{byte(n), 0, 255}}}})
	}
	var asked []consent.NamedConsent
	var names []consent.OwnedName
	for _, of := range []consent.ID{o, other} {
		for _, name := range []consent.Identifier{ada, nobody, ownID(own), ownID(from), scoped, merged, ownID(subject),
			ownID(f.id())} {
			for _, purpose := range []int{2, 1} {
				names = append(names, askedName(of, name))
				asked = append(asked, consent.NamedConsent{Name: names[len(names)-1], Project: 1, Purpose: purpose})
			}
		}
	}
	f.view(func(ctx context.Context, r service.Reader) error {
		want, err := r.Owners(ctx, names)
		keys := make([]consent.ConsentKey, len(asked))
		for i, a := range asked {
			keys[i] = consent.ConsentKey{Organization: a.Name.Organization, Subject: want[i], Project: 1, Purpose: a.Purpose}
		}
		consents, err2 := r.Consents(ctx, keys)
		subjects := make([]consent.SubjectKey, len(asked))
		for i := range keys {
			subjects[i] = consent.SubjectKey{Organization: keys[i].Organization, Subject: keys[i].Subject}
		}
		secrets, err4 := r.SubjectSecrets(ctx, subjects)
		err2 = errors.Join(err2, err4)
		holders := make([]consent.NamedHolder, len(asked))
		for i := range holders {
			holders[i] = consent.NamedHolder{Subject: want[i], Consent: consents[i]}
			if id := asked[i].Name.Identifier; id.Kind != consent.AnonymousID || id == merged {
				holders[i].Secret = secrets[i]
			}
		}
		half := len(asked) / 2 // those of one organization, and then of both
		for _, some := range [][]consent.NamedConsent{asked[:half], asked} {
			found, err3 := r.ConsentsByName(ctx, some)
			same(f, "holders", found, holders[:len(some)])
			err2 = errors.Join(err2, err3)
		}
		for i := range asked {
			found, err3 := r.ConsentsByName(ctx, asked[i:i+1])
			same(f, "a holder", found, holders[i:i+1])
			err2 = errors.Join(err2, err3)
		}
		if want[0] != subject || want[8] != two || want[4] != own || want[6] != own || consents[0].Event == consent.NoID {
			f.Errorf("the test has not the people that it needs: %v", want)
		}
		return errors.Join(err, err2)
	})
}

func testPerson(f *fixture) {
	o := f.organization()
	browser := named(consent.AnonymousID, consent.ID{5}.String())
	ada := f.subject(o, named(consent.UserID, "ada"), consent.Identifier{Kind: consent.ProjectUserID, Project: 2,
		Value: "p"})
	other, from := f.subject(o, named(consent.UserID, "other")), f.subject(o, browser)
	c := consent.Consent{Organization: o, Subject: ada, Project: 1, Purpose: 2, Event: f.id(), Last: f.id(),
		PurposeVersion: 3, State: consent.Accepted, Grants: true, OccurredAt: noon, ExpiresAt: noon.Add(time.Hour),
		Since: noon}
	second, elsewhere := c, c
	second.Purpose, second.Event, second.Last, second.ExpiresAt, second.Since, second.Grants = 3, f.id(), consent.NoID,
		time.Time{}, time.Time{}, false
	elsewhere.Project, elsewhere.Event = 2, f.id()
	f.append(consent.Changes{Consents: []consent.Consent{c, second, elsewhere},
		Merges:      []consent.SubjectMerge{{Organization: o, Into: ada, From: from, MergedAt: noon}},
		Identifiers: []consent.OwnedIdentifier{owned(o, browser, ada)}})
	for _, tc := range []struct {
		name    consent.Identifier
		project int
		subject consent.ID
		want    []consent.Consent
	}{
		{named(consent.UserID, "ada"), 1, ada, []consent.Consent{c, second}}, {browser, 1, ada, []consent.Consent{c, second}},
		{ownID(ada), 1, ada, []consent.Consent{c, second}}, {ownID(from), 2, ada, []consent.Consent{elsewhere}},
		{named(consent.UserID, "ada"), 2, ada, []consent.Consent{elsewhere}}, {named(consent.UserID, "ada"), 3, ada, nil},
		{consent.Identifier{Kind: consent.ProjectUserID, Project: 2, Value: "p"}, 1, ada, []consent.Consent{c, second}},
		{consent.Identifier{Kind: consent.ProjectUserID, Project: 1, Value: "p"}, 1, consent.NoID, nil},
		{named(consent.UserID, "other"), 1, other, nil}, {ownID(other), 1, other, nil}, {ownID(f.id()), 1, consent.NoID, nil},
		{named(consent.UserID, "nobody"), 1, consent.NoID, nil}, {named(consent.AnonymousID, "no id"), 1, consent.NoID, nil},
	} {
		for range 2 { // the second answer may come from memory
			subject, got := f.person(o, tc.name, tc.project)
			if subject != tc.subject {
				f.Errorf("%v is %s, want %s", tc.name, subject, tc.subject)
			}
			same(f, "consents of "+tc.name.Value, got, withoutLast(tc.want))
		}
	}
	f.samePersons(o, named(consent.UserID, "ada"), named(consent.UserID, "nobody"), named(consent.UserID, "other"))
	f.samePersons(o, named(consent.UserID, "ada"), browser, ownID(ada), ownID(from), ownID(other), ownID(f.id()),
		consent.Identifier{Kind: consent.ProjectUserID, Project: 2, Value: "p"}, named(consent.AnonymousID, "no id"), browser)
}

// samePersons asks about several by one question: it gives what Person gives of each.
func (f *fixture) samePersons(o consent.ID, names ...consent.Identifier) {
	f.Helper()
	for project := range 4 {
		var asked []consent.OwnedName
		var want []consent.Who
		for _, name := range names {
			asked = append(asked, askedName(o, name))
			who, err := f.store.Person(context.Background(), asked[len(asked)-1], project, nil)
			if err != nil {
				f.Fatalf("person: %v", err)
			}
			want = append(want, who)
		}
		f.view(func(ctx context.Context, r service.Reader) error {
			got, err := r.Persons(ctx, asked, project, nil)
			for _, list := range [][]consent.Who{want, got} {
				for i := range list {
					list[i].Consents = withoutLast(list[i].Consents)
					slices.SortFunc(list[i].Consents, func(x, y consent.Consent) int {
						return cmp.Or(bytes.Compare(x.Subject[:], y.Subject[:]), x.Purpose-y.Purpose)
					})
				}
			}
			same(f, fmt.Sprintf("persons in project %d", project), got, want)
			return err
		})
	}
}

// person asks where somebody stands. Last is the ledger's matter, and may be left out there: it is left out here.
func (f *fixture) person(o consent.ID, name consent.Identifier, project int) (consent.ID, []consent.Consent) {
	f.Helper()
	who, err := f.store.Person(context.Background(), askedName(o, name), project, nil)
	if err != nil {
		f.Fatalf("person: %v", err)
	}
	consents := withoutLast(who.Consents)
	slices.SortFunc(consents, func(x, y consent.Consent) int { return x.Purpose - y.Purpose })
	return who.Subject, consents
}

func withoutLast(consents []consent.Consent) []consent.Consent {
	consents = slices.Clone(consents)
	for i := range consents {
		consents[i].Last = consent.NoID
	}
	return consents
}

func testHeads(f *fixture) {
	a, b := f.organization(), f.organization()
	heads := func(list ...consent.ID) (got map[consent.ID]consent.Head) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.Heads(ctx, list)
			return err
		})
		return got
	}
	same(f, "heads at birth", heads(a, b, f.id()), map[consent.ID]consent.Head{a: {Organization: a}, b: {Organization: b}})
	moved := consent.Head{Organization: a, Sequence: 1 << 40, LastID: f.id(), Tree: bytes.Repeat([]byte{0, 7, 255}, 2000)}
	f.append(consent.Changes{Heads: []consent.Head{moved}, Counts: []consent.Count{{Organization: a,
		Name: consent.EventCount(1), Add: 2},
		{Organization: a, Name: consent.EventCount(2), Add: 5}, {Organization: a, Name: consent.EventCount(1), Add: 1},
		{Organization: b, Name: consent.EventCount(1), Add: 100}}})
	same(f, "heads", heads(a, b), map[consent.ID]consent.Head{a: moved, b: {Organization: b}})
	f.append(consent.Changes{Counts: []consent.Count{{Organization: a, Name: consent.EventCount(1), Add: 10},
		{Organization: a, Name: consent.EventCount(2), Add: -1},
		{Organization: a, Name: consent.NamedCount(consent.UserID), Add: 1000}}})
	for _, tc := range []struct {
		projects []int
		want     int64
	}{{nil, 17}, {[]int{1}, 13}, {[]int{2}, 4}, {[]int{1, 2}, 17}, {[]int{3}, 0}} {
		f.view(func(ctx context.Context, r service.Reader) error {
			_, total, err := r.Events(ctx, consent.EventQuery{Organization: a, Projects: tc.projects, Limit: 1})
			if total != tc.want {
				f.Errorf("the kept count of %v is %d, want %d", tc.projects, total, tc.want)
			}
			return err
		})
	}
}
