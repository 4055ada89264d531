package server

import (
	"context"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
)

// callContext is the context of one call: its deadline and the router's own notes. The timer, and the watch over the
// client that may leave, are made when somebody asks to be told: most reads end before anybody does.
type callContext struct {
	context.Context // the connection's
	at              time.Time
	routing         *chi.Context

	mu     sync.Mutex
	timed  context.Context // nil: nobody asked
	cancel context.CancelFunc
	ended  bool
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.at, true }

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} { return c.watch().Done() }

func (c *callContext) watch() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.at)
		if c.ended {
			c.cancel()
		}
	}
	return c.timed
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	timed, ended := c.timed, c.ended
	c.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case ended:
		return context.Canceled
	case !time.Now().Before(c.at):
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if key == chi.RouteCtxKey {
		return c.routing
	}
	return c.Context.Value(key)
}

// end ends the call.
func (c *callContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}
