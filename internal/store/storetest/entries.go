package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// entry makes an entry of a kind; an ErasedEntry has a leaf, others have texts.
func (f *fixture) entry(o consent.ID, kind consent.EntryKind) consent.LedgerEntry {
	id := f.id()
	e := consent.LedgerEntry{Organization: o, ID: id, Sequence: int64(f.made), Kind: kind, RecordedAt: noon}
	if kind == consent.ErasedEntry {
		e.Leaf, e.ErasedBy = append([]byte{1, 0, 255}, id[:]...), e.Sequence+1<<40
		return e
	}
	e.BodyJSON, e.IdentityJSON = []byte(`{"b":2}`), []byte("\x00\xffé")
	return e
}

func (f *fixture) ledgerEntry(o, id consent.ID) (e *consent.LedgerEntry) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		e, err = r.LedgerEntry(ctx, o, id)
		return err
	})
	return e
}

// testEntries: each entry comes back as it was written, for its own organization alone.
func testEntries(f *fixture) {
	a, b := f.organization(), f.organization()
	var all []consent.LedgerEntry
	for kind := consent.ErasedEntry; kind <= consent.UnrestrictionEntry; kind++ {
		e := f.entry(a, kind)
		if kind == consent.RestrictionEntry {
			e.Subject = f.id()
		}
		all = append(all, e)
	}
	f.append(consent.Changes{ErasedEntries: all[:1], Entries: all[1:]})
	for i := range all {
		same(f, all[i].Kind.String(), f.ledgerEntry(a, all[i].ID), &all[i])
		if f.ledgerEntry(b, all[i].ID) != nil {
			f.Errorf("another organization has %v too", all[i].Kind)
		}
	}
	if f.ledgerEntry(a, f.id()) != nil {
		f.Errorf("an entry that nobody made")
	}
}

// testOwnEntries: the last entries of a kind that are about no person are found, up to a place, and nobody else's.
func testOwnEntries(f *fixture) {
	a, b := f.organization(), f.organization()
	var epochs []consent.LedgerEntry
	for range 5 {
		mine, other := f.entry(a, consent.EpochEntry), f.entry(a, consent.EpochEntry)
		other.Subject = f.id()
		epochs = append(epochs, mine)
		f.append(consent.Changes{Entries: []consent.LedgerEntry{mine, other, f.entry(a, consent.ErasureEntry),
			f.entry(b, consent.EpochEntry)}})
	}
	for _, tc := range []struct {
		upTo  int64
		limit int
		want  []consent.LedgerEntry
	}{{epochs[4].Sequence, 9, epochs}, {epochs[4].Sequence - 1, 9, epochs[:4]}, {epochs[3].Sequence, 2, epochs[2:4]},
		{epochs[0].Sequence - 1, 9, nil}} {
		f.view(func(ctx context.Context, r service.Reader) error {
			found, err := r.OwnEntries(ctx, a, consent.EpochEntry, tc.upTo, tc.limit)
			var ids, want []consent.ID
			for i := range found {
				ids = append(ids, found[i].ID)
			}
			for i := range tc.want {
				want = append(want, tc.want[i].ID)
			}
			same(f, "own entries", ids, want)
			return err
		})
	}
}

// entries reads a ledger from behind an id to another in parts.
func (f *fixture) entries(o consent.ID, span consent.EventSpan, limit int) (rows []consent.ExportedEvent) {
	f.Helper()
	var part consent.ExportedEvents
	for range 1000 {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			span.After, err = r.Entries(ctx, o, span, limit, &part)
			return err
		})
		if len(part.Rows) >= 2*limit {
			f.Fatalf("a part of %d has %d entries", limit, len(part.Rows))
		}
		for _, e := range part.Rows {
			e.BodyJSON, e.IdentityJSON = bytes.Clone(e.BodyJSON), bytes.Clone(e.IdentityJSON)
			rows = append(rows, e)
		}
		if span.After == span.To {
			return rows
		}
	}
	f.Fatal("a ledger does not end")
	return nil
}

