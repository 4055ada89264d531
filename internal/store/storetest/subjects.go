package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func (f *fixture) read(o, id consent.ID) (s *consent.Subject) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		s, err = r.Subject(ctx, o, id)
		return err
	})
	return s
}

func (f *fixture) archived(o, id consent.ID, version int) (record *consent.Record) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		record, err = r.ArchivedRecord(ctx, o, id, version)
		return err
	})
	return record
}

func testSubjects(f *fixture) {
	o := f.organization()
	s := f.newSubject(o)
	s.Type, s.Record.Data = "device.x-1", []byte(`{"b":1.00, "a":"é𝄞"}`)
	f.append(consent.Changes{Subjects: []consent.Subject{s}})
	same(f, "subject", f.read(o, s.ID), &s)
	if got := f.read(o, s.ID); got.Record.Profile != nil {
		f.Errorf("no profile reads as %q", got.Record.Profile)
	}
	var archive []consent.ArchivedRecord
	for version := 2; version <= 4; version++ {
		archive = append(archive, consent.ArchivedRecord{Organization: o, Subject: s.ID, Record: s.Record})
		s.Record = consent.Record{Version: version, ChangedAt: noon.Add(time.Duration(version) * time.Microsecond),
			ChangedBy: f.id(), Data: fmt.Appendf(nil, `{"version":%d}`, version)}
		if version == 3 {
			s.Record.Profile = []byte(`{"p":"` + strings.Repeat("x", 60_000) + `"}`)
		}
		f.append(consent.Changes{Subjects: []consent.Subject{s}, Archive: archive[len(archive)-1:]})
		same(f, "changed", f.read(o, s.ID), &s)
	}
	for i := range archive {
		same(f, "archived", f.archived(o, s.ID, i+1), &archive[i].Record)
	}
	for _, version := range []int{0, 4, 5, -1} {
		if got := f.archived(o, s.ID, version); got != nil {
			f.Errorf("version %d is in the archive: %+v", version, got)
		}
	}
	f.refuses("a version twice", consent.Changes{Archive: archive[:1]})
	if got := f.read(o, f.id()); got != nil {
		f.Errorf("an unknown subject: %+v", got)
	}
}

func testNamedSubjects(f *fixture) {
	o := f.organization()
	var all []consent.NamedSubject
	for i := range 9 {
		for _, typ := range []string{"user", "Device", "device", "de_ice"} {
			s := f.newSubject(o)
			s.Type, s.Record.Data = typ, fmt.Appendf(nil, "\xffdata %d", i)
			id := named(consent.TypedKind(typ), fmt.Sprintf("%s n%d", typ, i))
			name := owned(o, id, s.ID)
			f.append(consent.Changes{Subjects: []consent.Subject{s}, Identifiers: []consent.OwnedIdentifier{name,
				owned(o, named(consent.Email, id.Value+"@example.com"), s.ID)},
				Counts: []consent.Count{{Organization: o, Name: consent.NamedCount(id.Kind), Add: 1}}})
			all = append(all, consent.NamedSubject{Name: name, Subject: s})
		}
	}
	slices.SortFunc(all, func(x, y consent.NamedSubject) int {
		return cmp.Or(cmp.Compare(x.Name.Kind, y.Name.Kind), cmp.Compare(x.Name.Value, y.Name.Value))
	})
	f.subject(o, named(consent.Email, "nameless@example.com"), named(consent.Phone, "1"))
	for _, filter := range []consent.SubjectFilter{
		{Limit: 100}, {Limit: 5}, {Limit: 5, Offset: 25}, {Limit: 5, Offset: 100},
		{Type: "user", Limit: 100}, {Type: "device", Limit: 100}, {Type: "Device", Limit: 3, Offset: 3},
		{Type: "de_ice", Limit: 100}, {Type: "DEVICE", Limit: 100},
		{Name: "user n1", Limit: 100}, {Type: "device", Name: "device n1", Limit: 100},
		{Type: "device", Name: "user n1", Limit: 100}, {Name: "USER N1", Limit: 100},
	} {
		want := []consent.NamedSubject{}
		for _, n := range all {
			if (filter.Type == "" || filter.Type == n.Subject.Type) && (filter.Name == "" || filter.Name == n.Name.Value) {
				want = append(want, n)
			}
		}
		f.view(func(ctx context.Context, r service.Reader) error {
			got, total, err := r.NamedSubjects(ctx, o, filter)
			if total != int64(len(want)) {
				f.Errorf("%+v: total %d of %d", filter, total, len(want))
			}
			same(f, fmt.Sprintf("%+v", filter), got, page(want, filter.Offset, filter.Limit))
			if filter.Name != "" || err != nil {
				return err
			}
			var walked []consent.NamedSubject
			after := consent.OwnedName{Organization: o}
			for n := 7; n == 7; {
				some, err := r.NamedAfter(ctx, consent.SubjectFilter{Type: filter.Type, Limit: 7}, after)
				if walked, n = append(walked, some...), len(some); err != nil || n == 0 {
					same(f, fmt.Sprintf("%+v, walked", filter), walked, page(want, 0, 100))
					return err
				}
				after = some[n-1].Name.OwnedName
			}
			same(f, fmt.Sprintf("%+v, walked", filter), walked, page(want, 0, 100))
			return nil
		})
	}
}

