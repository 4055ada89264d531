package store

import (
	"context"
	"strconv"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/engine"
)

// sealedPage is how many rows with sealed texts are read in one state: one may be as long as a request.
const sealedPage = 200

// sealedTable reads a table of sealed texts in the order of its primary key.
type sealedTable struct {
	statement string
	first     []any // what is before all rows, in the place of a key
	// scan reads a row, and gives its key.
	scan func(r engine.Row, row *service.SealedRow) (key []any, err error)
}

// sealedTables are all but the events, at which Events looks.
var sealedTables = []sealedTable{
	{`/* inspect_identifiers */ SELECT kind, project_no, value_index, subject_id, origin_id, value_sealed
FROM identifiers WHERE organization_id = $1 AND (kind, project_no, value_index) > ($2, $3, $4)
ORDER BY kind, project_no, value_index`, []any{"", 0, []byte{}}, scanSealedName},
	{`/* inspect_subjects */ SELECT subject_id, version, data, profile FROM subjects
WHERE organization_id = $1 AND subject_id > $2 AND (data IS NOT NULL OR profile IS NOT NULL)
ORDER BY subject_id`, []any{consent.NoID},
		func(r engine.Row, row *service.SealedRow) ([]any, error) {
			row.Record = &consent.Record{}
			err := r.Scan(&row.Subject, &row.Record.Version, &row.Record.Data, &row.Record.Profile)
			return []any{row.Subject}, err
		}},
	{`/* inspect_archive */ SELECT subject_id, version, data, profile FROM subject_archive
WHERE organization_id = $1 AND (subject_id, version) > ($2, $3) AND (data IS NOT NULL OR profile IS NOT NULL)
ORDER BY subject_id, version`, []any{consent.NoID, 0},
		func(r engine.Row, row *service.SealedRow) ([]any, error) {
			row.Archived = &consent.Record{}
			err := r.Scan(&row.Subject, &row.Archived.Version, &row.Archived.Data, &row.Archived.Profile)
			return []any{row.Subject, row.Archived.Version}, err
		}},
	{`/* inspect_texts */ SELECT hash, subject_id, text_sealed FROM subject_texts
WHERE organization_id = $1 AND (hash, subject_id) > ($2, $3) ORDER BY hash, subject_id`, []any{[]byte{}, consent.NoID},
		func(r engine.Row, row *service.SealedRow) ([]any, error) {
			row.Text = &consent.SubjectText{}
			err := r.Scan(&row.Text.Hash, &row.Subject, &row.Text.Sealed)
			return []any{row.Text.Hash, row.Subject}, err
		}},
	{`/* inspect_entries */ SELECT event_id, subject_id, ident FROM ledger_entries
WHERE organization_id = $1 AND event_id > $2 AND leaf IS NULL ORDER BY event_id`, []any{consent.NoID},
		func(r engine.Row, row *service.SealedRow) ([]any, error) {
			row.Entry = &consent.ExportedEvent{}
			err := r.Scan(&row.Entry.ID, &row.Subject, &row.Entry.IdentityJSON)
			return []any{row.Entry.ID}, err
		}},
	{`/* inspect_webhooks */ SELECT webhook_id, secret_sealed, previous_sealed FROM webhooks
WHERE organization_id = $1 AND webhook_id > $2 ORDER BY webhook_id`, []any{consent.NoID},
		func(r engine.Row, row *service.SealedRow) ([]any, error) {
			row.Webhook = &consent.Webhook{WebhookKey: consent.WebhookKey{Organization: row.Organization}}
			err := r.Scan(&row.Webhook.Webhook, &row.Webhook.Secret, &row.Webhook.Previous)
			return []any{row.Webhook.Webhook}, err
		}},
}

func scanSealedName(r engine.Row, row *service.SealedRow) ([]any, error) {
	n := &consent.OwnedIdentifier{OwnedName: consent.OwnedName{Organization: row.Organization}}
	row.Name = n
	err := r.Scan((*string)(&n.Kind), &n.Project, &n.Value, &n.Subject, &n.Origin, &n.Sealed)
	row.Subject = n.Subject
	return []any{string(n.Kind), n.Project, []byte(n.Value)}, err
}

// SealedFaults looks for what is wrong with rows (service.Opener.Faults).
type SealedFaults func(ctx context.Context, r service.Reader, organization consent.ID, rows []service.SealedRow) (
	[]error, error)

// Sealed calls visit for all rows of an organization with sealed texts but its events, with what is wrong with each;
// nil: nothing. It holds a page of them in memory.
func (i *Inspection) Sealed(ctx context.Context, organization consent.ID, look SealedFaults,
	visit func(row *service.SealedRow, fault error)) error {
	for n := range sealedTables {
		table := &sealedTables[n]
		statement := table.statement + " LIMIT " + strconv.Itoa(sealedPage)
		for key, more := table.first, true; more; {
			var rows []service.SealedRow
			var faults []error
			var last []any
			err := i.view(ctx, func(t *tx) (err error) { // it may run again
				if rows, last, err = table.page(ctx, t, statement, organization, key); err == nil {
					faults, err = look(ctx, t, organization, rows)
				}
				return err
			})
			if err != nil {
				return err
			}
			for j := range rows {
				visit(&rows[j], faults[j])
			}
			key, more = last, len(rows) == sealedPage
		}
	}
	return nil
}

// page reads the rows behind a key, and gives the last one's; where there is none, the same key.
func (s *sealedTable) page(ctx context.Context, t *tx, statement string, organization consent.ID, after []any) (
	rows []service.SealedRow, last []any, err error) {
	last = after
	args := append([]any{organization}, after...)
	err = t.conn.SearchPrepared(ctx, statement, args, func(r engine.Row) (err error) {
		rows = append(rows, service.SealedRow{SubjectKey: consent.SubjectKey{Organization: organization}})
		last, err = s.scan(r, &rows[len(rows)-1])
		return err
	})
	return rows, last, err
}
