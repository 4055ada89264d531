package consent

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// keepAnswers is how long an answer is kept.
const keepAnswers = 24 * time.Hour

func (o Once) answerKey(a Actor) AnswerKey {
	owner := a.Key
	if a.Person != "" { // a person's tokens come and go; the person stays
		sum := sha256.Sum256([]byte(a.Person))
		owner = ID(sum[:16])
	}
	return AnswerKey{Organization: a.Organization, Key: owner, Hash: sha256.Sum256([]byte(o.Key))}
}

// replay gives nil where the write was not done yet, *Replayed where it was, and an error
// where the key was used for another request.
func (o Once) replay(a Actor, kept *KeptAnswer, now time.Time) error {
	if kept == nil || !now.Before(kept.ExpiresAt) {
		return nil
	}
	if subtle.ConstantTimeCompare(kept.Fingerprint[:], o.Fingerprint[:]) != 1 {
		return Errorf(Unprocessable, "Idempotency-Key", "was used for another request; use a new key")
	}
	answer, err := o.cipher(a).Open(nil, nil, kept.Sealed, kept.additional())
	if err != nil {
		return fmt.Errorf("open kept answer: %w", err)
	}
	return &Replayed{Answer: answer}
}

// replayed looks for a kept answer before checks that the clock can turn against a retry, such as of an expiry that
// has passed since. The transaction looks again.
func (s *Service) replayed(ctx context.Context, a Actor, once Once) error {
	if once.Key == "" {
		return nil
	}
	return s.settled(ctx, a, s.ask(ctx, func(r Reader) error {
		kept, err := r.Answers(ctx, []AnswerKey{once.answerKey(a)})
		if err != nil {
			return err
		}
		return once.replay(a, kept[0], s.now())
	}))
}

// settled lets a kept answer be given only when the write that kept it is durable. It may be there to be read before,
// where its commit waited for a synchronous standby in vain. A commit behind it waits for the same.
func (s *Service) settled(ctx context.Context, a Actor, err error) error {
	var replayed *Replayed
	if !errors.As(err, &replayed) {
		return err
	}
	if failed := s.commit(ctx, a.Organization, func(Tx) error { return nil }); failed != nil {
		return classify(ctx, failed)
	}
	return err
}

// keep seals the answer to a write that is about to be committed.
func (o Once) keep(a Actor, result any, now time.Time) (KeptAnswer, error) {
	answer, err := o.Render(result)
	if err != nil {
		return KeptAnswer{}, fmt.Errorf("render answer: %w", err)
	}
	key := o.answerKey(a)
	return KeptAnswer{AnswerKey: key, Fingerprint: o.Fingerprint,
		Sealed: o.cipher(a).Seal(nil, nil, answer, key.additional()), ExpiresAt: now.Add(keepAnswers)}, nil
}

// cipher makes the AES-256-GCM of one request, from the caller's credential, the Idempotency-Key and the
// request itself; it puts a random nonce before each message.
func (o Once) cipher(a Actor) cipher.AEAD {
	h := sha256.New()
	h.Write([]byte("consentd/answer/v1"))
	h.Write(a.seal[:])
	h.Write(o.Fingerprint[:])
	h.Write([]byte(o.Key))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has 16-byte blocks
	}
	return aead
}

func (k AnswerKey) additional() []byte {
	return append(append(k.Organization[:len(k.Organization):len(k.Organization)], k.Key[:]...), k.Hash[:]...)
}

// How often expired answers are forgotten, and how many in one transaction.
const (
	sweepEvery   = 10 * time.Minute
	sweepAtATime = 1000
)

// sweeper forgets expired answers until the service ends.
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
		if err := s.ForgetAnswers(context.Background()); err != nil {
			s.log.Warn("expired answers could not be forgotten; it is tried again", "error", err)
		}
	}
}

// ForgetAnswers removes the kept answers that expired. The service does so by itself every 10 minutes.
func (s *Service) ForgetAnswers(ctx context.Context) error {
	for {
		var organizations []ID
		now := s.now()
		err := s.store.Ask(ctx, func(r Reader) (err error) {
			organizations, err = r.ExpiredAnswers(ctx, now)
			return err
		})
		if err != nil || len(organizations) == 0 {
			return err
		}
		for _, o := range organizations {
			err := s.store.Update(ctx, o, func(tx Tx) error {
				return tx.Append(ctx, &Changes{ForgetAnswers: []AnswersBefore{{o, now, sweepAtATime}}})
			})
			if err != nil {
				return err
			}
		}
	}
}
