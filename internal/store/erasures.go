package store

import (
	"bytes"
	"context"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const beforeColumns = `e.event_id, e.subject_id, e.project_no, e.sequence, e.recorded_at, e.previous_id, e.body, e.ident`

// selectEventsBefore walks a timeline backwards. It takes along what is wanted of each event, as selectHistory does.
const selectEventsBefore = `/* select_events_before */ WITH RECURSIVE chain AS (
  SELECT ` + beforeColumns + `, 1 AS depth FROM events e WHERE e.organization_id = $1 AND e.event_id = $2
  UNION ALL
  SELECT ` + beforeColumns + `, chain.depth + 1 FROM chain
  CROSS JOIN events e ON (e.organization_id = $1 AND e.event_id = chain.previous_id) WHERE chain.depth < $3)
SELECT event_id, subject_id, project_no, sequence, recorded_at, previous_id, body, ident FROM chain ORDER BY depth`

// EventsBefore implements service.Reader.
func (t *tx) EventsBefore(ctx context.Context, organization, last consent.ID, limit int) (found []consent.Event,
	err error) {
	err = t.conn.SearchPrepared(ctx, selectEventsBefore, []any{organization, last, limit}, func(r engine.Row) error {
		e := consent.Event{Organization: organization}
		err := r.Scan(&e.ID, &e.Subject, &e.Project, &e.Sequence, &e.RecordedAt, &e.Previous, &e.BodyJSON, &e.IdentityJSON)
		found = append(found, e)
		return err
	})
	return found, err
}

const selectEntriesOf = `/* select_entries_of */ SELECT event_id, sequence, kind, recorded_at, subject_id, leaf, body,
ident, erased_by FROM ledger_entries WHERE organization_id = $1 AND subject_id = $2 AND event_id > $3 AND leaf IS NULL
ORDER BY event_id LIMIT $4`

// EntriesOf implements service.Reader.
func (t *tx) EntriesOf(ctx context.Context, subject consent.SubjectKey, after consent.ID, limit int) (
	[]consent.ExportedEvent, error) {
	return t.scanEntries(ctx, selectEntriesOf, []any{subject.Organization, subject.Subject, after, limit})
}

const deleteEvent = `/* delete_event */ DELETE FROM events WHERE organization_id = $1 AND event_id = $2`

const upsertErased = `/* upsert_erased */ INSERT INTO ledger_entries (organization_id, event_id, sequence, kind,
recorded_at, leaf, erased_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id, event_id) DO UPDATE SET kind = excluded.kind, leaf = excluded.leaf,
erased_by = excluded.erased_by, subject_id = NULL, body = NULL, ident = NULL`

const upsertErasedSubject = `/* upsert_erased_subject */ INSERT INTO subjects (organization_id, subject_id, type,
created_at, version, changed_at, changed_by, data, erased_at, erased_sequence, erased_events,
erased_suppress) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (organization_id, subject_id) DO UPDATE SET type = excluded.type, merged_into = NULL,
created_at = excluded.created_at, version = excluded.version, changed_at = excluded.changed_at,
changed_by = excluded.changed_by, data = excluded.data, profile = NULL, erased_at = excluded.erased_at,
erased_sequence = excluded.erased_sequence, erased_events = excluded.erased_events,
erased_suppress = excluded.erased_suppress`

const deleteRestriction = `/* delete_restriction */ DELETE FROM restrictions
WHERE organization_id = $1 AND subject_id = $2`

const insertRestriction = `/* insert_restriction */ INSERT INTO restrictions (organization_id, subject_id, restricted_at,
sequence) VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, subject_id) DO NOTHING`

// mergeRestriction restricts who stays where who goes is restricted: nobody may be used by being somebody else.
const mergeRestriction = `/* merge_restriction */ INSERT INTO restrictions (organization_id, subject_id, restricted_at,
sequence) SELECT r.organization_id, s.subject_id, r.restricted_at, r.sequence FROM restrictions r, subjects s
WHERE s.organization_id = $1 AND s.subject_id = $2 AND r.organization_id = $1 AND r.subject_id = $3
ON CONFLICT (organization_id, subject_id) DO NOTHING`

func (t *tx) appendRestrictions(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, deleteRestriction, c.EndedRestrictions, func(k *consent.SubjectKey, args []any) []any {
		return append(args, &k.Organization, &k.Subject)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, insertRestriction, c.Restrictions, func(s *consent.RestrictedSubject, args []any) []any {
		return append(args, &s.Organization, &s.Subject, &s.At, &s.Sequence)
	})
}

// deletedWithSubject are what goes with a subject that is erased.
var deletedWithSubject = []string{
	`/* delete_consents */ DELETE FROM consents WHERE organization_id = $1 AND subject_id = $2`,
	deleteClaims, deleteRestriction,
	`/* delete_archive */ DELETE FROM subject_archive WHERE organization_id = $1 AND subject_id = $2`,
	`/* delete_subject_secret */ DELETE FROM subject_keys WHERE organization_id = $1 AND subject_id = $2`,
	deleteSubjectTexts,
	`/* delete_merges */ DELETE FROM subject_merges WHERE organization_id = $1 AND into_id = $2`,
}

// appendErased erases entries, and then the subjects that they were about.
func (t *tx) appendErased(ctx context.Context, c *consent.Changes) error {
	if len(c.ErasedEntries)+len(c.ErasedSubjects) == 0 {
		return nil
	}
	if f, ok := t.conn.(engine.Forgetter); ok {
		f.Forget()
	}
	err := insert(ctx, t.conn, deleteEvent, c.ErasedEntries, func(e *consent.LedgerEntry, args []any) []any {
		return append(args, &e.Organization, &e.ID)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, upsertErased, c.ErasedEntries, func(e *consent.LedgerEntry, args []any) []any {
		return append(args, &e.Organization, &e.ID, &e.Sequence, int(consent.ErasedEntry), &e.RecordedAt, e.Leaf,
			e.ErasedBy)
	})
	if err != nil || len(c.ErasedSubjects) == 0 {
		return err
	}
	return t.eraseSubjects(ctx, c.ErasedSubjects)
}

func (t *tx) eraseSubjects(ctx context.Context, subjects []consent.ErasedSubject) error {
	if err := t.eraseIdentifiers(ctx, subjects); err != nil {
		return err
	}
	for _, statement := range deletedWithSubject {
		err := insert(ctx, t.conn, statement, subjects, func(s *consent.ErasedSubject, args []any) []any {
			return append(args, &s.Organization, &s.Subject)
		})
		if err != nil {
			return err
		}
	}
	err := insert(ctx, t.conn, upsertErasedSubject, subjects, func(s *consent.ErasedSubject, args []any) []any {
		return append(args, &s.Organization, &s.Subject, consent.DefaultSubjectType, &s.At, 1, &s.At, &consent.NoID,
			[]byte(nil), &s.At, &s.Sequence, &s.Events, s.Suppress)
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(subjects, erasedAtOnce) {
		ids := make([]consent.ID, len(some))
		for i := range some {
			ids[i] = some[i].Subject
		}
		if err := t.forgetMerges(ctx, some[0].Organization, ids); err != nil {
			return err
		}
	}
	return t.forgetAnswers(ctx, subjects)
}

// eraseIdentifiers removes all identifiers of some subjects, each by its key: by the subject alone SQLite would look
// through all that the organization has.
func (t *tx) eraseIdentifiers(ctx context.Context, subjects []consent.ErasedSubject) error {
	keys := make([]consent.SubjectKey, len(subjects))
	for i := range subjects {
		keys[i] = subjects[i].SubjectKey
	}
	names, err := t.Names(ctx, keys)
	if err != nil {
		return err
	}
	for _, of := range names {
		err := insert(ctx, t.conn, deleteIdentifier, of, func(n *consent.OwnedIdentifier, args []any) []any {
			return append(args, &n.Organization, string(n.Kind), n.Project, index(&n.OwnedName))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// erasedAtOnce is how many subjects one look through a table is about.
const erasedAtOnce = 500

// forgetMerges removes merges of some subjects into others: those that were undone, since the others are erased too.
func (t *tx) forgetMerges(ctx context.Context, organization consent.ID, subjects []consent.ID) error {
	var q search
	q.where("organization_id = ?", organization)
	anyOf(&q, "from_id", subjects)
	statement, args := q.build("/* delete_merged */ DELETE FROM subject_merges", "")
	return t.conn.Search(ctx, statement, args, nil)
}

const selectAnswersAbout = `/* select_answers_about */ SELECT key_id, hash, about FROM kept_answers
WHERE organization_id = $1 AND (key_id, hash) > ($2, $3) ORDER BY key_id, hash LIMIT $4`

const forgetAnswer = `/* forget_answer */ UPDATE kept_answers SET sealed = $1, about = NULL WHERE organization_id = $2
AND key_id = $3 AND hash = $4`

// forgetAnswers empties the kept answers that tell of some subjects. That they were given stays for as long as it would
// have, so that a retry does not write again. An organization has those of a day, and no index knows whom they tell of.
func (t *tx) forgetAnswers(ctx context.Context, subjects []consent.ErasedSubject) error {
	const page = 10_000
	gone := make(map[consent.ID]bool, len(subjects))
	for i := range subjects {
		gone[subjects[i].Subject] = true
	}
	after := consent.IdempotencyKey{Organization: subjects[0].Organization}
	for {
		var found []consent.IdempotencyKey
		read := 0
		args := []any{after.Organization, after.Key, after.Hash[:], page}
		err := t.conn.SearchPrepared(ctx, selectAnswersAbout, args, func(r engine.Row) error {
			var hash, about []byte
			err := r.Scan(&after.Key, &hash, &about)
			copy(after.Hash[:], hash)
			if slices.ContainsFunc(idsOf(about), func(id consent.ID) bool { return gone[id] }) {
				found = append(found, after)
			}
			read++
			return err
		})
		if err != nil {
			return err
		}
		err = insert(ctx, t.conn, forgetAnswer, found, func(k *consent.IdempotencyKey, args []any) []any {
			return append(args, []byte{}, &k.Organization, &k.Key, k.Hash[:])
		})
		if err != nil || read < page {
			return err
		}
	}
}

// idsOf takes ids apart that stand behind each other.
func idsOf(b []byte) []consent.ID {
	var ids []consent.ID
	for id := range slices.Chunk(b, len(consent.NoID)) {
		if len(id) == len(consent.NoID) {
			ids = append(ids, consent.ID(id))
		}
	}
	return ids
}

// idsBehindEachOther puts ids into one value; nil: there are none.
func idsBehindEachOther(ids []consent.ID) []byte {
	var b bytes.Buffer
	for i := range ids {
		b.Write(ids[i][:])
	}
	return b.Bytes()
}
