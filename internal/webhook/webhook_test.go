package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = prefixes("127.0.0.0/8", "::1/128")

// client makes a client that is closed with the test.
func client(t *testing.T, o Options) *Client {
	t.Helper()
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

// receiver lets a handler be a receiver on this machine, to which a client may go.
func receiver(t *testing.T, handler http.HandlerFunc) (*Client, string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return client(t, Options{Allow: loopback, Timeout: 5 * time.Second}), s.URL
}

// send sends a small message.
func send(t *testing.T, c *Client, url string) Result {
	t.Helper()
	return c.Send(t.Context(), Endpoint{url, []Secret{secretFrom(1)}},
		Message{ID: "m", At: time.Now(), Body: []byte("{}")})
}

func (r Result) is(status int, reason Reason) bool { return r.Status == status && r.Reason == reason }

// TestStatuses: 2xx is taken, nothing else is, and no redirect is followed.
func TestStatuses(t *testing.T) {
	followed := false
	c, url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		status := 0
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			followed = true
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	})
	for status, reason := range map[int]Reason{200: Answered, 201: Answered, 204: Answered, 299: Answered, 400: Answered,
		404: Answered, 410: Answered, 429: Answered, 500: Answered, 503: Answered, 301: Redirect, 302: Redirect,
		303: Redirect, 304: Redirect, 307: Redirect, 308: Redirect} {
		got := send(t, c, fmt.Sprintf("%s/%d", url, status))
		if !got.is(status, reason) || got.Taken() != (status/100 == 2) || got.Took <= 0 {
			t.Errorf("%d: %+v, taken %t", status, got, got.Taken())
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

// TestWhatIsSent holds a call against what Standard Webhooks lays down, and against what must not be in it.
func TestWhatIsSent(t *testing.T) {
	got := deliver(t, []Secret{secretFrom(1)}, `{"a":1}`)
	for name, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "consentd",
		"Webhook-Id": "019b3a3c-0000-8000-8000-000000000001"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	for _, name := range []string{"Idempotency-Key", "Authorization", "Accept-Encoding", "Cookie"} {
		if values := got.header.Values(name); len(values) > 0 {
			t.Errorf("sent %s: %q", name, values)
		}
	}
	if string(got.body) != `{"a":1}` {
		t.Errorf("sent %q", got.body)
	}
}

// TestNoProxy: a proxy of the environment would look the host up by itself.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	c, url := receiver(t, func(http.ResponseWriter, *http.Request) {})
	c.resolve = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	// a name, since net/http asks no proxy for loopback addresses
	if got := send(t, c, strings.Replace(url, "127.0.0.1", "hook.example", 1)); !got.is(200, Answered) {
		t.Errorf("%+v", got)
	}
}

// speak is a receiver that takes a connection and does with it what it likes.
func speak(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				talk(conn)
			})
		}
	})
	return "http://" + l.Addr().String()
}

// hear reads a call until its body has come.
func hear(conn net.Conn) {
	var call []byte
	for buffer := make([]byte, 4096); !strings.HasSuffix(string(call), "{}"); {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		call = append(call, buffer[:n]...)
	}
}

// TestWhoSpeaksNoHTTP: garbage, headers without end, silence and who hangs up.
func TestWhoSpeaksNoHTTP(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) { hear(conn); _, _ = io.WriteString(conn, text) }
	}
	endless := func(head, more string) func(net.Conn) {
		return func(conn net.Conn) {
			hear(conn)
			_, err := io.WriteString(conn, head)
			for err == nil {
				_, err = io.WriteString(conn, more)
			}
		}
	}
	for name, tc := range map[string]struct {
		talk   func(net.Conn)
		reason Reason
	}{
		"garbage":           {say("\x00\x01\x02 SSH-2.0-OpenSSH\r\n\r\n"), Garbage},
		"no status":         {say("HTTP/1.1 abc Fine\r\n\r\n"), Garbage},
		"broken header":     {say("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), Garbage},
		"two lengths":       {say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), Garbage},
		"nothing":           {say(""), Broken},
		"half a status":     {say("HTTP/1.1 20"), Garbage},
		"half a header":     {say("HTTP/1.1 200 OK\r\nA: "), Broken},
		"hangs up":          {func(conn net.Conn) { hear(conn); _ = conn.(*net.TCPConn).SetLinger(0) }, Broken},
		"endless header":    {endless("HTTP/1.1 200 OK\r\nA: ", strings.Repeat("a", 4096)), TooLarge},
		"endless headers":   {endless("HTTP/1.1 200 OK\r\n", "A: a\r\n"), TooLarge},
		"endless interlude": {endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), TooLarge},
		"hangs":             {func(conn net.Conn) { hear(conn); _, _ = io.Copy(io.Discard, conn) }, Timeout},
		"slow": {func(conn net.Conn) {
			hear(conn)
			for _, c := range "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
				if _, err := io.WriteString(conn, string(c)); err != nil {
					return
				}
				time.Sleep(30 * time.Millisecond)
			}
		}, Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, Options{Allow: loopback, Timeout: 500 * time.Millisecond})
			began := time.Now()
			if got := send(t, c, speak(t, tc.talk)); !got.is(0, tc.reason) {
				t.Errorf("%+v, want %s", got, tc.reason)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestBodyCountsForNothing: a status that came in time counts, whatever comes behind it, and nobody waits for that.
func TestBodyCountsForNothing(t *testing.T) {
	for name, body := range map[string]func(net.Conn){
		"none": func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\n") },
		"hangs": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		},
		"endless": func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 202 Accepted\r\n\r\n")
			for err == nil {
				_, err = conn.Write(make([]byte, 64<<10))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, Options{Allow: loopback})
			began := time.Now()
			got := send(t, c, speak(t, func(conn net.Conn) { hear(conn); body(conn) }))
			if took := time.Since(began); !got.is(202, Answered) || took > 3*time.Second || got.Took > time.Second {
				t.Errorf("%+v after %s", got, took)
			}
		})
	}
}

