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

const consentColumns = `c.organization_id, c.subject_id, c.project_no, c.purpose_no, c.event_id, c.last_event_id,
c.purpose_version, c.state, c.weight, c.grants, c.active, c.occurred_at, c.expires_at, c.since`

// scanConsent reads a row of consentColumns and what stands before them.
func scanConsent(r engine.Row, c *consent.Consent, before ...any) error {
	return r.Scan(append(before, &c.Organization, &c.Subject, &c.Project, &c.Purpose, &c.Event, &c.Last,
		&c.PurposeVersion, (*uint8)(&c.State), (*uint8)(&c.Weight), &c.Grants, &c.Active, &c.OccurredAt, &c.ExpiresAt,
		&c.Since)...)
}

const selectConsent = `/* select_consent */ SELECT ` + consentColumns + ` FROM consents c
WHERE c.organization_id = $1 AND c.subject_id = $2 AND c.project_no = $3 AND c.purpose_no = $4`

// Consents implements service.Reader.
func (t *tx) Consents(ctx context.Context, keys []consent.ConsentKey) ([]consent.Consent, error) {
	found := make([]consent.Consent, len(keys))
	err := t.conn.Each(ctx, selectConsent, len(keys), func(i int, args []any) []any {
		k := &keys[i]
		return append(args, &k.Organization, &k.Subject, k.Project, k.Purpose)
	}, func(i int, r engine.Row) error { return scanConsent(r, &found[i]) })
	return found, err
}

const selectConsentByName = `/* select_consent_by_name */ SELECT i.subject_id, k.wrapped_key, ` + consentColumns + `
FROM identifiers i LEFT JOIN consents c ON (c.organization_id = $1 AND c.subject_id = i.subject_id
  AND c.project_no = $2 AND c.purpose_no = $3)
LEFT JOIN subject_keys k ON (k.organization_id = $1 AND k.subject_id = i.subject_id)
WHERE i.organization_id = $1 AND i.kind = $4 AND i.project_no = $5 AND i.value_index = $6`

// ConsentsByName implements service.Reader.
func (t *tx) ConsentsByName(ctx context.Context, asked []consent.NamedConsent) ([]consent.NamedHolder, error) {
	found := make([]consent.NamedHolder, len(asked))
	err := t.conn.Each(ctx, selectConsentByName, len(asked), func(i int, args []any) []any {
		a := &asked[i]
		return append(args, &a.Name.Organization, a.Project, a.Purpose, (*string)(&a.Name.Kind), a.Name.Project,
			index(&a.Name))
	}, func(i int, r engine.Row) error {
		return scanConsent(r, &found[i].Consent, &found[i].Subject, &found[i].Secret)
	})
	if err != nil {
		return nil, err
	}
	return found, t.consentsByOwnID(ctx, asked, found)
}

// consentsByOwnID fills in what is asked of those who are named by their own id.
func (t *tx) consentsByOwnID(ctx context.Context, asked []consent.NamedConsent, found []consent.NamedHolder) error {
	var at []int
	var names []consent.OwnedName
	for i := range asked {
		if found[i].Subject == consent.NoID {
			at, names = append(at, i), append(names, asked[i].Name)
		}
	}
	own := make([]consent.ID, len(names))
	if err := t.ownersOfOwnID(ctx, names, own, nil); err != nil {
		return err
	}
	var keys []consent.ConsentKey
	for n, owner := range own {
		found[at[n]].Subject = owner
		keys = append(keys, consent.ConsentKey{Organization: names[n].Organization, Subject: owner,
			Project: asked[at[n]].Project, Purpose: asked[at[n]].Purpose})
	}
	keys = slices.DeleteFunc(keys, func(k consent.ConsentKey) bool { return k.Subject == consent.NoID })
	if len(keys) == 0 {
		return nil
	}
	consents, err := t.Consents(ctx, keys)
	for n, owner := range own {
		if err == nil && owner != consent.NoID {
			found[at[n]].Consent, consents = consents[0], consents[1:]
		}
	}
	return err
}

const selectConsentsOf = `/* select_consents_of */ SELECT ` + consentColumns +
	` FROM consents c WHERE c.organization_id = $1 AND c.subject_id = $2`

// ConsentsOf implements service.Reader.
func (t *tx) ConsentsOf(ctx context.Context,
	subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.Consent, error) {
	found := make(map[consent.SubjectKey][]consent.Consent, len(subjects))
	err := t.conn.Each(ctx, selectConsentsOf, len(subjects), func(i int, args []any) []any {
		return append(args, &subjects[i].Organization, &subjects[i].Subject)
	}, func(i int, r engine.Row) error {
		var c consent.Consent
		err := scanConsent(r, &c)
		found[subjects[i]] = append(found[subjects[i]], c)
		return err
	})
	return found, err
}

