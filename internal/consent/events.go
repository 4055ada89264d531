package consent

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"
)

// Record puts a batch of decisions on record: all or nothing, durable when it returns.
// The once answer is rendered from a *Recorded. Errors: Invalid, Unprocessable (purpose or state
// not acceptable), Forbidden, NotFound (organization, project, or a person who must be known),
// Unavailable (not done: too busy or shutting down).
func (s *Service) Record(ctx context.Context, a Actor, w Write) (*Recorded, error) {
	if err := a.need(cmp.Or(w.Scope, ConsentsWrite)); err != nil {
		return nil, err
	}
	d, err := s.directory(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	if err := s.replayed(ctx, a, w.Once); err != nil {
		return nil, err
	}
	p, err := s.prepare(a, d, &w)
	if IsKind(err, NotFound) || IsKind(err, Unprocessable) {
		if d, err = s.directoryAnew(ctx, a.Organization); err == nil {
			p, err = s.prepare(a, d, &w)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.batch.do(ctx, p)
}

// Person gives the current consents of one person. An unknown person is NotFound. It makes nobody.
func (s *Service) Person(ctx context.Context, a Actor, q PersonQuery) (*Person, error) {
	if err := a.need(cmp.Or(q.Scope, ConsentsRead)); err != nil {
		return nil, err
	}
	d, project, err := s.directoryWith(ctx, a.Organization, q.Project)
	if err != nil {
		return nil, err
	}
	given, err := prepare([]Identifier{q.Identifier}, project.Number, false)
	if err != nil {
		return nil, err
	}
	if err := a.confined(given); err != nil {
		return nil, err
	}
	who, err := s.store.Person(ctx, OwnedName{a.Organization, given[0]}, project.Number)
	if err != nil {
		return nil, classify(ctx, err)
	}
	if !who.Known() {
		return nil, errNoSubject
	}
	return d.person(project.Number, &who, s.now()), nil
}

// person gives the consents of everybody whom an identifier may mean as those of one person.
func (d *Directory) person(project int, who *Who, at time.Time) *Person {
	person := &Person{Subject: who.Subject, Ambiguous: len(who.Claimants) > 0, At: at, Consents: make(map[string]Consent,
		len(who.Consents))}
	if person.Subject == NoID {
		person.Subject = who.Claimants[0]
	}
	for _, c := range who.Consents {
		p := d.PurposeNumbered(project, c.Purpose)
		if p == nil {
			continue
		}
		if who.Crowded() {
			c.Grants = false
		}
		if other, several := person.Consents[p.Key]; several {
			c = joint(other, c, at)
		}
		person.Consents[p.Key] = c
	}
	return person
}

// confined refuses an actor who speaks for one person and asks for another.
func (a Actor) confined(given []Identifier) error {
	if a.Person == "" || len(given) == 1 && given[0].Kind == UserID && given[0].Value == a.Person {
		return nil
	}
	return Errorf(Forbidden, "", "this token reaches its own person only")
}

// Events gives a part of the history of the actor's organization. An unknown project is NotFound.
func (s *Service) Events(ctx context.Context, a Actor, f EventFilter) (EventPage, error) {
	if err := a.need(ConsentsRead); err != nil {
		return EventPage{}, err
	}
	var page EventPage
	err := s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		d, err := directoryOf(ctx, r, a.Organization) // not from memory: an event may be of a purpose made just now
		if err != nil {
			return err
		}
		q, people, err := d.query(f)
		if err != nil {
			return err
		}
		if len(people) > 0 {
			if q.Subjects, err = whoIs(ctx, r, people); err != nil {
				return err
			}
		}
		events, total, err := r.Events(ctx, q)
		if err != nil {
			return err
		}
		page.Total = total
		page.Items, err = d.show(events)
		return err
	})
	return page, err
}

// whoIs gives the subjects that have, or claim, one of the identifiers of each kind that is asked for.
func whoIs(ctx context.Context, r Reader, people []OwnedName) ([]ID, error) {
	owners, err := r.Owners(ctx, people)
	if err != nil {
		return nil, err
	}
	claimants, err := r.Claimants(ctx, people)
	if err != nil {
		return nil, err
	}
	byKind := map[IdentifierKind][]ID{}
	for i, owner := range owners {
		byKind[people[i].Kind] = append(append(byKind[people[i].Kind], owner), claimants[i]...)
	}
	var all []ID
	for _, of := range byKind {
		if all == nil {
			all = of
		}
		all = slices.DeleteFunc(all, func(id ID) bool { return id == NoID || !slices.Contains(of, id) })
	}
	slices.SortFunc(all, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all), nil
}

// query looks up the names of a filter.
func (d *Directory) query(f EventFilter) (EventQuery, []OwnedName, error) {
	q := EventQuery{Organization: d.Organization.ID, From: f.From, To: f.To, States: f.States, Actions: f.Actions,
		Keys: f.Keys, Domains: f.Domains, Countries: f.Countries, ByOccurredAt: f.ByOccurredAt, Ascending: f.Ascending,
		Offset: f.Offset, Limit: f.Limit}
	for _, id := range f.Projects {
		p, err := d.Project(id)
		if err != nil {
			return q, nil, err
		}
		q.Projects = append(q.Projects, p.Number)
	}
	if len(f.Categories)+len(f.Subcategories)+len(f.Labels) > 0 {
		q.Purposes = d.matching(f.Categories, f.Subcategories, f.Labels)
	}
	projects := q.Projects
	if projects == nil {
		for i := range d.Projects {
			projects = append(projects, d.Projects[i].Number)
		}
	}
	var people []OwnedName
	for _, id := range f.People {
		value, err := Normalize(id.Kind, id.Value)
		if err != nil {
			return q, nil, &Error{Kind: Invalid, Field: string(id.Kind), Msg: AsError(err).Msg}
		}
		if id.Kind != ProjectUserID {
			people = append(people, OwnedName{q.Organization, Identifier{Kind: id.Kind, Value: value}})
			continue
		}
		for _, number := range projects {
			people = append(people, OwnedName{q.Organization, Identifier{id.Kind, number, value}})
		}
	}
	return q, people, nil
}

// show adds what is needed to show events.
func (d *Directory) show(events []Event) (views []EventView, err error) {
	views = make([]EventView, len(events))
	for i := range events {
		if views[i], err = d.Show(&events[i]); err != nil {
			return nil, err
		}
	}
	return views, nil
}
