package store

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectCheckpoint = `/* select_checkpoint */ SELECT size, last_event_id, tree, note, key_id, signed_at
FROM ledger_checkpoints WHERE organization_id = $1`

// Checkpoint implements service.Reader.
func (t *tx) Checkpoint(ctx context.Context, organization consent.ID) (newest *consent.Checkpoint, err error) {
	err = t.conn.Query(ctx, selectCheckpoint, []any{organization}, func(r engine.Row) error {
		newest = &consent.Checkpoint{Organization: organization}
		return r.Scan(&newest.Size, &newest.LastID, &newest.Tree, &newest.Note, &newest.KeyID, &newest.SignedAt)
	})
	return newest, err
}

const selectLedgerKeys = `/* select_ledger_keys */ SELECT from_size, verifier_key, signed_from FROM ledger_keys
WHERE organization_id = $1 ORDER BY from_size`

// LedgerKeys implements service.Reader.
func (t *tx) LedgerKeys(ctx context.Context, organization consent.ID) (keys []consent.LedgerKey, err error) {
	err = t.conn.Query(ctx, selectLedgerKeys, []any{organization}, func(r engine.Row) error {
		key := consent.LedgerKey{Organization: organization}
		err := r.Scan(&key.FromSize, &key.Text, &key.From)
		keys = append(keys, key)
		return err
	})
	return keys, err
}

const selectUnsigned = `/* select_unsigned */ SELECT h.organization_id FROM ledger_heads h
WHERE h.organization_id > $1 AND h.sequence > 0 AND NOT EXISTS (SELECT 1 FROM ledger_checkpoints c
  WHERE c.organization_id = h.organization_id AND c.size = h.sequence)
ORDER BY h.organization_id LIMIT $2`

// Unsigned implements service.Reader. It goes through all organizations: it is what finds them, on the instance's own
// behalf.
func (t *tx) Unsigned(ctx context.Context, after consent.ID, limit int) (organizations []consent.ID, err error) {
	err = t.conn.SearchPrepared(ctx, selectUnsigned, []any{after, limit}, func(r engine.Row) error {
		var id consent.ID
		err := r.Scan(&id)
		organizations = append(organizations, id)
		return err
	})
	return organizations, err
}

const selectEntryAfter = `/* select_entry_after */ SELECT event_id, sequence FROM (
  SELECT event_id, sequence FROM (SELECT event_id, sequence FROM events
    WHERE organization_id = $1 AND event_id > $2 ORDER BY event_id LIMIT 1) AS decision
  UNION ALL SELECT event_id, sequence FROM (SELECT event_id, sequence FROM ledger_entries
    WHERE organization_id = $1 AND event_id > $2 ORDER BY event_id LIMIT 1) AS other) AS entry
ORDER BY event_id LIMIT 1`

// EntryAfter implements service.Reader.
func (t *tx) EntryAfter(ctx context.Context, organization, after consent.ID) (id consent.ID, sequence int64,
	err error) {
	_, err = t.one(ctx, selectEntryAfter, []any{organization, after}, &id, &sequence)
	return id, sequence, err
}

const upsertCheckpoint = `/* upsert_checkpoint */ INSERT INTO ledger_checkpoints (organization_id, size, last_event_id,
tree, note, key_id, signed_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id) DO UPDATE SET size = excluded.size, last_event_id = excluded.last_event_id,
tree = excluded.tree, note = excluded.note, key_id = excluded.key_id, signed_at = excluded.signed_at`

const insertLedgerKey = `/* insert_ledger_key */ INSERT INTO ledger_keys (organization_id, from_size, verifier_key,
signed_from) VALUES ($1, $2, $3, $4)`

func (t *tx) appendCheckpoints(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertCheckpoint, c.Checkpoints, func(p *consent.Checkpoint, args []any) []any {
		return append(args, &p.Organization, &p.Size, &p.LastID, p.Tree, p.Note, &p.KeyID, &p.SignedAt)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, insertLedgerKey, c.LedgerKeys, func(k *consent.LedgerKey, args []any) []any {
		return append(args, &k.Organization, &k.FromSize, k.Text, &k.From)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, upsertCosignature, c.Cosignatures, func(s *consent.Cosignature, args []any) []any {
		return append(args, &s.Organization, s.Witness, &s.Size, s.Note, s.Line, &s.At)
	})
}
