package store

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectCosignatures = `/* select_cosignatures */ SELECT witness, size, note, cosignature, cosigned_at
FROM ledger_cosignatures WHERE organization_id = $1 ORDER BY witness`

// Cosignatures implements service.Reader.
func (t *tx) Cosignatures(ctx context.Context, organization consent.ID) (all []consent.Cosignature, err error) {
	err = t.conn.Query(ctx, selectCosignatures, []any{organization}, func(r engine.Row) error {
		s := consent.Cosignature{Organization: organization}
		err := r.Scan(&s.Witness, &s.Size, &s.Note, &s.Line, &s.At)
		all = append(all, s)
		return err
	})
	return all, err
}

const selectUncosigned = `/* select_uncosigned */ SELECT c.organization_id FROM ledger_checkpoints c
WHERE c.organization_id > $1 AND NOT EXISTS (SELECT 1 FROM ledger_cosignatures w
  WHERE w.organization_id = c.organization_id AND w.witness = $2 AND w.size >= c.size)
ORDER BY c.organization_id LIMIT $3`

// Uncosigned implements service.Reader. It goes through all organizations, as Unsigned does.
func (t *tx) Uncosigned(ctx context.Context, witness string, after consent.ID,
	limit int) (organizations []consent.ID, err error) {
	err = t.conn.SearchPrepared(ctx, selectUncosigned, []any{after, witness, limit}, func(r engine.Row) error {
		var id consent.ID
		err := r.Scan(&id)
		organizations = append(organizations, id)
		return err
	})
	return organizations, err
}

const selectWitnessLag = `/* select_witness_lag */ SELECT count(*), count(*) - count(w.size),
coalesce(max(c.size - coalesce(w.size, 0)), 0)
FROM ledger_checkpoints c LEFT JOIN ledger_cosignatures w
  ON w.organization_id = c.organization_id AND w.witness = $1
WHERE w.size IS NULL OR w.size < c.size AND w.cosigned_at < $2`

// WitnessLag implements service.Reader. It goes through all organizations.
func (t *tx) WitnessLag(ctx context.Context, witness string, since time.Time) (lag consent.WitnessLag, err error) {
	err = t.conn.SearchPrepared(ctx, selectWitnessLag, []any{witness, &since}, func(r engine.Row) error {
		return r.Scan(&lag.Ledgers, &lag.Never, &lag.Entries)
	})
	return lag, err
}

// upsertCosignature keeps the larger size, whichever server is later.
const upsertCosignature = `/* upsert_cosignature */ INSERT INTO ledger_cosignatures (organization_id, witness, size,
note, cosignature, cosigned_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id, witness) DO UPDATE SET size = excluded.size, note = excluded.note,
cosignature = excluded.cosignature, cosigned_at = excluded.cosigned_at
WHERE ledger_cosignatures.size < excluded.size`
