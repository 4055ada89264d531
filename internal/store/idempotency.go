package store

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectIdempotency = `/* select_idempotency */ SELECT fingerprint, sealed, expires_at, about FROM kept_answers
WHERE organization_id = $1 AND key_id = $2 AND hash = $3`

// IdempotencyRecords implements service.Reader.
func (t *tx) IdempotencyRecords(ctx context.Context,
	keys []consent.IdempotencyKey) ([]*consent.IdempotencyRecord, error) {
	found := make([]*consent.IdempotencyRecord, len(keys))
	err := t.conn.Each(ctx, selectIdempotency, len(keys), func(i int, args []any) []any {
		return append(args, &keys[i].Organization, &keys[i].Key, keys[i].Hash[:])
	}, func(i int, r engine.Row) error {
		a := &consent.IdempotencyRecord{IdempotencyKey: keys[i]}
		var fingerprint, about []byte
		err := r.Scan(&fingerprint, &a.Sealed, &a.ExpiresAt, &about)
		a.About = idsOf(about)
		copy(a.Fingerprint[:], fingerprint)
		found[i] = a
		return err
	})
	return found, err
}

const upsertIdempotency = `/* upsert_idempotency */ INSERT INTO kept_answers
(organization_id, key_id, hash, fingerprint, sealed, expires_at, about) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id, key_id, hash) DO UPDATE
SET fingerprint = excluded.fingerprint, sealed = excluded.sealed, expires_at = excluded.expires_at,
about = excluded.about`

// deleteExpired removes those that expired first, and all that expired with the last of them. It asks for no list of
// keys: a planner may look through all of an organization's records for each of those.
const deleteExpired = `/* delete_expired_idempotency */ DELETE FROM kept_answers
WHERE organization_id = $1 AND expires_at <= (SELECT max(expires_at) FROM (
  SELECT expires_at FROM kept_answers WHERE organization_id = $1 AND expires_at < $2
  ORDER BY expires_at LIMIT $3) AS few)`

func (t *tx) appendIdempotencyRecords(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertIdempotency, c.IdempotencyRecords, func(a *consent.IdempotencyRecord,
		args []any) []any {
		return append(args, &a.Organization, &a.Key, a.Hash[:], a.Fingerprint[:], a.Sealed, &a.ExpiresAt,
			idsBehindEachOther(a.About))
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, deleteExpired, c.DropExpired, func(f *consent.ExpiredRecords, args []any) []any {
		return append(args, &f.Organization, &f.Before, f.Limit)
	})
}

const selectExpired = `/* select_expired_idempotency */ SELECT DISTINCT organization_id FROM kept_answers
WHERE expires_at < $1`

// WithExpiredRecords implements service.Reader. It names no organization: it is what finds them, on the instance's own
// behalf.
func (t *tx) WithExpiredRecords(ctx context.Context, before time.Time) (organizations []consent.ID, err error) {
	err = t.conn.Query(ctx, selectExpired, []any{&before}, func(r engine.Row) error {
		var id consent.ID
		err := r.Scan(&id)
		organizations = append(organizations, id)
		return err
	})
	return organizations, err
}
