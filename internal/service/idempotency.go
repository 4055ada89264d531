package service

import (
	"context"
	"errors"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/idempotency"
)

// replayed looks for an idempotency record before checks that the clock can turn against a retry, such as of an expiry
// that has passed since. The transaction looks again.
func (s *Service) replayed(ctx context.Context, a consent.Actor, idem consent.Idempotency) error {
	if idem.Key == "" {
		return nil
	}
	return s.settled(ctx, a, s.viewOnce(ctx, func(r Reader) error {
		kept, err := r.IdempotencyRecords(ctx, []consent.IdempotencyKey{idempotency.Key(idem, a)})
		if err != nil {
			return err
		}
		return idempotency.Replay(idem, a, kept[0], s.now())
	}))
}

// settled lets an idempotency record be given only when the write that kept it is durable. It may be there to be read
// before, where its commit waited for a synchronous standby in vain. A commit behind it waits for the same.
func (s *Service) settled(ctx context.Context, a consent.Actor, err error) error {
	var replayed *consent.Replayed
	if !errors.As(err, &replayed) {
		return err
	}
	if failed := s.commit(ctx, a.Organization, func(Tx) error { return nil }); failed != nil {
		return classify(ctx, failed)
	}
	return err
}

// How often expired idempotency records are removed, and how many in one transaction.
const (
	sweepEvery   = 10 * time.Minute
	sweepAtATime = 1000
)

// sweeper removes expired idempotency records until the service ends.
func (s *Service) sweeper() {
	defer s.sweeping.Done()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-tick.C:
		}
		if err := s.DropExpiredRecords(context.Background()); err != nil {
			s.log.Warn("expired idempotency records could not be removed; it is tried again", "error", err)
		}
		if err := s.DropOldDeliveries(context.Background()); err != nil {
			s.log.Warn("old deliveries to webhooks could not be removed; it is tried again", "error", err)
		}
	}
}

// DropExpiredRecords removes the idempotency records that expired. The service does so by itself every 10 minutes.
func (s *Service) DropExpiredRecords(ctx context.Context) error {
	for {
		var organizations []consent.ID
		now := s.now()
		err := s.store.ViewOnce(ctx, func(r Reader) (err error) {
			organizations, err = r.WithExpiredRecords(ctx, now)
			return err
		})
		if err != nil || len(organizations) == 0 {
			return err
		}
		for _, o := range organizations {
			err := s.store.Update(ctx, o, func(tx Tx) error {
				return tx.Append(ctx, &consent.Changes{DropExpired: []consent.ExpiredRecords{{Organization: o, Before: now,
					Limit: sweepAtATime}}})
			})
			if err != nil {
				return err
			}
		}
	}
}