// testEntriesInParts: whatever the mixture of decisions and others, and whatever the parts, a span has each of its
// entries once and in order, and the entry behind an id is found.
func testEntriesInParts(f *fixture) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, decisions := range []int{0, 50, 90, 100} { // in 100
		o, other := f.organization(), f.organization()
		var want []consent.ExportedEvent
		var c consent.Changes
		for range rounds(100) {
			if random.IntN(100) < decisions {
				e := f.event(o, f.id(), 1, 1, nil)
				c.Events = append(c.Events, e)
				want = append(want, consent.ExportedEvent{ID: e.ID, Subject: e.Subject, Sequence: e.Sequence,
					OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt, BodyJSON: e.BodyJSON, IdentityJSON: e.IdentityJSON})
				continue
			}
			e := f.entry(o, consent.EntryKind(1+random.IntN(4)))
			if e.Kind == consent.ErasedEntry {
				c.ErasedEntries = append(c.ErasedEntries, e)
			} else {
				c.Entries = append(c.Entries, e, f.entry(other, consent.ErasureEntry))
			}
			want = append(want, consent.ExportedEvent{ID: e.ID, Sequence: e.Sequence, RecordedAt: e.RecordedAt,
				BodyJSON: e.BodyJSON, IdentityJSON: e.IdentityJSON, Kind: e.Kind, Leaf: e.Leaf,
				ErasedBy: e.ErasedBy})
		}
		f.append(c)
		for _, limit := range []int{1, 3, 10, 1000} {
			from, to := random.IntN(len(want)/2), len(want)/2+random.IntN(len(want)/2)
			span := consent.EventSpan{After: want[from].ID, To: want[to].ID}
			same(f, "a span", f.entries(o, span, limit), want[from+1:to+1])
			same(f, "a ledger", f.entries(o, consent.EventSpan{To: want[len(want)-1].ID}, limit), want)
		}
		for i := range want {
			after := consent.NoID
			if i > 0 {
				after = want[i-1].ID
			}
			f.view(func(ctx context.Context, r service.Reader) error {
				id, sequence, err := r.EntryAfter(ctx, o, after)
				if id != want[i].ID || sequence != want[i].Sequence {
					f.Errorf("behind %s is %s with %d, want %s with %d", after, id, sequence, want[i].ID, want[i].Sequence)
				}
				return err
			})
		}
	}
}