// personColumns are what selectPerson and selectPersons show. Who has no consent in the project has a row with NULLs.
const personColumns = `(SELECT r.restricted_at FROM restrictions r
WHERE r.organization_id = $1 AND r.subject_id = named.subject_id), c.project_no, c.purpose_no, c.event_id,
c.purpose_version, c.state, c.weight, c.grants,
c.active, c.occurred_at, c.expires_at, c.since`

// suppressed gives a row without a person where an identifier is suppressed.
const suppressed = `UNION ALL SELECT NULL, FALSE, x.suppressed_at FROM suppressions x
  WHERE x.organization_id = $1 AND x.hash = $5`

// selectPerson is about who has an identifier that nobody claims, see IdentifierKind.Naming, unless it has been
// another's before a merge: then the first column says so.
const selectPerson = `/* select_person */ SELECT named.moved, named.subject_id, FALSE, named.suppressed_at,
` + personColumns + `
FROM (SELECT subject_id, origin_id IS NOT NULL AS moved, NULL AS suppressed_at FROM identifiers
  WHERE organization_id = $1 AND kind = $2 AND project_no = $3 AND value_index = $4
  ` + suppressed + `) AS named
LEFT JOIN consents c ON (c.organization_id = $1 AND c.subject_id = named.subject_id AND c.project_no = $6)`

// selectPersons is about everybody whom an identifier may mean.
const selectPersons = `/* select_persons */ SELECT FALSE, named.subject_id, named.claims, named.suppressed_at,
` + personColumns + `
FROM (SELECT subject_id, FALSE AS claims, NULL AS suppressed_at FROM identifiers
  WHERE organization_id = $1 AND kind = $2 AND project_no = $3 AND value_index = $4
  ` + suppressed + `
  UNION ALL SELECT subject_id, TRUE, NULL FROM (` + claims + `) AS claims) AS named
LEFT JOIN consents c ON (c.organization_id = $1 AND c.subject_id = named.subject_id AND c.project_no = $6) LIMIT 5000`

var _ [0]struct{} = [5000 - consent.MaxShared]struct{}{} // as selectPersons says

// fewConsents is how many most people have in a project, so that a list of them is made once.
const fewConsents = 4

// person is service.Store's Person.
func (t *tx) person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (who consent.Who,
	err error) {
	args := []any{&name.Organization, (*string)(&name.Kind), name.Project, index(&name), hash, project}
	if name.Kind.Naming() {
		who, moved, err := t.personBy(ctx, name.Organization, selectPerson, args)
		if err != nil || !moved {
			return who, err
		}
	}
	who, _, err = t.personBy(ctx, name.Organization, selectPersons, args)
	if err == nil && who.Subject == consent.NoID && name.Kind == consent.AnonymousID {
		err = t.ownConsents(ctx, name, project, &who)
	}
	return who, err
}

// personBy runs selectPerson or selectPersons. moved tells that the identifier has been another's.
func (t *tx) personBy(ctx context.Context, organization consent.ID, statement string, args []any) (who consent.Who,
	moved bool, err error) {
	err = t.conn.Query(ctx, statement, args, func(r engine.Row) error {
		return scanPerson(r, organization, &who, &moved)
	})
	withoutOwnClaims(&who)
	return who, moved, err
}

// withoutOwnClaims leaves out who claimed what they have, as it turned out: that is nobody else.
func withoutOwnClaims(who *consent.Who) {
	who.Claimants = slices.DeleteFunc(who.Claimants, func(id consent.ID) bool { return id == who.Subject })
}

// scanPerson takes in a row of selectPerson or selectPersons. moved tells that the identifier has been another's.
func scanPerson(r engine.Row, organization consent.ID, who *consent.Who, moved *bool) error {
	c := consent.Consent{Organization: organization}
	var claims bool
	var was bool
	var restricted, suppressed time.Time
	err := r.Scan(&was, &c.Subject, &claims, &suppressed, &restricted, &c.Project, &c.Purpose, &c.Event, &c.PurposeVersion,
		(*uint8)(&c.State), (*uint8)(&c.Weight), &c.Grants, &c.Active, &c.OccurredAt, &c.ExpiresAt, &c.Since)
	if !suppressed.IsZero() { // the row is nobody's
		who.SuppressedAt = suppressed
		return err
	}
	*moved = was
	who.AddRestriction(restricted)
	if c.Event != consent.NoID {
		if who.Consents == nil {
			who.Consents = make([]consent.Consent, 0, fewConsents)
		}
		who.Consents = append(who.Consents, c)
	}
	switch {
	case !claims:
		who.Subject = c.Subject
	case !slices.Contains(who.Claimants, c.Subject):
		who.Claimants = append(who.Claimants, c.Subject)
	}
	return err
}

