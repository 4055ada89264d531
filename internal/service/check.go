package service

import (
	"context"

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
	people, err := s.meant(ctx, a.Organization, p)
	if err != nil {
		return nil, classify(ctx, err)
	}
	at := s.now()
	answers := make([]consent.Checked, len(people))
	for i := range people {
		people[i].OnlyNo(at)
		answers[i] = p.Check(&people[i], at)
	}
	return answers, nil
}

// meant reads everybody whom the people of a check may be.
func (s *Service) meant(ctx context.Context, organization consent.ID, p *consent.PreparedCheck) ([]consent.Meant,
	error) {
	people := make([]consent.Meant, len(p.People))
	var names []consent.OwnedName
	for i, given := range p.People {
		people[i].Given = given
		for _, id := range given {
			names = append(names, consent.OwnedName{Organization: organization, Identifier: id})
		}
	}
	if len(names) == 1 {
		who, err := s.store.Person(ctx, names[0], p.Project.Number)
		people[0].Who = []consent.Who{who}
		return people, err
	}
	read := func(r Reader) error {
		who, err := r.Persons(ctx, names, p.Project.Number)
		if err != nil {
			return err
		}
		for i := range people {
			n := len(people[i].Given)
			people[i].Who, who = who[:n:n], who[n:]
		}
		return loadNames(ctx, r, organization, people)
	}
	if len(names) == len(people) { // nobody's further names are needed
		return people, s.store.ViewOnce(ctx, read)
	}
	return people, s.store.View(ctx, read)
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
	names, err := r.Identifiers(ctx, keys)
	for i := range people {
		if owner, _, contested := people[i].Candidate(); contested {
			people[i].Names = names[consent.SubjectKey{Organization: organization, Subject: owner}]
		}
	}
	return err
}
