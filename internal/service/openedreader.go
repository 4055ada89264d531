package service

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// openedReader gives what a reader has with the texts decrypted. What cannot be, since it or its key was changed or is
// gone, is an error where somebody is to see it, and empty where it is to be proved: then it is not what was committed.
type openedReader struct {
	Reader
	keys *vault
	made map[consent.ID]*indexes // of organizations that got a secret in this transaction
	// opened are by which idents were decrypted; nil: a key is gone, or was changed. They are few: those of a part.
	opened map[consent.SubjectKey]*sealing.Subject
}

// indexes gives those of an organization; nil: it has no identifiers.
func (o *openedReader) indexes(ctx context.Context, organization consent.ID) (*indexes, error) {
	if made := o.made[organization]; made != nil {
		return made, nil
	}
	return o.keys.indexesOf(ctx, o.Reader, organization)
}

// stored gives names as the store has them.
func (o *openedReader) stored(ctx context.Context, names []consent.OwnedName) ([]consent.OwnedName, error) {
	out := make([]consent.OwnedName, len(names))
	var known *indexes
	for i := range names {
		if i == 0 || names[i].Organization != names[i-1].Organization {
			var err error
			if known, err = o.indexes(ctx, names[i].Organization); err != nil {
				return nil, err
			}
		}
		out[i] = known.of(names[i])
	}
	return out, nil
}

// Owners implements Reader.
func (o *openedReader) Owners(ctx context.Context, names []consent.OwnedName) ([]consent.ID, error) {
	stored, err := o.stored(ctx, names)
	if err != nil {
		return nil, err
	}
	return o.Reader.Owners(ctx, stored)
}

// Claimants implements Reader.
func (o *openedReader) Claimants(ctx context.Context, names []consent.OwnedName) ([][]consent.ID, error) {
	stored, err := o.stored(ctx, names)
	if err != nil {
		return nil, err
	}
	return o.Reader.Claimants(ctx, stored)
}

// Persons implements Reader.
func (o *openedReader) Persons(ctx context.Context, names []consent.OwnedName, project int,
	hashes [][]byte) ([]consent.Who, error) {
	stored, err := o.stored(ctx, names)
	if err != nil {
		return nil, err
	}
	return o.Reader.Persons(ctx, stored, project, hashes)
}

// ConsentsByName implements Reader.
func (o *openedReader) ConsentsByName(ctx context.Context, asked []consent.NamedConsent) ([]consent.NamedHolder,
	error) {
	names := make([]consent.OwnedName, len(asked))
	for i := range asked {
		names[i] = asked[i].Name
	}
	names, err := o.stored(ctx, names)
	if err != nil {
		return nil, err
	}
	stored := slices.Clone(asked)
	for i := range stored {
		stored[i].Name = names[i]
	}
	return o.Reader.ConsentsByName(ctx, stored)
}

// Names implements Reader.
func (o *openedReader) Names(ctx context.Context,
	subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.OwnedIdentifier, error) {
	found, err := o.Reader.Names(ctx, subjects)
	if err != nil {
		return nil, err
	}
	var all []*consent.OwnedIdentifier
	for _, names := range found {
		for i := range names {
			all = append(all, &names[i])
		}
	}
	opener := o.opener(ctx)
	if err := opener.wantNames(all); err != nil {
		return nil, err
	}
	if err := opener.load(); err != nil {
		return nil, err
	}
	if err := opener.openNames(all); err != nil {
		return nil, err
	}
	for _, names := range found {
		slices.SortFunc(names, func(a, b consent.OwnedIdentifier) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Value, b.Value))
		})
	}
	return found, nil
}

// identAt gives whom the i-th of some entries is about, its id, its ident and where it is noted that this is lost.
type identAt = func(i int) (subject, entry consent.ID, ident *[]byte, lost *bool)

// idents decrypts the idents of n entries of an organization. Where they are proved, or listed, one that cannot be is
// left empty.
func (o *openedReader) idents(ctx context.Context, organization consent.ID, n int, proved bool,
	at identAt) error {
	opener := o.opener(ctx)
	for i := range n {
		subject, _, ident, lost := at(i)
		if lost != nil {
			*lost = false
		}
		if len(*ident) > 0 {
			opener.want(consent.SubjectKey{Organization: organization, Subject: subject})
		}
	}
	if len(opener.keys) == 0 {
		return nil
	}
	if err := opener.load(); err != nil {
		return err
	}
	if o.opened == nil {
		o.opened = opener.subjects
	} else {
		maps.Copy(o.opened, opener.subjects)
	}
	for i := range n {
		subject, entry, ident, lost := at(i)
		if len(*ident) == 0 {
			continue
		}
		of := consent.SubjectKey{Organization: organization, Subject: subject}
		var err error
		if *ident, err = opener.open(of, sealing.LabelIdent, entry[:], *ident); err == nil {
			continue
		}
		err = fmt.Errorf("who entry %s is about: %w", entry, err)
		if list := tolerates(ctx); list != nil && lost != nil {
			list.add(entry, err)
			*lost = true
		} else if !proved {
			return err
		}
	}
	return nil
}

