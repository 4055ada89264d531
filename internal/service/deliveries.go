package service

import (
	"context"
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
