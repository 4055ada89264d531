package service

import (
	"context"
	"errors"

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

// sweepAtATime is how many expired idempotency records are removed in one transaction.
const sweepAtATime = 1000

// DropExpiredRecords removes the idempotency records that expired. A job does so every 10 minutes.
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
