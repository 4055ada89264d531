package service

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
)

// SaveSubject makes a subject's record or a new version of it. The answer to keep is
// rendered from a *SubjectView. Errors: Invalid, Forbidden, NotFound, PreconditionFailed.
func (s *Service) SaveSubject(ctx context.Context, a consent.Actor, in consent.SaveSubject) (*consent.SubjectView,
	error) {
	if err := a.Require(consent.SubjectsWrite); err != nil {
		return nil, err
	}
	generated := in.Name == ""
	if generated {
		in.Name = s.newID().String()
	}
	name, err := consent.CheckSubjectName(in.Type, in.Name)
	if err != nil {
		return nil, err
	}
	if err := consent.CheckData("data", in.Data); err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	var view *consent.SubjectView
	err = s.update(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		var changes consent.Changes
		var err error
		view, err = s.saveNamed(ctx, tx, a, name, in, &changes)
		if err != nil {
			return nil, err
		}
		return view, tx.Append(ctx, &changes)
	})
	return view, err
}

func (s *Service) saveNamed(ctx context.Context, r Reader, a consent.Actor, name consent.Identifier,
	in consent.SaveSubject, changes *consent.Changes) (*consent.SubjectView, error) {
	known, err := s.findSubject(ctx, r, a.Organization, name)
	if err != nil {
		return nil, err
	}
	if known == nil && in.MustExist {
		return nil, consent.ErrNoSubject
	}
	if known == nil {
		if err := in.If.Check(0); err != nil {
			return nil, err
		}
		subject := consent.NewSubject(a, s.newID(), in.Type, s.now())
		subject.Record.Data = orEmpty(in.Data)
		changes.Subjects = append(changes.Subjects, subject)
		changes.AddName(name, &subject)
		return &consent.SubjectView{Subject: subject, Name: name.Value, Identifiers: []consent.Identifier{name},
			Created: true}, nil
	}
	data, err := in.Mode.Apply(known.Record.Data, orEmpty(in.Data))
	if err != nil {
		return nil, err
	}
	if err := in.If.Check(known.Record.Version); err != nil {
		return nil, err
	}
	s.newVersion(a, known, data, known.Record.Profile, changes)
	return &consent.SubjectView{Subject: *known, Name: name.Value, Identifiers: []consent.Identifier{name}}, nil
}

// newVersion archives a subject's record and puts the next version in its place.
func (s *Service) newVersion(a consent.Actor, subject *consent.Subject, data, profile []byte,
	changes *consent.Changes) {
	changes.Archive = append(changes.Archive, consent.ArchivedRecord{Organization: subject.Organization,
		Subject: subject.ID, Record: subject.Record})
	subject.Record = consent.Record{Version: subject.Record.Version + 1, ChangedAt: s.now(), ChangedBy: a.Key, Data: data,
		Profile: profile}
	changes.Subjects = append(changes.Subjects, *subject)
}

func (s *Service) findSubject(ctx context.Context, r Reader, organization consent.ID,
	name consent.Identifier) (*consent.Subject, error) {
	owners, err := r.Owners(ctx, []consent.OwnedName{{Organization: organization, Identifier: name}})
	if err != nil || owners[0] == consent.NoID {
		return nil, err
	}
	return r.Subject(ctx, organization, owners[0])
}

// Subject gives the record of a subject by type and name; version 0 is the current one.
func (s *Service) Subject(ctx context.Context, a consent.Actor, typ, name string, version int) (*consent.SubjectView,
	error) {
	if err := a.Require(consent.SubjectsRead); err != nil {
		return nil, err
	}
	id, err := consent.CheckSubjectName(typ, name)
	if err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	var view *consent.SubjectView
	err = s.view(ctx, func(r Reader) error {
		subject, err := s.findSubject(ctx, r, a.Organization, id)
		if err != nil {
			return err
		}
		if subject == nil {
			return consent.ErrNoSubject
		}
		view = &consent.SubjectView{Subject: *subject, Name: id.Value}
		if version != 0 && version != subject.Record.Version {
			record, err := r.ArchivedRecord(ctx, a.Organization, subject.ID, version)
			if err != nil {
				return err
			}
			if record == nil {
				return consent.Errorf(consent.NotFound, "version", "this subject has no such version")
			}
			view.Record = *record
		}
		key := consent.SubjectKey{Organization: a.Organization, Subject: subject.ID}
		all, err := identifiersOf(ctx, r, []consent.SubjectKey{key})
		view.Identifiers = all[key]
		return err
	})
	return view, err
}

