package service

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
)

// SubjectByID gives the record of a subject by its own id, or that of the person whom it turned out to be. Errors:
// Forbidden, NotFound.
func (s *Service) SubjectByID(ctx context.Context, a consent.Actor, id consent.ID) (*consent.SubjectView, error) {
	if err := a.Require(consent.SubjectsRead); err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	var view *consent.SubjectView
	err := s.view(ctx, func(r Reader) (err error) {
		view, err = viewOf(ctx, r, a.Organization, id)
		return err
	})
	return view, err
}

// Timeline gives up to limit events of a subject and of all who were merged into it, in the order of the ledger, behind
// an id (NoID: from the beginning). Errors: Forbidden, NotFound.
func (s *Service) Timeline(ctx context.Context, a consent.Actor, id, after consent.ID, limit int) (
	views []consent.EventView, err error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, err
	}
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	err = s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization) // not from memory: an event may be of a purpose made just now
		if err != nil {
			return err
		}
		subject, err := survivor(ctx, r, a.Organization, id)
		if err != nil {
			return err
		}
		key := consent.SubjectKey{Organization: a.Organization, Subject: subject.ID}
		events, err := r.Timeline(ctx, key, after, limit)
		if err != nil {
			return err
		}
		if views, err = d.ShowAll(events); err != nil {
			return err
		}
		return addTexts(ctx, r, views)
	})
	return views, err
}

// named ranks identifiers that somebody asks about, who may read about subjects. Errors: Forbidden, NotFound, Invalid
// with the kind.
func (s *Service) named(ctx context.Context, a consent.Actor, project consent.ID,
	given []consent.Identifier) ([]consent.Identifier, error) {
	if err := a.Require(consent.SubjectsRead); err != nil {
		return nil, err
	}
	_, of, err := s.catalogWith(ctx, a.Organization, project)
	if err != nil {
		return nil, err
	}
	return consent.PrepareIdentifiers(given, of.Number, false)
}

// LookUpSubject gives the record of whom the identity rules take identifiers for; it makes nobody. project is that of a
// ProjectUserID, NoID the default one. Errors: Forbidden, NotFound, Invalid with the kind.
func (s *Service) LookUpSubject(ctx context.Context, a consent.Actor, project consent.ID,
	given []consent.Identifier) (*consent.SubjectView, error) {
	ranked, err := s.named(ctx, a, project, given)
	if err != nil {
		return nil, err
	}
	var view *consent.SubjectView
	err = s.view(ctx, func(r Reader) error {
		people, err := writer.LoadPeople(ctx, r, a.Organization, ranked)
		if err != nil {
			return err
		}
		view, err = viewOf(ctx, r, a.Organization, people.Find(a.Organization, ranked))
		return err
	})
	return view, err
}

// AttachIdentifier gives a subject an identifier. The answer to keep is rendered from a *SubjectView. Errors: Invalid
// with the kind, Forbidden, NotFound, Conflict (see consent.People.Name), PreconditionFailed.
func (s *Service) AttachIdentifier(ctx context.Context, a consent.Actor, in consent.IdentifierChange) (
	*consent.SubjectView, error) {
	return s.changeIdentifier(ctx, a, in, func(p *consent.People, subject *consent.Subject, id consent.Identifier,
		changes *consent.Changes) error {
		changed, err := p.Name(a.Organization, subject.ID, id)
		if changed {
			changes.AddName(id, subject)
			changes.RemovedClaims = []consent.OwnedIdentifier{changes.Identifiers[0]} // it is theirs now
		}
		return err
	})
}

// DetachIdentifier takes an identifier away from a subject. The answer to keep is rendered from a *SubjectView. Errors:
// Invalid with the kind, Forbidden, NotFound, Conflict (see consent.People.CheckUnname), PreconditionFailed.
func (s *Service) DetachIdentifier(ctx context.Context, a consent.Actor, in consent.IdentifierChange) (
	*consent.SubjectView, error) {
	return s.changeIdentifier(ctx, a, in, func(p *consent.People, subject *consent.Subject, id consent.Identifier,
		changes *consent.Changes) error {
		changes.RemoveName(a.Organization, id)
		return p.CheckUnname(a.Organization, subject.ID, id)
	})
}

