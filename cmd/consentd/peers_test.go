package main

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/logtest"
)

// TestPeerTakesNoMoreThanItsShare has one address take all that it gets: what is over its share is closed at once,
// counted and told in one line without the address; another address is served; what it gives back it gets again.
func TestPeerTakesNoMoreThanItsShare(t *testing.T) {
	var told logtest.Buffer
	l, stop := serveFew(t, newPeers(nil, slog.New(slog.NewTextHandler(&told, nil))))
	greedy := [2]net.Conn{dialFrom(t, l, "127.0.0.1"), dialFrom(t, l, "127.0.0.1")}
	for _, c := range greedy {
		ask(t, c, bufio.NewReader(c), "/", 200)
	}
	const over = 8
	for range over {
		if err := refusal(l, "127.0.0.1"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a connection over the share was not closed at once: %v", err)
		}
	}
	other := dialFrom(t, l, "127.0.0.2")
	ask(t, other, bufio.NewReader(other), "/", 200)
	if n := l.peers.figure().Value; n != over {
		t.Errorf("%v connections are counted as refused, want %d", n, over)
	}
	if log := told.String(); strings.Count(log, "\n") != 1 || strings.Contains(log, "127.0.0") {
		t.Errorf("the log is not one line without an address:\n%s", log)
	}
	_ = greedy[0].Close()
	waitFor(t, "the share to be given back", func() bool { return l.peers.count("127.0.0.1") == 1 })
	again := dialFrom(t, l, "127.0.0.1")
	ask(t, again, bufio.NewReader(again), "/", 200)
	stop()
	if n := len(l.peers.open); n != 0 {
		t.Errorf("%d addresses are kept after their connections have gone", n)
	}
}

// TestTrustedProxyTakesAll proves that a trusted proxy, which brings everybody's connections, is bounded by the total
// only.
func TestTrustedProxyTakesAll(t *testing.T) {
	l, _ := serveFew(t, newPeers([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, slog.New(slog.DiscardHandler)))
	for range cap(l.slots) {
		c := dialFrom(t, l, "127.0.0.1")
		ask(t, c, bufio.NewReader(c), "/", 200)
	}
}

// serveFew serves on a listener that has slots for four connections, two of one address; stop ends it.
func serveFew(t *testing.T, p *peers) (l *listener, stop func()) {
	t.Helper()
	p.share = 2
	l, err := listen(context.Background(), "127.0.0.1:0", p)
	if err != nil {
		t.Fatal(err)
	}
	l.slots = make(chan struct{}, 4)
	server := &http.Server{ConnState: l.state, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	stop = func() {
		_ = server.Close()
		<-served
	}
	t.Cleanup(stop)
	return l, stop
}

// dialFrom connects from an address of this machine.
func dialFrom(t *testing.T, l *listener, address string) net.Conn {
	t.Helper()
	c, err := connect(l, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// refusal connects and says how the connection ends; it may before it is known to be made.
func refusal(l *listener, address string) error {
	c, err := connect(l, address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

func connect(l *listener, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(5 * time.Second))
}

// count tells how many open connections of an address are counted.
func (p *peers) count(address string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[netip.MustParseAddr(address)]
}

// TestPeer proves what counts as one peer: an address, and of IPv6 all addresses of a /64.
func TestPeer(t *testing.T) {
	p := newPeers(nil, slog.New(slog.DiscardHandler))
	p.share = 1
	for _, tc := range []struct {
		from string
		ok   bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8:0:1::1", true}, {"2001:db8:0:1::1", false},
		{"2001:db8:0:1:ffff:ffff:ffff:ffff", false}, {"2001:db8:0:2::1", true},
		{"fe80::1%eth0", true}, {"fe80::2%eth1", false},
	} {
		addr := netip.MustParseAddr(tc.from)
		if _, ok := p.enter(net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 5))); ok != tc.ok {
			t.Errorf("%s enters: %v, want %v", tc.from, ok, tc.ok)
		}
	}
}

// TestRefusedConnectionsAreInMetrics proves that the count is among a server's metrics.
func TestRefusedConnectionsAreInMetrics(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey})
	_, metrics := call(t, "GET", p.url+"/metrics", nil, "")
	hold(t, "/metrics", string(metrics), "\nconsentd_connections_refused_total 0\n")
}
