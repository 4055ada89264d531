package store

import (
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// Persons implements service.Reader.
func (t *tx) Persons(ctx context.Context, names []consent.OwnedName, project int,
	hashes [][]byte) ([]consent.Who, error) {
	found := make([]consent.Who, len(names))
	var moved bool
	err := t.conn.Each(ctx, selectPersons, len(names), func(i int, args []any) []any {
		n := &names[i]
		var hash []byte
		if hashes != nil {
			hash = hashes[i]
		}
		return append(args, &n.Organization, (*string)(&n.Kind), n.Project, index(n), hash, project)
	}, func(i int, r engine.Row) error { return scanPerson(r, names[i].Organization, &found[i], &moved) })
	if err != nil {
		return nil, err
	}
	for i := range found {
		withoutOwnClaims(&found[i])
	}
	return found, t.personsByOwnID(ctx, names, project, found)
}

// personsByOwnID adds those who are named by a subject's own id.
func (t *tx) personsByOwnID(ctx context.Context, names []consent.OwnedName, project int, found []consent.Who) error {
	owners := make([]consent.ID, len(names))
	for i := range found {
		owners[i] = found[i].Subject
	}
	restricted := make([]time.Time, len(names))
	if err := t.ownersOfOwnID(ctx, names, owners, restricted); err != nil {
		return err
	}
	var own []consent.SubjectKey
	for i := range found {
		key := consent.SubjectKey{Organization: names[i].Organization, Subject: owners[i]}
		if owners[i] != found[i].Subject && !slices.Contains(own, key) { // each once: ConsentsOf gives all that it reads
			own = append(own, key)
		}
	}
	if len(own) == 0 {
		return nil
	}
	consents, err := t.ConsentsOf(ctx, own)
	for i := range found {
		if owners[i] == found[i].Subject {
			continue
		}
		found[i].Subject = owners[i]
		found[i].AddRestriction(restricted[i])
		for _, c := range consents[consent.SubjectKey{Organization: names[i].Organization, Subject: owners[i]}] {
			if c.Project == project {
				found[i].Consents = append(found[i].Consents, c)
			}
		}
	}
	return err
}