func testRemoval(f *fixture) {
	o, other := f.organization(), f.organization()
	ada := named(consent.UserID, "ada")
	gone, stays := f.subject(o, ada, named(consent.Email, "a@b.c")), f.subject(o, named(consent.UserID, "bob"))
	f.subject(other, ada)
	s := f.read(o, gone)
	f.append(consent.Changes{Archive: []consent.ArchivedRecord{{Organization: o, Subject: gone, Record: s.Record}}})
	browser := f.subject(o, named(consent.AnonymousID, consent.ID{9}.String()))
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: o, Into: gone, From: browser, MergedAt: noon}},
		Identifiers: []consent.OwnedIdentifier{owned(o, named(consent.AnonymousID, consent.ID{9}.String()), gone)}})
	e := f.event(o, gone, 1, 1, nil)
	f.append(consent.Changes{Events: []consent.Event{e}, Consents: []consent.Consent{consentOf(e)}})

	f.append(consent.Changes{RemovedIdentifiers: []consent.OwnedName{{Organization: o, Identifier: ada}},
		RemovedSubjects: []consent.SubjectKey{{Organization: o, Subject: gone}, {Organization: o, Subject: f.id()}}})
	same(f, "who is left", f.owners(o, ada, ownID(gone), ownID(browser), named(consent.UserID, "bob"), ownID(stays)),
		[]consent.ID{consent.NoID, consent.NoID, consent.NoID, stays, stays})
	if f.read(o, gone) != nil || f.read(o, browser) != nil || f.archived(o, gone, 1) != nil {
		f.Error("the removed subject, one merged into it, or its archive is still there")
	}
	if f.owners(other, ada)[0] == consent.NoID {
		f.Error("another organization's identifier is gone")
	}
	left := e
	left.Purpose = 2
	f.append(consent.Changes{Consents: []consent.Consent{consentOf(left)}})
	f.append(consent.Changes{RemovedConsents: []consent.ConsentKey{{Organization: o, Subject: gone, Project: 1, Purpose: 1},
		{Organization: other, Subject: gone, Project: 1, Purpose: 2}}})
	f.view(func(ctx context.Context, r service.Reader) error {
		key := consent.SubjectKey{Organization: o, Subject: gone}
		got, err := r.ConsentsOf(ctx, []consent.SubjectKey{key})
		same(f, "the consent that is left", got[key], []consent.Consent{consentOf(left)})
		return err
	})
	f.view(func(ctx context.Context, r service.Reader) error {
		events, total, err := r.Events(ctx, consent.EventQuery{Organization: o, From: noon.AddDate(-1, 0, 0), Limit: 10})
		if len(events) != 1 || total != 1 {
			f.Errorf("%d events are left of 1", len(events))
		}
		return err
	})
}