// changeIdentifier has change decide what becomes of one identifier, of which it gets to know whose it is, and what
// else the subject has.
func (s *Service) changeIdentifier(ctx context.Context, a consent.Actor, in consent.IdentifierChange,
	change func(*consent.People, *consent.Subject, consent.Identifier, *consent.Changes) error) (*consent.SubjectView,
	error) {
	if err := a.Require(consent.SubjectsWrite); err != nil {
		return nil, err
	}
	_, project, err := s.catalogWith(ctx, a.Organization, in.Project)
	if err != nil {
		return nil, err
	}
	given, err := consent.PrepareIdentifiers([]consent.Identifier{in.Identifier}, project.Number, false)
	if err != nil {
		return nil, err
	}
	var view *consent.SubjectView
	err = s.update(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		var err error
		if view, err = viewOf(ctx, tx, a.Organization, in.Subject); err != nil {
			return nil, err
		}
		people, err := writer.LoadPeople(ctx, tx, a.Organization, given)
		if err != nil {
			return nil, err
		}
		people.SetIdentifiers(consent.SubjectKey{Organization: a.Organization, Subject: view.ID}, view.Identifiers)
		var changes consent.Changes
		if err := change(people, &view.Subject, given[0], &changes); err != nil {
			return nil, err
		}
		if err := in.If.Check(view.Tag); err != nil {
			return nil, err
		}
		if err := tx.Append(ctx, &changes); err != nil {
			return nil, err
		}
		view, err = viewOf(ctx, tx, a.Organization, in.Subject)
		return view, err
	})
	return view, err
}

// survivor gives a subject, or the person whom it turned out to be, with the record as it is stored. Errors: NotFound,
// Gone.
func survivor(ctx context.Context, r Reader, organization, id consent.ID) (*consent.Subject, error) {
	r = asStored(r)
	subject, err := r.Subject(ctx, organization, id)
	if err == nil && subject != nil && subject.MergedInto != consent.NoID {
		subject, err = r.Subject(ctx, organization, subject.MergedInto)
	}
	switch {
	case err != nil:
	case subject == nil:
		err = consent.ErrNoSubject
	default:
		err = subject.Erasure.Err()
	}
	return subject, err
}

// identifiersOf gives all identifiers of each subject, in order of kind, project and value.
func identifiersOf(ctx context.Context, r Reader, subjects []consent.SubjectKey) (
	map[consent.SubjectKey][]consent.Identifier, error) {
	names, err := r.Names(ctx, subjects)
	found := make(map[consent.SubjectKey][]consent.Identifier, len(names))
	for key, owned := range names {
		found[key] = consent.IdentifiersOf(owned)
	}
	return found, err
}

// viewOf reads all that is shown of a subject, or of the person whom it turned out to be. Errors: NotFound.
func viewOf(ctx context.Context, r Reader, organization, id consent.ID) (*consent.SubjectView, error) {
	subject, err := survivor(ctx, r, organization, id)
	if err != nil {
		return nil, err
	}
	key := consent.SubjectKey{Organization: organization, Subject: subject.ID}
	all, err := identifiersOf(ctx, r, []consent.SubjectKey{key})
	if err != nil {
		return nil, err
	}
	merges, err := r.Merges(ctx, []consent.SubjectKey{key})
	if err != nil {
		return nil, err
	}
	if o := openedOf(r); o != nil {
		if err := o.openSubject(ctx, subject); err != nil {
			return nil, err
		}
	}
	view := &consent.SubjectView{Subject: *subject, Identifiers: all[key]}
	if err := nameProjects(ctx, r, view); err != nil {
		return nil, err
	}
	for _, id := range view.Identifiers {
		if id.Kind.Naming() {
			view.Name = id.Value
		}
	}
	for _, m := range merges[key] {
		if m.Into == subject.ID {
			view.Merged = append(view.Merged, m)
		}
	}
	slices.SortFunc(view.Merged, func(a, b consent.SubjectMerge) int { return cmp.Compare(a.Number, b.Number) })
	view.Tag = tagOf(view)
	return view, nil
}

// nameProjects adds to a view the projects of its identifiers.
func nameProjects(ctx context.Context, r Reader, view *consent.SubjectView) error {
	if !slices.ContainsFunc(view.Identifiers, func(id consent.Identifier) bool { return id.Project != 0 }) {
		return nil
	}
	d, err := catalogOf(ctx, r, view.Organization)
	if err != nil {
		return err
	}
	view.Projects = map[int]consent.ID{}
	for _, id := range view.Identifiers {
		if project := d.ProjectNumbered(id.Project); project != nil {
			view.Projects[id.Project] = project.ID
		}
	}
	return nil
}

// tagOf gives a number of 18 digits that changes with whatever a view shows.
func tagOf(v *consent.SubjectView) int {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %d %d\n", v.ID, v.Record.Version, v.Record.ChangedAt.UnixMicro())
	if !v.Restriction.At.IsZero() {
		fmt.Fprintf(&b, "restricted %d\n", v.Restriction.Sequence)
	}
	for _, id := range v.Identifiers {
		fmt.Fprintf(&b, "%s %d %q\n", id.Kind, id.Project, id.Value)
	}
	for _, m := range v.Merged {
		fmt.Fprintf(&b, "%s %d\n", m.From, m.Number)
	}
	sum := sha256.Sum256(b.Bytes())
	const digits = 1e17
	return int(digits + binary.BigEndian.Uint64(sum[:])%(9*digits))
}