// ownConsents adds somebody who is named by a subject's own id.
func (t *tx) ownConsents(ctx context.Context, name consent.OwnedName, project int, who *consent.Who) error {
	owners, restricted := make([]consent.ID, 1), make([]time.Time, 1)
	err := t.ownersOfOwnID(ctx, []consent.OwnedName{name}, owners, restricted)
	if err != nil || owners[0] == consent.NoID {
		return err
	}
	who.AddRestriction(restricted[0])
	who.Subject = owners[0]
	key := consent.SubjectKey{Organization: name.Organization, Subject: owners[0]}
	all, err := t.ConsentsOf(ctx, []consent.SubjectKey{key})
	who.Consents = append(who.Consents, slices.DeleteFunc(all[key],
		func(c consent.Consent) bool { return c.Project != project })...)
	return err
}

const upsertConsent = `/* upsert_consent */ INSERT INTO consents (organization_id, subject_id, project_no, purpose_no,
event_id, last_event_id, purpose_version, state, weight, grants, active, occurred_at, expires_at, since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (organization_id, subject_id, project_no, purpose_no) DO UPDATE SET event_id = excluded.event_id,
last_event_id = excluded.last_event_id, purpose_version = excluded.purpose_version, state = excluded.state,
weight = excluded.weight, grants = excluded.grants, active = excluded.active, occurred_at = excluded.occurred_at,
expires_at = excluded.expires_at, since = excluded.since`

func (t *tx) appendConsents(ctx context.Context, c *consent.Changes) error {
	slices.SortFunc(c.Consents, func(a, b consent.Consent) int { // in the order of the table: neighbours share pages
		return cmp.Or(bytes.Compare(a.Organization[:], b.Organization[:]), bytes.Compare(a.Subject[:], b.Subject[:]),
			cmp.Compare(a.Project, b.Project), cmp.Compare(a.Purpose, b.Purpose))
	})
	return insert(ctx, t.conn, upsertConsent, c.Consents, func(c *consent.Consent, args []any) []any {
		return append(args, &c.Organization, &c.Subject, c.Project, c.Purpose, &c.Event, (*engine.OptionalID)(&c.Last),
			c.PurposeVersion, int(c.State), int(c.Weight), c.Grants, c.Active, &c.OccurredAt, &c.ExpiresAt, &c.Since)
	})
}

// Heads implements service.Reader.
func (t *tx) Heads(ctx context.Context, organizations []consent.ID) (map[consent.ID]consent.Head, error) {
	found := make(map[consent.ID]consent.Head, len(organizations))
	err := t.conn.Each(ctx, engine.SelectHead, len(organizations), func(i int, args []any) []any {
		return append(args, &organizations[i])
	}, func(i int, r engine.Row) error {
		h := consent.Head{Organization: organizations[i]}
		err := r.Scan(&h.Sequence, &h.LastID, &h.Tree, &h.Suppressed)
		found[h.Organization] = h
		return err
	})
	return found, err
}

const upsertHead = `/* upsert_head */ INSERT INTO ledger_heads (organization_id, sequence, last_event_id, tree)
VALUES ($1, $2, $3, $4)
ON CONFLICT (organization_id) DO UPDATE SET sequence = excluded.sequence, last_event_id = excluded.last_event_id,
tree = excluded.tree`

func (t *tx) appendHeads(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertHead, c.Heads, func(h *consent.Head, args []any) []any {
		return append(args, &h.Organization, &h.Sequence, (*engine.OptionalID)(&h.LastID), h.Tree)
	})
	if err != nil {
		return err
	}
	return t.addCounts(ctx, addedUp(c.Counts))
}

func (t *tx) addCounts(ctx context.Context, counts []consent.Count) error {
	return insert(ctx, t.conn, engine.AddCount, counts, func(n *consent.Count, args []any) []any {
		return append(args, &n.Organization, n.Name, &n.Add)
	})
}

// addedUp joins what is added to one count.
func addedUp(counts []consent.Count) []consent.Count {
	if len(counts) < 2 {
		return counts
	}
	type key struct {
		organization consent.ID
		name         string
	}
	at := make(map[key]int, len(counts))
	out := make([]consent.Count, 0, 4)
	for _, c := range counts {
		k := key{c.Organization, c.Name}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, consent.Count{Organization: c.Organization, Name: c.Name})
		}
		out[i].Add += c.Add
	}
	return out
}
