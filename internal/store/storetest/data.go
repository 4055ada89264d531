package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// Data is some of everything that a store keeps, with odd values, and the names of it all.
type Data struct {
	Organizations []consent.ID // small, large, empty, one that is not there, and the instance itself
	Slugs         []string
	Secrets       []string
	Keys          [][2]consent.ID
	Texts         []consent.Text
	Names         []consent.OwnedName
	Subjects      []consent.SubjectKey
	Consents      []consent.ConsentKey
	Answers       []consent.IdempotencyKey
	Webhooks      []consent.WebhookKey

	random *rand.Rand
	made   uint32
	merges map[consent.ID]int64 // by organization, how many
}

// oddTexts are those that engines like to change.
var oddTexts = []string{"", "é𝄞 \u2028", "'; DROP TABLE events; --", "%_\\", " spaces ", "\U0010ffff\ufffd", "Ünï CASE",
	"\t\n\r\"{}\x01\x7f", "ﬀ ǆ İ ß"}

// FirstEvent is when the first event was recorded.
var FirstEvent = time.Date(2024, 11, 3, 4, 5, 6, 789012000, time.UTC)

// LongText is how many bytes one text has where there are 1000 events or more.
const LongText = 5 << 20

// Fill puts data into an empty store: a large organization with so many events, a small one, an empty one, rows of an
// organization that is not there, and rows of the instance. It is the same each time.
func Fill(t testing.TB, s service.Store, events int) *Data {
	t.Helper()
	f := &Data{random: rand.New(rand.NewPCG(1, uint64(events))), merges: map[consent.ID]int64{}}
	add := func(c consent.Changes) {
		t.Helper()
		err := s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
			return tx.Append(context.Background(), &c)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add(f.instance())
	if events >= 1000 {
		add(consent.Changes{Texts: []consent.Text{f.text(consent.NoID, strings.Repeat("long ", LongText/5))}})
	}
	for i, id := range []consent.ID{{15: 1}, {0: 0x7f, 15: 0xff}, {0: 0xff, 1: 0xff, 15: 0xff}} {
		f.Organizations = append(f.Organizations, id)
		add(f.organization(id, i))
	}
	for left := events; left > 0; left -= 1000 {
		add(f.Events(f.Organizations[1], min(left, 1000)))
	}
	add(f.Events(f.Organizations[0], 7))
	lost := consent.ID{0: 0x80, 15: 7}
	f.Organizations = append(f.Organizations, lost, consent.NoID)
	add(consent.Changes{Texts: []consent.Text{f.text(lost, "a text of an organization that is not there")}})
	return f
}

// Later lets so many months go by before the next event.
func (f *Data) Later(months int) { f.made += uint32(months) * 30 * 24 * 60 / minutesApart }

func (f *Data) id() consent.ID {
	f.made++
	id := consent.ID{0: byte(f.random.Uint32()), 1: byte(f.random.Uint32()), 6: 0x70, 8: 0x80}
	binary.BigEndian.PutUint32(id[12:], f.made)
	return id
}

func (f *Data) odd() string { return oddTexts[f.random.IntN(len(oddTexts))] }

// at is a time that has microseconds; now and then it is before 1970, or far ahead.
func (f *Data) at() time.Time {
	switch f.random.IntN(20) {
	case 0:
		return time.UnixMicro(-1).UTC()
	case 1:
		return time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	}
	return FirstEvent.Add(time.Duration(f.random.IntN(1e9)) * time.Microsecond)
}

// some is a time or none.
func (f *Data) some() (at time.Time) {
	if f.random.IntN(2) == 0 {
		at = f.at()
	}
	return at
}

func (f *Data) hash() [32]byte { return sha256.Sum256(fmt.Append(nil, f.id())) }

func (f *Data) key(o consent.ID) consent.Key {
	k := consent.Key{Organization: o, ID: f.id(), Name: f.odd(), SecretHash: f.hash(), CreatedAt: f.at(),
		ExpiresAt: f.some(), RevokedAt: f.some(), Scopes: []consent.Scope{consent.ConsentsRead, consent.ConsentsWrite}}
	f.Keys = append(f.Keys, [2]consent.ID{o, k.ID})
	return k
}

func (f *Data) answer(o consent.ID) consent.IdempotencyRecord {
	a := consent.IdempotencyRecord{IdempotencyKey: consent.IdempotencyKey{Organization: o, Key: f.id(), Hash: f.hash()},
		Fingerprint: f.hash(), ExpiresAt: f.at(), Sealed: []byte(strings.Repeat("\x00\xff sealed", f.random.IntN(100)))}
	f.Answers = append(f.Answers, a.IdempotencyKey)
	return a
}

func (f *Data) job(o consent.ID) consent.Job {
	j := consent.Job{Organization: o, ID: f.id(), Kind: f.odd(), Payload: []byte("\x00\xff" + f.odd()), RunAt: f.at(),
		Attempts: f.random.IntN(99), Error: f.odd(), CreatedAt: f.at(), ParkedAt: f.some()}
	if j.ParkedAt.IsZero() && f.random.IntN(2) == 0 {
		j.Holder = f.id()
	}
	return j
}

func (f *Data) text(o consent.ID, text string) consent.Text {
	hash := sha256.Sum256([]byte(text))
	x := consent.Text{Organization: o, Hash: hash[:], Text: text}
	f.Texts = append(f.Texts, x)
	return x
}

// instance makes the rows of no organization.
func (f *Data) instance() (c consent.Changes) {
	f.Secrets = []string{"signing key", "\x01 odd é"}
	for _, name := range f.Secrets {
		c.Secrets = append(c.Secrets, consent.Secret{Name: name, Value: []byte("\x00 secret of " + name)})
	}
	c.Keys = []consent.Key{f.key(consent.NoID), f.key(consent.NoID)}
	c.Keys[1].RevokedAt = time.Time{}
	c.IdempotencyRecords = []consent.IdempotencyRecord{f.answer(consent.NoID)}
	c.Jobs = []consent.Job{f.job(consent.NoID), consent.RecurringJob("sixteen bytes...", f.at())}
	return c
}

// organization makes an organization with its projects and purposes.
func (f *Data) organization(id consent.ID, n int) (c consent.Changes) {
	o := consent.Organization{ID: id, Name: f.odd(), Slug: fmt.Sprint("shop-", n, f.odd()), PrimaryDomain: f.odd(),
		Status: "active", Test: n == 1, CreatedAt: f.at(), UpdatedAt: f.at(), Details: []byte(`{"odd":"é𝄞","n":1.00}`)}
	f.Slugs = append(f.Slugs, o.Slug)
	c.Organizations, c.Heads = []consent.Organization{o}, []consent.Head{{Organization: id}}
	if n == 2 {
		return c // an organization that nobody has used
	}
	document := sha256.Sum256([]byte(oddTexts[0]))
	for project := 1; project <= 3; project++ {
		c.Projects = append(c.Projects, consent.Project{Organization: id, ID: f.id(), Number: project, Name: f.odd(),
			Slug:         fmt.Sprint(project, f.odd()),
			WholeAddress: project == 2, CreatedAt: f.at(), UpdatedAt: f.at(), Details: []byte(`{}`)})
		for purpose := 1; purpose <= 4; purpose++ {
			p := consent.Purpose{Organization: id, Project: project, Number: purpose, ID: f.id(),
				Key: fmt.Sprint(purpose, f.odd()), Version: 1, LegalBasis: consent.BasisConsent, Revision: 1 + f.random.IntN(9),
				Taxonomy: consent.Taxonomy{Category: f.odd(), Subcategory: fmt.Sprint(purpose), Label: consent.AnyLabel},
				Name:     f.odd(), Description: f.odd(),
				URL: f.odd(), ReadOnly: purpose == 1, ValidStates: []consent.State{consent.Accepted, consent.Viewed},
				Status: "active", Duration: "P1Y",
				Required: purpose == 2, RequireReaccept: purpose == 3, CreatedAt: f.at(), UpdatedAt: f.at()}
			p.HeldFrom = p.CreatedAt
			for range f.random.IntN(4) {
				c.PurposeVersions = append(c.PurposeVersions, p.CurrentVersion())
				p.Version, p.Name, p.HeldFrom = p.Version+1, f.odd(), p.HeldFrom.Add(time.Microsecond)
			}
			if purpose%2 == 0 {
				p.DocumentHash, p.TextsHash = document[:], document[:]
			}
			c.Purposes = append(c.Purposes, p)
		}
	}
	for range 3 {
		c.Keys, c.IdempotencyRecords = append(c.Keys, f.key(id)), append(c.IdempotencyRecords, f.answer(id))
		c.Jobs = append(c.Jobs, f.job(id))
	}
	for _, text := range oddTexts {
		c.Texts = append(c.Texts, f.text(id, text))
	}
	return c
}

// Events makes some people of an organization and what they decided; a third of them were merged into others, and half
// of those merges were undone.
func (f *Data) Events(o consent.ID, n int) (c consent.Changes) {
	var people []consent.ID
	for i := range n/4 + 3 {
		s := f.subject(o)
		people = append(people, s.ID)
		c.Subjects = append(c.Subjects, s)
		for version := 2; version <= i%4; version++ {
			record := s.Record
			record.Version, record.Profile = version, nil
			c.Archive = append(c.Archive, consent.ArchivedRecord{Organization: o, Subject: s.ID, Record: record})
		}
		for _, kind := range []consent.IdentifierKind{consent.UserID, consent.Email, consent.ProjectUserID,
			consent.TypedKind("device")} {
			c.Identifiers = append(c.Identifiers, f.identifier(o, s.ID, kind))
		}
		if i > 0 && i%3 == 0 {
			f.merges[o]++
			merge := consent.SubjectMerge{Organization: o, Into: people[i-1], From: s.ID, Number: f.merges[o], MergedAt: f.at(),
				After: int64(f.random.Uint32())}
			c.Merges = append(c.Merges, merge)
			if i%2 == 0 {
				merge.UndoneAt, merge.UndoneAfter = f.at(), merge.After+1
				c.Unmerges = append(c.Unmerges, merge)
			}
		}
		c.Claims = append(c.Claims, consent.OwnedIdentifier{OwnedName: c.Identifiers[0].OwnedName, Subject: s.ID})
		c.Counts = append(c.Counts, consent.Count{Organization: o, Name: consent.NamedCount(consent.UserID), Add: 1},
			consent.Count{Organization: o, Name: consent.NamedCount(consent.TypedKind("device")), Add: 1})
	}
	current := map[consent.ConsentKey]consent.Consent{}
	for range n {
		e := f.event(o, people[f.random.IntN(len(people))])
		key := consent.ConsentKey{Organization: o, Subject: e.Subject, Project: e.Project, Purpose: e.Purpose}
		before, known := current[key]
		if !known {
			f.Consents = append(f.Consents, key)
		}
		e.Previous = before.Last
		current[key] = consent.Consent{Organization: o, Subject: e.Subject, Project: e.Project, Purpose: e.Purpose,
			Event: e.ID, Last: e.ID, PurposeVersion: e.PurposeVersion,
			State: e.State, Weight: e.Weight, Grants: e.Grants, Active: f.random.IntN(2) == 0, OccurredAt: e.OccurredAt,
			ExpiresAt: e.ExpiresAt, Since: f.some()}
		c.Events = append(c.Events, e)
		c.Counts = append(c.Counts, consent.Count{Organization: o, Name: consent.EventCount(e.Project), Add: 1})
	}
	for _, now := range current {
		c.Consents = append(c.Consents, now)
	}
	c.Entries = f.entries(&c.Events[len(c.Events)-1], people[0])
	last := c.Entries[len(c.Entries)-1]
	c.ErasedEntries, c.Entries = c.Entries[:1], c.Entries[1:]
	c.Restrictions = []consent.RestrictedSubject{{SubjectKey: consent.SubjectKey{Organization: o, Subject: people[0]},
		Restriction: consent.Restriction{At: f.at(), Sequence: last.Sequence - 1}}}
	gone := f.id()
	c.Suppressions = []consent.Suppression{{Organization: o, Hash: consent.SuppressionHash(gone), At: f.at()}}
	c.ErasedSubjects = []consent.ErasedSubject{{SubjectKey: consent.SubjectKey{Organization: o, Subject: gone},
		Erasure: consent.Erasure{At: f.at(), Sequence: last.Sequence - 2, Events: 1}}}
	c.Heads = []consent.Head{{Organization: o, Sequence: last.Sequence, LastID: last.ID, Tree: last.ID[:]}}
	c.Checkpoints = []consent.Checkpoint{{Organization: o, Size: last.Sequence, LastID: last.ID, Tree: last.ID[:],
		Note: []byte(f.odd()), KeyID: int64(f.random.Uint32()), SignedAt: f.at()}}
	c.LedgerKeys = []consent.LedgerKey{{Organization: o, FromSize: last.Sequence, Text: f.odd(), From: f.at()}}
	c.Cosignatures = []consent.Cosignature{{Organization: o, Witness: f.odd(), Size: last.Sequence, Note: []byte(f.odd()),
		Line: []byte(f.odd()), At: f.at()}}
	f.hooks(o, &c)
	f.imports(&c, o)
	for i, s := range people {
		secret, row := f.hash(), f.hash()
		c.SubjectTexts = append(c.SubjectTexts, consent.SubjectText{SubjectKey: consent.SubjectKey{Organization: o,
			Subject: s}, Hash: row[:], Sealed: secret[:]})
		c.SubjectSecrets = append(c.SubjectSecrets, consent.SubjectSecret{SubjectKey: consent.SubjectKey{Organization: o,
			Subject: s}, Wrapped: secret[:]})
		c.LedgerRows = append(c.LedgerRows, consent.LedgerRow{Organization: o, Level: i % 3,
			Number: int64(f.random.Uint32())<<20 + int64(i), Hashes: row[:]})
	}
	return c
}

// entries makes one of each kind that is no decision, behind an event; where they are committed with somebody's secret,
// it is a subject's.
func (f *Data) entries(last *consent.Event, subject consent.ID) (all []consent.LedgerEntry) {
	id := last.ID
	for kind := consent.ErasedEntry; kind <= consent.UnrestrictionEntry; kind++ {
		id = consent.NextID(id, last.RecordedAt, [10]byte{byte(kind)})
		e := consent.LedgerEntry{Organization: last.Organization, ID: id, Sequence: last.Sequence + int64(kind), Kind: kind,
			RecordedAt: f.at(), BodyJSON: []byte(`{"b":1}`), IdentityJSON: []byte("\x00\xff" + f.odd())}
		switch kind {
		case consent.ErasedEntry:
			e.Leaf, e.BodyJSON, e.IdentityJSON = []byte("\x01\xff"+f.odd()), nil, nil
		case consent.RestrictionEntry, consent.UnrestrictionEntry:
			e.Subject = subject
		}
		all = append(all, e)
	}
	return all
}

// imports makes an import that is open, one that is done and a dry run, with what is kept for them.
func (f *Data) imports(c *consent.Changes, o consent.ID) {
	for n := range 3 {
		i := consent.ImportRun{Organization: o, ID: f.id(), Source: f.odd(), Project: 1 + n, Fingerprint: f.odd(),
			DryRun: n == 2, Notify: n == 1, NextLine: int64(f.random.Uint32()) << 8, Accepted: int64(n),
			Duplicates: 2, Rejected: 3, ErrorsKept: 1, CreatedAt: f.at(), UpdatedAt: f.at()}
		switch n {
		case 1:
			i.FinishedAt, i.Entry = f.at(), int64(f.random.Uint32())
		case 2:
			i.Would = &consent.ImportOutcome{SubjectsMade: 1, Consents: []consent.ImportedState{{Project: 1, Made: 2}}}
		}
		line, note := f.hash(), f.hash()
		c.Imports = append(c.Imports, i)
		c.ImportedLines = append(c.ImportedLines, consent.ImportedLine{Organization: o, Key: consent.LineKey(line[:16])})
		c.ImportErrors = append(c.ImportErrors, consent.KeptLineError{ImportKey: i.Key(),
			LineError: consent.LineError{Line: 1 + int64(n)<<33, Field: f.odd(), Msg: f.odd()}})
		c.ImportNotes = append(c.ImportNotes, consent.ImportNote{ImportKey: i.Key(), Name: note[:], Value: []byte(f.odd())})
	}
}

func (f *Data) subject(o consent.ID) consent.Subject {
	s := consent.Subject{Organization: o, ID: f.id(), Type: "user", CreatedAt: f.at(),
		Record: consent.Record{Version: 1, ChangedAt: f.at(), ChangedBy: f.id(),
			Data: fmt.Appendf(nil, `{"odd":%q}`, f.odd())}}
	if f.random.IntN(2) == 0 {
		s.Record.Profile = []byte(f.odd()) // also the empty one, which is not the same as none
	}
	f.Subjects = append(f.Subjects, consent.SubjectKey{Organization: o, Subject: s.ID})
	return s
}

func (f *Data) identifier(o, subject consent.ID, kind consent.IdentifierKind) consent.OwnedIdentifier {
	project := 0
	if kind == consent.ProjectUserID {
		project = 1 + f.random.IntN(3)
	}
	name := consent.OwnedName{Organization: o, Identifier: consent.Identifier{Kind: kind, Project: project,
		Value: fmt.Sprint(f.odd(), f.id())}}
	f.Names = append(f.Names, name)
	return consent.OwnedIdentifier{OwnedName: name, Subject: subject}
}

// minutesApart is the time from one row to the next.
const minutesApart = 17

// event makes an event; from one to the next some hours go by, so that thousands of them are some years.
func (f *Data) event(o, subject consent.ID) consent.Event {
	recorded := FirstEvent.Add(time.Duration(f.made) * minutesApart * time.Minute)
	var id consent.ID
	binary.BigEndian.PutUint64(id[:], uint64(recorded.UnixMilli())<<16)
	next := f.id()
	copy(id[6:], next[6:])
	e := consent.Event{Organization: o, ID: id, Sequence: int64(f.made), Subject: subject, Project: 1 + f.random.IntN(3),
		Purpose: 1 + f.random.IntN(4), PurposeVersion: f.random.IntN(4),
		State: consent.State(1 + f.random.IntN(5)), Action: consent.Action(1 + f.random.IntN(4)), Weight: consent.Weight(1 +
			f.random.IntN(4)),
		Grants:     f.random.IntN(2) == 0,
		OccurredAt: f.at(), RecordedAt: recorded, ExpiresAt: f.some(), Domain: f.odd(), Country: "DE",
		Protocol: f.odd(),
		BodyJSON: []byte(`{"b":1}`), IdentityJSON: []byte("\x00\xff" + f.odd())}
	if f.random.IntN(2) == 0 {
		e.Key = f.Keys[f.random.IntN(len(f.Keys))][1]
	}
	return e
}
