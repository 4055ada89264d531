package service

import (
	"context"
	"maps"
	"slices"

	"github.com/consentd/consentd/internal/consent"
)

// Check tells of each person whether consents are in force, in the order of the query. It makes nobody; an unknown
// person is one of whom nothing is on record. Errors: Invalid, Unprocessable, Forbidden, NotFound (organization).
func (s *Service) Check(ctx context.Context, a consent.Actor, q consent.CheckQuery) ([]consent.Checked, error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, err
	}
	d, err := s.catalog(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	p, err := consent.PrepareCheck(a, d, &q)
	if consent.IsKind(err, consent.Unprocessable) { // what is not found may have been made by another server just now
		if d, err = s.freshCatalog(ctx, a.Organization); err == nil {
			p, err = consent.PrepareCheck(a, d, &q)
		}
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	people, err := s.meant(ctx, a.Organization, p, p.Past(now))
	if err != nil {
		return nil, classify(ctx, err)
	}
	if p.At.IsZero() {
		now = s.now() // what was read may have expired meanwhile
	}
	answers := make([]consent.Checked, len(people))
	for i := range people {
		answers[i] = p.Check(&people[i], now)
	}
	return answers, nil
}

// meant reads everybody whom the people of a check may be; past: with their consents at the instant that is asked
// about.
func (s *Service) meant(ctx context.Context, organization consent.ID, p *consent.PreparedCheck,
	past bool) ([]consent.Meant, error) {
	people := make([]consent.Meant, len(p.People))
	var names []consent.OwnedName
	for i, given := range p.People {
		people[i].Given = given
		for _, id := range given {
			names = append(names, consent.OwnedName{Organization: organization, Identifier: id})
		}
	}
	hashes, err := s.hashesOf(ctx, names)
	if err != nil {
		return nil, err
	}
	if len(names) == 1 && !past {
		var hash []byte
		if hashes != nil {
			hash = hashes[0]
		}
		who, err := s.store.Person(ctx, names[0], p.Project.Number, hash)
		people[0].Who = []consent.Who{who}
		return people, err
	}
	read := func(ctx context.Context, r Reader) error {
		who, err := r.Persons(ctx, names, p.Project.Number, hashes)
		if err != nil {
			return err
		}
		for i := range people {
			n := len(people[i].Given)
			people[i].Who, who = who[:n:n], who[n:]
		}
		return loadNames(ctx, r, organization, people)
	}
	if past {
		return people, s.search(ctx, organization, func(ctx context.Context, r Reader) error {
			if err := read(ctx, r); err != nil {
				return err
			}
			return loadPastOf(ctx, r, p.Instant, people)
		})
	}
	if len(names) == len(people) { // nobody's further names are needed
		return people, s.store.ViewOnce(ctx, func(r Reader) error { return read(ctx, r) })
	}
	return people, s.store.View(ctx, func(r Reader) error { return read(ctx, r) })
}

// loadNames reads by what else those are known of whom that decides whether they are meant.
func loadNames(ctx context.Context, r Reader, organization consent.ID, people []consent.Meant) error {
	var keys []consent.SubjectKey
	for i := range people {
		if owner, _, contested := people[i].Candidate(); contested {
			keys = append(keys, consent.SubjectKey{Organization: organization, Subject: owner})
		}
	}
	if len(keys) == 0 {
		return nil
	}
	names, err := identifiersOf(ctx, r, keys)
	for i := range people {
		if owner, _, contested := people[i].Candidate(); contested {
			people[i].Names = names[consent.SubjectKey{Organization: organization, Subject: owner}]
		}
	}
	return err
}

// loadPastOf puts the consents of the instant in the place of the current ones.
func loadPastOf(ctx context.Context, r Reader, at consent.Instant, people []consent.Meant) error {
	var current []consent.Consent
	for i := range people {
		for _, who := range people[i].Who {
			current = append(current, who.Consents...)
		}
	}
	were, err := loadPast(ctx, r, at, current)
	if err != nil {
		return err
	}
	for i := range people {
		for n := range people[i].Who {
			who := &people[i].Who[n]
			past := make([]consent.Consent, 0, len(who.Consents))
			for _, c := range who.Consents {
				if was, ok := were[keyOf(&c)]; ok {
					past = append(past, was)
				}
			}
			who.Consents = past
		}
	}
	return nil
}

// loadPast reads the timelines of some consents and gives those that held at the instant, by their keys.
func loadPast(ctx context.Context, r Reader, at consent.Instant,
	current []consent.Consent) (map[consent.ConsentKey]consent.Consent, error) {
	were := make(map[consent.ConsentKey]consent.Consent, len(current))
	var keys []consent.ConsentKey
	var subjects []consent.SubjectKey
	seen := map[consent.SubjectKey]bool{}
	for i := range current {
		key := keyOf(&current[i])
		if _, known := were[key]; known {
			continue
		}
		were[key], keys = current[i], append(keys, key)
		subject := consent.SubjectKey{Organization: key.Organization, Subject: key.Subject}
		if !seen[subject] {
			seen[subject], subjects = true, append(subjects, subject)
		}
	}
	if len(keys) == 0 {
		return were, nil
	}
	history, err := r.History(ctx, keys)
	if err != nil {
		return nil, err
	}
	merges, err := r.Merges(ctx, subjects)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		now := were[key]
		was, ok := at.Consent(&now, history[key], merges[consent.SubjectKey{Organization: key.Organization,
			Subject: key.Subject}])
		if were[key] = was; !ok {
			delete(were, key)
		}
	}
	return were, nil
}

