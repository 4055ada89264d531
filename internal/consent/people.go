package consent

import "context"

// peopleReader reads who is who.
type peopleReader interface {
	Owners(ctx context.Context, names []OwnedName) ([]ID, error)
	Identifiers(ctx context.Context, subjects []SubjectKey) (map[SubjectKey][]Identifier, error)
}

// loadPeople reads who has these identifiers, and all identifiers of those who do.
func loadPeople(ctx context.Context, r peopleReader, organization ID, given []Identifier) (*people, error) {
	p := newPeople()
	names := make([]OwnedName, len(given))
	for i, id := range given {
		names[i] = OwnedName{organization, id}
	}
	return p, addPeople(ctx, r, p, names, func(int) bool { return true })
}

// addPeople reads who has these names and, where whole says so of the index, all other identifiers of the owner.
func addPeople(ctx context.Context, r peopleReader, p *people, names []OwnedName, whole func(i int) bool) error {
	owners, err := r.Owners(ctx, names)
	if err != nil {
		return err
	}
	var subjects []SubjectKey
	asked := map[SubjectKey]bool{}
	for i, owner := range owners {
		if owner == NoID {
			continue
		}
		p.know(names[i], owner)
		if key := (SubjectKey{names[i].Organization, owner}); whole(i) && !asked[key] {
			asked[key] = true
			subjects = append(subjects, key)
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	all, err := r.Identifiers(ctx, subjects)
	if err != nil {
		return err
	}
	for key, identifiers := range all {
		p.knowAll(key, identifiers)
	}
	return nil
}