func (o *openedReader) events(ctx context.Context, organization consent.ID, events []consent.Event, proved bool) error {
	return o.idents(ctx, organization, len(events), proved, func(i int) (subject, entry consent.ID, ident *[]byte,
		lost *bool) {
		return events[i].Subject, events[i].ID, &events[i].IdentityJSON, &events[i].Unreadable
	})
}

func (o *openedReader) rows(ctx context.Context, organization consent.ID, rows []consent.ExportedEvent,
	proved bool) error {
	return o.idents(ctx, organization, len(rows), proved, func(i int) (subject, entry consent.ID, ident *[]byte,
		lost *bool) {
		return rows[i].Subject, rows[i].ID, &rows[i].IdentityJSON, &rows[i].Unreadable
	})
}

// Event implements Reader.
func (o *openedReader) Event(ctx context.Context, organization, id consent.ID) (*consent.Event, error) {
	e, err := o.Reader.Event(ctx, organization, id)
	if err != nil || e == nil {
		return nil, err
	}
	events := []consent.Event{*e}
	err = o.events(ctx, organization, events, true)
	return &events[0], err
}

// Events implements Reader.
func (o *openedReader) Events(ctx context.Context, q consent.EventQuery) ([]consent.Event, int64, error) {
	events, total, err := o.Reader.Events(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	return events, total, o.events(ctx, q.Organization, events, false)
}

// EventsAfter implements Reader.
func (o *openedReader) EventsAfter(ctx context.Context, q *consent.EventQuery, span consent.EventSpan) (
	events []consent.Event, last consent.ID, err error) {
	if events, last, err = o.Reader.EventsAfter(ctx, q, span); err != nil {
		return nil, last, err
	}
	return events, last, o.events(ctx, q.Organization, events, true)
}

// Timeline implements Reader.
func (o *openedReader) Timeline(ctx context.Context, subject consent.SubjectKey, after consent.ID, limit int) (
	[]consent.Event, error) {
	events, err := o.Reader.Timeline(ctx, subject, after, limit)
	if err != nil {
		return nil, err
	}
	return events, o.events(ctx, subject.Organization, events, true)
}

// EventsBefore implements Reader.
func (o *openedReader) EventsBefore(ctx context.Context, organization, last consent.ID, limit int) ([]consent.Event,
	error) {
	events, err := o.Reader.EventsBefore(ctx, organization, last, limit)
	if err != nil {
		return nil, err
	}
	return events, o.events(ctx, organization, events, true)
}

// ExportEvents implements Reader.
func (o *openedReader) ExportEvents(ctx context.Context, q *consent.EventQuery, span consent.EventSpan, limit int,
	into *consent.ExportedEvents) (consent.ID, error) {
	last, err := o.Reader.ExportEvents(ctx, q, span, limit, into)
	if err != nil {
		return last, err
	}
	return last, o.rows(ctx, q.Organization, into.Rows, false)
}

// Entries implements Reader.
func (o *openedReader) Entries(ctx context.Context, organization consent.ID, span consent.EventSpan, limit int,
	into *consent.ExportedEvents) (consent.ID, error) {
	last, err := o.Reader.Entries(ctx, organization, span, limit, into)
	if err != nil {
		return last, err
	}
	return last, o.rows(ctx, organization, into.Rows, true)
}

// OtherEntries implements Reader.
func (o *openedReader) OtherEntries(ctx context.Context, organization consent.ID, span consent.EventSpan, limit int) (
	[]consent.ExportedEvent, consent.ID, error) {
	found, last, err := o.Reader.OtherEntries(ctx, organization, span, limit)
	if err != nil {
		return nil, last, err
	}
	return found, last, o.rows(ctx, organization, found, true)
}

// EntriesOf implements Reader.
func (o *openedReader) EntriesOf(ctx context.Context, subject consent.SubjectKey, after consent.ID, limit int) (
	[]consent.ExportedEvent, error) {
	found, err := o.Reader.EntriesOf(ctx, subject, after, limit)
	if err != nil {
		return nil, err
	}
	return found, o.rows(ctx, subject.Organization, found, true)
}

// OwnEntries implements Reader.
func (o *openedReader) OwnEntries(ctx context.Context, organization consent.ID, kind consent.EntryKind, upTo int64,
	limit int) ([]consent.ExportedEvent, error) {
	found, err := o.Reader.OwnEntries(ctx, organization, kind, upTo, limit)
	if err != nil {
		return nil, err
	}
	return found, o.rows(ctx, organization, found, true)
}

// LedgerEntry implements Reader.
func (o *openedReader) LedgerEntry(ctx context.Context, organization, id consent.ID) (*consent.LedgerEntry, error) {
	e, err := o.Reader.LedgerEntry(ctx, organization, id)
	if err != nil || e == nil {
		return nil, err
	}
	return e, o.idents(ctx, organization, 1, true, func(int) (subject, entry consent.ID, ident *[]byte, lost *bool) {
		return e.Subject, e.ID, &e.IdentityJSON, nil
	})
}

// Subject implements Reader.
func (o *openedReader) Subject(ctx context.Context, organization, id consent.ID) (*consent.Subject, error) {
	s, err := o.Reader.Subject(ctx, organization, id)
	if err != nil || s == nil {
		return nil, err
	}
	return s, o.openSubject(ctx, s)
}

func (o *openedReader) openSubject(ctx context.Context, s *consent.Subject) error {
	of := consent.SubjectKey{Organization: s.Organization, Subject: s.ID}
	return o.openRecord(ctx, sealedRecord{of, &s.Record}, currentRecord)
}

// openedOf gives the part of a reader that decrypts; nil: it shows what is stored.
func openedOf(r Reader) *openedReader {
	switch r := r.(type) {
	case *openedReader:
		return r
	case *sealingTx:
		return &r.openedReader
	}
	return nil
}

// asStored gives what a reader reads without decrypting it: who is to be erased, or found by an id, is so whether or
// not all that is held of them can be read.
func asStored(r Reader) Reader {
	if o := openedOf(r); o != nil {
		return o.Reader
	}
	return r
}

// ArchivedRecord implements Reader.
func (o *openedReader) ArchivedRecord(ctx context.Context, organization, subject consent.ID,
	version int) (*consent.Record, error) {
	record, err := o.Reader.ArchivedRecord(ctx, organization, subject, version)
	if err != nil || record == nil {
		return nil, err
	}
	of := consent.SubjectKey{Organization: organization, Subject: subject}
	return record, o.openRecord(ctx, sealedRecord{of, record}, archivedRecord)
}

// NamedSubjects implements Reader. The filter's text is left out.
func (o *openedReader) NamedSubjects(ctx context.Context, organization consent.ID, f consent.SubjectFilter) (
	[]consent.NamedSubject, int64, error) {
	if f.Name != "" {
		known, err := o.indexes(ctx, organization)
		if err != nil || known == nil {
			return nil, 0, err
		}
		f.Name = known.value(consent.Identifier{Kind: consent.TypedKind(f.Type), Value: f.Name})
	}
	found, total, err := o.Reader.NamedSubjects(ctx, organization, f)
	if err != nil {
		return nil, 0, err
	}
	return found, total, o.openNamed(ctx, found)
}

// NamedAfter implements Reader.
func (o *openedReader) NamedAfter(ctx context.Context, f consent.SubjectFilter, after consent.OwnedName) (
	[]consent.NamedSubject, error) {
	found, err := o.Reader.NamedAfter(ctx, f, after)
	if err != nil {
		return nil, err
	}
	return found, o.openNamed(ctx, found)
}

func (o *openedReader) openNamed(ctx context.Context, found []consent.NamedSubject) error {
	names, records := make([]*consent.OwnedIdentifier, len(found)), make([]sealedRecord, len(found))
	for i := range found {
		n := &found[i]
		n.Place = n.Name.OwnedName
		names[i] = &n.Name
		records[i] = sealedRecord{consent.SubjectKey{Organization: n.Name.Organization, Subject: n.Subject.ID},
			&n.Subject.Record}
	}
	opener := o.opener(ctx)
	if err := opener.wantNames(names); err != nil {
		return err
	}
	opener.wantRecords(records)
	if err := opener.load(); err != nil {
		return err
	}
	list := tolerates(ctx)
	for i := range found {
		err := opener.openNames(names[i : i+1])
		if err != nil && list != nil {
			list.add(found[i].Subject.ID, err)
			names[i].Value, names[i].Sealed, names[i].Secret, err = "", nil, nil, nil
		}
		if err != nil {
			return err
		}
		if err = opener.openRecords(records[i:i+1], currentRecord); err != nil && list != nil {
			list.add(found[i].Subject.ID, err)
			found[i].Subject.Record.Data, found[i].Subject.Record.Profile, err = orEmpty(nil), nil, nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
