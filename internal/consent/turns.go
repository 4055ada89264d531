package consent

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Turns lets a few of each organization go on at a time; the others wait, in the order in which they came, so that an
// organization in a hurry keeps nobody else waiting. It may be used at once from many goroutines.
type Turns struct {
	most int64
	mu   sync.Mutex
	of   map[ID]*turn
}

// turn is what an organization has while anybody of it is there.
type turn struct {
	room *semaphore.Weighted
	here int // who goes on or waits
}

// NewTurns lets most of each organization go on at a time.
func NewTurns(most int) *Turns { return &Turns{most: int64(most), of: map[ID]*turn{}} }

// Take waits for a turn, which done gives back; err is the context's.
func (t *Turns) Take(ctx context.Context, organization ID) (done func(), err error) {
	t.mu.Lock()
	mine := t.of[organization]
	if mine == nil {
		mine = &turn{room: semaphore.NewWeighted(t.most)}
		t.of[organization] = mine
	}
	mine.here++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.here--; mine.here == 0 {
			delete(t.of, organization)
		}
	}
	if err := mine.room.Acquire(ctx, 1); err != nil {
		leave()
		return nil, err
	}
	return func() {
		mine.room.Release(1)
		leave()
	}, nil
}