func testIdentifiers(f *fixture) {
	o := f.organization()
	var names []consent.Identifier
	for _, value := range odd {
		names = append(names, named(consent.UserID, value), named(consent.TypedKind("device"), value),
			consent.Identifier{Kind: consent.ProjectUserID, Project: 1, Value: value},
			consent.Identifier{Kind: consent.ProjectUserID, Project: 2, Value: value})
	}
	names = append(names, named(consent.UserID, strings.Repeat("x", consent.MaxIdentifier)), named(consent.UserID, "Case"),
		named(consent.UserID, "case"))
	want := make([]consent.ID, len(names))
	for i, name := range names {
		want[i] = f.subject(o, name)
	}
	same(f, "owners", f.owners(o, names...), want)
	same(f, "owners of nothing", f.owners(o), []consent.ID{})
	same(f, "nobody's", f.owners(o, named(consent.UserID, "absent"), named(consent.Email, "Case"),
		named(consent.UserID, "CASE"),
		consent.Identifier{Kind: consent.ProjectUserID, Project: 3, Value: odd[0]}, ownID(f.id()),
		named(consent.AnonymousID, "no id")),
		make([]consent.ID, 6))
	same(f, "a name twice, and a subject by its own id", f.owners(o, names[0], ownID(want[1]), names[0]),
		[]consent.ID{want[0], want[1], want[0]})
	// An identifier stands before an own id of the same value.
	f.append(consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, ownID(want[1]), want[2])}})
	same(f, "an own id that is another's identifier", f.owners(o, ownID(want[1])), want[2:3])
	byID := func(id consent.ID) consent.Identifier { return named(consent.SubjectID, id.String()) }
	same(f, "subjects by their ids alone", f.owners(o, byID(want[1]), byID(consent.ID{9}), named(consent.SubjectID, "no id")),
		[]consent.ID{want[1], consent.NoID, consent.NoID})

	many := f.subject(o, named(consent.Phone, "2"), named(consent.Email, "b@c.d"), named(consent.Phone, "1"),
		consent.Identifier{Kind: consent.ProjectUserID, Project: 2, Value: "p"})
	none := f.subject(o)
	f.view(func(ctx context.Context, r service.Reader) error {
		key := func(id consent.ID) consent.SubjectKey { return consent.SubjectKey{Organization: o, Subject: id} }
		got, err := r.Names(ctx, []consent.SubjectKey{key(many), key(none), key(f.id()), key(want[0])})
		for _, list := range got {
			sortNames(list)
		}
		same(f, "identifiers", got, map[consent.SubjectKey][]consent.OwnedIdentifier{
			key(many): {owned(o, named(consent.Email, "b@c.d"), many), owned(o, named(consent.Phone, "1"), many),
				owned(o, named(consent.Phone, "2"), many),
				owned(o, consent.Identifier{Kind: consent.ProjectUserID, Project: 2, Value: "p"}, many)},
			key(want[0]): {owned(o, names[0], want[0])}})
		return err
	})
}

// sortNames puts names in order, which a store leaves to others.
func sortNames(names []consent.OwnedIdentifier) {
	slices.SortFunc(names, func(a, b consent.OwnedIdentifier) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Value, b.Value))
	})
}

func testMerges(f *fixture) {
	o := f.organization()
	browser := named(consent.AnonymousID, consent.ID{1}.String())
	from, into := f.subject(o, browser), f.subject(o, named(consent.UserID, "ada"))
	s := f.read(o, from)
	first := consent.SubjectMerge{Organization: o, Into: into, From: from, Number: 1, MergedAt: noon,
		RecordedAt: noon.Add(time.Hour), After: 3}
	f.append(consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, browser, into)},
		Merges: []consent.SubjectMerge{first}})
	same(f, "owners", f.owners(o, browser, ownID(from), ownID(into)), []consent.ID{into, into, into})
	s.MergedInto = into
	same(f, "the merged subject", f.read(o, from), s)
	s.Record.Version = 2 // a later change of the record leaves the merge as it is
	f.append(consent.Changes{Subjects: []consent.Subject{*s}})
	same(f, "the merged subject, changed", f.read(o, from), s)
	second := consent.SubjectMerge{Organization: o, Into: into, From: f.subject(o), Number: 2,
		MergedAt: noon.Add(-time.Hour), After: 9}
	f.append(consent.Changes{Merges: []consent.SubjectMerge{second}})
	f.mergesAre(o, map[consent.ID][]consent.SubjectMerge{into: {first, second}}, from, into, f.id())

	// Who was merged into somebody who is merged goes along, and comes back along with that one.
	top := f.subject(o, named(consent.UserID, "bob"))
	third := consent.SubjectMerge{Organization: o, Into: top, From: into, Number: 3, MergedAt: noon, After: 9}
	f.append(consent.Changes{Merges: []consent.SubjectMerge{third}})
	same(f, "owners by own id", f.owners(o, ownID(from), ownID(second.From), ownID(into)), []consent.ID{top, top, top})
	f.mergesAre(o, map[consent.ID][]consent.SubjectMerge{into: {first, second}, top: {first, second, third}}, into, top)
	third.UndoneAt, third.UndoneAfter = noon.Add(time.Hour), 12
	f.append(consent.Changes{Unmerges: []consent.SubjectMerge{third}})
	same(f, "owners once it is undone", f.owners(o, ownID(from), ownID(second.From), ownID(into)),
		[]consent.ID{into, into, into})
	f.mergesAre(o, map[consent.ID][]consent.SubjectMerge{into: {first, second}}, into, top)
	f.mergedInto(o, map[consent.ID]consent.ID{from: into, into: consent.NoID})
	again := consent.SubjectMerge{Organization: o, Into: top, From: into, Number: 4, MergedAt: noon, After: 12}
	f.append(consent.Changes{Merges: []consent.SubjectMerge{again}})
	f.mergesAre(o, map[consent.ID][]consent.SubjectMerge{top: {first, second, again}}, top)
	f.mergesAre(f.organization(), nil, top, into)
	f.mergesOnRecord(o, []consent.SubjectMerge{first, second, third, again})
	f.mergedInto(o, map[consent.ID]consent.ID{from: into, second.From: into, into: top, top: consent.NoID})
	f.mergedInto(f.organization(), map[consent.ID]consent.ID{from: consent.NoID})
}

