package protocol

import (
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
)

const (
	smallBody = 64 << 10 // so much of every body is read outside the budget
	bodyStep  = 64 << 10
	// stepTime is how long a body that has its memory may take for its next step. A body of MaxBody that comes within the
	// time of a request is faster by far.
	stepTime = 5 * time.Second
)

// What a body costs besides its bytes while its call is at work: what it decodes to, what its batch writes and the
// answer. Measured over Concord's events, see TestLargeBatchesAtOnce: items of 200 bytes to 1 KiB, on both engines.
const (
	decodedPerByte   = 5
	decodedPerObject = 2500
	smallDecoded     = 64 << 10 // what costs less is outside the budget: few items
)

// BodyBudget is the memory that large bodies share. A body takes its bytes as they arrive, so that one which is
// announced and does not come, or comes slowly, holds little. Where none are left it waits for as much as a whole body,
// of a reserve: who has that asks for no more bytes. When a body has come to its end it takes memory for what is made
// of it, at once and in the order of arrival. So nobody who holds what another needs waits for that other one.
type BodyBudget struct {
	stepTime    time.Duration
	bytes       *semaphore.Weighted // nobody waits for it
	reserve     *semaphore.Weighted // MaxBody each
	decoded     *semaphore.Weighted
	decodedSize int64
}

// NewBodyBudget makes a budget of so many bytes for bodies, of which an eighth is the reserve, MaxBody at least, and so
// many for what is made of them.
func NewBodyBudget(bytes, decoded int64) *BodyBudget {
	reserve := max(bytes/8/MaxBody, 1) * MaxBody
	return &BodyBudget{stepTime: stepTime, bytes: semaphore.NewWeighted(max(bytes-reserve, 0)),
		reserve: semaphore.NewWeighted(reserve), decoded: semaphore.NewWeighted(decoded), decodedSize: decoded}
}

// held is what one call has of the budget.
type held struct{ bytes, reserve, decoded int64 }

// acquire waits for memory as long as the context lasts.
func acquire(ctx context.Context, from *semaphore.Weighted, size int64) error {
	if err := from.Acquire(ctx, size); err != nil {
		return &consent.Error{Kind: consent.Unavailable, Msg: "too many large requests at once; retry", Err: err}
	}
	return nil
}

// acquireBytes makes what a body has as large as a size. It waits for as long as the time that is left then does for a
// step: a body whose memory comes later would be refused as if it came too slowly.
func (c *Call) acquireBytes(size int64) error {
	if c.Budget == nil || c.held.reserve > 0 {
		return nil
	}
	if c.Budget.bytes.TryAcquire(size - c.held.bytes) {
		c.held.bytes = size
		return nil
	}
	ctx := c.Request.Context()
	if over, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, over.Add(-c.Budget.stepTime))
		defer cancel()
	}
	if err := acquire(ctx, c.Budget.reserve, MaxBody); err != nil {
		return err
	}
	c.held.reserve = MaxBody
	return nil
}

// acquireDecoded takes memory for what becomes of a body that has come to its end.
func (c *Call) acquireDecoded(size, objects int) error {
	cost := int64(size)*decodedPerByte + int64(objects)*decodedPerObject
	if c.Budget == nil || cost < smallDecoded {
		return nil
	}
	cost = min(cost, c.Budget.decodedSize)
	if err := acquire(c.Request.Context(), c.Budget.decoded, cost); err != nil {
		return err
	}
	c.held.decoded = cost
	return nil
}

// releaseDecoded gives back the memory of what became of the body, before the answer is sent: a client may read that
// slowly. The answer's own memory counts as the body's, which is about as large.
func (c *Call) releaseDecoded() {
	if c.held.decoded > 0 {
		c.body = nil
		c.Budget.decoded.Release(c.held.decoded)
		c.held.decoded = 0
	}
}

// releaseBody gives back all that the call's body has.
func (c *Call) releaseBody() {
	c.releaseDecoded()
	if c.held.bytes+c.held.reserve > 0 {
		c.Budget.bytes.Release(c.held.bytes)
		c.Budget.reserve.Release(c.held.reserve)
		c.held.bytes, c.held.reserve = 0, 0
	}
}

// steps reads a body that has its memory: each step must come in time, or the read fails.
type steps struct {
	of   *Call
	body io.Reader
	left int // of the step
}

// Read implements io.Reader.
func (s *steps) Read(p []byte) (int, error) {
	if s.left == 0 {
		s.left = bodyStep
		s.of.setStepDeadline()
	}
	n, err := s.body.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// setStepDeadline lets reads of the body fail when a step takes too long, at the latest when the time of the call is
// over. Who has sent all may wait for the answer: net/http takes the deadline away at the end of the body.
func (c *Call) setStepDeadline() {
	if c.Budget == nil {
		return
	}
	end := time.Now().Add(c.Budget.stepTime)
	if over, ok := c.Request.Context().Deadline(); ok && over.Before(end) {
		end = over
	}
	_ = http.NewResponseController(c.ResponseWriter).SetReadDeadline(end) // a writer without deadlines is a test's
}
