package server

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestCallContext: it ends by its deadline, with the connection and with the call, whether or not anybody was
// watching before.
func TestCallContext(t *testing.T) {
	for _, watched := range []bool{false, true} {
		for _, tc := range []struct {
			name string
			in   time.Duration
			end  func(c *callContext, gone context.CancelFunc)
			want error
		}{
			{"deadline", time.Millisecond, func(*callContext, context.CancelFunc) { time.Sleep(5 * time.Millisecond) }, context.DeadlineExceeded},
			{"client left", time.Hour, func(_ *callContext, gone context.CancelFunc) { gone() }, context.Canceled},
			{"call ended", time.Hour, func(c *callContext, _ context.CancelFunc) { c.end() }, context.Canceled},
		} {
			connection, gone := context.WithCancel(context.Background())
			c := &callContext{Context: connection, at: time.Now().Add(tc.in)}
			if at, ok := c.Deadline(); !ok || !at.Equal(c.at) {
				t.Errorf("deadline %v", at)
			}
			if watched {
				c.Done()
			}
			child, cancel := context.WithCancel(c)
			tc.end(c, gone)
			if err := c.Err(); !errors.Is(err, tc.want) {
				t.Errorf("%s (watched: %v): %v", tc.name, watched, err)
			}
			select {
			case <-c.Done():
			case <-time.After(5 * time.Second):
				t.Errorf("%s (watched: %v): not done", tc.name, watched)
			}
			select {
			case <-child.Done():
			case <-time.After(5 * time.Second):
				t.Errorf("%s (watched: %v): its child is not done", tc.name, watched)
			}
			cancel()
			gone()
			c.end()
		}
	}
}
