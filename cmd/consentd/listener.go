package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConns = 8192
	// begunTick is how often the end of the server looks whether requests are still being read or answered.
	begunTick = 10 * time.Millisecond
)

// listener takes a bounded number of connections at once, in all and of each peer. It knows how many of them have begun
// a request, since http.Server.Shutdown alone drops each request whose head is not read to its end.
type listener struct {
	*net.TCPListener
	slots  chan struct{} // holds one for each open connection
	peers  *peers        // who may have how many of them
	begun  atomic.Int64  // connections with a request that is not answered yet
	fresh  sync.Map      // *conn that have not sent a whole head of a request yet
	closed chan struct{}
	once   sync.Once
	// malformed, where set, answers a request that net/http could not read; see Server.Malformed. Set before the first
	// Accept.
	malformed func(began []byte, status int, msg string) []byte
}

func listen(ctx context.Context, address string, p *peers) (*listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // plain TCP is what was measured
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: l.(*net.TCPListener), peers: p, slots: make(chan struct{}, maxConns),
		closed: make(chan struct{})}, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		tcp, err := l.AcceptTCP()
		if err != nil {
			<-l.slots
			return nil, err
		}
		if peer, ok := l.peers.enter(tcp.RemoteAddr()); ok {
			return &conn{TCPConn: tcp, of: l, peer: peer}, nil
		}
		l.peers.refuse(tcp)
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}

// waitBegun returns when no connection has a request that is not answered, or with ctx. It waits for a tick at least:
// what a connection that was just taken has sent is read meanwhile.
func (l *listener) waitBegun(ctx context.Context) error {
	tick := time.NewTicker(begunTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if l.begun.Load() == 0 {
				return nil
			}
		}
	}
}

// closeSilent closes the connections on which nothing has come: http.Server.Shutdown waits 5 s for each that is new,
// such as a probe of a balancer.
func (l *listener) closeSilent() {
	l.fresh.Range(func(c, _ any) bool {
		if c := c.(*conn); c.silent() {
			_ = c.Close()
		}
		return true
	})
}

// state is the http.Server's ConnState.
func (l *listener) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		l.fresh.Store(c, nil)
	case http.StateIdle:
		c.(*conn).answered()
	default:
		l.fresh.Delete(c)
	}
}

// conn is a connection that keeps how the request began that is not answered yet.
type conn struct {
	*net.TCPConn
	of     *listener
	peer   netip.Addr // whose share it is of
	closed sync.Once

	mu    sync.Mutex
	began began
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.began.size == 0 {
			c.of.begun.Add(1)
		}
		c.began.add(p[:n])
	}
	return n, err
}

// silent tells whether nothing of a request has come.
func (c *conn) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.began.size == 0
}

// answered forgets the request.
func (c *conn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began.size > 0 {
		c.began.size = 0
		c.of.begun.Add(-1)
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closed.Do(func() {
		c.answered()
		c.of.peers.leave(c.peer)
		<-c.of.slots
	})
	return c.TCPConn.Close()
}
