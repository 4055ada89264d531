package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// TestLimit has many wait for one key: no more than the limit go on at once, another key does not wait, who
// gives up leaves nothing, and in the end nothing is kept.
func TestLimit(t *testing.T) {
	limiter := NewKeyed(2)
	var running, most atomic.Int64
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			done, err := limiter.Acquire(context.Background(), consent.ID{1})
			if err != nil {
				t.Error(err)
				return
			}
			defer done()
			now := running.Add(1)
			for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
		})
	}
	for range 2 { // of another key, which does not wait
		done, err := limiter.Acquire(context.Background(), consent.ID{2})
		if err != nil {
			t.Fatal(err)
		}
		defer done()
	}
	over, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := limiter.Acquire(over, consent.ID{2}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one too many: %v", err)
	}
	clients.Wait()
	if most.Load() != 2 {
		t.Errorf("%d went on at once", most.Load())
	}
	limiter.mu.Lock()
	defer limiter.mu.Unlock()
	if limiter.byKey[consent.ID{1}] != nil || limiter.byKey[consent.ID{2}].users != 2 {
		t.Errorf("left: %v", limiter.byKey)
	}
}