// TestConnectionsAreKept: a hundred messages go over one connection, also where answers have a body; and where it is
// closed between two of them, the message goes over another.
func TestConnectionsAreKept(t *testing.T) {
	made := atomic.Int64{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 10_000))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := client(t, Options{Allow: loopback})
	for range 100 {
		if got := send(t, c, s.URL); !got.is(200, Answered) {
			t.Fatalf("%+v", got)
		}
	}
	if n := made.Load(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
	for range 20 {
		s.CloseClientConnections()
		if got := send(t, c, s.URL); !got.is(200, Answered) {
			t.Fatalf("after the connection was closed: %+v", got)
		}
	}
}

// TestSlowOneDelaysNoOther: endpoints of one host do not wait for each other's connections.
func TestSlowOneDelaysNoOther(t *testing.T) {
	wait := make(chan struct{})
	c, url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-wait
		}
	})
	var slow sync.WaitGroup
	for range 40 {
		slow.Go(func() { send(t, c, url+"/slow") })
	}
	began := time.Now()
	for range 10 {
		if got := send(t, c, url+"/quick"); !got.is(200, Answered) || time.Since(began) > 3*time.Second {
			t.Errorf("%+v after %s", got, time.Since(began))
		}
	}
	close(wait)
	slow.Wait()
}