// mergedInto holds whom subjects turned out to be against want, which has no id where they are on their own.
func (f *fixture) mergedInto(o consent.ID, want map[consent.ID]consent.ID) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) error {
		for from, into := range want {
			is, err := r.MergedInto(ctx, consent.SubjectKey{Organization: o, Subject: from})
			if err != nil || is != into {
				f.Errorf("%s was merged into %s, want %s (%v)", from, is, into, err)
			}
		}
		return nil
	})
}

// mergesAre compares the merges of some subjects, in the order in which they were recorded.
func (f *fixture) mergesAre(o consent.ID, want map[consent.ID][]consent.SubjectMerge, of ...consent.ID) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) error {
		keys, wanted := []consent.SubjectKey{}, map[consent.SubjectKey][]consent.SubjectMerge{}
		for _, id := range of {
			key := consent.SubjectKey{Organization: o, Subject: id}
			keys = append(keys, key)
			for _, m := range want[id] {
				if m.RecordedAt.IsZero() {
					m.RecordedAt = m.MergedAt
				}
				wanted[key] = append(wanted[key], m)
			}
		}
		got, err := r.Merges(ctx, keys)
		for _, list := range got {
			slices.SortFunc(list, func(x, y consent.SubjectMerge) int { return cmp.Compare(x.Number, y.Number) })
		}
		same(f, "merges", got, wanted)
		return err
	})
}

// testNames: whose an identifier was before a merge is known, and stays so when it goes back.
func testNames(f *fixture) {
	o := f.organization()
	browser, mail, late := named(consent.AnonymousID, "b"), named(consent.Email, "a@b.c"), named(consent.Phone, "1")
	from, into := f.subject(o, browser), f.subject(o, mail)
	newcomer := f.newSubject(o)
	names := func(subject consent.ID) (got []consent.OwnedIdentifier) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			key := consent.SubjectKey{Organization: o, Subject: subject}
			all, err := r.Names(ctx, []consent.SubjectKey{key})
			got = all[key]
			sortNames(got)
			return err
		})
		return got
	}
	f.append(consent.Changes{Subjects: []consent.Subject{newcomer}, Identifiers: []consent.OwnedIdentifier{
		owned(o, browser, into), owned(o, late, newcomer.ID), owned(o, late, into)}})
	moved := func(name consent.Identifier, subject, origin consent.ID) consent.OwnedIdentifier {
		n := owned(o, name, subject)
		n.Origin = origin
		return n
	}
	same(f, "names", names(into), []consent.OwnedIdentifier{moved(browser, into, from), owned(o, mail, into),
		moved(late, into, newcomer.ID)})
	top := f.subject(o)
	f.append(consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, browser, top), owned(o, mail, top)}})
	same(f, "names, moved on", names(top), []consent.OwnedIdentifier{moved(browser, top, from), moved(mail, top, into)})
	f.append(consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, browser, from)}})
	same(f, "a name that went back", names(from), []consent.OwnedIdentifier{moved(browser, from, from)})
	f.append(consent.Changes{RemovedIdentifiers: []consent.OwnedName{{Organization: o, Identifier: browser}}})
	f.append(consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, browser, top)}})
	same(f, "a name that was detached and attached", names(top), []consent.OwnedIdentifier{owned(o, browser, top),
		moved(mail, top, into)})
}

