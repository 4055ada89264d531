package service

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
)

// Turns lets a few of each organization go on at a time; the others wait, in the order in which they came, so that an
// organization in a hurry keeps nobody else waiting. It may be used at once from many goroutines.
type KeyedLimiter struct {
	most  int64
	mu    sync.Mutex
	byKey map[consent.ID]*keyedSemaphore
}

// turn is what an organization has while anybody of it is there.
type keyedSemaphore struct {
	semaphore *semaphore.Weighted
	users     int // who goes on or waits
}

// NewTurns lets most of each organization go on at a time.
func NewKeyedLimiter(most int) *KeyedLimiter {
	return &KeyedLimiter{most: int64(most), byKey: map[consent.ID]*keyedSemaphore{}}
}

// Take waits for a turn, which done gives back; err is the context's.
func (t *KeyedLimiter) Acquire(ctx context.Context, organization consent.ID) (done func(), err error) {
	t.mu.Lock()
	mine := t.byKey[organization]
	if mine == nil {
		mine = &keyedSemaphore{semaphore: semaphore.NewWeighted(t.most)}
		t.byKey[organization] = mine
	}
	mine.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.byKey, organization)
		}
	}
	if err := mine.semaphore.Acquire(ctx, 1); err != nil {
		leave()
		return nil, err
	}
	return func() {
		mine.semaphore.Release(1)
		leave()
	}, nil
}
