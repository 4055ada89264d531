package store

import (
	"context"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/engine"
)

// TestInspectionOfSealedRows: every row with a sealed text is shown once, page by page, with what was found of it.
func TestInspectionOfSealedRows(t *testing.T) {
	inspectEngines(t, 2000, func(t *testing.T, i *Inspection, organizations []consent.ID) {
		ctx, pages := context.Background(), map[string]int{}
		for _, o := range organizations {
			want, got := map[string]int{}, map[string]int{}
			err := i.view(ctx, func(t *tx) error {
				return t.conn.Search(ctx, `SELECT (SELECT count(*) FROM identifiers WHERE organization_id = $1),
(SELECT count(*) FROM subjects WHERE organization_id = $1 AND (data IS NOT NULL OR profile IS NOT NULL)),
(SELECT count(*) FROM subject_archive WHERE organization_id = $1 AND (data IS NOT NULL OR profile IS NOT NULL)),
(SELECT count(*) FROM subject_texts WHERE organization_id = $1),
(SELECT count(*) FROM ledger_entries WHERE organization_id = $1 AND leaf IS NULL),
(SELECT count(*) FROM webhooks WHERE organization_id = $1)`, []any{o},
					func(r engine.Row) error {
						var n [6]int
						err := r.Scan(&n[0], &n[1], &n[2], &n[3], &n[4], &n[5])
						want = map[string]int{"identifiers": n[0], "subjects": n[1], "subject_archive": n[2], "subject_texts": n[3],
							"ledger_entries": n[4], "webhooks": n[5]}
						return err
					})
			})
			if err != nil {
				t.Fatal(err)
			}
			of := map[*service.SealedRow]error{}
			look := func(_ context.Context, _ service.Reader, organization consent.ID, rows []service.SealedRow) ([]error,
				error) {
				faults := make([]error, len(rows))
				for n := range rows {
					if rows[n].Organization != organization || organization != o {
						t.Errorf("a row of organization %s among those of %s", rows[n].Organization, o)
					}
					pages[rows[n].Table()]++
					if n%3 == 0 {
						faults[n] = context.DeadlineExceeded
					}
					of[&rows[n]] = faults[n]
				}
				return faults, nil
			}
			seen := map[*service.SealedRow]bool{}
			err = i.Sealed(ctx, o, look, func(row *service.SealedRow, fault error) {
				if seen[row] || fault != of[row] {
					t.Errorf("%s of %s: seen %t, %v, want %v", row.Table(), row.Subject, seen[row], fault, of[row])
				}
				seen[row] = true
				got[row.Table()]++
			})
			if err != nil {
				t.Fatal(err)
			}
			for table, n := range want {
				if got[table] != n {
					t.Errorf("organization %s: %d rows of %s, want %d", o, got[table], table, n)
				}
			}
		}
		for _, table := range []string{"identifiers", "subjects", "subject_archive", "subject_texts"} {
			if pages[table] <= sealedPage {
				t.Errorf("%d rows of %s are too few to be read in pages", pages[table], table)
			}
		}
	})
}
