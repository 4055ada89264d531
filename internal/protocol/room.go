package protocol

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

const (
	smallBody = 64 << 10 // so much of every body is let in without room
	roomStep  = 64 << 10 // what a larger one takes at once; no more than smallBody, so that none has more than has come
	// stepTime is how long a body that has room may take for its next step. One of MaxBody that comes within the time of a
	// request is faster by far.
	stepTime = 5 * time.Second
)

// Room is the memory that large bodies share. A body takes it step by step as it arrives, so that one that is announced and
// does not come holds nothing. Bodies that have a part and wait for more could wait for each other for ever: so some of the
// room is kept for promises. Who has a promise reads to the end without asking again; then the next in line is served.
type Room struct {
	stepTime time.Duration
	mu       sync.Mutex
	free     int64     // bytes
	promises int       // of MaxBody each, that nobody has
	waiting  list.List // of *waiter, in the order they came
}

// share is what one body has of a room.
type share struct {
	bytes    int64
	promised bool
}

type waiter struct {
	share *share
	ready chan struct{}
}

// NewRoom makes a room of so many bytes, of which an eighth is kept for promises: one at least.
func NewRoom(size int64) *Room {
	promises := max(size/8/MaxBody, 1)
	return &Room{stepTime: stepTime, free: size - promises*MaxBody, promises: int(promises)}
}

// take adds a step to a share. Where there is none it waits, for as long as the context lasts.
func (r *Room) take(ctx context.Context, s *share) error {
	if s.promised {
		return nil
	}
	r.mu.Lock()
	if r.waiting.Len() == 0 && r.grant(s) {
		r.mu.Unlock()
		return nil
	}
	w := &waiter{s, make(chan struct{})}
	place := r.waiting.PushBack(w)
	r.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting.Remove(place) // nothing is done where it was granted meanwhile; the share has it then
		return ctx.Err()
	}
}

// grant adds a step to a share, or a promise where no step is free. The lock is held.
func (r *Room) grant(s *share) bool {
	switch {
	case r.free >= roomStep:
		r.free -= roomStep
		s.bytes += roomStep
	case r.promises > 0:
		r.promises--
		s.promised = true
	default:
		return false
	}
	return true
}

// leave gives a share back, and lets in those who wait as far as it goes.
func (r *Room) leave(s *share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += s.bytes
	if s.promised {
		r.promises++
	}
	*s = share{}
	for first := r.waiting.Front(); first != nil && r.grant(first.Value.(*waiter).share); first = r.waiting.Front() {
		close(r.waiting.Remove(first).(*waiter).ready)
	}
}

// leaveRoom gives back what the call's body has.
func (c *Call) leaveRoom() {
	if c.has != (share{}) {
		c.Room.leave(&c.has)
	}
}

// takeRoom makes room for one more step of the call's body.
func (c *Call) takeRoom() error {
	if c.Room == nil {
		return nil
	}
	if err := c.Room.take(c.Request.Context(), &c.has); err != nil {
		return &consent.Error{Kind: consent.Unavailable, Msg: "too many large requests at once; retry", Err: err}
	}
	c.readWithin(time.Now().Add(c.Room.stepTime))
	return nil
}

// readWithin lets reads of the body fail after an instant, at the latest when the time of the call is over. Who has sent all
// may wait for the answer: net/http takes the deadline away at the end of the body.
func (c *Call) readWithin(end time.Time) {
	if over, ok := c.Request.Context().Deadline(); ok && over.Before(end) {
		end = over
	}
	_ = http.NewResponseController(c.ResponseWriter).SetReadDeadline(end) // a writer without deadlines is a test's
}
