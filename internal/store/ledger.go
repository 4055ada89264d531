package store

import (
	"context"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectSubjectSecret = `/* select_subject_secret */ SELECT wrapped_key FROM subject_keys
WHERE organization_id = $1 AND subject_id = $2`

// SubjectSecrets implements service.Reader.
func (t *tx) SubjectSecrets(ctx context.Context, subjects []consent.SubjectKey) ([][]byte, error) {
	secrets := make([][]byte, len(subjects))
	err := t.conn.Each(ctx, selectSubjectSecret, len(subjects), func(i int, args []any) []any {
		return append(args, &subjects[i].Organization, &subjects[i].Subject)
	}, func(i int, r engine.Row) error { return r.Scan(&secrets[i]) })
	return secrets, err
}

const selectSubjectSecretsFrom = `/* select_subject_secrets_from */ SELECT subject_id, wrapped_key FROM subject_keys
WHERE organization_id = $1 AND subject_id >= $2 ORDER BY subject_id LIMIT $3`

// SubjectSecretsFrom implements service.Reader.
func (t *tx) SubjectSecretsFrom(ctx context.Context, organization, from consent.ID,
	limit int) (page []consent.SubjectSecret, err error) {
	err = t.conn.Query(ctx, selectSubjectSecretsFrom, []any{organization, from, limit}, func(r engine.Row) error {
		s := consent.SubjectSecret{SubjectKey: consent.SubjectKey{Organization: organization}}
		err := r.Scan(&s.Subject, &s.Wrapped)
		page = append(page, s)
		return err
	})
	return page, err
}

const insertSubjectSecret = `/* insert_subject_secret */ INSERT INTO subject_keys (organization_id, subject_id,
wrapped_key) VALUES ($1, $2, $3)`

func (t *tx) appendSubjectSecrets(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, insertSubjectSecret, c.SubjectSecrets, func(s *consent.SubjectSecret, args []any) []any {
		return append(args, &s.Organization, &s.Subject, s.Wrapped)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, rewrapSubjectSecret, c.Rewrapped, func(s *consent.RewrappedSecret, args []any) []any {
		return append(args, s.Wrapped, &s.Organization, &s.Subject, s.Before)
	})
}

// rewrapSubjectSecret never makes a row: that of somebody who was erased meanwhile must not come back.
const rewrapSubjectSecret = `/* rewrap_subject_secret */ UPDATE subject_keys SET wrapped_key = $1
WHERE organization_id = $2 AND subject_id = $3 AND wrapped_key = $4`

const selectLedgerRow = `/* select_ledger_row */ SELECT hashes FROM ledger_rows
WHERE organization_id = $1 AND level = $2 AND number = $3`

// LedgerRows implements service.Reader.
func (t *tx) LedgerRows(ctx context.Context, rows []consent.LedgerRow) error {
	err := t.conn.Each(ctx, selectLedgerRow, len(rows), func(i int, args []any) []any {
		return append(args, &rows[i].Organization, rows[i].Level, rows[i].Number)
	}, func(i int, r engine.Row) error { return r.Scan(&rows[i].Hashes) })
	for i := range rows {
		if err == nil && rows[i].Hashes == nil {
			err = fmt.Errorf("%w: row %d of level %d", consent.ErrNoLedgerRow, rows[i].Number, rows[i].Level)
		}
	}
	return err
}

const insertLedgerRow = `/* insert_ledger_row */ INSERT INTO ledger_rows (organization_id, level, number, hashes)
VALUES ($1, $2, $3, $4)`

func (t *tx) appendLedgerRows(ctx context.Context, c *consent.Changes) error {
	return insert(ctx, t.conn, insertLedgerRow, c.LedgerRows, func(r *consent.LedgerRow, args []any) []any {
		return append(args, &r.Organization, r.Level, r.Number, r.Hashes)
	})
}