// testErasure: of who is erased the id is left with the erasure, of their entries what stands for them, and nothing that
// is somebody else's changes.
func testErasure(f *fixture) {
	a, b := f.organization(), f.organization()
	ada, merged := f.subject(a, named(consent.Email, "ada@x")), f.subject(a, named(consent.Email, "also@x"))
	eve, twin := f.subject(a, named(consent.Email, "eve@x")), ada // in another organization
	key := func(o, s consent.ID) consent.SubjectKey { return consent.SubjectKey{Organization: o, Subject: s} }
	first := f.event(a, ada, 1, 1, nil)
	second := f.event(a, ada, 1, 1, func(e *consent.Event) { e.Previous = first.ID })
	third := f.event(a, merged, 2, 1, nil)
	hers := f.event(a, eve, 1, 1, nil)
	elsewhere := second
	elsewhere.Organization, elsewhere.Previous = b, consent.NoID
	restriction := f.entry(a, consent.RestrictionEntry)
	restriction.Subject = merged
	secret := func(o, s consent.ID) consent.SubjectSecret {
		return consent.SubjectSecret{SubjectKey: key(o, s), Wrapped: []byte{1}}
	}
	archived := f.newSubject(a).Record
	f.append(consent.Changes{Events: []consent.Event{first, second, third, hers, elsewhere},
		Consents:       []consent.Consent{consentOf(second), consentOf(third), consentOf(hers), consentOf(elsewhere)},
		SubjectSecrets: []consent.SubjectSecret{secret(a, ada), secret(a, merged), secret(a, eve), secret(b, twin)},
		Entries:        []consent.LedgerEntry{restriction},
		Archive:        []consent.ArchivedRecord{{Organization: a, Subject: ada, Record: archived}},
		Claims: []consent.OwnedIdentifier{owned(a, named(consent.Email, "eve@x"), ada),
			owned(a, named(consent.Email, "ada@x"), eve)},
		Merges: []consent.SubjectMerge{{Organization: a, Into: ada, From: merged, MergedAt: noon}}})
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: a, Into: eve, From: ada, MergedAt: noon}}})
	f.append(consent.Changes{Unmerges: []consent.SubjectMerge{{Organization: a, Into: eve, From: ada, Number: 2,
		UndoneAt: noon, UndoneAfter: 1}}})
	f.view(func(ctx context.Context, r service.Reader) error {
		before, err := r.EventsBefore(ctx, a, second.ID, 5)
		var ids []consent.ID
		for i := range before {
			ids = append(ids, before[i].ID)
		}
		same(f, "events before", ids, []consent.ID{second.ID, first.ID})
		one, err2 := r.EventsBefore(ctx, a, second.ID, 1)
		same(f, "the last event", one, []consent.Event{{Organization: a, ID: second.ID, Subject: ada, Project: 1,
			Sequence: second.Sequence, RecordedAt: second.RecordedAt, Previous: first.ID, BodyJSON: second.BodyJSON,
			IdentityJSON: second.IdentityJSON}})
		entries, err3 := r.EntriesOf(ctx, key(a, merged), consent.NoID, 5)
		behind, err4 := r.EntriesOf(ctx, key(a, merged), restriction.ID, 5)
		if len(entries) != 1 || entries[0].ID != restriction.ID || len(behind) > 0 {
			f.Errorf("entries of who was merged: %+v, and behind it: %+v", entries, behind)
		}
		return errors.Join(err, err2, err3, err4)
	})
	erasure := consent.Erasure{At: noon.Add(time.Hour), Sequence: 9, Events: 3}
	c := consent.Changes{RemovedIdentifiers: []consent.OwnedName{{Organization: a, Identifier: named(consent.Email, "ada@x")},
		{Organization: a, Identifier: named(consent.Email, "also@x")}}}
	sequences := map[consent.ID]int64{first.ID: first.Sequence, second.ID: second.Sequence, third.ID: third.Sequence,
		restriction.ID: restriction.Sequence}
	for id, sequence := range sequences {
		c.ErasedEntries = append(c.ErasedEntries, consent.LedgerEntry{Organization: a, ID: id, Sequence: sequence,
			Kind: consent.ErasedEntry, RecordedAt: noon, Leaf: id[:]})
	}
	for _, id := range []consent.ID{ada, merged} {
		c.ErasedSubjects = append(c.ErasedSubjects, consent.ErasedSubject{SubjectKey: key(a, id), Erasure: erasure})
	}
	f.append(c)
	for i := range c.ErasedEntries {
		same(f, "what is left of an entry", f.ledgerEntry(a, c.ErasedEntries[i].ID), &c.ErasedEntries[i])
	}
	f.erasedLeft(a, []consent.ID{ada, merged}, erasure)
	same(f, "owners", f.owners(a, named(consent.Email, "ada@x"), named(consent.Email, "also@x"), ownID(ada), ownID(merged),
		named(consent.Email, "eve@x"), ownID(eve)), []consent.ID{{}, {}, {}, {}, eve, eve})
	f.view(func(ctx context.Context, r service.Reader) error {
		left, err := r.Event(ctx, a, hers.ID)
		same(f, "somebody else's event", left, &hers)
		left, err2 := r.Event(ctx, b, elsewhere.ID)
		same(f, "another organization's event", left, &elsewhere)
		claimants, err3 := r.Claimants(ctx, []consent.OwnedName{{Organization: a, Identifier: named(consent.Email, "eve@x")},
			{Organization: a, Identifier: named(consent.Email, "ada@x")}})
		same(f, "claims", claimants, [][]consent.ID{nil, {eve}})
		secrets, err4 := r.SubjectSecrets(ctx, []consent.SubjectKey{key(a, eve), key(b, twin)})
		same(f, "others' secrets", secrets, [][]byte{{1}, {1}})
		return errors.Join(err, err2, err3, err4)
	})
}

