package consent

import (
	"bytes"
	"context"
	"fmt"
)

// SaveSubject makes a subject's record or a new version of it. The once answer is
// rendered from a *SubjectView. Errors: Invalid, Forbidden, NotFound, PreconditionFailed.
func (s *Service) SaveSubject(ctx context.Context, a Actor, wish SaveSubject) (*SubjectView, error) {
	if err := a.need(SubjectsWrite); err != nil {
		return nil, err
	}
	generated := wish.Name == ""
	if generated {
		wish.Name = s.newID().String()
	}
	name, err := checkSubjectName(wish.Type, wish.Name)
	if err != nil {
		return nil, err
	}
	if err := checkData("data", wish.Data); err != nil {
		return nil, err
	}
	if _, err := s.directory(ctx, a.Organization); err != nil {
		return nil, err
	}
	var view *SubjectView
	err = s.update(ctx, a, wish.Once, func(tx Tx) (any, error) {
		var changes Changes
		var err error
		view, err = s.saveNamed(ctx, tx, a, name, wish, &changes)
		if err != nil {
			return nil, err
		}
		return view, tx.Append(ctx, &changes)
	})
	return view, err
}

func (s *Service) saveNamed(ctx context.Context, r Reader, a Actor, name Identifier, wish SaveSubject, changes *Changes) (*SubjectView, error) {
	known, err := s.findSubject(ctx, r, a.Organization, name)
	if err != nil {
		return nil, err
	}
	if known == nil && wish.MustExist {
		return nil, errNoSubject
	}
	if known == nil {
		if err := wish.If.check(0); err != nil {
			return nil, err
		}
		subject := newSubject(a, s.newID(), wish.Type, s.now())
		subject.Record.Data = orEmpty(wish.Data)
		changes.Subjects = append(changes.Subjects, subject)
		changes.name(name, &subject)
		return &SubjectView{Subject: subject, Name: name.Value, Identifiers: []Identifier{name}, Created: true}, nil
	}
	data, err := wish.Mode.apply(known.Record.Data, orEmpty(wish.Data))
	if err != nil {
		return nil, err
	}
	if err := wish.If.check(known.Record.Version); err != nil {
		return nil, err
	}
	s.newVersion(a, known, data, known.Record.Profile, changes)
	return &SubjectView{Subject: *known, Name: name.Value, Identifiers: []Identifier{name}}, nil
}

// newVersion archives a subject's record and puts the next version in its place.
func (s *Service) newVersion(a Actor, subject *Subject, data, profile []byte, changes *Changes) {
	changes.Archive = append(changes.Archive, ArchivedRecord{subject.Organization, subject.ID, subject.Record})
	subject.Record = Record{Version: subject.Record.Version + 1, ChangedAt: s.now(), ChangedBy: a.Key, Data: data, Profile: profile}
	changes.Subjects = append(changes.Subjects, *subject)
}

func (s *Service) findSubject(ctx context.Context, r Reader, organization ID, name Identifier) (*Subject, error) {
	owners, err := r.Owners(ctx, []OwnedName{{organization, name}})
	if err != nil || owners[0] == NoID {
		return nil, err
	}
	return r.Subject(ctx, organization, owners[0])
}

// Subject gives the record of a subject by type and name; version 0 is the current one.
func (s *Service) Subject(ctx context.Context, a Actor, typ, name string, version int) (*SubjectView, error) {
	if err := a.need(SubjectsRead); err != nil {
		return nil, err
	}
	id, err := checkSubjectName(typ, name)
	if err != nil {
		return nil, err
	}
	if _, err := s.directory(ctx, a.Organization); err != nil {
		return nil, err
	}
	var view *SubjectView
	err = s.view(ctx, func(r Reader) error {
		subject, err := s.findSubject(ctx, r, a.Organization, id)
		if err != nil {
			return err
		}
		if subject == nil {
			return errNoSubject
		}
		view = &SubjectView{Subject: *subject, Name: id.Value}
		if version != 0 && version != subject.Record.Version {
			record, err := r.ArchivedRecord(ctx, a.Organization, subject.ID, version)
			if err != nil {
				return err
			}
			if record == nil {
				return Errorf(NotFound, "version", "this subject has no such version")
			}
			view.Record = *record
		}
		key := SubjectKey{a.Organization, subject.ID}
		all, err := r.Identifiers(ctx, []SubjectKey{key})
		view.Identifiers = all[key]
		return err
	})
	return view, err
}

// Subjects lists the subjects that have a name, in order of type and name.
func (s *Service) Subjects(ctx context.Context, a Actor, filter SubjectFilter) (SubjectPage, error) {
	if err := a.need(SubjectsRead); err != nil {
		return SubjectPage{}, err
	}
	if filter.Type != "" && !subjectType.MatchString(filter.Type) {
		return SubjectPage{}, Errorf(Invalid, "type", "must be 1 to 64 letters, digits, '_', '.' or '-'")
	}
	if filter.Name != "" {
		var err error
		if filter.Name, err = Normalize(TypedKind(filter.Type), filter.Name); err != nil {
			return SubjectPage{}, Errorf(Invalid, "id", "%s", AsError(err).Msg)
		}
	}
	if _, err := s.directory(ctx, a.Organization); err != nil {
		return SubjectPage{}, err
	}
	var page SubjectPage
	err := s.search(ctx, a.Organization, func(ctx context.Context, r Reader) (err error) {
		page.Items, page.Total, err = r.NamedSubjects(ctx, a.Organization, filter)
		return err
	})
	return page, err
}