// TestCallerLeaves: nobody knows what came of it.
func TestCallerLeaves(t *testing.T) {
	arrived := make(chan struct{})
	c := client(t, Options{Allow: loopback})
	url := speak(t, func(conn net.Conn) { hear(conn); close(arrived); _, _ = io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	got := c.Send(ctx, Endpoint{url, []Secret{secretFrom(1)}}, Message{ID: "m", At: time.Now(), Body: []byte("{}")})
	if !got.is(0, Canceled) {
		t.Errorf("%+v", got)
	}
}

// names is a resolver that answers in turn, and counts.
type names struct {
	answers [][]string
	asked   atomic.Int64
}

func (n *names) resolve(context.Context, string) (addrs []netip.Addr, err error) {
	i := int(n.asked.Add(1)) - 1
	if i >= len(n.answers) {
		return nil, errors.New("asked too often")
	}
	for _, text := range n.answers[i] {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

// TestAddressesOfHosts: what a host resolves to decides, not what it is called; what may not be connected to is not,
// also where another address of the host may; and a host is looked up once for a connection.
func TestAddressesOfHosts(t *testing.T) {
	reached := atomic.Int64{}
	_, local := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	port := local[strings.LastIndex(local, ":"):]
	refused := Result{Reason: NotAllowed}
	for name, tc := range map[string]struct {
		url     string
		allow   []netip.Prefix
		answers [][]string
		want    Result
		asked   int64
	}{
		"a literal":            {"https://127.0.0.1" + port, nil, nil, refused, 0},
		"a literal of IPv6":    {"https://[::1]" + port, nil, nil, refused, 0},
		"a mapped literal":     {"https://[::ffff:127.0.0.1]" + port, nil, nil, refused, 0},
		"a name":               {"https://hook.example" + port, nil, [][]string{{"127.0.0.1"}}, refused, 1},
		"metadata":             {"https://hook.example" + port, nil, [][]string{{"169.254.169.254"}}, refused, 1},
		"all of a name's":      {"https://h.example" + port, nil, [][]string{{"10.0.0.1", "::1", "fd00::1"}}, refused, 1},
		"http to a public one": {"http://hook.example" + port, nil, [][]string{{"8.8.8.8"}}, refused, 1},
		"http to a local one":  {"http://hook.example" + port, nil, [][]string{{"127.0.0.1"}}, refused, 1},
		"another is allowed": {"http://h.example" + port, prefixes("10.0.0.0/8"), [][]string{{"127.0.0.1"}}, refused,
			1},
		"allowed": {"http://h.example" + port, loopback, [][]string{{"127.0.0.1"}},
			Result{Status: 200, Reason: Answered}, 1},
		"the allowed one of two": {"http://h.example" + port, loopback, [][]string{{"10.0.0.1", "127.0.0.1"}},
			Result{Status: 200, Reason: Answered}, 1},
		"it changes its address": {"http://h.example" + port, loopback, [][]string{{"127.0.0.1"}, {"10.0.0.1"}},
			Result{Status: 200, Reason: Answered}, 1},
		"it changes it the way in": {"http://h.example" + port, loopback, [][]string{{"10.0.0.1"}, {"127.0.0.1"}}, refused,
			1},
		"nobody":         {"https://h.example" + port, nil, [][]string{{}}, Result{Reason: Unresolved}, 1},
		"no answer":      {"https://h.example" + port, nil, nil, Result{Reason: Unresolved}, 1},
		"nobody listens": {"http://h.example:1", loopback, [][]string{{"127.0.0.1"}}, Result{Reason: Refused}, 1},
		"the second listens": {"http://h.example" + port, loopback, [][]string{{"127.0.0.2", "127.0.0.1"}},
			Result{Status: 200, Reason: Answered}, 1},
		"ftp":     {"ftp://h.example" + port, nil, nil, Result{Reason: BadURL}, 0},
		"a user":  {"http://a:b@127.0.0.1" + port, loopback, nil, Result{Reason: BadURL}, 0},
		"no host": {"http://" + port, loopback, nil, Result{Reason: BadURL}, 0},
		"no URL":  {"http://[::1", loopback, nil, Result{Reason: BadURL}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before, n := reached.Load(), &names{answers: tc.answers}
			c := client(t, Options{Allow: tc.allow, Resolve: n.resolve})
			got := send(t, c, tc.url)
			if !got.is(tc.want.Status, tc.want.Reason) || n.asked.Load() != tc.asked {
				t.Errorf("%+v and asked %d times, want %+v and %d", got, n.asked.Load(), tc.want, tc.asked)
			}
			if arrived := reached.Load() > before; arrived != (tc.want.Status != 0) {
				t.Errorf("reached: %t", arrived)
			}
		})
	}
}

// TestResolverHangs: looking a host up is part of the time.
func TestResolverHangs(t *testing.T) {
	c := client(t, Options{Timeout: 100 * time.Millisecond, Resolve: func(ctx context.Context, _ string) (
		[]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if got := send(t, c, "https://hook.example/"); !got.is(0, Timeout) {
		t.Errorf("%+v", got)
	}
}

// TestEncryption: the certificate has to be the host's, from somebody who is believed, and TLS of this decade.
func TestEncryption(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs who hangs up
	s.StartTLS()
	defer s.Close()
	old := httptest.NewUnstartedServer(s.Config.Handler)
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} // what is refused
	old.StartTLS()
	defer old.Close()
	plain := httptest.NewServer(s.Config.Handler)
	defer plain.Close()
	believed := x509.NewCertPool()
	believed.AddCert(s.Certificate())
	for name, tc := range map[string]struct {
		host   string
		at     string
		roots  *x509.CertPool
		status int
		reason Reason
	}{
		"right":             {"example.com", s.URL, believed, 200, Answered},
		"of another host":   {"hook.example", s.URL, believed, 0, TLS},
		"of nobody's":       {"example.com", s.URL, x509.NewCertPool(), 0, TLS},
		"of another decade": {"example.com", old.URL, believed, 0, TLS},
		"not encrypted":     {"example.com", plain.URL, believed, 0, TLS},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tc.at)
			if err != nil {
				t.Fatal(err)
			}
			n := &names{answers: [][]string{{"127.0.0.1"}}}
			c := client(t, Options{Allow: loopback, Resolve: n.resolve, Roots: tc.roots})
			if got := send(t, c, "https://"+net.JoinHostPort(tc.host, u.Port())); !got.is(tc.status, tc.reason) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestHandshakeFails: agreeing upon encryption is part of the time, and the connection is not left open.
func TestHandshakeFails(t *testing.T) {
	for said, reason := range map[string]Reason{"": Timeout, "HTTP/1.1 400 Bad Request\r\n\r\n": TLS} {
		closed := make(chan struct{})
		at := speak(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, said)
			_, _ = io.Copy(io.Discard, conn)
			close(closed)
		})
		c := client(t, Options{Allow: loopback, Timeout: 300 * time.Millisecond})
		if got := send(t, c, strings.Replace(at, "http:", "https:", 1)); !got.is(0, reason) {
			t.Errorf("said %q: %+v", said, got)
		}
		select {
		case <-closed:
		case <-time.After(5 * time.Second):
			t.Fatalf("said %q: the connection is open still", said)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	c := New(Options{Allow: loopback})
	defer c.Close()
	m := Message{ID: "019b3a3c-0000-8000-8000-000000000001", At: time.Now(), Body: make([]byte, 700)}
	b.SetParallelism(2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got := c.Send(b.Context(), Endpoint{s.URL, []Secret{secretFrom(1)}}, m); !got.Taken() {
				b.Errorf("%+v", got)
			}
		}
	})
}