// erasedLeft looks what is left of some subjects who were a person.
func (f *fixture) erasedLeft(o consent.ID, subjects []consent.ID, erasure consent.Erasure) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) error {
		var errs []error
		for _, id := range subjects {
			key := consent.SubjectKey{Organization: o, Subject: id}
			left, err := r.Subject(ctx, o, id)
			same(f, "what is left of a subject", left, &consent.Subject{Organization: o, ID: id, Type: "user",
				CreatedAt: erasure.At, Record: consent.Record{Version: 1, ChangedAt: erasure.At, Data: nil},
				Erasure: erasure})
			archived, err2 := r.ArchivedRecord(ctx, o, id, 1)
			consents, err3 := r.ConsentsOf(ctx, []consent.SubjectKey{key})
			secrets, err4 := r.SubjectSecrets(ctx, []consent.SubjectKey{key})
			merges, err5 := r.Merges(ctx, []consent.SubjectKey{key})
			entries, err6 := r.EntriesOf(ctx, key, consent.NoID, 1)
			events, total, err7 := r.Events(ctx, consent.EventQuery{Organization: o, Subjects: []consent.ID{id}, Limit: 1})
			if n := len(consents) + len(merges) + len(entries) + len(events); archived != nil || secrets[0] != nil || n > 0 {
				f.Errorf("of %s is left: %v, %v, %v, %v, %v, %d events", id, archived, consents, secrets, merges, entries, total)
			}
			errs = append(errs, err, err2, err3, err4, err5, err6, err7)
		}
		return errors.Join(errs...)
	})
}

// testErasures: who was erased is listed over all organizations, and told from who was not.
func testErasures(f *fixture) {
	a, b := f.organization(), f.organization()
	ada, bob, eve, dan := f.subject(a), f.subject(a), f.subject(b), f.subject(b)
	removed := f.id() // whose record is gone
	key := func(o, id consent.ID) consent.SubjectKey { return consent.SubjectKey{Organization: o, Subject: id} }
	f.append(consent.Changes{SubjectSecrets: []consent.SubjectSecret{{SubjectKey: key(a, removed), Wrapped: []byte{1}},
		{SubjectKey: key(a, bob), Wrapped: []byte{1}}}})
	later := noon.Add(time.Hour)
	erased := []consent.ErasedSubject{
		{SubjectKey: key(a, ada), Erasure: consent.Erasure{At: later, Sequence: 3, Events: 2, Suppress: true}},
		{SubjectKey: key(b, eve), Erasure: consent.Erasure{At: later, Sequence: 1}},
		{SubjectKey: key(a, bob), Erasure: consent.Erasure{At: later.Add(time.Microsecond), Sequence: 4, Events: 1}},
	}
	if a.String() > b.String() {
		erased[0], erased[1] = erased[1], erased[0]
	}
	for _, e := range erased {
		f.append(consent.Changes{ErasedSubjects: []consent.ErasedSubject{e}})
	}
	f.view(func(ctx context.Context, r service.Reader) error {
		all, err := r.ErasedAfter(ctx, consent.ErasedSubject{}, 2)
		if err != nil || len(all) != 2 {
			f.Fatalf("the first page has %d: %v", len(all), err)
		}
		rest, err2 := r.ErasedAfter(ctx, all[1], 2)
		same(f, "who was erased", append(all, rest...), erased)
		ofA, err3 := r.Unerased(ctx, []consent.SubjectKey{key(a, ada), key(a, removed), key(a, eve), key(a, bob),
			key(a, f.id())})
		same(f, "of one organization", ofA, []bool{false, true, false, false, false})
		ofB, err4 := r.Unerased(ctx, []consent.SubjectKey{key(b, dan), key(b, eve)})
		same(f, "of the other one", ofB, []bool{true, false})
		return errors.Join(err, err2, err3, err4)
	})
}

// testErasedAnswers: an answer about somebody who is erased is emptied, wherever among many it is, and no other.
func testErasedAnswers(f *fixture) {
	a, b := f.organization(), f.organization()
	ada, eve := f.subject(a), f.subject(a)
	about := [][]consent.ID{nil, {ada}, {eve}, {eve, ada}, {eve, f.id(), eve}}
	var kept []consent.IdempotencyRecord
	for i := range 11_000 { // more than are looked at in one step
		for _, o := range []consent.ID{a, b} {
			kept = append(kept, consent.IdempotencyRecord{IdempotencyKey: consent.IdempotencyKey{Organization: o,
				Key: consent.ID{15: byte(i % 3)}, Hash: sha256.Sum256([]byte{byte(i), byte(i >> 8)})},
				Fingerprint: [32]byte{1}, Sealed: []byte{1, 2}, ExpiresAt: noon, About: about[i%len(about)]})
		}
	}
	for some := range slices.Chunk(kept, 1000) {
		f.append(consent.Changes{IdempotencyRecords: some})
	}
	f.append(consent.Changes{ErasedSubjects: []consent.ErasedSubject{{SubjectKey: consent.SubjectKey{Organization: a,
		Subject: ada}, Erasure: consent.Erasure{At: noon}}}})
	for from := 0; from < len(kept); from += len(kept)/7 - 1 {
		some := kept[from:min(from+10, len(kept))]
		var keys []consent.IdempotencyKey
		for i := range some {
			keys = append(keys, some[i].IdempotencyKey)
			if some[i].Organization == a && slices.Contains(some[i].About, ada) {
				some[i].Sealed, some[i].About = nil, nil
			}
		}
		var got []*consent.IdempotencyRecord
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.IdempotencyRecords(ctx, keys)
			return err
		})
		for i := range got {
			if got[i] == nil || !cmp.Equal(*got[i], some[i], cmpopts.EquateEmpty()) {
				f.Errorf("answer %d: %+v, want %+v", from+i, got[i], some[i])
			}
		}
	}
}

