package consent

import (
	"testing"
	"time"
)

// TestLaneStays: a lane takes one write after the other, and ends only when none came for a while.
func TestLaneStays(t *testing.T) {
	b := newBatcher(&Service{store: mixing{}})
	write := func() *lane {
		b.room <- struct{}{}
		if !b.enqueue(&prepared{expired: func() error { return errNothing }, result: make(chan outcome, 1)}) {
			t.Fatal("the batcher has ended")
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.lanes[NoID]
	}
	first := write()
	for range 20 {
		time.Sleep(2 * time.Millisecond)
		if write() != first {
			t.Fatal("a lane that was just used has ended")
		}
	}
	b.close()
	if len(b.lanes) != 0 {
		t.Error("a lane is left when the batcher has ended")
	}
}

// mixing is all that a batcher asks of its store before it writes.
type mixing struct{ Store }

func (mixing) Mixes() bool { return true }
