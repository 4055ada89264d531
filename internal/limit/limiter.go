// Package limit bounds how much of each organization goes on at a time. It does not know what that is.
package limit

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
)

// Keyed limits how much of each organization goes on at a time. The others wait, in the order in which they
// came, so that a busy organization keeps nobody else waiting. It may be used at once from many goroutines.
type Keyed struct {
	most  int64
	mu    sync.Mutex
	byKey map[consent.ID]*keyedSemaphore
}

// keyedSemaphore is there while anybody holds it or waits for it.
type keyedSemaphore struct {
	semaphore *semaphore.Weighted
	users     int // who hold it or wait
}

// NewKeyed lets so many of each organization go on at a time.
func NewKeyed(most int) *Keyed {
	return &Keyed{most: int64(most), byKey: map[consent.ID]*keyedSemaphore{}}
}

// Acquire waits for a place of an organization (NoID: of all), which done gives back; err is the context's.
func (l *Keyed) Acquire(ctx context.Context, organization consent.ID) (done func(), err error) {
	l.mu.Lock()
	s := l.byKey[organization]
	if s == nil {
		s = &keyedSemaphore{semaphore: semaphore.NewWeighted(l.most)}
		l.byKey[organization] = s
	}
	s.users++
	l.mu.Unlock()
	release := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(l.byKey, organization)
		}
	}
	if err := s.semaphore.Acquire(ctx, 1); err != nil {
		release()
		return nil, err
	}
	return func() {
		s.semaphore.Release(1)
		release()
	}, nil
}