// Subjects lists the subjects that have a name, in order of type, those of one type in an order that stays. To look for
// a text, all of them are read and decrypted.
func (s *Service) Subjects(ctx context.Context, a consent.Actor, filter consent.SubjectFilter) (consent.SubjectPage,
	error) {
	if err := a.Require(consent.SubjectsRead); err != nil {
		return consent.SubjectPage{}, err
	}
	if filter.Type != "" {
		if err := consent.CheckSubjectType(filter.Type); err != nil {
			return consent.SubjectPage{}, err
		}
	}
	if filter.Name != "" {
		var err error
		if filter.Name, err = consent.Normalize(consent.TypedKind(filter.Type), filter.Name); err != nil {
			return consent.SubjectPage{}, consent.Errorf(consent.Invalid, "id", "%s", consent.AsError(err).Msg)
		}
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return consent.SubjectPage{}, err
	}
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	var page consent.SubjectPage
	err := s.search(ctx, a.Organization, func(ctx context.Context, r Reader) (err error) {
		if filter.Text != "" {
			found, err := searchSubjects(ctx, r, a.Organization, filter)
			page = consent.SubjectPage(found)
			return err
		}
		var named []consent.NamedSubject
		named, page.Total, err = r.NamedSubjects(ctx, a.Organization, filter)
		page.Items = nil // it may run again
		for i := range named {
			page.Items = append(page.Items, viewOfNamed(&named[i]))
		}
		return err
	})
	return page, err
}

func viewOfNamed(n *consent.NamedSubject) consent.SubjectView {
	return consent.SubjectView{Subject: n.Subject, Name: n.Name.Value}
}

// searchedAtOnce is how many subjects are decrypted at once where a text is looked for.
const searchedAtOnce = 100

// searchSubjects reads all subjects that a filter may mean, and gives the part of those that match which it asks for.
func searchSubjects(ctx context.Context, r Reader, organization consent.ID, f consent.SubjectFilter) (
	page subjectMatches, err error) {
	text := folded(f.Text)
	if f.Name != "" { // few have one name
		named, _, err := r.NamedSubjects(ctx, organization, consent.SubjectFilter{Type: f.Type, Name: f.Name,
			Limit: searchedAtOnce})
		for i := range named {
			page.addMatch(&named[i], &f, text)
		}
		return page, err
	}
	after, all := consent.OwnedName{Organization: organization}, f
	all.Limit = searchedAtOnce
	for {
		if err := ctx.Err(); err != nil {
			return page, err
		}
		found, err := r.NamedAfter(ctx, all, after)
		if err != nil {
			return page, err
		}
		for i := range found {
			page.addMatch(&found[i], &f, text)
		}
		if len(found) < searchedAtOnce {
			return page, nil
		}
		after = found[len(found)-1].Place
	}
}

// subjectMatches is the part of a list that was asked for.
type subjectMatches consent.SubjectPage

// addMatch counts a subject whose data contain a folded text, and shows it where it is in the part.
func (m *subjectMatches) addMatch(n *consent.NamedSubject, f *consent.SubjectFilter, text string) {
	if !strings.Contains(folded(string(n.Subject.Record.Data)), text) {
		return
	}
	if m.Total >= int64(f.Offset) && len(m.Items) < f.Limit {
		m.Items = append(m.Items, viewOfNamed(n))
	}
	m.Total++
}

// folded is a text without regard to case. A final sigma is a sigma, and the Turkish İ an i.
func folded(text string) string {
	return strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(text, "İ", "i")), "ς", "σ")
}

// DeleteSubject removes a subject's record, its archive and its identifiers. Its consent events stay in the ledger
// under its internal id, with the identifiers and the evidence that they were recorded with. The answer to keep is
// rendered from struct{}{}. Errors: Invalid, Forbidden, NotFound, Conflict (see in.KeepProof), PreconditionFailed.
func (s *Service) DeleteSubject(ctx context.Context, a consent.Actor, in consent.DeleteSubject) error {
	if err := a.Require(consent.SubjectsWrite); err != nil {
		return err
	}
	id, err := consent.CheckSubjectName(in.Type, in.Name)
	if err != nil {
		return err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return err
	}
	return s.update(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		return struct{}{}, s.deleteNamed(ctx, tx, a, id, in)
	})
}

func (s *Service) deleteNamed(ctx context.Context, tx Tx, a consent.Actor, id consent.Identifier,
	in consent.DeleteSubject) error {
	subject, err := s.findSubject(ctx, tx, a.Organization, id)
	if err != nil {
		return err
	}
	if subject == nil {
		return consent.ErrNoSubject
	}
	if in.KeepProof {
		has, err := tx.HasEvents(ctx, a.Organization, subject.ID)
		if err != nil {
			return err
		}
		if has {
			return consent.Errorf(consent.Conflict, "", "this subject has consent events on record and cannot be deleted")
		}
	}
	if err := in.If.Check(subject.Record.Version); err != nil {
		return err
	}
	return s.remove(ctx, tx, subject)
}