// testMergedClaims: a claim is whose the claimant turned out to be, and nobody's claim is what they have themselves.
func testMergedClaims(f *fixture) {
	o := f.organization()
	inbox, id := named(consent.Email, "family@example.com"), named(consent.UserID, "mother")
	mother, son, daughter := f.subject(o, inbox, id), f.subject(o), f.subject(o)
	asked := func(name consent.Identifier, want consent.Who) {
		f.Helper()
		for range 2 { // the second answer may come from memory
			got, err := f.store.Person(context.Background(), askedName(o, name), 1, nil)
			if err != nil {
				f.Fatalf("person: %v", err)
			}
			same(f, "who is "+name.Value, got, want)
		}
	}
	f.append(consent.Changes{Claims: []consent.OwnedIdentifier{owned(o, inbox, son), owned(o, id, son)}})
	asked(inbox, consent.Who{Subject: mother, Claimants: []consent.ID{son}})
	asked(id, consent.Who{Subject: mother}) // nobody claims a name that was never another's
	merge := consent.SubjectMerge{Organization: o, Into: daughter, From: son, Number: 1, MergedAt: noon}
	f.append(consent.Changes{Merges: []consent.SubjectMerge{merge}})
	asked(inbox, consent.Who{Subject: mother, Claimants: []consent.ID{daughter}})
	f.append(consent.Changes{Claims: []consent.OwnedIdentifier{owned(o, inbox, daughter)}})
	asked(inbox, consent.Who{Subject: mother, Claimants: []consent.ID{daughter}})
	merge.UndoneAt = noon
	f.append(consent.Changes{Unmerges: []consent.SubjectMerge{merge}})
	f.append(consent.Changes{RemovedClaims: []consent.OwnedIdentifier{owned(o, inbox, daughter)}})
	asked(inbox, consent.Who{Subject: mother, Claimants: []consent.ID{son}})
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: o, Into: mother, From: son, MergedAt: noon}}})
	asked(inbox, consent.Who{Subject: mother})
	f.append(consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, id, daughter)},
		Claims: []consent.OwnedIdentifier{owned(o, id, mother)}})
	asked(id, consent.Who{Subject: daughter, Claimants: []consent.ID{mother}})
}

// testClaims: who named what is somebody else's is found beside the one who has it, until the claimant is removed.
func testClaims(f *fixture) {
	o, other := f.organization(), f.organization()
	inbox, site := named(consent.Email, "family@example.com"), consent.Identifier{Kind: consent.ProjectUserID,
		Project: 2, Value: "p"}
	mother, son := f.subject(o, inbox), f.subject(o)
	f.subject(other, inbox)
	stand := consent.Consent{Organization: o, Subject: son, Project: 1, Purpose: 2, Event: f.id(),
		State: consent.Declined, Weight: consent.WeightActive,
		Active: true, OccurredAt: noon}
	asked := func(name consent.Identifier, project int, want consent.Who) {
		f.Helper()
		for range 2 { // the second answer may come from memory
			got, err := f.store.Person(context.Background(), askedName(o, name), project, nil)
			if err != nil {
				f.Fatalf("person: %v", err)
			}
			slices.SortFunc(got.Claimants, func(x, y consent.ID) int { return slices.Compare(x[:], y[:]) })
			same(f, "who is "+name.Value, got, want)
		}
	}
	asked(inbox, 1, consent.Who{Subject: mother})
	f.append(consent.Changes{Claims: []consent.OwnedIdentifier{owned(o, inbox, son), owned(o, inbox, son), owned(o, site,
		son)}})
	asked(inbox, 1, consent.Who{Subject: mother, Claimants: []consent.ID{son}})
	f.append(consent.Changes{Consents: []consent.Consent{stand}, Claims: []consent.OwnedIdentifier{owned(o, inbox, son)}})
	asked(inbox, 1, consent.Who{Subject: mother, Claimants: []consent.ID{son}, Consents: []consent.Consent{stand}})
	asked(inbox, 2, consent.Who{Subject: mother, Claimants: []consent.ID{son}})
	asked(site, 1, consent.Who{Claimants: []consent.ID{son}, Consents: []consent.Consent{stand}})
	f.samePersons(o, site, inbox, named(consent.Email, "x@example.com"), inbox)
	stand.State, stand.Grants = consent.Accepted, true // a claimant who changes is heard at once
	f.append(consent.Changes{Consents: []consent.Consent{stand}})
	asked(inbox, 1, consent.Who{Subject: mother, Claimants: []consent.ID{son}, Consents: []consent.Consent{stand}})

	names := func(list ...consent.OwnedName) (got [][]consent.ID) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.Claimants(ctx, list)
			return err
		})
		return got
	}
	in := func(o consent.ID, name consent.Identifier) consent.OwnedName {
		return askedName(o, name)
	}
	same(f, "claimants", names(in(o, site), in(o, named(consent.Email, "x@example.com")), in(o, inbox), in(other,
		inbox)), [][]consent.ID{{son}, nil, {son}, nil})
	f.append(consent.Changes{RemovedSubjects: []consent.SubjectKey{{Organization: o, Subject: son}}})
	asked(inbox, 1, consent.Who{Subject: mother})
	asked(site, 1, consent.Who{})
	var claims []consent.OwnedIdentifier
	for range consent.MaxClaimants + 5 {
		claims = append(claims, owned(o, inbox, f.id()))
	}
	f.append(consent.Changes{Claims: claims})
	if got := names(in(o, inbox))[0]; len(got) != consent.MaxClaimants+1 {
		f.Errorf("%d claimants are given", len(got))
	}
}

