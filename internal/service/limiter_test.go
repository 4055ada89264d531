package service

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// TestTurns crowds one organization: no more than its turns go on at once, another organization does not wait, who
// gives up leaves nothing, and in the end nothing is kept.
func TestTurns(t *testing.T) {
	turns := NewKeyedLimiter(2)
	var running, most atomic.Int64
	var holders sync.WaitGroup
	for range 50 {
		holders.Go(func() {
			done, err := turns.Acquire(context.Background(), consent.ID{1})
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
	over, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	for range 3 { // two turns and one too many, of somebody else
		done, err := turns.Acquire(over, consent.ID{2})
		if err == nil {
			defer done()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	holders.Wait()
	if most.Load() != 2 {
		t.Errorf("%d went on at once", most.Load())
	}
	turns.mu.Lock()
	defer turns.mu.Unlock()
	if turns.byKey[consent.ID{1}] != nil || turns.byKey[consent.ID{2}].users != 2 {
		t.Errorf("left: %v", turns.byKey)
	}
}
