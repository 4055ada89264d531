package service

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"slices"

	"github.com/consentd/consentd/internal/consent"
)

// Record puts a batch of decisions on record: all or nothing, durable when it returns.
// The answer to keep is rendered from a *Recorded. Errors: Invalid, Unprocessable (purpose or state
// not acceptable), Forbidden, NotFound (organization, project, or a person who must be known),
// Unavailable (not done: too busy or shutting down; or the context ended, and then it may be done all the same).
func (s *Service) Record(ctx context.Context, a consent.Actor, w consent.Write) (*consent.Recorded, error) {
	if err := a.Require(cmp.Or(w.Scope, consent.ConsentsWrite)); err != nil {
		return nil, err
	}
	d, err := s.catalog(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	if err := s.replayed(ctx, a, w.Idempotency); err != nil {
		return nil, err
	}
	if w.Origin.Country == "" {
		w.Origin.Country = s.places.Country(w.Origin.Address)
	}
	facts := consent.Facts{Now: s.now(), Session: s.newID(), Country: s.places.Country,
		Regime: s.places.Regime, Hash: hashText}
	p, err := consent.Prepare(a, d, &w, facts)
	if unknown(err) {
		if d, err = s.freshCatalog(ctx, a.Organization); err == nil {
			p, err = consent.Prepare(a, d, &w, facts)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.writer.Write(ctx, p)
}

// unknown tells whether a write was refused for something that another server may have made just now.
func unknown(err error) bool {
	if err == nil {
		return false
	}
	e := consent.AsError(err)
	return e.Kind == consent.NotFound || e.Kind == consent.Unprocessable ||
		slices.ContainsFunc(e.More, func(e *consent.Error) bool { return e.Kind == consent.Unprocessable })
}

// hashText gives the SHA-256 of a text, by which it is kept.
func hashText(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	return hash[:]
}

// Person gives the current consents of one person. An unknown person is NotFound. It makes nobody.
func (s *Service) Person(ctx context.Context, a consent.Actor, q consent.PersonQuery) (*consent.Person, error) {
	if err := a.Require(cmp.Or(q.Scope, consent.ConsentsRead)); err != nil {
		return nil, err
	}
	d, project, err := s.catalogWith(ctx, a.Organization, q.Project)
	if err != nil {
		return nil, err
	}
	given, err := consent.PrepareIdentifiers([]consent.Identifier{q.Identifier}, project.Number, false)
	if err != nil {
		return nil, err
	}
	if err := a.Confined(given); err != nil {
		return nil, err
	}
	who, err := s.store.Person(ctx, consent.OwnedName{Organization: a.Organization, Identifier: given[0]}, project.Number,
		nil)
	if err != nil {
		return nil, classify(ctx, err)
	}
	if !who.Known() {
		return nil, consent.ErrNoSubject
	}
	if given[0].Kind.Naming() {
		who = who.OnlyNo(s.now())
	}
	return d.Person(project.Number, &who, s.now()), nil
}

// Events gives a part of the history of the actor's organization. An unknown project is NotFound.
func (s *Service) Events(ctx context.Context, a consent.Actor, f consent.EventFilter) (consent.EventPage, error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return consent.EventPage{}, err
	}
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	var page consent.EventPage
	err := s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization) // not from memory: an event may be of a purpose made just now
		if err != nil {
			return err
		}
		q, err := eventQueryOf(ctx, r, d, f)
		if err != nil {
			return err
		}
		events, total, err := r.Events(ctx, q)
		if err != nil {
			return err
		}
		page.Total = total
		page.Items, err = d.ShowAll(events)
		return err
	})
	return page, err
}

// eventQueryOf looks up what a filter names. A subject that was merged stands for the person that it turned out to be.
func eventQueryOf(ctx context.Context, r Reader, d *consent.Catalog, f consent.EventFilter) (consent.EventQuery,
	error) {
	q, people, err := d.Query(f)
	if err == nil && len(people) > 0 {
		q.Subjects, err = whoIs(ctx, r, people)
	}
	if err != nil || f.Subject == consent.NoID {
		return q, err
	}
	name := consent.OwnedName{Organization: q.Organization,
		Identifier: consent.Identifier{Kind: consent.SubjectID, Value: f.Subject.String()}}
	owners, err := r.Owners(ctx, []consent.OwnedName{name})
	if err == nil && owners[0] == consent.NoID {
		err = consent.Errorf(consent.Unprocessable, "subject", "is not known in this organization")
	}
	q.Subjects = owners
	return q, err
}

// whoIs gives the subjects that have, or claim, one of the identifiers of each kind that is asked for.
func whoIs(ctx context.Context, r Reader, people []consent.OwnedName) ([]consent.ID, error) {
	owners, err := r.Owners(ctx, people)
	if err != nil {
		return nil, err
	}
	claimants, err := r.Claimants(ctx, people)
	if err != nil {
		return nil, err
	}
	byKind := map[consent.IdentifierKind][]consent.ID{}
	for i, owner := range owners {
		of := append(byKind[people[i].Kind], owner)
		if !people[i].Kind.Naming() { // who claims such a one says no to it, and no more
			of = append(of, claimants[i]...)
		}
		byKind[people[i].Kind] = of
	}
	var all []consent.ID
	for _, of := range byKind {
		if all == nil {
			all = of
		}
		all = slices.DeleteFunc(all, func(id consent.ID) bool { return id == consent.NoID || !slices.Contains(of, id) })
	}
	slices.SortFunc(all, func(a, b consent.ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all), nil
}
