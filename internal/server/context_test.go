package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/server"
)

// TestCallContext proves that a call's context has a deadline, and ends when the client leaves and when the call ends.
func TestCallContext(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		clientLeaves bool
	}{"client leaves": {true}, "call ends": {false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contexts := make(chan context.Context, 1)
			s := server.NewOf(server.Options{Log: quiet()}, []protocol.Protocol{speaking("one", func(c *protocol.Call) error {
				ctx := c.Request.Context()
				contexts <- ctx
				if tc.clientLeaves {
					ended(t, ctx)
				} else if err := ctx.Err(); err != nil {
					t.Errorf("ended while its call is at work: %v", err)
				}
				c.WriteHeader(http.StatusNoContent)
				return nil
			})})
			listener := httptest.NewServer(s)
			defer listener.Close()
			request, leave := context.WithCancel(context.Background())
			defer leave()
			began := time.Now()
			go func() {
				r, err := http.NewRequestWithContext(request, "POST", listener.URL+"/one/call", nil)
				if err != nil {
					t.Error(err)
					return
				}
				if res, err := listener.Client().Do(r); err == nil {
					_ = res.Body.Close()
				}
			}()
			ctx := <-contexts
			at, ok := ctx.Deadline()
			if in := at.Sub(began); !ok || in < 30*time.Second || in > 35*time.Second {
				t.Errorf("the deadline is in %v", in)
			}
			if tc.clientLeaves {
				leave()
			}
			ended(t, ctx)
		})
	}
}

// ended fails where a context, and one made from it, do not end.
func ended(t *testing.T, ctx context.Context) {
	t.Helper()
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case <-child.Done():
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it does not end")
	}
}