// testRestrictions: since when somebody is restricted is told with whatever is asked about them, goes on to whom they
// are merged into, and ends.
func testRestrictions(f *fixture) {
	a, b := f.organization(), f.organization()
	email := func(s string) consent.Identifier { return named(consent.Email, s) }
	ada, eve, joe := f.subject(a, email("ada@x")), f.subject(a, email("eve@x")), f.subject(a, email("joe@x"))
	f.append(consent.Changes{Consents: []consent.Consent{consentOf(f.event(a, ada, 1, 1, nil)),
		consentOf(f.event(a, ada, 1, 2, nil)), consentOf(f.event(a, eve, 1, 1, nil))},
		Claims: []consent.OwnedIdentifier{owned(a, email("eve@x"), ada)}})
	ask := func(what string, want map[consent.Identifier]time.Time) {
		f.Helper()
		for name, at := range want {
			of := askedName(a, name)
			who, err := f.store.Person(context.Background(), of, 1, nil)
			if err != nil || !who.RestrictedAt.Equal(at) {
				f.Errorf("%s: %v is restricted since %s, want %s; %v", what, name, who.RestrictedAt, at, err)
			}
			f.view(func(ctx context.Context, r service.Reader) error {
				all, err := r.Persons(ctx, []consent.OwnedName{of, of}, 1, nil)
				if err == nil && (!all[0].RestrictedAt.Equal(at) || !all[1].RestrictedAt.Equal(at)) {
					f.Errorf("%s: asked with others, %v is restricted since %s", what, name, all[0].RestrictedAt)
				}
				return err
			})
		}
	}
	restricted := func(id consent.ID, at time.Time) consent.RestrictedSubject {
		return consent.RestrictedSubject{SubjectKey: consent.SubjectKey{Organization: a, Subject: id},
			Restriction: consent.Restriction{At: at, Sequence: 5}}
	}
	never := time.Time{}
	ask("at first", map[consent.Identifier]time.Time{email("ada@x"): never, ownID(ada): never, email("nobody@x"): never})
	later := noon.Add(time.Hour)
	f.append(consent.Changes{Restrictions: []consent.RestrictedSubject{restricted(ada, later)}})
	f.append(consent.Changes{Restrictions: []consent.RestrictedSubject{restricted(ada, noon)}}) // known already
	ask("restricted", map[consent.Identifier]time.Time{email("ada@x"): later, ownID(ada): later, email("eve@x"): later,
		ownID(eve): never, email("joe@x"): never})
	f.view(func(ctx context.Context, r service.Reader) error {
		s, err := r.Subject(ctx, a, ada)
		same(f, "the subject's restriction", s.Restriction, consent.Restriction{At: later, Sequence: 5})
		var part consent.ExportedConsents
		_, _, err2 := r.ExportConsents(ctx, consent.ConsentKey{Organization: a}, 10, &part)
		same(f, "of the exported consents", part.Restricted, []time.Time{later, later, never})
		return errors.Join(err, err2)
	})
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: a, Into: joe, From: ada, MergedAt: noon}},
		Identifiers: []consent.OwnedIdentifier{owned(a, email("ada@x"), joe)}})
	ask("merged", map[consent.Identifier]time.Time{email("ada@x"): later, ownID(ada): later, email("joe@x"): later,
		ownID(joe): later})
	f.append(consent.Changes{EndedRestrictions: []consent.SubjectKey{{Organization: a, Subject: ada},
		{Organization: b, Subject: joe}}})
	ask("ended for whom it was not", map[consent.Identifier]time.Time{email("joe@x"): later})
	f.append(consent.Changes{EndedRestrictions: []consent.SubjectKey{{Organization: a, Subject: joe}}})
	ask("ended", map[consent.Identifier]time.Time{email("ada@x"): never, ownID(ada): never, email("joe@x"): never})
	f.append(consent.Changes{Restrictions: []consent.RestrictedSubject{restricted(eve, noon)}})
	f.append(consent.Changes{ErasedSubjects: []consent.ErasedSubject{{SubjectKey: consent.SubjectKey{Organization: a,
		Subject: eve}, Erasure: consent.Erasure{At: noon}}}})
	f.view(func(ctx context.Context, r service.Reader) error {
		s, err := r.Subject(ctx, a, eve)
		same(f, "the restriction of who was erased", s.Restriction, consent.Restriction{})
		return err
	})
}