func testIdempotencyRecords(f *fixture) {
	a, b, key := f.organization(), f.organization(), f.id()
	answer := func(o, k consent.ID, hash byte, at time.Time) consent.IdempotencyRecord {
		return consent.IdempotencyRecord{IdempotencyKey: consent.IdempotencyKey{Organization: o, Key: k,
			Hash: [32]byte{31: hash}},
			Fingerprint: [32]byte{hash}, Sealed: []byte{hash, 0, 255}, ExpiresAt: at}
	}
	kept := []consent.IdempotencyRecord{answer(a, key, 1, noon), answer(a, key, 2, noon.Add(time.Microsecond)),
		answer(a, f.id(), 1, noon.Add(time.Hour)), answer(b, key, 1, noon), answer(consent.NoID, key, 1, noon)}
	f.append(consent.Changes{IdempotencyRecords: kept})
	read := func(keys ...consent.IdempotencyKey) (got []*consent.IdempotencyRecord) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.IdempotencyRecords(ctx, keys)
			return err
		})
		return got
	}
	for i := range kept {
		same(f, "answers", read(consent.IdempotencyKey{Organization: a}, kept[i].IdempotencyKey),
			[]*consent.IdempotencyRecord{nil, &kept[i]})
	}
	again := answer(a, key, 1, noon.Add(2*time.Hour))
	again.Sealed, again.Fingerprint = []byte("new"), [32]byte{9}
	f.append(consent.Changes{IdempotencyRecords: []consent.IdempotencyRecord{again}})
	same(f, "an answer in the place of one that expired", read(again.IdempotencyKey), []*consent.IdempotencyRecord{&again})

	expired := func(at time.Time) (got []consent.ID) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.WithExpiredRecords(ctx, at)
			return err
		})
		slices.SortFunc(got, func(x, y consent.ID) int { return slices.Compare(x[:], y[:]) })
		return got
	}
	same(f, "expired before noon", expired(noon), []consent.ID{})
	same(f, "expired just after", expired(noon.Add(time.Microsecond)), []consent.ID{consent.NoID, b})
	same(f, "expired a little later", expired(noon.Add(2*time.Microsecond)), []consent.ID{consent.NoID, a, b})
	f.append(consent.Changes{DropExpired: []consent.ExpiredRecords{{Organization: b, Before: noon.Add(time.Minute),
		Limit: 10}}})
	same(f, "forgotten", read(kept[3].IdempotencyKey, kept[1].IdempotencyKey), []*consent.IdempotencyRecord{nil, &kept[1]})
	f.append(consent.Changes{DropExpired: []consent.ExpiredRecords{{Organization: a, Before: noon.AddDate(1, 0, 0),
		Limit: 2}}})
	left := 0
	for _, k := range read(kept[0].IdempotencyKey, kept[1].IdempotencyKey, kept[2].IdempotencyKey) {
		if k != nil {
			left++
		}
	}
	if left != 1 {
		f.Errorf("%d answers are left of 3 after 2 were forgotten", left)
	}
}

// testSettled gives one identifier to several subjects within one write: the last one has it.
func testSettled(f *fixture) {
	o := f.organization()
	name, other := named(consent.AnonymousID, "browser"), named(consent.AnonymousID, "another browser")
	a, b := f.newSubject(o), f.newSubject(o)
	f.append(consent.Changes{Subjects: []consent.Subject{a, b}, Identifiers: []consent.OwnedIdentifier{
		owned(o, name, a.ID), owned(o, other, a.ID), owned(o, name, b.ID), owned(o, other, b.ID), owned(o, other, a.ID)}})
	same(f, "who has them", f.owners(o, name, other), []consent.ID{b.ID, a.ID})
}
