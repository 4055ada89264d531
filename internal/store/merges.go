package store

import (
	"context"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// members are a subject and all who were merged into it, also those into whom others had been merged.
const members = `members AS (
  SELECT subject_id FROM subjects WHERE organization_id = $1 AND subject_id = $2
  ` + mergedIntoMembers + `)`

// mergedIntoMembers adds to members those who were merged into one of them.
const mergedIntoMembers = `UNION SELECT m.from_id FROM members
  CROSS JOIN subject_merges m ON (m.organization_id = $1 AND m.into_id = members.subject_id AND m.undone_at IS NULL)`

const selectMerges = `/* select_merges */ WITH RECURSIVE merges AS (
  SELECT m.into_id, m.from_id, m.merge_no, m.merged_at, m.recorded_at, m.after_sequence FROM subject_merges m
  WHERE m.organization_id = $1 AND m.into_id = $2 AND m.undone_at IS NULL
  UNION SELECT m.into_id, m.from_id, m.merge_no, m.merged_at, m.recorded_at, m.after_sequence FROM merges
  CROSS JOIN subject_merges m ON (m.organization_id = $1 AND m.into_id = merges.from_id AND m.undone_at IS NULL))
SELECT into_id, from_id, merge_no, merged_at, recorded_at, after_sequence FROM merges`

// No index is behind it: PostgreSQL with old statistics would take that for who was merged into somebody as well, and
// read all of it.
const selectMergedInto = `/* select_merged_into */ SELECT into_id FROM subject_merges
WHERE organization_id = $1 AND from_id = $2 AND undone_at IS NULL`

// MergedInto implements service.Reader.
func (t *tx) MergedInto(ctx context.Context, subject consent.SubjectKey) (into consent.ID, err error) {
	_, err = t.one(ctx, selectMergedInto, []any{subject.Organization, subject.Subject}, &into)
	return into, err
}

// UndoneMerges implements service.Reader.
func (t *tx) UndoneMerges(ctx context.Context, subjects []consent.SubjectKey) (found []consent.SubjectMerge,
	err error) {
	for some := range slices.Chunk(subjects, erasedAtOnce) {
		ids := make([]consent.ID, len(some))
		for i := range some {
			ids[i] = some[i].Subject
		}
		var q search
		q.where("organization_id = ?", some[0].Organization)
		q.where("undone_at IS NOT NULL")
		anyOf(&q, "from_id", ids)
		statement, args := q.build("/* select_undone_merges */ SELECT "+mergeColumns+" FROM subject_merges", "")
		part, err := t.scanMerges(ctx, some[0].Organization, statement, args)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
	}
	return found, nil
}

const mergeColumns = `into_id, from_id, merge_no, merged_at, recorded_at, after_sequence, undone_at, undone_after`

const selectAllMerges = `/* select_all_merges */ SELECT ` + mergeColumns + ` FROM subject_merges
WHERE organization_id = $1 AND (into_id, from_id, merge_no) > ($2, $3, $4) ORDER BY into_id, from_id, merge_no LIMIT $5`

// AllMerges implements service.Reader.
func (t *tx) AllMerges(ctx context.Context, organization consent.ID, after consent.SubjectMerge,
	limit int) ([]consent.SubjectMerge, error) {
	return t.scanMerges(ctx, organization, selectAllMerges, []any{organization, after.Into, after.From, after.Number,
		limit})
}

// scanMerges runs a statement that shows mergeColumns.
func (t *tx) scanMerges(ctx context.Context, organization consent.ID, statement string, args []any) (
	found []consent.SubjectMerge, err error) {
	err = t.conn.Search(ctx, statement, args, func(r engine.Row) error {
		m := consent.SubjectMerge{Organization: organization}
		err := r.Scan(&m.Into, &m.From, &m.Number, &m.MergedAt, &m.RecordedAt, &m.After, &m.UndoneAt, &m.UndoneAfter)
		found = append(found, m)
		return err
	})
	return found, err
}

// scanMerge reads a row of a merge that stands and what stands before it.
func scanMerge(r engine.Row, m *consent.SubjectMerge, before ...any) error {
	return r.Scan(append(before, &m.Into, &m.From, &m.Number, &m.MergedAt, &m.RecordedAt, &m.After)...)
}

// Merges implements service.Reader.
func (t *tx) Merges(ctx context.Context,
	subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.SubjectMerge, error) {
	found := map[consent.SubjectKey][]consent.SubjectMerge{}
	err := t.conn.Each(ctx, selectMerges, len(subjects), func(i int, args []any) []any {
		return append(args, &subjects[i].Organization, &subjects[i].Subject)
	}, func(i int, r engine.Row) error {
		m := consent.SubjectMerge{Organization: subjects[i].Organization}
		err := scanMerge(r, &m)
		found[subjects[i]] = append(found[subjects[i]], m)
		return err
	})
	return found, err
}

// withMerged adds to subjects all who turned out to be one of them.
func (t *tx) withMerged(ctx context.Context, subjects []consent.SubjectKey) ([]consent.SubjectKey, error) {
	merges, err := t.Merges(ctx, subjects)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(subjects)
	for _, key := range subjects {
		for _, m := range merges[key] {
			all = append(all, consent.SubjectKey{Organization: m.Organization, Subject: m.From})
		}
	}
	return all, nil
}

const insertMerge = `/* insert_merge */ INSERT INTO subject_merges (organization_id, into_id, from_id, merge_no,
merged_at, recorded_at, after_sequence) VALUES ($1, $2, $3, $4, $5, $6, $7)`

const undoMerge = `/* undo_merge */ UPDATE subject_merges SET undone_at = $1, undone_after = $2
WHERE organization_id = $3 AND into_id = $4 AND from_id = $5 AND merge_no = $6`

// markMerged keeps with everybody who was merged whom they are now, so that it takes one look-up.
const markMerged = `/* mark_merged */ UPDATE subjects SET merged_into = $1 WHERE organization_id = $2
AND subject_id = $3`

const moveClaims = `/* move_claims */ UPDATE identifier_claims SET subject_id = $1 WHERE organization_id = $2
AND subject_id = $3`

const moveClaimsBack = `/* move_claims_back */ UPDATE identifier_claims SET subject_id = $1 WHERE organization_id = $2
AND subject_id = $3 AND origin_id = $4`

// mergesCount is the kept count of an organization's merges, by which they are numbered.
const mergesCount = "merges"

const selectMergesCount = `/* select_merges_count */ SELECT amount FROM counts WHERE organization_id = $1 AND name = $2`

// appendMerges records merges, in order, and what follows from them for claims and own ids; then it undoes some.
func (t *tx) appendMerges(ctx context.Context, c *consent.Changes) error {
	if len(c.Merges) > 0 {
		if err := t.recordMerges(ctx, c.Merges); err != nil {
			return err
		}
	}
	for i := range c.Unmerges {
		if err := t.undoMerge(ctx, &c.Unmerges[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) recordMerges(ctx context.Context, merges []consent.SubjectMerge) error {
	moved, into, err := t.whoMoves(ctx, merges)
	if err != nil {
		return err
	}
	numbered, counts, err := t.numberMerges(ctx, merges)
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, insertMerge, numbered, func(m *consent.SubjectMerge, args []any) []any {
		return append(args, &m.Organization, &m.Into, &m.From, &m.Number, &m.MergedAt, &m.RecordedAt, &m.After)
	})
	if err != nil {
		return err
	}
	if err := t.addCounts(ctx, counts); err != nil {
		return err
	}
	err = insert(ctx, t.conn, mergeRestriction, merges, func(m *consent.SubjectMerge, args []any) []any {
		return append(args, &m.Organization, &m.Into, &m.From)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, moveClaims, merges, func(m *consent.SubjectMerge, args []any) []any {
		return append(args, &m.Into, &m.Organization, &m.From)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, markMerged, moved, func(k *consent.SubjectKey, args []any) []any {
		id := into[*k]
		return append(args, &id, &k.Organization, &k.Subject)
	})
}

// whoMoves gives everybody who is somebody else after some merges, with who that is.
func (t *tx) whoMoves(ctx context.Context, merges []consent.SubjectMerge) (moved []consent.SubjectKey,
	into map[consent.SubjectKey]consent.ID, err error) {
	from := make([]consent.SubjectKey, len(merges))
	for i, m := range merges {
		from[i] = consent.SubjectKey{Organization: m.Organization, Subject: m.From}
	}
	before, err := t.Merges(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	into = map[consent.SubjectKey]consent.ID{}
	with := map[consent.SubjectKey][]consent.SubjectKey{} // who came to somebody by these merges
	for i, m := range merges {
		goes := append(with[from[i]], from[i])
		for _, earlier := range before[from[i]] {
			goes = append(goes, consent.SubjectKey{Organization: m.Organization, Subject: earlier.From})
		}
		for _, key := range goes {
			if _, known := into[key]; !known {
				moved = append(moved, key)
			}
			into[key] = m.Into
		}
		key := consent.SubjectKey{Organization: m.Organization, Subject: m.Into}
		with[key] = append(with[key], goes...)
	}
	return moved, into, nil
}

// numberMerges gives merges their numbers, and what to add to the counts of their organizations.
func (t *tx) numberMerges(ctx context.Context, merges []consent.SubjectMerge) (numbered []consent.SubjectMerge,
	counts []consent.Count, err error) {
	at := map[consent.ID]int{}
	for _, m := range merges {
		if _, known := at[m.Organization]; !known {
			at[m.Organization] = len(counts)
			counts = append(counts, consent.Count{Organization: m.Organization, Name: mergesCount})
		}
	}
	recorded := make([]int64, len(counts))
	err = t.conn.Each(ctx, selectMergesCount, len(counts), func(i int, args []any) []any {
		return append(args, &counts[i].Organization, counts[i].Name)
	}, func(i int, r engine.Row) error { return r.Scan(&recorded[i]) })
	numbered = slices.Clone(merges)
	for i := range numbered {
		count := &counts[at[numbered[i].Organization]]
		count.Add++
		numbered[i].Number = recorded[at[numbered[i].Organization]] + count.Add
		if numbered[i].RecordedAt.IsZero() {
			numbered[i].RecordedAt = numbered[i].MergedAt
		}
	}
	return numbered, counts, err
}

// undoMerge undoes one that stands, into somebody who was not merged since.
func (t *tx) undoMerge(ctx context.Context, m *consent.SubjectMerge) error {
	from := consent.SubjectKey{Organization: m.Organization, Subject: m.From}
	moved, err := t.withMerged(ctx, []consent.SubjectKey{from})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, undoMerge, []consent.SubjectMerge{*m}, func(m *consent.SubjectMerge, args []any) []any {
		return append(args, &m.UndoneAt, &m.UndoneAfter, &m.Organization, &m.Into, &m.From, &m.Number)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, moveClaimsBack, moved, func(k *consent.SubjectKey, args []any) []any {
		return append(args, &m.From, &m.Organization, &m.Into, &k.Subject)
	})
	if err != nil {
		return err
	}
	if err := t.mark(ctx, moved[:1], consent.NoID); err != nil {
		return err
	}
	return t.mark(ctx, moved[1:], m.From)
}

// mark keeps with subjects whom they are now; NoID: they stand for themselves.
func (t *tx) mark(ctx context.Context, subjects []consent.SubjectKey, into consent.ID) error {
	return insert(ctx, t.conn, markMerged, subjects, func(k *consent.SubjectKey, args []any) []any {
		return append(args, (*engine.OptionalID)(&into), &k.Organization, &k.Subject)
	})
}