// testSuppressions: what is suppressed is told with whom an identifier is of and without anybody, for its organization
// alone, and is counted in the head.
func testSuppressions(f *fixture) {
	a, b := f.organization(), f.organization()
	ada := named(consent.Email, "ada@x")
	id := f.subject(a, ada)
	f.append(consent.Changes{Consents: []consent.Consent{consentOf(f.event(a, id, 1, 1, nil))}})
	hash := func(n byte) consent.SuppressionHash { return consent.SuppressionHash{n, 0, 255} }
	suppression := func(o consent.ID, n byte) consent.Suppression {
		return consent.Suppression{Organization: o, Hash: hash(n), At: noon}
	}
	f.append(consent.Changes{Suppressions: []consent.Suppression{suppression(a, 1), suppression(a, 2), suppression(b, 3)}})
	ask := func(o consent.ID, name consent.Identifier, n byte, at time.Time, who consent.ID) {
		f.Helper()
		of, h := askedName(o, name), hash(n)
		check := func(got consent.Who, err error) {
			if err != nil || !got.SuppressedAt.Equal(at) || got.Subject != who {
				f.Errorf("%v with %d: suppressed since %s, of %s; %v", name, n, got.SuppressedAt, got.Subject, err)
			}
		}
		check(f.store.Person(context.Background(), of, 1, h[:]))
		f.view(func(ctx context.Context, r service.Reader) error {
			all, err := r.Persons(ctx, []consent.OwnedName{of, of}, 1, [][]byte{h[:], nil})
			check(all[0], err)
			if !all[1].SuppressedAt.IsZero() {
				f.Errorf("suppressed without a hash")
			}
			return err
		})
	}
	nobody, naming, never := named(consent.Email, "nobody@x"), named(consent.UserID, "nobody"), time.Time{}
	ask(a, ada, 1, noon, id)
	eve := f.subject(a, named(consent.Email, "eve@x"))
	ask(a, named(consent.Email, "eve@x"), 9, never, eve)
	ask(a, nobody, 2, noon, consent.NoID)
	ask(a, naming, 2, noon, consent.NoID)
	ask(a, nobody, 3, never, consent.NoID)
	ask(b, nobody, 3, noon, consent.NoID)
	count := func(want int64) {
		f.Helper()
		f.view(func(ctx context.Context, r service.Reader) error {
			heads, err := r.Heads(ctx, []consent.ID{a})
			same(f, "how many", heads[a].Suppressed, want)
			h1, h2, h3 := hash(1), hash(2), hash(3)
			is, err2 := r.Suppressed(ctx, a, [][]byte{h3[:], h2[:], h1[:]})
			same(f, "which", []bool{is[0].IsZero(), is[1].Equal(noon), is[2].Equal(noon)}, []bool{true, true, want == 2})
			return errors.Join(err, err2)
		})
	}
	count(2)
	f.append(consent.Changes{Heads: []consent.Head{{Organization: a, Sequence: 5, LastID: f.id()}}}) // which counts none
	count(2)
	f.append(consent.Changes{LiftedSuppressions: []consent.Suppression{suppression(a, 1)},
		SuppressedNames: []consent.OwnedName{{Organization: a, Identifier: ada}}})
	count(1)
	ask(a, ada, 1, never, id)
	ask(a, nobody, 2, noon, consent.NoID)
}
