package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/consentd/consentd/client"
)

// How long a call of the native API may take, and for how long one that fails is repeated.
const (
	callTimeout  = 2 * time.Minute
	persistFor   = 10 * time.Minute
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// persist repeats what failed since the server was not there, or had no time: a connection that broke, and the statuses
// 429 and 5xx. It tells so once, and gives up after persistFor. Where ctx ends it does not wait.
func persist(ctx context.Context, out io.Writer, do func() error) error {
	began := time.Now()
	for try := 0; ; try++ {
		err := do()
		if err == nil || !mayPass(err) || ctx.Err() != nil {
			return err
		}
		pause := min(firstPause<<min(try, 10), longestPause)
		pause += rand.N(pause / 2) // not all who were sent away come back at once
		if e := (*client.Error)(nil); errors.As(err, &e) {
			pause = max(pause, e.RetryAfter)
		}
		if time.Since(began)+pause > persistFor {
			return fmt.Errorf("for %s: %w", persistFor, err)
		}
		if try == 0 {
			fmt.Fprintf(out, "NOTE  %s; trying again for up to %s\n", printable(err.Error()), persistFor)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// mayPass tells whether what failed so may succeed later.
func mayPass(err error) bool {
	var broken *url.Error
	switch status := client.StatusOf(err); status {
	case 0: // no answer came, or not all of it
		return errors.As(err, &broken) || errors.Is(err, client.ErrCutOff) || errors.Is(err, io.ErrUnexpectedEOF)
	case http.StatusTooManyRequests:
		return true
	default:
		return status >= http.StatusInternalServerError
	}
}
