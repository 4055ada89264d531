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
AND project_no = $3 AND value_index = $4`

const selectOwnID = `/* select_own_id */ SELECT s.subject_id, s.merged_into, (SELECT r.restricted_at
FROM restrictions r WHERE r.organization_id = $1 AND r.subject_id = coalesce(s.merged_into, s.subject_id))
FROM subjects s WHERE s.organization_id = $1 AND s.subject_id = $2 AND s.erased_at IS NULL`

// Owners implements service.Reader.
func (t *tx) Owners(ctx context.Context, names []consent.OwnedName) ([]consent.ID, error) {
	owners := make([]consent.ID, len(names))
	err := t.conn.Each(ctx, selectOwner, len(names), func(i int, args []any) []any {
		n := &names[i]
		return append(args, &n.Organization, (*string)(&n.Kind), n.Project, index(n))
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
		if names[i].Own != consent.NoID && owners[i] == consent.NoID {
			at, ids = append(at, i), append(ids, names[i].Own)
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
WHERE organization_id = $1 AND kind = $2 AND project_no = $3 AND value_index = $4 LIMIT 1001`

var _ [0]struct{} = [1000 - consent.MaxClaimants]struct{}{} // as claims says

const selectClaims = `/* select_claims */ ` + claims

// Claimants implements service.Reader.
func (t *tx) Claimants(ctx context.Context, names []consent.OwnedName) ([][]consent.ID, error) {
	found := make([][]consent.ID, len(names))
	var id consent.ID
	err := t.conn.Each(ctx, selectClaims, len(names), func(i int, args []any) []any {
		n := &names[i]
		return append(args, &n.Organization, (*string)(&n.Kind), n.Project, index(n))
	}, func(i int, r engine.Row) error {
		err := r.Scan(&id)
		found[i] = append(found[i], id)
		return err
	})
	return found, err
}

// selectNames finds names along the index of subjects, which does not hold what is sealed. In one step SQLite would
// read all that the organization has.
const selectNames = `/* select_names */ SELECT i.kind, i.project_no, i.value_index, i.origin_id,
i.value_sealed, k.wrapped_key
FROM (SELECT kind, project_no, value_index, coalesce(origin_id, subject_id) AS first_id FROM identifiers
  WHERE organization_id = $1 AND subject_id = $2) AS n
CROSS JOIN identifiers i ON (i.organization_id = $1 AND i.kind = n.kind AND i.project_no = n.project_no
  AND i.value_index = n.value_index)
LEFT JOIN subject_keys k ON (k.organization_id = $1 AND k.subject_id = n.first_id)`

// Names implements service.Reader.
func (t *tx) Names(ctx context.Context,
	subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.OwnedIdentifier, error) {
	found := make(map[consent.SubjectKey][]consent.OwnedIdentifier, len(subjects))
	err := t.conn.Each(ctx, selectNames, len(subjects), func(i int, args []any) []any {
		return append(args, &subjects[i].Organization, &subjects[i].Subject)
	}, func(i int, r engine.Row) error {
		n := consent.OwnedIdentifier{OwnedName: consent.OwnedName{Organization: subjects[i].Organization},
			Subject: subjects[i].Subject}
		err := r.Scan((*string)(&n.Kind), &n.Project, &n.Value, &n.Origin, &n.Sealed, &n.Secret)
		found[subjects[i]] = append(found[subjects[i]], n)
		return err
	})
	return found, err
}

func compareIdentifiers(a, b consent.Identifier) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Value, b.Value))
}

// upsertIdentifier keeps whose an identifier was where a merge gives it to another.
const upsertIdentifier = `/* upsert_identifier */ INSERT INTO identifiers (organization_id, kind, project_no,
value_index, subject_id, origin_id, value_sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id, kind, project_no, value_index) DO UPDATE SET
origin_id = coalesce(identifiers.origin_id, identifiers.subject_id), subject_id = excluded.subject_id`

const insertClaim = `/* insert_claim */ INSERT INTO identifier_claims (organization_id, kind, project_no,
value_index, origin_id, subject_id)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, kind, project_no, value_index, origin_id) DO NOTHING`

// index gives what of a name is compared.
func index(n *consent.OwnedName) []byte { return []byte(n.Value) }

// sealed gives what is encrypted, in a column that is never NULL.
func sealed(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

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
		out[i+1].Origin, out[i+1].Sealed = out[i].Origin, out[i].Sealed
		if out[i].Origin == consent.NoID {
			out[i+1].Origin = out[i].Subject
		}
	}
	return out[:n]
}

func (t *tx) appendIdentifiers(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertIdentifier, settled(c.Identifiers),
		func(o *consent.OwnedIdentifier, args []any) []any {
			return append(args, &o.Organization, (*string)(&o.Kind), o.Project, index(&o.OwnedName), &o.Subject,
				(*engine.OptionalID)(&o.Origin), sealed(o.Sealed))
		})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, insertClaim, c.Claims, func(o *consent.OwnedIdentifier, args []any) []any {
		return append(args, &o.Organization, (*string)(&o.Kind), o.Project, index(&o.OwnedName), &o.Subject, &o.Subject)
	})
	if err != nil {
		return err
	}
	return t.appendMerges(ctx, c)
}
