package writer

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// PeopleReader reads who is who.
type PeopleReader interface {
	Owners(ctx context.Context, names []consent.OwnedName) ([]consent.ID, error)
	Names(ctx context.Context, subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.OwnedIdentifier, error)
}

// LoadPeople reads who has these identifiers, and all identifiers of those who do.
func LoadPeople(ctx context.Context, r PeopleReader, organization consent.ID,
	given []consent.Identifier) (*consent.People, error) {
	p := consent.NewPeople()
	names := make([]consent.OwnedName, len(given))
	for i, id := range given {
		names[i] = consent.OwnedName{Organization: organization, Identifier: id}
	}
	return p, addPeople(ctx, r, p, names, func(int) bool { return true })
}

// addPeople reads who has these names and, where whole says so of the index, all other identifiers of the owner.
func addPeople(ctx context.Context, r PeopleReader, p *consent.People, names []consent.OwnedName,
	whole func(i int) bool) error {
	owners, err := r.Owners(ctx, names)
	if err != nil {
		return err
	}
	var subjects []consent.SubjectKey
	asked := map[consent.SubjectKey]bool{}
	for i, owner := range owners {
		if owner == consent.NoID {
			continue
		}
		p.SetOwner(names[i], owner)
		if key := (consent.SubjectKey{Organization: names[i].Organization, Subject: owner}); whole(i) && !asked[key] {
			asked[key] = true
			subjects = append(subjects, key)
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	all, err := r.Names(ctx, subjects)
	if err != nil {
		return err
	}
	for key, names := range all {
		p.SetIdentifiers(key, consent.IdentifiersOf(names))
	}
	return nil
}
