package store

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectOwner = `/* select_owner */ SELECT subject_id FROM identifiers WHERE organization_id = $1 AND kind = $2
AND project_no = $3 AND value = $4`

const selectOwnID = `/* select_own_id */ SELECT s.subject_id, s.merged_into, (SELECT r.restricted_at
FROM restrictions r WHERE r.organization_id = $1 AND r.subject_id = coalesce(s.merged_into, s.subject_id))
FROM subjects s WHERE s.organization_id = $1 AND s.subject_id = $2 AND s.erased_at IS NULL`

// Owners implements service.Reader.
func (t *tx) Owners(ctx context.Context, names []consent.OwnedName) ([]consent.ID, error) {
	owners := make([]consent.ID, len(names))
	err := t.conn.Each(ctx, selectOwner, len(names), func(i int, args []any) []any {
		n := &names[i]
		return append(args, &n.Organization, (*string)(&n.Kind), n.Project, &n.Value)
	}, func(i int, r engine.Row) error { return r.Scan(&owners[i]) })
	if err != nil {
		return nil, err
	}
	return owners, t.ownersOfOwnID(ctx, names, owners, nil)
}

// ownersOfOwnID finds those who are named by their own id, and since when each is restricted, where that is asked for.
func (t *tx) ownersOfOwnID(ctx context.Context, names []consent.OwnedName, owners []consent.ID,
	restricted []time.Time) error {
	var at []int
	var ids []consent.ID
	for i := range names {
		if names[i].Kind.OwnID() && owners[i] == consent.NoID {
			if id, ok := consent.ParseID(names[i].Value); ok {
				at, ids = append(at, i), append(ids, id)
			}
		}
	}
	if len(at) == 0 {
		return nil
	}
	return t.conn.Each(ctx, selectOwnID, len(at), func(i int, args []any) []any {
		return append(args, &names[at[i]].Organization, &ids[i])
	}, func(i int, r engine.Row) error {
		var mergedInto consent.ID
		var since time.Time
		err := r.Scan(&owners[at[i]], &mergedInto, &since)
		if restricted != nil {
			restricted[at[i]] = since
		}
		if mergedInto != consent.NoID {
			owners[at[i]] = mergedInto
		}
		return err
	})
}

// claims are those of an identifier, consent.MaxClaimants and one more at most.
const claims = `SELECT subject_id FROM identifier_claims
WHERE organization_id = $1 AND kind = $2 AND project_no = $3 AND value = $4 LIMIT 1001`

var _ [0]struct{} = [1000 - consent.MaxClaimants]struct{}{} // as claims says

const selectClaims = `/* select_claims */ ` + claims

// Claimants implements service.Reader.
func (t *tx) Claimants(ctx context.Context, names []consent.OwnedName) ([][]consent.ID, error) {
	found := make([][]consent.ID, len(names))
	var id consent.ID
	err := t.conn.Each(ctx, selectClaims, len(names), func(i int, args []any) []any {
		n := &names[i]
		return append(args, &n.Organization, (*string)(&n.Kind), n.Project, &n.Value)
	}, func(i int, r engine.Row) error {
		err := r.Scan(&id)
		found[i] = append(found[i], id)
		return err
	})
	return found, err
}

const selectNames = `/* select_names */ SELECT kind, project_no, value, origin_id FROM identifiers
WHERE organization_id = $1 AND subject_id = $2`

// Names implements service.Reader.
func (t *tx) Names(ctx context.Context, subject consent.SubjectKey) (found []consent.OwnedIdentifier, err error) {
	err = t.conn.Query(ctx, selectNames, []any{subject.Organization, subject.Subject}, func(r engine.Row) error {
		n := consent.OwnedIdentifier{OwnedName: consent.OwnedName{Organization: subject.Organization},
			Subject: subject.Subject}
		err := r.Scan((*string)(&n.Kind), &n.Project, &n.Value, &n.Origin)
		found = append(found, n)
		return err
	})
	slices.SortFunc(found, func(a, b consent.OwnedIdentifier) int {
		return compareIdentifiers(a.Identifier, b.Identifier)
	})
	return found, err
}

func compareIdentifiers(a, b consent.Identifier) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Value, b.Value))
}

const selectIdentifiers = `/* select_identifiers */ SELECT kind, project_no, value FROM identifiers
WHERE organization_id = $1 AND subject_id = $2`

// Identifiers implements service.Reader. They are sorted here: for an order that the primary key has, PostgreSQL may
// read all of the organization's along it.
func (t *tx) Identifiers(ctx context.Context,
	subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.Identifier, error) {
	found := make(map[consent.SubjectKey][]consent.Identifier, len(subjects))
	err := t.conn.Each(ctx, selectIdentifiers, len(subjects), func(i int, args []any) []any {
		return append(args, &subjects[i].Organization, &subjects[i].Subject)
	}, func(i int, r engine.Row) error {
		var id consent.Identifier
		err := r.Scan((*string)(&id.Kind), &id.Project, &id.Value)
		found[subjects[i]] = append(found[subjects[i]], id)
		return err
	})
	for _, ids := range found {
		slices.SortFunc(ids, compareIdentifiers)
	}
	return found, err
}

// upsertIdentifier keeps whose an identifier was where a merge gives it to another.
const upsertIdentifier = `/* upsert_identifier */ INSERT INTO identifiers (organization_id, kind, project_no, value,
subject_id, origin_id) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id, kind, project_no, value) DO UPDATE SET
origin_id = coalesce(identifiers.origin_id, identifiers.subject_id), subject_id = excluded.subject_id`

const insertClaim = `/* insert_claim */ INSERT INTO identifier_claims (organization_id, kind, project_no, value,
origin_id, subject_id)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, kind, project_no, value, origin_id) DO NOTHING`

// settled gives each identifier once, to whom it went last and with whose it was first, in the order of the table: one
// statement cannot write a row twice, and neighbours share pages.
func settled(given []consent.OwnedIdentifier) []consent.OwnedIdentifier {
	if len(given) < 2 {
		return given
	}
	out := slices.Clone(given)
	slices.SortStableFunc(out, func(a, b consent.OwnedIdentifier) int {
		return cmp.Or(bytes.Compare(a.Organization[:], b.Organization[:]), compareIdentifiers(a.Identifier, b.Identifier))
	})
	n := 0
	for i := range out {
		if i+1 == len(out) || out[i+1].OwnedName != out[i].OwnedName {
			out[n] = out[i]
			n++
			continue
		}
		out[i+1].Origin = out[i].Origin
		if out[i].Origin == consent.NoID {
			out[i+1].Origin = out[i].Subject
		}
	}
	return out[:n]
}

func (t *tx) appendIdentifiers(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertIdentifier, settled(c.Identifiers),
		func(o *consent.OwnedIdentifier, args []any) []any {
			return append(args, &o.Organization, (*string)(&o.Kind), o.Project, &o.Value, &o.Subject,
				(*engine.OptionalID)(&o.Origin))
		})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, insertClaim, c.Claims, func(o *consent.OwnedIdentifier, args []any) []any {
		return append(args, &o.Organization, (*string)(&o.Kind), o.Project, &o.Value, &o.Subject, &o.Subject)
	})
	if err != nil {
		return err
	}
	return t.appendMerges(ctx, c)
}