func keyOf(c *consent.Consent) consent.ConsentKey {
	return consent.ConsentKey{Organization: c.Organization, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose}
}

// ConsentsOfSubject tells how the consents of a subject stand, or of whom it was merged into, in all projects or in the
// one that project names (see CheckQuery). Errors: Unprocessable (instant), Forbidden, NotFound.
func (s *Service) ConsentsOfSubject(ctx context.Context, a consent.Actor, id consent.ID, project string,
	at consent.Instant) (*consent.SubjectConsents, error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, err
	}
	if err := a.Confined(nil); err != nil {
		return nil, err
	}
	if err := at.Check(); err != nil {
		return nil, err
	}
	var answer *consent.SubjectConsents
	now := s.now()
	read := func(ctx context.Context, r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization) // not from memory: it may be of a purpose made just now
		if err != nil {
			return err
		}
		number := 0
		if project != "" {
			p, err := d.ProjectNamed(project)
			if err != nil {
				return err
			}
			number = p.Number
		}
		subject, consents, err := consentsOf(ctx, r, a.Organization, id)
		if err == nil && at.Past(now) {
			consents, err = pastOf(ctx, r, at, consents)
		}
		if err != nil {
			return err
		}
		answer = d.ConsentsOf(subject, consents, number, at, now)
		return nil
	}
	if at.Past(now) {
		err := s.search(ctx, a.Organization, read)
		return answer, err
	}
	err := s.view(ctx, func(r Reader) error { return read(ctx, r) })
	return answer, err
}

// consentsOf gives the current consents of a subject, or of whom it was merged into, and who that is. Errors: NotFound,
// Gone.
func consentsOf(ctx context.Context, r Reader, organization, id consent.ID) (*consent.Subject, []consent.Consent,
	error) {
	subject, err := survivor(ctx, r, organization, id)
	if err != nil {
		return nil, nil, err
	}
	key := consent.SubjectKey{Organization: organization, Subject: subject.ID}
	all, err := r.ConsentsOf(ctx, []consent.SubjectKey{key})
	return subject, all[key], err
}

// pastOf gives those of some consents that held at the instant.
func pastOf(ctx context.Context, r Reader, at consent.Instant, current []consent.Consent) ([]consent.Consent, error) {
	were, err := loadPast(ctx, r, at, current)
	return slices.Collect(maps.Values(were)), err
}
