package store

import (
	"context"
	"strconv"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectSubject = `/* select_subject */ SELECT s.organization_id, s.subject_id, s.type, s.merged_into, s.created_at,
s.version, s.changed_at, s.changed_by, s.data, s.profile, s.erased_at, coalesce(s.erased_sequence, 0),
coalesce(s.erased_events, 0), coalesce(s.erased_suppress, FALSE), r.restricted_at, r.sequence FROM subjects s
LEFT JOIN restrictions r ON (r.organization_id = $1 AND r.subject_id = s.subject_id)
WHERE s.organization_id = $1 AND s.subject_id = $2`

// Subject implements service.Reader.
func (t *tx) Subject(ctx context.Context, organization, id consent.ID) (*consent.Subject, error) {
	var subject *consent.Subject
	err := t.conn.Query(ctx, selectSubject, []any{organization, id}, func(r engine.Row) error {
		s := &consent.Subject{}
		subject = s
		return r.Scan(&s.Organization, &s.ID, &s.Type, &s.MergedInto, &s.CreatedAt,
			&s.Record.Version, &s.Record.ChangedAt, &s.Record.ChangedBy, &s.Record.Data, &s.Record.Profile, &s.Erasure.At,
			&s.Erasure.Sequence, &s.Erasure.Events, &s.Erasure.Suppress, &s.Restriction.At, &s.Restriction.Sequence)
	})
	return subject, err
}

const selectArchived = `/* select_archived */ SELECT version, changed_at, changed_by, data, profile FROM subject_archive
WHERE organization_id = $1 AND subject_id = $2 AND version = $3`

// ArchivedRecord implements service.Reader.
func (t *tx) ArchivedRecord(ctx context.Context, organization, subject consent.ID,
	version int) (*consent.Record, error) {
	var record consent.Record
	found, err := t.one(ctx, selectArchived, []any{organization, subject, version},
		&record.Version, &record.ChangedAt, &record.ChangedBy, &record.Data, &record.Profile)
	if !found || err != nil {
		return nil, err
	}
	return &record, nil
}

// NamedSubjects implements service.Reader.
func (t *tx) NamedSubjects(ctx context.Context, organization consent.ID,
	f consent.SubjectFilter) ([]consent.NamedSubject, int64, error) {
	q := namedSearch(organization, &f)
	if f.Name != "" {
		q.where("i.value_index = ?", []byte(f.Name))
	}
	total, err := t.countNamed(ctx, organization, f, q)
	if err != nil {
		return nil, 0, err
	}
	list, args := q.page("/* list_subjects */ SELECT "+namedColumns+fromNamed, orderNamed, f.Limit, f.Offset)
	var found []consent.NamedSubject
	return found, total, t.conn.Search(ctx, list, args, scanNamed(organization, &found))
}

// NamedAfter implements service.Reader.
func (t *tx) NamedAfter(ctx context.Context, f consent.SubjectFilter, after consent.OwnedName) (
	found []consent.NamedSubject, err error) {
	var q search
	q.where("i.organization_id = ?", after.Organization)
	if f.Type != "" { // a condition on the kind beside one on all three may be all that is looked up by
		q.where("i.kind = ?", string(consent.TypedKind(f.Type)))
		q.where("(i.project_no, i.value_index) > (?, ?)", after.Project, index(&after))
	} else {
		q.where("i.kind <= ?", string(consent.UserID))
		q.where("(i.kind, i.project_no, i.value_index) > (?, ?, ?)", max(string(after.Kind), firstName), after.Project,
			index(&after))
	}
	list, args := q.build("/* list_subjects_after */ SELECT "+namedColumns+fromNamed,
		orderNamed+" LIMIT "+strconv.Itoa(f.Limit))
	return found, t.conn.Search(ctx, list, args, scanNamed(after.Organization, &found))
}

// Parts of a list of subjects that have a name.
const (
	namedColumns = `i.kind, i.project_no, i.value_index, i.origin_id, i.value_sealed, s.subject_id, s.type, s.merged_into,
s.created_at, s.version, s.changed_at, s.changed_by, s.data, s.profile`
	fromNamed = ` FROM identifiers i
CROSS JOIN subjects s ON (s.organization_id = $1 AND s.subject_id = i.subject_id)`
	orderNamed = "ORDER BY i.kind, i.project_no, i.value_index"
)

// firstName is before all kinds by which subjects are named. Behind UserID there is none.
const firstName = "subject:"

// namedSearch makes the conditions of names of an organization, of one type where the filter says so.
func namedSearch(organization consent.ID, f *consent.SubjectFilter) *search {
	var q search
	q.where("i.organization_id = ?", organization)
	if f.Type != "" {
		q.where("i.kind = ?", string(consent.TypedKind(f.Type)))
	} else {
		// These kinds stand behind each other in the order of their bytes. PostgreSQL reads all of two ranges before it
		// sorts them.
		q.where("i.kind >= ? AND i.kind <= ?", firstName, string(consent.UserID))
	}
	return &q
}

// scanNamed adds a row to a list.
func scanNamed(organization consent.ID, to *[]consent.NamedSubject) func(engine.Row) error {
	*to = nil // a view may run again
	return func(r engine.Row) error {
		n := consent.NamedSubject{Name: consent.OwnedIdentifier{OwnedName: consent.OwnedName{Organization: organization}},
			Subject: consent.Subject{Organization: organization}}
		s := &n.Subject
		err := r.Scan((*string)(&n.Name.Kind), &n.Name.Project, &n.Name.Value, &n.Name.Origin, &n.Name.Sealed, &s.ID,
			&s.Type, &s.MergedInto, &s.CreatedAt, &s.Record.Version, &s.Record.ChangedAt, &s.Record.ChangedBy,
			&s.Record.Data, &s.Record.Profile)
		n.Name.Subject, s.Type = s.ID, n.Name.Kind.SubjectType()
		*to = append(*to, n)
		return err
	}
}

// countNamed takes the kept counts where the list is not narrowed further.
func (t *tx) countNamed(ctx context.Context, organization consent.ID, f consent.SubjectFilter, q *search) (total int64,
	err error) {
	scan := func(r engine.Row) error { return r.Scan(&total) }
	if f.Name != "" {
		count, args := q.build("/* count_subjects */ SELECT count(*)"+fromNamed, "")
		return total, t.conn.Search(ctx, count, args, scan)
	}
	condition, name := "name LIKE $2", "named/%"
	if f.Type != "" {
		condition, name = "name = $2", consent.NamedCount(consent.TypedKind(f.Type))
	}
	err = t.conn.Query(ctx, `/* sum_named */ SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM counts
WHERE organization_id = $1 AND `+condition, []any{organization, name}, scan)
	return total, err
}

const upsertSubject = `/* upsert_subject */ INSERT INTO subjects (organization_id, subject_id, type, merged_into,
created_at, version, changed_at, changed_by, data, profile) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (organization_id, subject_id) DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at,
changed_by = excluded.changed_by, data = excluded.data, profile = excluded.profile`

const insertArchived = `/* insert_archived */ INSERT INTO subject_archive (organization_id, subject_id, version,
changed_at, changed_by, data, profile)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

func (t *tx) appendSubjects(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertSubject, c.Subjects, func(s *consent.Subject, args []any) []any {
		return append(args, &s.Organization, &s.ID, s.Type, (*engine.OptionalID)(&s.MergedInto), &s.CreatedAt,
			s.Record.Version, &s.Record.ChangedAt, &s.Record.ChangedBy, s.Record.Data, s.Record.Profile)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, insertArchived, c.Archive, func(a *consent.ArchivedRecord, args []any) []any {
		return append(args, &a.Organization, &a.Subject, a.Record.Version, &a.Record.ChangedAt, &a.Record.ChangedBy,
			a.Record.Data, a.Record.Profile)
	})
}

const deleteIdentifier = `/* delete_identifier */ DELETE FROM identifiers WHERE organization_id = $1 AND kind = $2
AND project_no = $3 AND value_index = $4`

const deleteClaim = `/* delete_claim */ DELETE FROM identifier_claims WHERE organization_id = $1 AND kind = $2
AND project_no = $3 AND value_index = $4 AND subject_id = $5`

const deleteConsent = `/* delete_consent */ DELETE FROM consents WHERE organization_id = $1 AND subject_id = $2
AND project_no = $3 AND purpose_no = $4`

const deleteClaims = `/* delete_claims */ DELETE FROM identifier_claims WHERE organization_id = $1 AND subject_id = $2`

const deleteSubject = `/* delete_subject */ DELETE FROM subjects WHERE organization_id = $1 AND subject_id = $2`

func (t *tx) remove(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, deleteIdentifier, c.RemovedIdentifiers, func(n *consent.OwnedName, args []any) []any {
		return append(args, &n.Organization, string(n.Kind), n.Project, index(n))
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, deleteClaim, c.RemovedClaims, func(o *consent.OwnedIdentifier, args []any) []any {
		return append(args, &o.Organization, (*string)(&o.Kind), o.Project, index(&o.OwnedName), &o.Subject)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, deleteConsent, c.RemovedConsents, func(k *consent.ConsentKey, args []any) []any {
		return append(args, &k.Organization, &k.Subject, k.Project, k.Purpose)
	})
	if err != nil {
		return err
	}
	byKey := func(k *consent.SubjectKey, args []any) []any { return append(args, &k.Organization, &k.Subject) }
	if err := insert(ctx, t.conn, deleteClaims, c.RemovedSubjects, byKey); err != nil {
		return err
	}
	all, err := t.withMerged(ctx, c.RemovedSubjects) // whose own ids would go on naming the subject
	if err != nil {
		return err
	}
	if err := insert(ctx, t.conn, deleteRestriction, all, byKey); err != nil {
		return err
	}
	return insert(ctx, t.conn, deleteSubject, all, byKey)
}
