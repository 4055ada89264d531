package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestArrivedRequestsAreAnswered stands a server still, sends requests on connections that are idle and on
// connections that the server has not accepted yet, and ends the server. What has arrived before
// the server looks at its connections for the last time must be answered.
func TestArrivedRequestsAreAnswered(t *testing.T) {
	for name, tc := range map[string]struct {
		first time.Duration // from SIGTERM to the standstill
		still time.Duration
		fresh int // connections made during the standstill
	}{
		"before the signal":    {0, 0, 40},
		"at the very last":     {drainGrace - 50*time.Millisecond, 100 * time.Millisecond, 0},
		"at the very last too": {drainGrace - 20*time.Millisecond, 50 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey})
			o := newTenant(t, p)
			conns := idle(t, p, 40)
			if tc.first > 0 {
				p.signal(t, syscall.SIGTERM)
				time.Sleep(tc.first)
			}
			p.signal(t, syscall.SIGSTOP)
			for range tc.fresh {
				conns = append(conns, dial(t, p.url))
			}
			for _, c := range conns {
				send(c, o)
			}
			time.Sleep(tc.still)
			if tc.first == 0 {
				p.signal(t, syscall.SIGTERM)
			}
			p.signal(t, syscall.SIGCONT)
			for i, c := range conns {
				if _, err := receive(bufio.NewReader(c)); err != nil {
					t.Errorf("connection %d of %d: a request that had arrived: %v", i, len(conns), err)
				}
			}
			if code := p.wait(t, 10*time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// idle makes connections that have had an answer.
func idle(t *testing.T, p *process, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dial(t, p.url)
		ask(t, conns[i], bufio.NewReader(conns[i]), "/healthz", 200)
	}
	return conns
}

// send writes a whole request for one new event.
func send(c net.Conn, o tenant) {
	body := items(uuid.NewString())
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		o.eventsPath(), rootKey, len(body), body)
}

// receive reads a whole answer, which must be a 201; last says that the connection is over.
func receive(r *bufio.Reader) (last bool, err error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return true, err
	}
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%d %s", res.StatusCode, answer)
	}
	return res.Close, err
}

// TestSigtermUnderLoad ends servers under clients that keep connections and clients that make a
// new one each time. A request is answered whole, or its connection was refused before it was sent.
func TestSigtermUnderLoad(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		dir := t.TempDir()
		p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=info"})
		l := &load{url: p.url, tenant: newTenant(t, p)}
		var clients sync.WaitGroup
		for i := range 32 {
			clients.Go(func() { l.run(t, i%2 == 0) })
		}
		waitFor(t, "load", func() bool { return l.answered.Load() > 300 })
		time.Sleep(time.Duration(round) * 7 * time.Millisecond)
		p.stop(t)
		l.over.Store(true)
		clients.Wait()
		if cut := l.sent.Load() - l.answered.Load(); cut != 0 {
			t.Errorf("round %d: %d of %d requests sent got no whole answer", round, cut, l.sent.Load())
		}
		again := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
		if events := allEvents(t, again, l.tenant); int64(len(events)) != l.answered.Load() {
			t.Errorf("round %d: %d events on record, %d acknowledged", round, len(events), l.answered.Load())
		}
		again.stop(t)
	}
}

// load counts requests as sent when a byte of them went out, and as answered when the whole answer came.
type load struct {
	url            string
	tenant         tenant
	sent, answered atomic.Int64
	over           atomic.Bool
}

// run sends requests until the server refuses connections.
func (l *load) run(t *testing.T, keep bool) {
	for {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(l.url, "http://"), 20*time.Second)
		if err != nil {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("dial: %v", err)
			}
			return
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		answers := bufio.NewReader(c)
		for last := false; !last; last = last || !keep {
			l.sent.Add(1)
			send(c, l.tenant)
			if last, err = receive(answers); err != nil {
				t.Errorf("a request that was sent: %v", err)
				break
			}
			l.answered.Add(1)
		}
		_ = c.Close()
		if l.over.Load() {
			return
		}
	}
}

// TestListenerIsBounded takes as many connections as there is room for, and the next when one has gone.
func TestListenerIsBounded(t *testing.T) {
	l, err := listen(context.Background(), "127.0.0.1:0", newPeers(nil, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	l.room = make(chan struct{}, 2)
	server := &http.Server{ConnState: l.state, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	url := "http://" + l.Addr().String()
	first, second, third := dial(t, url), dial(t, url), dial(t, url)
	ask(t, first, bufio.NewReader(first), "/", 200)
	ask(t, second, bufio.NewReader(second), "/", 200)
	fmt.Fprint(third, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = third.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := third.Read(make([]byte, 1)); n > 0 {
		t.Errorf("a third connection was served beside two: %v", err)
	}
	_ = first.Close()
	_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := http.ReadResponse(bufio.NewReader(third), nil); err != nil {
		t.Errorf("the third connection was not served when the first had gone: %v", err)
	}
	if err := l.drain(context.Background()); err != nil {
		t.Errorf("drain: %v", err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve ended with %v", err)
	}
}
