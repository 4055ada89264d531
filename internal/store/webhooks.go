package store

import (
	"context"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const webhookColumns = `organization_id, webhook_id, url, events, description, disabled, secret_sealed, previous_sealed,
previous_until, created_at, updated_at, revision, sequence, last_event_id, expired_at, expired_event_id, next_expiry,
failing_since`

func scanWebhook(r engine.Row, w *consent.Webhook) error {
	var events string
	err := r.Scan(&w.Organization, &w.Webhook, &w.URL, &events, &w.Description, (*string)(&w.Disabled), &w.Secret,
		&w.Previous, &w.PreviousUntil, &w.CreatedAt, &w.UpdatedAt, &w.Revision, &w.Sequence, &w.LastID, &w.ExpiredAt,
		&w.ExpiredEvent, &w.NextExpiry, &w.FailingSince)
	w.Events = strings.Fields(events)
	return err
}

const selectWebhooks = `/* select_webhooks */ SELECT ` + webhookColumns + ` FROM webhooks
WHERE organization_id = $1 ORDER BY webhook_id`

// Webhooks implements service.Reader.
func (t *tx) Webhooks(ctx context.Context, organization consent.ID) (all []consent.Webhook, err error) {
	err = t.conn.Query(ctx, selectWebhooks, []any{organization}, func(r engine.Row) error {
		var w consent.Webhook
		err := scanWebhook(r, &w)
		all = append(all, w)
		return err
	})
	return all, err
}

const selectWebhook = `/* select_webhook */ SELECT ` + webhookColumns + ` FROM webhooks
WHERE organization_id = $1 AND webhook_id = $2`

// Webhook implements service.Reader.
func (t *tx) Webhook(ctx context.Context, key consent.WebhookKey) (found *consent.Webhook, err error) {
	err = t.conn.Query(ctx, selectWebhook, []any{key.Organization, key.Webhook}, func(r engine.Row) error {
		found = &consent.Webhook{}
		return scanWebhook(r, found)
	})
	return found, err
}

// selectWebhooksBehind asks first what most often answers it.
const selectWebhooksBehind = `/* select_webhooks_behind */ SELECT w.organization_id, w.webhook_id FROM webhooks w
WHERE (w.organization_id, w.webhook_id) > ($1, $2) AND w.disabled = ''
AND (w.next_expiry <= $3 OR EXISTS (SELECT 1 FROM ledger_heads h
    WHERE h.organization_id = w.organization_id AND h.sequence > w.sequence)
  OR EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.organization_id = w.organization_id
    AND d.webhook_id = w.webhook_id AND d.next_try_at <= $3))
ORDER BY w.organization_id, w.webhook_id LIMIT $4`

// WebhooksBehind implements service.Reader. It goes through all organizations, as Unsigned does.
func (t *tx) WebhooksBehind(ctx context.Context, now time.Time, after consent.WebhookKey,
	limit int) (behind []consent.WebhookKey, err error) {
	err = t.conn.SearchPrepared(ctx, selectWebhooksBehind, []any{after.Organization, after.Webhook, &now, limit},
		func(r engine.Row) error {
			var key consent.WebhookKey
			err := r.Scan(&key.Organization, &key.Webhook)
			behind = append(behind, key)
			return err
		})
	return behind, err
}

const deliveryColumns = `organization_id, webhook_id, delivery_id, type, entry_id, sequence, created_at, attempts,
next_try_at, state, status, error, took, tried_at`

// scanDelivery adds a row to a list.
func scanDelivery(to *[]consent.Delivery) func(engine.Row) error {
	*to = nil // a view may run again
	return func(r engine.Row) error {
		var d consent.Delivery
		var took int64
		err := r.Scan(&d.Organization, &d.Webhook, &d.ID, (*string)(&d.Type), &d.Entry, &d.Sequence, &d.CreatedAt,
			&d.Attempts, &d.NextTryAt, (*uint8)(&d.State), &d.Status, &d.Error, &took, &d.TriedAt)
		d.Took = time.Duration(took) * time.Microsecond
		*to = append(*to, d)
		return err
	}
}

const selectDelivery = `/* select_delivery */ SELECT ` + deliveryColumns + ` FROM webhook_deliveries
WHERE organization_id = $1 AND webhook_id = $2 AND delivery_id = $3`

// Delivery implements service.Reader.
func (t *tx) Delivery(ctx context.Context, of consent.WebhookKey, id consent.ID) (*consent.Delivery, error) {
	var found []consent.Delivery
	err := t.conn.Query(ctx, selectDelivery, []any{of.Organization, of.Webhook, id}, scanDelivery(&found))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

const selectDeliveries = `/* select_deliveries */ SELECT ` + deliveryColumns + ` FROM webhook_deliveries
WHERE organization_id = $1 AND webhook_id = $2 AND delivery_id < $3 ORDER BY delivery_id DESC LIMIT $4`

// lastID is behind all ids.
var lastID = consent.ID{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

// Deliveries implements service.Reader.
func (t *tx) Deliveries(ctx context.Context, of consent.WebhookKey, before consent.ID,
	limit int) (found []consent.Delivery, err error) {
	if before == consent.NoID {
		before = lastID
	}
	err = t.conn.Query(ctx, selectDeliveries, []any{of.Organization, of.Webhook, before, limit}, scanDelivery(&found))
	return found, err
}

const selectDueDeliveries = `/* select_due_deliveries */ SELECT ` + deliveryColumns + ` FROM webhook_deliveries
WHERE organization_id = $1 AND webhook_id = $2 AND next_try_at <= $3 ORDER BY next_try_at LIMIT $4`

// DueDeliveries implements service.Reader.
func (t *tx) DueDeliveries(ctx context.Context, of consent.WebhookKey, now time.Time,
	limit int) (due []consent.Delivery, err error) {
	err = t.conn.Query(ctx, selectDueDeliveries, []any{of.Organization, of.Webhook, &now, limit}, scanDelivery(&due))
	return due, err
}

const selectParkedDeliveries = `/* select_parked_deliveries */ SELECT ` + deliveryColumns + `
FROM webhook_deliveries WHERE organization_id = $1 AND state = 2 AND delivery_id > $2 ORDER BY delivery_id LIMIT $3`

// ParkedDeliveries implements service.Reader.
func (t *tx) ParkedDeliveries(ctx context.Context, organization, after consent.ID,
	limit int) (parked []consent.Delivery, err error) {
	err = t.conn.Query(ctx, selectParkedDeliveries, []any{organization, after, limit}, scanDelivery(&parked))
	return parked, err
}

const selectWebhookCounts = `/* select_webhook_counts */ SELECT
coalesce(sum(CASE WHEN w.disabled = '' THEN 1 ELSE 0 END), 0),
coalesce(sum(CASE WHEN w.disabled = '' THEN 0 ELSE 1 END), 0),
coalesce(max(CASE WHEN w.disabled = '' THEN h.sequence - w.sequence END), 0)
FROM webhooks w JOIN ledger_heads h ON h.organization_id = w.organization_id`

const selectParkedCount = `/* select_parked_count */ SELECT count(*) FROM webhook_deliveries WHERE state = 2`

// WebhookCounts implements service.Reader. It goes through the webhooks of all organizations.
func (t *tx) WebhookCounts(ctx context.Context) (c consent.WebhookCount, err error) {
	err = t.conn.SearchPrepared(ctx, selectWebhookCounts, nil, func(r engine.Row) error {
		return r.Scan(&c.Active, &c.Disabled, &c.Behind)
	})
	if err != nil {
		return c, err
	}
	err = t.conn.SearchPrepared(ctx, selectParkedCount, nil, func(r engine.Row) error { return r.Scan(&c.Parked) })
	return c, err
}

const selectOldDeliveries = `/* select_old_deliveries */ SELECT DISTINCT w.organization_id FROM webhooks w
WHERE EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.organization_id = w.organization_id
  AND d.next_try_at IS NULL AND d.created_at < $1)`

// WithOldDeliveries implements service.Reader. It names no organization, as WithExpiredRecords does.
func (t *tx) WithOldDeliveries(ctx context.Context, before time.Time) (organizations []consent.ID, err error) {
	err = t.conn.SearchPrepared(ctx, selectOldDeliveries, []any{&before}, func(r engine.Row) error {
		var id consent.ID
		err := r.Scan(&id)
		organizations = append(organizations, id)
		return err
	})
	return organizations, err
}

// upsertWebhook leaves alone how far one has come that is there already: see updateWebhook.
const upsertWebhook = `/* upsert_webhook */ INSERT INTO webhooks (` + webhookColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (organization_id, webhook_id) DO UPDATE SET url = excluded.url, events = excluded.events,
description = excluded.description, disabled = excluded.disabled, secret_sealed = excluded.secret_sealed,
previous_sealed = excluded.previous_sealed, previous_until = excluded.previous_until, updated_at = excluded.updated_at,
revision = excluded.revision`

const updateWebhook = `/* update_webhook */ UPDATE webhooks SET sequence = $1, last_event_id = $2, expired_at = $3,
expired_event_id = $4, next_expiry = $5, failing_since = $6 WHERE organization_id = $7 AND webhook_id = $8`

const disableWebhook = `/* disable_webhook */ UPDATE webhooks SET disabled = $1, updated_at = $2, revision = $3
WHERE organization_id = $4 AND webhook_id = $5`

const upsertDelivery = `/* upsert_delivery */ INSERT INTO webhook_deliveries (` + deliveryColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (organization_id, webhook_id, delivery_id) DO UPDATE SET attempts = excluded.attempts,
next_try_at = excluded.next_try_at, state = excluded.state, status = excluded.status, error = excluded.error,
took = excluded.took, tried_at = excluded.tried_at`

const deleteWebhook = `/* delete_webhook */ DELETE FROM webhooks WHERE organization_id = $1 AND webhook_id = $2`

const deleteDeliveries = `/* delete_deliveries */ DELETE FROM webhook_deliveries
WHERE organization_id = $1 AND webhook_id = $2 AND delivery_id >= $3`

// deleteOldDeliveries removes the oldest, and all that were made with the last of them, as deleteExpired does.
const deleteOldDeliveries = `/* delete_old_deliveries */ DELETE FROM webhook_deliveries
WHERE organization_id = $1 AND next_try_at IS NULL AND created_at <= (SELECT max(created_at) FROM (
  SELECT created_at FROM webhook_deliveries WHERE organization_id = $1 AND next_try_at IS NULL AND created_at < $2
  ORDER BY created_at LIMIT $3) AS few)`

func (t *tx) appendWebhooks(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, upsertWebhook, c.Webhooks, func(w *consent.Webhook, args []any) []any {
		return append(args, &w.Organization, &w.Webhook, w.URL, strings.Join(w.Events, " "), w.Description,
			string(w.Disabled), w.Secret, w.Previous, &w.PreviousUntil, &w.CreatedAt, &w.UpdatedAt, w.Revision, &w.Sequence,
			(*engine.OptionalID)(&w.LastID), &w.ExpiredAt, (*engine.OptionalID)(&w.ExpiredEvent), &w.NextExpiry,
			&w.FailingSince)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, updateWebhook, c.MovedWebhooks, func(w *consent.MovedWebhook, args []any) []any {
		return append(args, &w.Sequence, (*engine.OptionalID)(&w.LastID), &w.ExpiredAt,
			(*engine.OptionalID)(&w.ExpiredEvent), &w.NextExpiry, &w.FailingSince, &w.Organization, &w.Webhook)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, disableWebhook, c.DisabledWebhooks, func(w *consent.Webhook, args []any) []any {
		return append(args, string(w.Disabled), &w.UpdatedAt, w.Revision, &w.Organization, &w.Webhook)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, upsertDelivery, c.Deliveries, func(d *consent.Delivery, args []any) []any {
		return append(args, &d.Organization, &d.Webhook, &d.ID, string(d.Type), (*engine.OptionalID)(&d.Entry),
			&d.Sequence, &d.CreatedAt, d.Attempts, &d.NextTryAt, int(d.State), d.Status, d.Error, d.Took.Microseconds(),
			&d.TriedAt)
	})
}

func (t *tx) removeWebhooks(ctx context.Context, c *consent.Changes) error {
	if err := insert(ctx, t.conn, deleteWebhook, c.RemovedWebhooks, func(k *consent.WebhookKey, args []any) []any {
		return append(args, &k.Organization, &k.Webhook)
	}); err != nil {
		return err
	}
	if err := insert(ctx, t.conn, deleteDeliveries, c.DropDeliveriesOf, func(d *consent.DeliveriesFrom,
		args []any) []any {
		return append(args, &d.Organization, &d.Webhook, &d.From)
	}); err != nil {
		return err
	}
	return insert(ctx, t.conn, deleteOldDeliveries, c.DropDeliveries, func(o *consent.OldDeliveries, args []any) []any {
		return append(args, &o.Organization, &o.Before, o.Limit)
	})
}
