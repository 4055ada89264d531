package store

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectExpiries = `/* select_expiries */ SELECT event_id, subject_id, project_no, purpose_no, sequence, expires_at
FROM events WHERE organization_id = $1 AND expires_at <= $2 AND (expires_at, event_id) > ($3, $4)
ORDER BY expires_at, event_id LIMIT $5`

// Expiries implements service.Reader.
func (t *tx) Expiries(ctx context.Context, organization consent.ID, after consent.Expiry, upTo time.Time,
	limit int) (found []consent.Expiry, err error) {
	args := []any{organization, &upTo, &after.At, after.Event, limit}
	err = t.conn.Query(ctx, selectExpiries, args, func(r engine.Row) error {
		e := consent.Expiry{}
		e.Consent.Organization = organization
		err := r.Scan(&e.Event, &e.Consent.Subject, &e.Consent.Project, &e.Consent.Purpose, &e.Sequence, &e.At)
		found = append(found, e)
		return err
	})
	return found, err
}

const selectNextExpiry = `/* select_next_expiry */ SELECT expires_at FROM events
WHERE organization_id = $1 AND expires_at > $2 ORDER BY expires_at LIMIT 1`

// NextExpiry implements service.Reader.
func (t *tx) NextExpiry(ctx context.Context, organization consent.ID, after time.Time) (next time.Time, err error) {
	_, err = t.one(ctx, selectNextExpiry, []any{organization, &after}, &next)
	return next, err
}
