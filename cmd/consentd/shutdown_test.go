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
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestShutdownDelay stands a server still, sends requests on connections that are idle and on connections that the
// server has not accepted yet, and ends the server. What arrives before the shutdown delay is over is answered, and
// told that its connection ends.
func TestShutdownDelay(t *testing.T) {
	for name, signalFirst := range map[string]bool{"requests before the signal": false, "requests in the delay": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey}, "--shutdown-delay", "3s")
			o := newTenant(t, p)
			conns := idle(t, p, 40)
			if signalFirst {
				p.signal(t, syscall.SIGTERM)
				waitForEnd(t, p)
			}
			p.signal(t, syscall.SIGSTOP)
			for range 40 {
				conns = append(conns, dial(t, p.url))
			}
			for _, c := range conns {
				send(c, o)
			}
			if !signalFirst {
				p.signal(t, syscall.SIGTERM)
			}
			p.signal(t, syscall.SIGCONT)
			for i, c := range conns {
				last, err := receive(bufio.NewReader(c))
				if err != nil || signalFirst && !last {
					t.Errorf("connection %d of %d: a request in time: the last %v, %v", i, len(conns), last, err)
				}
			}
			if code := p.wait(t, 20*time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestSilentConnections: connections on which nothing has come, such as a balancer's probe, do not hold the end up.
func TestSilentConnections(t *testing.T) {
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey}, "--shutdown-delay", "50ms",
		"--shutdown-timeout", "3s")
	silent := []net.Conn{dial(t, p.url), dial(t, p.url), dial(t, p.url)}
	idle(t, p, 3) // what was connected before is accepted when these are answered
	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, 20*time.Second); code != 0 || time.Since(began) > 2*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
	for _, c := range silent {
		_ = c.Close()
	}
}

// TestBegunRequestsAreAnswered ends a server that has read a part of requests. Their rest comes when it takes nothing
// new any more, and they are answered.
func TestBegunRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey}, "--shutdown-delay", "0s")
	o := newTenant(t, p)
	request := requestOf(o)
	head := strings.Index(request, "\r\n\r\n")
	conns, rests := []net.Conn{}, []string{}
	for _, part := range []int{1, head / 2, head + 2, head + 10} { // within the head, and within the body
		for _, c := range append(idle(t, p, 1), dial(t, p.url)) {
			fmt.Fprint(c, request[:part])
			conns, rests = append(conns, c), append(rests, request[part:])
		}
	}
	time.Sleep(200 * time.Millisecond) // the server has read them
	p.signal(t, syscall.SIGTERM)
	waitFor(t, "the end of new connections", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	time.Sleep(500 * time.Millisecond) // longer than the server waits between two looks
	for i, c := range conns {
		fmt.Fprint(c, rests[i])
		if _, err := receive(bufio.NewReader(c)); err != nil {
			t.Errorf("request %d, which had begun: %v", i, err)
		}
	}
	if code := p.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// waitForEnd waits until a server has taken note of its end.
func waitForEnd(t *testing.T, p *process) {
	t.Helper()
	waitFor(t, "the log line of the end", func() bool { return strings.Contains(p.errOut.String(), "shutting down") })
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
func send(c net.Conn, o tenant) { fmt.Fprint(c, requestOf(o)) }

func requestOf(o tenant) string {
	body := items(uuid.NewString())
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", o.eventsPath(), rootKey, len(body), body)
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

// TestSigtermUnderLoad ends servers under clients that keep connections and clients that make a new one each time.
// Every request that the server has begun to handle is answered whole and on record, and in the shutdown delay it takes
// all.
func TestSigtermUnderLoad(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		dir := t.TempDir()
		p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=info"}, "--shutdown-delay",
			loadDelay.String())
		l := &load{url: p.url, tenant: newTenant(t, p)}
		var clients sync.WaitGroup
		for i := range 32 {
			clients.Go(func() { l.run(t, i%2 == 0) })
		}
		waitFor(t, "load", func() bool { return l.answered.Load() > 300 })
		time.Sleep(time.Duration(round) * 7 * time.Millisecond)
		l.takenUntil.Store(time.Now().Add(loadDelay).UnixNano())
		p.stop(t)
		clients.Wait()
		answered := int(l.answered.Load())
		if handled := len(eventsHandled.FindAllString(p.errOut.String(), -1)); handled != answered {
			t.Errorf("round %d: %d requests were handled, and %d got a whole answer", round, handled, answered)
		}
		t.Logf("round %d: %d answered, %d came too late", round, answered, l.late.Load())
		again := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
		if events := allEvents(t, again, l.tenant); len(events) != answered {
			t.Errorf("round %d: %d events on record, %d acknowledged", round, len(events), answered)
		}
		again.stop(t)
	}
}

const loadDelay = 400 * time.Millisecond

// eventsHandled finds the access lines of writes of events.
var eventsHandled = regexp.MustCompile(`msg=request .*method=POST route=\S+/consent-events `)

// load counts requests that got a whole answer, and those that came when the server took none any more.
type load struct {
	url            string
	tenant         tenant
	answered, late atomic.Int64
	takenUntil     atomic.Int64 // Unix nanoseconds; 0: the end has not begun
}

// run sends requests until the server refuses connections.
func (l *load) run(t *testing.T, keep bool) {
	for {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(l.url, "http://"), 20*time.Second)
		if err != nil {
			if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("dial: %v", err)
			}
			l.checkLate(t, err)
			return
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		answers := bufio.NewReader(c)
		for last := false; !last; last = last || !keep {
			send(c, l.tenant)
			if _, err := answers.Peek(1); err != nil {
				l.late.Add(1)
				l.checkLate(t, err)
				break
			}
			if last, err = receive(answers); err != nil {
				t.Errorf("the answer to a request broke off: %v", err)
				break
			}
			l.answered.Add(1)
		}
		_ = c.Close()
	}
}

// checkLate fails where a request was not taken while all are.
func (l *load) checkLate(t *testing.T, err error) {
	if until := l.takenUntil.Load(); until == 0 || time.Now().UnixNano() < until {
		t.Errorf("a request was not taken before the end: %v", err)
	}
}

// TestListenerIsBounded takes as many connections as there are slots, and the next when one has gone.
func TestListenerIsBounded(t *testing.T) {
	l, err := listen(context.Background(), "127.0.0.1:0", newPeers(nil, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	l.slots = make(chan struct{}, 2)
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
	if err := server.Shutdown(context.Background()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serve ended with %v", err)
	}
}
