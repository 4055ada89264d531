package store

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectErasedAfter = `/* select_erased_after */ SELECT organization_id, subject_id, erased_at, erased_sequence,
erased_events, erased_suppress FROM subjects
WHERE erased_at IS NOT NULL AND (erased_at, organization_id, subject_id) > ($1, $2, $3)
ORDER BY erased_at, organization_id, subject_id LIMIT $4`

// ErasedAfter implements service.Reader. It goes through all organizations, on the instance's own behalf.
func (t *tx) ErasedAfter(ctx context.Context, last consent.ErasedSubject, limit int) (page []consent.ErasedSubject,
	err error) {
	if last.At.IsZero() {
		last.At = time.Unix(0, 0)
	}
	args := []any{&last.At, last.Organization, last.Subject, limit}
	err = t.conn.SearchPrepared(ctx, selectErasedAfter, args, func(r engine.Row) error {
		var e consent.ErasedSubject
		err := r.Scan(&e.Organization, &e.Subject, &e.At, &e.Sequence, &e.Events, &e.Suppress)
		page = append(page, e)
		return err
	})
	return page, err
}

const selectUnerased = `/* select_unerased */ SELECT subject_id FROM subjects
WHERE organization_id = $1 AND subject_id = $2 AND erased_at IS NULL`

// Unerased implements service.Reader.
func (t *tx) Unerased(ctx context.Context, subjects []consent.SubjectKey) ([]bool, error) {
	there := make([]bool, len(subjects))
	secrets, err := t.SubjectSecrets(ctx, subjects) // also of those whose record was removed
	if err != nil {
		return nil, err
	}
	for i := range secrets {
		there[i] = secrets[i] != nil
	}
	err = t.conn.Each(ctx, selectUnerased, len(subjects), func(i int, args []any) []any {
		return append(args, &subjects[i].Organization, &subjects[i].Subject)
	}, func(i int, r engine.Row) error {
		var id consent.ID
		there[i] = true
		return r.Scan(&id)
	})
	return there, err
}
