package store

import (
	"bytes"
	"context"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// The ledger is two tables, of decisions and of all else, that share one order of ids.

const selectEntries = `/* select_entries */ SELECT event_id, sequence, kind, recorded_at, subject_id, leaf, body, ident,
erased_by FROM ledger_entries WHERE organization_id = $1 AND event_id > $2 AND event_id <= $3
ORDER BY event_id LIMIT $4`

// Entries implements service.Reader. What is no decision is read first: there is little of it, mostly none.
func (t *tx) Entries(ctx context.Context, organization consent.ID, span consent.EventSpan, limit int,
	into *consent.ExportedEvents) (last consent.ID, err error) {
	others, to, err := t.OtherEntries(ctx, organization, span, limit)
	if err != nil {
		return span.To, err
	}
	span.To = to
	q := consent.EventQuery{Organization: organization, Ascending: true}
	if last, err = t.ExportEvents(ctx, &q, span, limit, into); err != nil || len(others) == 0 {
		return last, err
	}
	for _, e := range others {
		if bytes.Compare(e.ID[:], last[:]) <= 0 {
			into.Rows = append(into.Rows, e)
		}
	}
	slices.SortFunc(into.Rows, func(a, b consent.ExportedEvent) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return last, nil
}

// OtherEntries implements service.Reader.
func (t *tx) OtherEntries(ctx context.Context, organization consent.ID, span consent.EventSpan,
	limit int) (found []consent.ExportedEvent, last consent.ID, err error) {
	found, err = t.scanEntries(ctx, selectEntries, []any{organization, span.After, span.To, limit})
	if err != nil || len(found) < limit {
		return found, span.To, err
	}
	return found, found[limit-1].ID, nil
}

// scanEntries runs a statement that shows the columns of selectEntries.
func (t *tx) scanEntries(ctx context.Context, statement string, args []any) (found []consent.ExportedEvent,
	err error) {
	err = t.conn.SearchPrepared(ctx, statement, args, func(r engine.Row) error {
		var e consent.ExportedEvent
		err := r.Scan(&e.ID, &e.Sequence, (*uint8)(&e.Kind), &e.RecordedAt, &e.Subject, &e.Leaf, &e.BodyJSON,
			&e.IdentityJSON, &e.ErasedBy)
		found = append(found, e)
		return err
	})
	return found, err
}

// An organization's own entries are few beside those of people, so that no index knows of their kinds.
const selectOwnEntries = `/* select_own_entries */ SELECT event_id, sequence, kind, recorded_at, subject_id, leaf, body,
ident, erased_by FROM ledger_entries WHERE organization_id = $1 AND subject_id = $2 AND leaf IS NULL AND kind = $3
AND sequence <= $4 ORDER BY event_id DESC LIMIT $5`

// OwnEntries implements service.Reader.
func (t *tx) OwnEntries(ctx context.Context, organization consent.ID, kind consent.EntryKind, upTo int64,
	limit int) ([]consent.ExportedEvent, error) {
	found, err := t.scanEntries(ctx, selectOwnEntries, []any{organization, consent.NoID, int(kind), upTo, limit})
	slices.Reverse(found)
	return found, err
}

const selectLedgerEntry = `/* select_ledger_entry */ SELECT sequence, kind, recorded_at, subject_id, leaf, body, ident,
erased_by FROM ledger_entries WHERE organization_id = $1 AND event_id = $2`

// LedgerEntry implements service.Reader.
func (t *tx) LedgerEntry(ctx context.Context, organization, id consent.ID) (*consent.LedgerEntry, error) {
	e := consent.LedgerEntry{Organization: organization, ID: id}
	found, err := t.one(ctx, selectLedgerEntry, []any{organization, id}, &e.Sequence, (*uint8)(&e.Kind), &e.RecordedAt,
		&e.Subject, &e.Leaf, &e.BodyJSON, &e.IdentityJSON, &e.ErasedBy)
	if !found || err != nil {
		return nil, err
	}
	return &e, nil
}

const insertEntry = `/* insert_entry */ INSERT INTO ledger_entries (organization_id, event_id, sequence, kind,
recorded_at, subject_id, body, ident) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

func (t *tx) appendEntries(ctx context.Context, c *consent.Changes) error {
	return insert(ctx, t.conn, insertEntry, c.Entries, func(e *consent.LedgerEntry, args []any) []any {
		return append(args, &e.Organization, &e.ID, &e.Sequence, int(e.Kind), &e.RecordedAt, &e.Subject, e.BodyJSON,
			e.IdentityJSON)
	})
}
