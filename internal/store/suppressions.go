package store

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectSuppressed = `/* select_suppressed */ SELECT suppressed_at FROM suppressions
WHERE organization_id = $1 AND hash = $2`

// Suppressed implements service.Reader.
func (t *tx) Suppressed(ctx context.Context, organization consent.ID, hashes [][]byte) ([]time.Time, error) {
	found := make([]time.Time, len(hashes))
	err := t.conn.Each(ctx, selectSuppressed, len(hashes), func(i int, args []any) []any {
		return append(args, &organization, hashes[i])
	}, func(i int, r engine.Row) error { return r.Scan(&found[i]) })
	return found, err
}

const insertSuppression = `/* insert_suppression */ INSERT INTO suppressions (organization_id, hash, suppressed_at)
VALUES ($1, $2, $3)`

const deleteSuppression = `/* delete_suppression */ DELETE FROM suppressions WHERE organization_id = $1 AND hash = $2`

const countSuppressed = `/* count_suppressed */ UPDATE ledger_heads SET suppressed = coalesce(suppressed, 0) + $1
WHERE organization_id = $2`

func (t *tx) appendSuppressions(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, insertSuppression, c.Suppressions, func(s *consent.Suppression, args []any) []any {
		return append(args, &s.Organization, s.Hash[:], &s.At)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, deleteSuppression, c.LiftedSuppressions, func(s *consent.Suppression, args []any) []any {
		return append(args, &s.Organization, s.Hash[:])
	})
	if err != nil {
		return err
	}
	added := map[consent.ID]int64{}
	for i := range c.Suppressions {
		added[c.Suppressions[i].Organization]++
	}
	for i := range c.LiftedSuppressions {
		added[c.LiftedSuppressions[i].Organization]--
	}
	var counts []consent.Count
	for o, n := range added {
		counts = append(counts, consent.Count{Organization: o, Add: n})
	}
	return insert(ctx, t.conn, countSuppressed, counts, func(n *consent.Count, args []any) []any {
		return append(args, &n.Add, &n.Organization)
	})
}
