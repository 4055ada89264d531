package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

const (
	// deliveriesKept is how long deliveries that wait for nothing are kept after they were made.
	deliveriesKept = 30 * 24 * time.Hour
	// deliveriesAtATime is how many are removed in one transaction.
	deliveriesAtATime = 5000
)

var errNoDelivery = &consent.Error{Kind: consent.NotFound, Msg: "delivery not found"}

// PingWebhook has a message sent that tells of nothing. The answer to keep is rendered from a *Delivery.
// Errors: Forbidden, NotFound, Conflict where the webhook is disabled.
func (s *Service) PingWebhook(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency) (
	*consent.Delivery, error) {
	return s.deliver(ctx, a, id, idem, func(_ Tx, w *consent.Webhook, now time.Time) (*consent.Delivery, error) {
		return &consent.Delivery{WebhookKey: w.WebhookKey, Type: consent.WebhookPing, CreatedAt: now,
			ID: DeliveryID(w.Webhook, s.newID(), consent.WebhookPing, now)}, nil
	})
}

// Redeliver has a delivery tried again as if it never had been, whatever became of it; its id stays. The answer to keep
// is rendered from a *Delivery. Errors: Forbidden, NotFound, Conflict where the webhook is disabled.
func (s *Service) Redeliver(ctx context.Context, a consent.Actor, id, delivery consent.ID, idem consent.Idempotency) (
	*consent.Delivery, error) {
	return s.deliver(ctx, a, id, idem, func(tx Tx, w *consent.Webhook, _ time.Time) (*consent.Delivery, error) {
		d, err := tx.Delivery(ctx, w.WebhookKey, delivery)
		if err == nil && d == nil {
			err = errNoDelivery
		}
		return d, err
	})
}

// deliver has the delivery that find gives tried now.
func (s *Service) deliver(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency,
	find func(Tx, *consent.Webhook, time.Time) (*consent.Delivery, error)) (d *consent.Delivery, err error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, err
	}
	err = s.update(ctx, a, idem, func(tx Tx) (any, error) {
		w, err := webhookOf(ctx, asStored(tx), a.Organization, id)
		if err != nil {
			return nil, err
		}
		now := s.now()
		if d, err = find(tx, w, now); err != nil {
			return nil, err
		}
		if !w.Active() {
			return nil, consent.Errorf(consent.Conflict, "", "the webhook is disabled; make it active first")
		}
		d.Again(now)
		return d, tx.Append(ctx, &consent.Changes{Deliveries: []consent.Delivery{*d}})
	})
	return d, s.waking(err)
}

// Deliveries lists the deliveries of a webhook with a smaller id than before (NoID: from the newest), the newest first.
// Errors: Forbidden, NotFound.
func (s *Service) Deliveries(ctx context.Context, a consent.Actor, id, before consent.ID, limit int) (
	list []consent.Delivery, err error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		w, err := webhookOf(ctx, asStored(r), a.Organization, id)
		if err != nil {
			return err
		}
		list, err = r.Deliveries(ctx, w.WebhookKey, before, limit)
		return err
	})
	return list, err
}

// DropOldDeliveries removes what is kept of deliveries that wait for nothing, 30 days after they were made. A job does
// so every 10 minutes.
func (s *Service) DropOldDeliveries(ctx context.Context) error {
	before := s.now().Add(-deliveriesKept)
	for {
		var organizations []consent.ID
		err := s.store.ViewOnce(ctx, func(r Reader) (err error) {
			organizations, err = r.WithOldDeliveries(ctx, before)
			return err
		})
		if err != nil || len(organizations) == 0 {
			return err
		}
		for _, o := range organizations {
			err := s.store.Update(ctx, o, func(tx Tx) error {
				return tx.Append(ctx, &consent.Changes{DropDeliveries: []consent.OldDeliveries{{Organization: o, Before: before,
					Limit: deliveriesAtATime}}})
			})
			if err != nil {
				return err
			}
		}
	}
}

// dropDeliveries removes what is kept of the deliveries of a webhook that was removed, the newest first.
func (s *Service) dropDeliveries(ctx context.Context, j *consent.Job) error {
	of := consent.WebhookKey{Organization: j.Organization, Webhook: consent.ID(j.Payload)}
	for more := true; more; {
		err := s.store.Update(ctx, j.Organization, func(tx Tx) error {
			page, err := tx.Deliveries(ctx, of, consent.NoID, deliveriesAtATime)
			if more = len(page) > 0; err != nil || !more {
				return err
			}
			return tx.Append(ctx, &consent.Changes{DropDeliveriesOf: []consent.DeliveriesFrom{{WebhookKey: of,
				From: page[len(page)-1].ID}}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Untold gives an organization's webhooks that are disabled, and the deliveries that were given up, behind an id in
// order of id, limit at most. Errors: Forbidden.
func (s *Service) Untold(ctx context.Context, a consent.Actor, after consent.ID, limit int) (
	disabled []consent.Webhook, parked []consent.Delivery, err error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		all, err := r.Webhooks(ctx, a.Organization)
		if err != nil {
			return err
		}
		disabled = slices.DeleteFunc(all, func(w consent.Webhook) bool { return w.Active() })
		parked, err = r.ParkedDeliveries(ctx, a.Organization, after, limit)
		return err
	})
	return disabled, parked, err
}

// FindDelivery gives a delivery of whichever of an organization's webhooks. Errors: Forbidden, NotFound.
func (s *Service) FindDelivery(ctx context.Context, a consent.Actor, id consent.ID) (found *consent.Delivery,
	err error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		all, err := r.Webhooks(ctx, a.Organization)
		for i := 0; err == nil && found == nil && i < len(all); i++ {
			found, err = r.Delivery(ctx, all[i].WebhookKey, id)
		}
		if err == nil && found == nil {
			err = errNoDelivery
		}
		return err
	})
	return found, err
}

// DropDelivery gives up a delivery for good. Errors: Forbidden, NotFound.
func (s *Service) DropDelivery(ctx context.Context, a consent.Actor, webhook, id consent.ID) error {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return err
	}
	return s.update(ctx, a, consent.Idempotency{}, func(tx Tx) (any, error) {
		d, err := tx.Delivery(ctx, consent.WebhookKey{Organization: a.Organization, Webhook: webhook}, id)
		if err == nil && d == nil {
			err = errNoDelivery
		}
		if err != nil {
			return nil, err
		}
		d.Drop()
		return d, tx.Append(ctx, &consent.Changes{Deliveries: []consent.Delivery{*d}})
	})
}

// WebhookCounts counts the webhooks of all organizations.
func (s *Service) WebhookCounts(ctx context.Context) (counts consent.WebhookCount, err error) {
	err = s.viewOnce(ctx, func(r Reader) (err error) {
		counts, err = r.WebhookCounts(ctx)
		return err
	})
	return counts, err
}
