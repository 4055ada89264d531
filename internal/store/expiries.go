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

// selectAnyExpiry asks for any, not for the next one: PostgreSQL would sort all of an organization's for that.
const selectAnyExpiry = `/* select_any_expiry */ SELECT 1 FROM events
WHERE organization_id = $1 AND expires_at > $2 AND expires_at <= $3 LIMIT 1`

// AnyExpiry implements service.Reader.
func (t *tx) AnyExpiry(ctx context.Context, organization consent.ID, after, upTo time.Time) (bool, error) {
	var one int
	return t.one(ctx, selectAnyExpiry, []any{organization, &after, &upTo}, &one)
}
