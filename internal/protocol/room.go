package protocol

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
)

const (
	smallBody = 64 << 10 // so much of every body is let in without room
	roomStep  = 64 << 10 // what a larger one takes at once; no more than smallBody, so that none has more than has come
	// stepTime is how long a body that has room may take for its next step. One of MaxBody that comes within the time of a
	// request is faster by far.
	stepTime = 5 * time.Second
)

// What a body costs besides its bytes while its call is at work: what it decodes to, what its batch writes and the
// answer.
// Measured over Concord's events, see TestLargeBatchesAtOnce: items of 200 bytes to 1 KiB, on both engines.
const (
	workOfByte   = 5
	workOfObject = 2500
	smallWork    = 64 << 10 // what costs less needs no room: few items
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

	// What is made of bodies has memory of its own, which is taken once for all when a body has come to its end, in the
	// order of arrival. Who has it waits for no more room, so nobody waits for ever.
	work     *semaphore.Weighted
	workSize int64
}

// share is what one body has of a room.
type share struct {
	bytes    int64
	promised bool
	work     int64
}

type waiter struct {
	share *share
	ready chan struct{}
}

// NewRoom makes a room of so many bytes, of which an eighth is kept for promises: one at least. So many besides are for
// what is made of bodies.
func NewRoom(size, work int64) *Room {
	promises := max(size/8/MaxBody, 1)
	return &Room{stepTime: stepTime, free: size - promises*MaxBody, promises: int(promises),
		work: semaphore.NewWeighted(work), workSize: work}
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
	s.bytes, s.promised = 0, false
	for first := r.waiting.Front(); first != nil && r.grant(first.Value.(*waiter).share); first = r.waiting.Front() {
		close(r.waiting.Remove(first).(*waiter).ready)
	}
}

// takeWork makes room for what becomes of the call's body, which has come to its end.
func (c *Call) takeWork(size, objects int) error {
	work := int64(size)*workOfByte + int64(objects)*workOfObject
	if c.Room == nil || work < smallWork {
		return nil
	}
	work = min(work, c.Room.workSize)
	if err := c.Room.work.Acquire(c.Request.Context(), work); err != nil {
		return tooMany(err)
	}
	c.has.work = work
	return nil
}

// leaveWork gives back the room of what became of the body, before the answer is sent: a client may read that slowly.
// The answer's own memory counts as the body's, which is about as large.
func (c *Call) leaveWork() {
	if c.has.work > 0 {
		c.body = nil
		c.Room.work.Release(c.has.work)
		c.has.work = 0
	}
}

func tooMany(err error) error {
	return &consent.Error{Kind: consent.Unavailable, Msg: "too many large requests at once; retry", Err: err}
}

// leaveRoom gives back what the call's body has.
func (c *Call) leaveRoom() {
	c.leaveWork()
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
		return tooMany(err)
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
