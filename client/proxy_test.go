package client_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// flaky is a proxy on real connections that loses requests and answers. It decides anew for each request.
type flaky struct {
	net.Listener
	t        testing.TB
	upstream string // host:port
	// fate says what becomes of the nth request, from 0.
	fate func(n int) fate

	mu       sync.Mutex
	requests int
	keys     []string // the Idempotency-Key of each request
}

type fate int

const (
	served     fate = iota
	lost            // the connection is closed before the server has seen the request
	unanswered      // the server has done it, and no byte of its answer comes
	cut             // its answer breaks off in the middle
	busy            // a proxy answers 503 with a page of its own
)

func newFlaky(t testing.TB, fate func(n int) fate) *flaky {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &flaky{Listener: l, t: t, upstream: strings.TrimPrefix(shop.url, "http://"), fate: fate}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return p
}

func (p *flaky) url() string { return "http://" + p.Addr().String() }

// next notes a request and gives its fate.
func (p *flaky) next(r *http.Request) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.requests
	p.requests++
	p.keys = append(p.keys, r.Header.Get("Idempotency-Key"))
	return p.fate(n)
}

// serve answers one request and closes the connection.
func (p *flaky) serve(c net.Conn) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f := p.next(r)
	switch f {
	case lost:
		return
	case busy:
		fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nContent-Type: text/html\r\n"+
			"Connection: close\r\n\r\nbusy")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Close = true
	answer, err := p.ask(r)
	if err != nil {
		p.t.Error(err)
		return
	}
	switch f {
	case unanswered:
		answer = nil
	case cut:
		answer = answer[:1+rand.IntN(len(answer)-1)]
	}
	_, _ = c.Write(answer)
}

// ask gives the server's whole answer.
func (p *flaky) ask(r *http.Request) ([]byte, error) {
	c, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := r.Write(c); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}
