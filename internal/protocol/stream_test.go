package protocol

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// streamServer serves streams that send writes; ended tells how each came to its end.
func streamServer(t *testing.T, s *Streams, send func(ctx context.Context, to *Stream) error) (url string,
	ended chan error) {
	t.Helper()
	ended = make(chan error, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{ResponseWriter: w, Request: r, Connection: r.Context(), Streams: s}
		Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error {
			err := c.Stream("text/plain", 10, send)
			ended <- err
			return err
		}, func(c *Call, err error) { http.Error(c, err.Error(), http.StatusServiceUnavailable) })
	}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, ended
}

// forever writes until it may not.
func forever(_ context.Context, to *Stream) error {
	piece := make([]byte, 1<<20)
	for {
		if _, err := to.Write(piece); err != nil {
			return err
		}
	}
}

// stalled asks for a stream and reads nothing of it.
func stalled(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

func endOf(t *testing.T, ended chan error, most time.Duration) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(most):
		t.Fatalf("the stream did not end within %s", most)
		return nil
	}
}

// TestStreamOutlastsRequests: one that makes progress is whole, however long it takes, and its connection serves on.
func TestStreamOutlastsRequests(t *testing.T) {
	url, ended := streamServer(t, NewStreams(10), func(ctx context.Context, to *Stream) error {
		for range 8 { // longer than the server's timeouts
			time.Sleep(100 * time.Millisecond)
			if _, err := io.WriteString(to, "piece "); err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
		}
		return nil
	})
	for range 2 {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(body) != strings.Repeat("piece ", 8) || res.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%v: %q", err, body)
		}
		if err := endOf(t, ended, time.Second); err != nil {
			t.Error(err)
		}
	}
}

// TestStreamFails: an error before the first piece is an answer, one behind it breaks the connection.
func TestStreamFails(t *testing.T) {
	failure := errors.New("the store is gone")
	for _, pieces := range []int{0, 1} {
		url, _ := streamServer(t, NewStreams(10), func(_ context.Context, to *Stream) error {
			for range pieces {
				_, _ = io.WriteString(to, "piece")
			}
			return failure
		})
		res, err := http.Get(url)
		if pieces > 0 && err != nil {
			continue // broken so early that there is not even a head
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if broken := err != nil; broken != (pieces > 0) || !broken && res.StatusCode != 503 {
			t.Errorf("after %d pieces: %d %q %v", pieces, res.StatusCode, body, err)
		}
	}
}

// TestStalledReader is cut off when its time is over, at once in a hurry, and at the end of all.
func TestStalledReader(t *testing.T) {
	s := NewStreams(10)
	url, ended := streamServer(t, s, forever)
	s.patience = 200 * time.Millisecond
	stalled(t, url)
	if err := endOf(t, ended, 5*time.Second); err == nil || !strings.Contains(err.Error(), "took nothing") {
		t.Errorf("cut off with %v", err)
	}
	s.patience = time.Hour
	stalled(t, url)
	waitRunning(t, s, 1)
	s.Hurry()
	if err := endOf(t, ended, 5*time.Second); err == nil {
		t.Error("in a hurry it was whole")
	}
	s.patience = time.Hour
	stalled(t, url)
	waitRunning(t, s, 1)
	s.End()
	if err := endOf(t, ended, 5*time.Second); !errors.Is(err, errEnding) {
		t.Errorf("at the end: %v", err)
	}
	waitRunning(t, s, 0)
	res, err := http.Get(url)
	if err != nil || res.StatusCode != 503 {
		t.Errorf("a new one: %v %v", res, err)
	}
}

func waitRunning(t *testing.T, s *Streams, n int) {
	t.Helper()
	for range 1000 {
		if s.Running() == n {
			time.Sleep(50 * time.Millisecond) // until its reader has all that the kernel takes
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%d streams are running, not %d", s.Running(), n)
}

// TestStreamMemory: streams share some memory, which each gives back.
func TestStreamMemory(t *testing.T) {
	s := NewStreams(15)
	url, ended := streamServer(t, s, func(ctx context.Context, to *Stream) error {
		if err := to.Reserve(5); err != nil { // some more than it began with
			t.Error(err)
		}
		if err := to.Reserve(1); !consent.IsKind(err, consent.Unavailable) {
			t.Errorf("more than there is: %v", err)
		}
		_, _ = io.WriteString(to, "piece")
		_ = http.NewResponseController(to.call.ResponseWriter).Flush()
		<-ctx.Done() // the client goes away
		return ctx.Err()
	})
	ctx, leave := context.WithCancel(context.Background())
	get := func() int {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	if first, second := get(), get(); first != 200 || second != 503 {
		t.Errorf("answered %d and %d", first, second)
	}
	if err := endOf(t, ended, time.Second); !consent.IsKind(err, consent.Unavailable) {
		t.Errorf("the second: %v", err)
	}
	leave()
	if err := endOf(t, ended, 5*time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	if !s.memory.TryAcquire(15) || s.Running() != 0 {
		t.Error("something is kept")
	}
}
