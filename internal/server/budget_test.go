package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/server"
)

// filled is a JSON object of exactly so many bytes.
func filled(size int) string { return `{"x":"` + strings.Repeat("x", size-8) + `"}` }

// reading makes a server of one call, /one/call, that reads its body and then does what else is asked.
func reading(t *testing.T, then func()) *server.Server {
	t.Helper()
	return server.NewOf(server.Options{Log: quiet()}, []protocol.Protocol{speaking("one", func(c *protocol.Call) error {
		if err := protocol.ReadJSON(c, &struct{}{}); err != nil {
			return err
		}
		then()
		c.WriteHeader(http.StatusNoContent)
		return nil
	})})
}

// over serves a handler on a listener, and counts the bytes of bodies that it has read.
func over(t *testing.T, s http.Handler) (address string, read *atomic.Int64) {
	t.Helper()
	read = new(atomic.Int64)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = counted{r.Body, read}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h.Listener.Addr().String(), read
}

type counted struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// begin sends the head of a call, with what says the length of its body.
func begin(t *testing.T, address, length string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(40 * time.Second))
	if _, err := fmt.Fprintf(c, "POST /one/call HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", length); err != nil {
		t.Fatal(err)
	}
	return c
}

const inChunks = "Transfer-Encoding: chunked"

func ofLength(size int) string { return fmt.Sprintf("Content-Length: %d", size) }

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 4000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestSlowBodiesHoldNoMemory begins more large bodies than the budget has memory for, and sends next to nothing of
// them. Others go on.
func TestSlowBodiesHoldNoMemory(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{"in chunks": inChunks, "of a length": ofLength(protocol.MaxBody),
		"too long": ofLength(1 << 40)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, read := over(t, reading(t, func() {}))
			for range 64 {
				_, _ = io.WriteString(begin(t, address, head), "1\r\n{") // of a length: four bytes of it
			}
			until(t, "the first bytes of 64 bodies", func() bool { return read.Load() >= 64 })
			client := http.Client{Timeout: 5 * time.Second}
			defer client.CloseIdleConnections()
			res, err := client.Post("http://"+address+"/one/call", "application/json",
				strings.NewReader(filled(protocol.MaxBody)))
			if err != nil {
				t.Fatalf("a large body beside 64 slow ones: %v", err)
			}
			if _ = res.Body.Close(); res.StatusCode != http.StatusNoContent {
				t.Errorf("a large body beside 64 slow ones: %d", res.StatusCode)
			}
		})
	}
}

// TestLargeBodiesDoNotWaitForEachOther has more bodies on their way than there is memory for: a part of each was read,
// and the next byte of each takes more of the budget than all can have.
func TestLargeBodiesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	const bodies, size, part = 120, protocol.MaxBody, 64 << 10
	address, read := over(t, reading(t, func() {}))
	body := filled(size)
	conns := make([]net.Conn, bodies)
	for i := range conns {
		conns[i] = begin(t, address, ofLength(size))
		if _, err := io.WriteString(conns[i], body[:part]); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a part of all bodies", func() bool { return read.Load() >= bodies*part })
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			if _, err := io.WriteString(c, body[part:]); err != nil {
				t.Errorf("the rest of a body: %v", err)
				return
			}
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusNoContent {
				t.Errorf("a large body among many: %v %v", res, err)
			}
		})
	}
	wg.Wait()
}

// TestBodyBudget proves that what is made of large bodies shares 32 MiB, of each five times its bytes: one too many
// waits, small ones pass, and memory is given back.
func TestBodyBudget(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}), make(chan struct{})
	s := reading(t, func() {
		inside <- struct{}{}
		<-leave
	})
	largest, small := filled(protocol.MaxBody), filled(8<<10)
	send := func(ctx context.Context, body string, length int) *httptest.ResponseRecorder {
		r, rec := httptest.NewRequestWithContext(ctx, "POST", "/one/call", strings.NewReader(body)), httptest.NewRecorder()
		r.ContentLength = int64(length)
		s.ServeHTTP(rec, r)
		return rec
	}
	var wg sync.WaitGroup
	enter := func(body string, length int) {
		t.Helper()
		wg.Go(func() { send(context.Background(), body, length) })
		select {
		case <-inside:
		case <-time.After(20 * time.Second):
			t.Error("a request that fits does not begin")
		}
	}
	for range 6 {
		enter(largest, -1)
	}
	for _, length := range []int{-1, len(largest)} {
		short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if rec := send(short, largest, length); rec.Code != http.StatusServiceUnavailable ||
			!strings.HasPrefix(rec.Body.String(), "one: too many large requests") {
			t.Errorf("with the budget full: %d %s", rec.Code, rec.Body)
		}
	}
	enter(small, len(small))
	leave <- struct{}{} // somebody goes; it may be the small one
	leave <- struct{}{}
	enter(largest, len(largest))
	close(leave)
	wg.Wait()
}