// DeleteSubject removes a subject's record, its archive and its identifiers. Its consent events stay in the ledger
// under its internal id, with the identifiers and the evidence that they were recorded with. The once answer is
// rendered from struct{}{}. Errors: Invalid, Forbidden, NotFound, Conflict (see wish.KeepProof), PreconditionFailed.
func (s *Service) DeleteSubject(ctx context.Context, a Actor, wish DeleteSubject) error {
	if err := a.need(SubjectsWrite); err != nil {
		return err
	}
	id, err := checkSubjectName(wish.Type, wish.Name)
	if err != nil {
		return err
	}
	if _, err := s.directory(ctx, a.Organization); err != nil {
		return err
	}
	return s.update(ctx, a, wish.Once, func(tx Tx) (any, error) {
		return struct{}{}, s.deleteNamed(ctx, tx, a, id, wish)
	})
}

func (s *Service) deleteNamed(ctx context.Context, tx Tx, a Actor, id Identifier, wish DeleteSubject) error {
	subject, err := s.findSubject(ctx, tx, a.Organization, id)
	if err != nil {
		return err
	}
	if subject == nil {
		return errNoSubject
	}
	if wish.KeepProof {
		has, err := tx.HasEvents(ctx, a.Organization, subject.ID)
		if err != nil {
			return err
		}
		if has {
			return Errorf(Conflict, "", "this subject has consent events on record and cannot be deleted")
		}
	}
	if err := wish.If.check(subject.Record.Version); err != nil {
		return err
	}
	return s.remove(ctx, tx, subject)
}

func (s *Service) remove(ctx context.Context, tx Tx, subject *Subject) error {
	key := SubjectKey{subject.Organization, subject.ID}
	all, err := tx.Identifiers(ctx, []SubjectKey{key})
	if err != nil {
		return err
	}
	changes := Changes{RemovedSubjects: []SubjectKey{key}}
	for _, id := range all[key] {
		changes.RemovedIdentifiers = append(changes.RemovedIdentifiers, OwnedName{subject.Organization, id})
		if id.Kind.Naming() {
			changes.Counts = append(changes.Counts, Count{subject.Organization, NamedCount(id.Kind), -1})
		}
	}
	return tx.Append(ctx, &changes)
}

// errKnown is the Conflict of a person who is to be made and is known.
var errKnown = &Error{Kind: Conflict, Msg: "person exists"}

// SavePerson makes a person's record or a new version of it. The once answer is
// rendered from a *SubjectView. Errors: Invalid, Forbidden, NotFound (wish.Name unknown), Conflict (known, no upsert).
func (s *Service) SavePerson(ctx context.Context, a Actor, wish SavePerson) (*SubjectView, error) {
	if err := a.need(SubjectsWrite); err != nil {
		return nil, err
	}
	if _, err := s.directory(ctx, a.Organization); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		field string
		data  []byte
	}{{"data", wish.Data}, {"profile", wish.Profile}} {
		if err := checkData(part.field, part.data); err != nil {
			return nil, err
		}
	}
	given := wish.Handles
	if wish.Name != "" {
		given = append([]Identifier{{Kind: UserID, Value: wish.Name}}, given...)
	}
	given, err := prepareIdentifiers(given, 1, false)
	if err != nil {
		return nil, err
	}
	if len(given) == 0 {
		return nil, Errorf(Invalid, "handles", "must name at least one handle")
	}
	var view *SubjectView
	err = s.update(ctx, a, wish.Once, func(tx Tx) (any, error) {
		var err error
		view, err = s.savePerson(ctx, tx, a, wish, given)
		return view, err
	})
	return view, err
}

func (s *Service) savePerson(ctx context.Context, tx Tx, a Actor, wish SavePerson, given []Identifier) (*SubjectView, error) {
	p, err := loadPeople(ctx, tx, a.Organization, given)
	if err != nil {
		return nil, err
	}
	if wish.Name != "" && p.owner(a.Organization, given[0]) == NoID {
		return nil, errNoSubject
	}
	fresh := newSubject(a, s.newID(), DefaultSubjectType, s.now())
	found := p.identify(a.Organization, given, func() ID { return fresh.ID })
	subject := &fresh
	if !found.created {
		if subject, err = tx.Subject(ctx, a.Organization, found.subject); err != nil {
			return nil, err
		}
		if subject == nil {
			return nil, fmt.Errorf("subject of a known identifier is missing")
		}
	}
	name, named := p.nameOf(a.Organization, found.subject)
	if named && !wish.Upsert {
		return nil, errKnown
	}
	if !named {
		id := Identifier{Kind: UserID, Value: s.newID().String()}
		p.attach(a.Organization, found.subject, id)
		found.attach = append(found.attach, id)
		name = id.Value
	}
	var changes Changes
	s.keepPerson(a, subject, found.created, wish, &changes)
	for _, id := range found.attach {
		changes.name(id, subject)
	}
	changes.claim(a.Organization, found)
	key := SubjectKey{a.Organization, found.subject}
	view := &SubjectView{Subject: *subject, Name: name, Identifiers: p.identifiersOf(key), Created: !named}
	return view, tx.Append(ctx, &changes)
}

// keepPerson puts the data and the profile of a wish on record, where it has any.
func (s *Service) keepPerson(a Actor, subject *Subject, created bool, wish SavePerson, changes *Changes) {
	data, profile := subject.Record.Data, subject.Record.Profile
	if wish.Data != nil {
		data = wish.Data
	}
	if wish.Profile != nil {
		profile = wish.Profile
	}
	switch {
	case created:
		subject.Record.Data, subject.Record.Profile = data, profile
		changes.Subjects = append(changes.Subjects, *subject)
	case !bytes.Equal(data, subject.Record.Data) || !bytes.Equal(profile, subject.Record.Profile):
		s.newVersion(a, subject, data, profile, changes)
	}
}
