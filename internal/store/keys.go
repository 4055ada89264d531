package store

import (
	"context"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const keyColumns = `organization_id, key_id, name, scopes, secret_hash, created_at, expires_at, revoked_at`

func scanKey(r engine.Row, k *consent.Key) error {
	var scopes string
	var hash []byte
	if err := r.Scan(&k.Organization, &k.ID, &k.Name, &scopes, &hash, &k.CreatedAt, &k.ExpiresAt,
		&k.RevokedAt); err != nil {
		return err
	}
	copy(k.SecretHash[:], hash)
	for scope := range strings.FieldsSeq(scopes) {
		k.Scopes = append(k.Scopes, consent.Scope(scope))
	}
	return nil
}

const selectKey = `/* select_key */ SELECT ` + keyColumns + ` FROM api_keys WHERE organization_id = $1 AND key_id = $2`

const selectRootKey = `/* select_root_key */ SELECT ` + keyColumns +
	` FROM api_keys WHERE organization_id = $1 AND revoked_at IS NULL ORDER BY key_id DESC LIMIT 1`

// Key implements service.Reader.
func (t *tx) Key(ctx context.Context, organization, id consent.ID) (*consent.Key, error) {
	statement, args := selectKey, []any{organization, id}
	if organization == consent.NoID && id == consent.NoID {
		statement, args = selectRootKey, args[:1]
	}
	var key *consent.Key
	err := t.conn.Query(ctx, statement, args, func(r engine.Row) error {
		key = &consent.Key{}
		return scanKey(r, key)
	})
	return key, err
}

const selectKeys = `/* select_keys */ SELECT ` + keyColumns +
	` FROM api_keys WHERE organization_id = $1 AND key_id > $2 ORDER BY key_id LIMIT $3`

// Keys implements service.Reader.
func (t *tx) Keys(ctx context.Context, organization, after consent.ID, limit int) (keys []consent.Key, err error) {
	err = t.conn.Query(ctx, selectKeys, []any{organization, after, limit}, func(r engine.Row) error {
		keys = append(keys, consent.Key{})
		return scanKey(r, &keys[len(keys)-1])
	})
	return keys, err
}

const upsertKey = `/* upsert_key */ INSERT INTO api_keys (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (organization_id, key_id) DO UPDATE
SET name = excluded.name, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at`

const insertSecret = `/* insert_secret */ INSERT INTO instance_secrets (name, value) VALUES ($1, $2)`

func (t *tx) appendKeys(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertKey, c.Keys, func(k *consent.Key, args []any) []any {
		scopes := make([]string, len(k.Scopes))
		for i, scope := range k.Scopes {
			scopes[i] = string(scope)
		}
		return append(args, &k.Organization, &k.ID, k.Name, strings.Join(scopes, " "), k.SecretHash[:], &k.CreatedAt,
			&k.ExpiresAt, &k.RevokedAt)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, insertSecret, c.Secrets, func(s *consent.Secret, args []any) []any {
		return append(args, s.Name, s.Value)
	})
}

// Secret implements service.Reader.
func (t *tx) Secret(ctx context.Context, name string) (value []byte, err error) {
	_, err = t.one(ctx, `/* select_secret */ SELECT value FROM instance_secrets WHERE name = $1`, []any{name}, &value)
	return value, err
}