func (s *Service) remove(ctx context.Context, tx Tx, subject *consent.Subject) error {
	key := consent.SubjectKey{Organization: subject.Organization, Subject: subject.ID}
	all, err := identifiersOf(ctx, tx, []consent.SubjectKey{key})
	if err != nil {
		return err
	}
	changes := consent.Changes{RemovedSubjects: []consent.SubjectKey{key}}
	for _, id := range all[key] {
		changes.RemoveName(subject.Organization, id)
	}
	return tx.Append(ctx, &changes)
}

// errKnown is the Conflict of a person who is to be made and is known.
var errKnown = &consent.Error{Kind: consent.Conflict, Msg: "person exists"}

// SavePerson makes a person's record or a new version of it. The answer to keep is
// rendered from a *SubjectView. Errors: Invalid, Forbidden, NotFound (in.Name unknown), Conflict (known, no upsert).
func (s *Service) SavePerson(ctx context.Context, a consent.Actor, in consent.SavePerson) (*consent.SubjectView,
	error) {
	if err := a.Require(consent.SubjectsWrite); err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		field string
		data  []byte
	}{{"data", in.Data}, {"profile", in.Profile}} {
		if err := consent.CheckData(part.field, part.data); err != nil {
			return nil, err
		}
	}
	given := in.Handles
	if in.Name != "" {
		given = append([]consent.Identifier{{Kind: consent.UserID, Value: in.Name}}, given...)
	}
	given, err := consent.PrepareIdentifiers(given, 1, false)
	if err != nil {
		return nil, err
	}
	if len(given) == 0 {
		return nil, consent.Errorf(consent.Invalid, "handles", "must name at least one handle")
	}
	var view *consent.SubjectView
	err = s.update(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		var err error
		view, err = s.savePerson(ctx, tx, a, in, given)
		return view, err
	})
	return view, err
}

func (s *Service) savePerson(ctx context.Context, tx Tx, a consent.Actor, in consent.SavePerson,
	given []consent.Identifier) (*consent.SubjectView, error) {
	p, err := writer.LoadPeople(ctx, tx, a.Organization, given)
	if err != nil {
		return nil, err
	}
	if in.Name != "" && p.Owner(a.Organization, given[0]) == consent.NoID {
		return nil, consent.ErrNoSubject
	}
	fresh := consent.NewSubject(a, s.newID(), consent.DefaultSubjectType, s.now())
	found := p.Identify(a.Organization, given, func() consent.ID { return fresh.ID })
	subject := &fresh
	if !found.Created {
		if subject, err = tx.Subject(ctx, a.Organization, found.Subject); err != nil {
			return nil, err
		}
		if subject == nil {
			return nil, fmt.Errorf("subject of a known identifier is missing")
		}
	}
	name, named := p.UserIDOf(a.Organization, found.Subject)
	if named && !in.Upsert {
		return nil, errKnown
	}
	if !named {
		id := consent.Identifier{Kind: consent.UserID, Value: s.newID().String()}
		p.Attach(a.Organization, found.Subject, id)
		found.Attach = append(found.Attach, id)
		name = id.Value
	}
	var changes consent.Changes
	s.keepPerson(a, subject, found.Created, in, &changes)
	for _, id := range found.Attach {
		changes.AddName(id, subject)
	}
	changes.AddClaims(a.Organization, found)
	key := consent.SubjectKey{Organization: a.Organization, Subject: found.Subject}
	view := &consent.SubjectView{Subject: *subject, Name: name, Identifiers: p.IdentifiersOf(key), Created: !named}
	return view, tx.Append(ctx, &changes)
}

// keepPerson puts the data and the profile that were given on record, where it has any.
func (s *Service) keepPerson(a consent.Actor, subject *consent.Subject, created bool, in consent.SavePerson,
	changes *consent.Changes) {
	data, profile := subject.Record.Data, subject.Record.Profile
	if in.Data != nil {
		data = in.Data
	}
	if in.Profile != nil {
		profile = in.Profile
	}
	switch {
	case created:
		subject.Record.Data, subject.Record.Profile = data, profile
		changes.Subjects = append(changes.Subjects, *subject)
	case !bytes.Equal(data, subject.Record.Data) || !bytes.Equal(profile, subject.Record.Profile):
		s.newVersion(a, subject, data, profile, changes)
	}
}

func orEmpty(data []byte) []byte {
	if len(data) == 0 {
		return []byte("{}")
	}
	return data
}
