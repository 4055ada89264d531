package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConns = 8192
	// drainGrace is how long, once the end has begun, connections that had begun to open are still taken and
	// connections between two requests stay open: a busy client learns of the end by an
	// answer with "Connection: close".
	drainGrace = 300 * time.Millisecond
	drainTick  = 10 * time.Millisecond
)

// listener takes connections, a bounded number at once in all and of each peer, and ends without cutting
// off anybody whose request has arrived. http.Server.Shutdown alone does cut: connections that
// the kernel has taken but the server has not, and connections that are idle
// for the server while the next request is already in the kernel's buffer, are reset.
type listener struct {
	*net.TCPListener
	room   chan struct{} // holds one for each open connection
	peers  *peers        // who may have how many of them
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	open  map[*conn]struct{}
	until atomic.Pointer[time.Time] // when nobody new is taken any more; nil: not ending
	exact bool                      // set before until: no connection can begin any more
	// malformed, where set, answers a request that net/http could not read; see Server.Malformed. Set before the first
	// Accept.
	malformed func(began []byte, status int, msg string) []byte
}

func listen(ctx context.Context, address string, p *peers) (*listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // it takes none of the filters of drain
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: l.(*net.TCPListener), peers: p, room: make(chan struct{}, maxConns),
		closed: make(chan struct{}), open: map[*conn]struct{}{}}, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	tcp, peer, err := l.acceptWithinShare()
	if err != nil {
		<-l.room
		return nil, err
	}
	c := &conn{TCPConn: tcp, of: l, peer: peer, quiet: true}
	l.mu.Lock()
	l.open[c] = struct{}{}
	l.mu.Unlock()
	return c, nil
}

// acceptWithinShare waits for a connection of a peer that has not yet its share.
func (l *listener) acceptWithinShare() (*net.TCPConn, netip.Addr, error) {
	for {
		tcp, err := l.accept()
		if err != nil {
			return nil, netip.Addr{}, err
		}
		if peer, ok := l.peers.enter(tcp.RemoteAddr()); ok {
			return tcp, peer, nil
		}
		l.peers.refuse(tcp)
	}
}

// accept waits for a connection. Once the listener is ending it takes those that
// wait and then says that it is closed.
func (l *listener) accept() (*net.TCPConn, error) {
	for swept := false; ; swept = true {
		if until := l.until.Load(); until != nil {
			if !l.exact && time.Since(*until) > drainGrace {
				return nil, net.ErrClosed // else who keeps connecting keeps the server alive
			}
			deadline := time.Now().Add(drainTick)
			if until.After(deadline) {
				deadline = *until
			}
			_ = l.SetDeadline(deadline)
		}
		c, err := l.AcceptTCP()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		if swept {
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}

// drain takes nobody new from now on, and returns when every request that had arrived
// is answered and all connections are closed, or with ctx. Answers must close their
// connections from before it is called.
func (l *listener) drain(ctx context.Context) error {
	until := time.Now().Add(drainGrace)
	l.exact = refuseNew(l.TCPListener)
	l.until.Store(&until)
	_ = l.SetDeadline(until)
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Now().Before(until) {
			continue
		}
		left := l.endQuiet()
		select {
		case <-l.closed:
			if left == 0 {
				return nil
			}
		default:
		}
	}
}

// endQuiet ends the connections on which nothing of a request has arrived, and counts the open ones.
func (l *listener) endQuiet() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.endIfQuiet()
	}
	return len(l.open)
}

// state is the http.Server's ConnState.
func (l *listener) state(c net.Conn, s http.ConnState) {
	if s == http.StateIdle {
		c.(*conn).answered()
	}
}

// conn is a connection that knows whether any byte of a request has come that is not answered yet.
type conn struct {
	*net.TCPConn
	of     *listener
	peer   netip.Addr // whose share it is of
	closed sync.Once

	mu     sync.Mutex
	quiet  bool
	ending bool // the read deadline was put into the past, to end it
	began  began
}

// longPast is a deadline that is over.
var longPast = time.Unix(1, 0)

func (c *conn) endIfQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet {
		c.ending = true
		_ = c.SetReadDeadline(longPast)
	}
}

func (c *conn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
	c.began.size = 0
}

// Read implements net.Conn. Before a connection ends it looks once more for bytes that came in between.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == 0 && c.ending && errors.Is(err, os.ErrDeadlineExceeded) {
		if n = lastRead(c.TCPConn, p); n > 0 {
			err = nil
		}
	}
	if n > 0 {
		c.began.add(p[:n])
		c.quiet = false
		if c.ending {
			c.ending = false
			_ = c.SetReadDeadline(time.Now().Add(readTimeout))
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closed.Do(func() {
		c.of.peers.leave(c.peer)
		c.of.mu.Lock()
		delete(c.of.open, c)
		c.of.mu.Unlock()
		<-c.of.room
	})
	return c.TCPConn.Close()
}
