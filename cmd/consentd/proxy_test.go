package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// fault is what becomes of a round trip that commits a write.
type fault int32

const (
	passes       fault = iota
	cutBefore          // the connection is cut before the server sees it
	cutUnderWay        // it is cut as soon as the server has it, which goes on
	cutAfter           // it is cut when the server has answered, and the answer is lost
	poolerBroken       // as cutAfter, and the client is told what PgBouncer tells of a server that broke
)

func (f fault) String() string {
	return [...]string{"passes", "cut before", "cut under way", "cut after", "pooler broken"}[f]
}

// everyCommit: of so many commits of writes one meets the fault that is set.
const everyCommit = 3

// commitProxy stands between consentd and a PostgreSQL server, and sees commits go by.
type commitProxy struct {
	listener net.Listener
	server   string
	fault    atomic.Int32
	commits  atomic.Int64 // of writes
	met      atomic.Int64 // commits that met a fault
	running  sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool // nil: closed
	cut      []cutCommit
}

// cutCommit is a commit that did not pass, with all that its transaction sent.
type cutCommit struct {
	met  fault
	sent []byte
}

func newCommitProxy(t *testing.T, server string) *commitProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &commitProxy{listener: listener, server: server, open: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *commitProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() {
			defer client.Close()
			server, err := net.Dial("tcp", p.server)
			if err != nil {
				return
			}
			defer server.Close()
			if p.track(client, server) {
				newProxied(p, client, server).run()
			}
			p.untrack(client, server)
		})
	}
}

// track tells whether connections may begin.
func (p *commitProxy) track(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.open != nil {
			p.open[c] = true
		}
	}
	return p.open != nil
}

func (p *commitProxy) untrack(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
	}
}

func (p *commitProxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		_ = c.Close()
	}
	p.open = nil
	p.mu.Unlock()
	p.running.Wait()
}

// next tells what the next commit of a write meets, whose transaction sent something.
func (p *commitProxy) next(sent []byte) fault {
	f := fault(p.fault.Load())
	if p.commits.Add(1)%everyCommit != 0 || f == passes {
		return passes
	}
	p.mu.Lock()
	p.cut = append(p.cut, cutCommit{f, bytes.Clone(sent)})
	p.mu.Unlock()
	p.met.Add(1)
	return f
}

// proxied is one connection through the proxy.
type proxied struct {
	proxy          *commitProxy
	client, server net.Conn
	fromClient     *pgproto3.Backend
	fromServer     *pgproto3.Frontend
	statements     map[string]string // prepared ones by their names
	writes         bool              // the transaction writes
	sent           []byte            // by the transaction, if it writes
	commits        bool              // the round trip commits it
	lost           atomic.Bool       // the next answer is not passed on
	answered       chan struct{}     // closed when it is there, or never will be
}

func newProxied(p *commitProxy, client, server net.Conn) *proxied {
	return &proxied{proxy: p, client: client, server: server,
		statements: map[string]string{}, answered: make(chan struct{}),
		fromClient: pgproto3.NewBackend(client, nil), fromServer: pgproto3.NewFrontend(server, nil)}
}

// run passes on what comes, until either side ends.
func (x *proxied) run() {
	first, err := x.fromClient.ReceiveStartupMessage()
	if err != nil || sendTo(x.server, first) != nil {
		return
	}
	if _, cancels := first.(*pgproto3.CancelRequest); cancels {
		_, _ = io.Copy(io.Discard, x.server) // until the server has heard it
		return
	}
	var back sync.WaitGroup
	back.Go(x.backward)
	x.forward()
	_ = x.client.Close()
	_ = x.server.Close()
	back.Wait()
}

func sendTo(to net.Conn, message pgproto3.Message) error {
	b, err := message.Encode(nil)
	if err == nil {
		_, err = to.Write(b)
	}
	return err
}

// forward passes on the client's round trips, each as a whole.
func (x *proxied) forward() {
	for trip := []byte(nil); ; {
		message, err := x.fromClient.Receive()
		if err != nil {
			return
		}
		if trip, err = message.Encode(trip); err != nil {
			return
		}
		x.note(message)
		switch message.(type) {
		case *pgproto3.Parse, *pgproto3.Bind, *pgproto3.Describe, *pgproto3.Execute, *pgproto3.Close:
			continue
		}
		meets := passes
		if x.writes {
			x.sent = append(x.sent, trip...)
		}
		if x.commits {
			meets, x.writes = x.proxy.next(x.sent), false
		}
		if goesOn := x.meet(meets, trip); !goesOn {
			return
		}
		trip, x.commits = trip[:0], false
	}
}

// note follows what the client prepares and runs.
func (x *proxied) note(message pgproto3.FrontendMessage) {
	switch m := message.(type) {
	case *pgproto3.Parse:
		x.statements[m.Name] = m.Query
	case *pgproto3.Bind:
		switch statement := x.statements[m.PreparedStatement]; {
		case statement == "BEGIN":
			x.writes, x.sent = true, x.sent[:0]
		case strings.HasPrefix(statement, "BEGIN "): // to read
			x.writes = false
		case statement == "COMMIT":
			x.commits = x.writes
		}
	}
}

// meet gives a round trip to the server, or not, and tells whether the connection goes on.
func (x *proxied) meet(f fault, trip []byte) (goesOn bool) {
	if f == cutBefore {
		return false
	}
	x.lost.Store(f != passes)
	if _, err := x.server.Write(trip); err != nil || f == passes {
		return err == nil
	}
	if f == cutUnderWay {
		_ = x.client.Close()
	}
	<-x.answered
	if f == poolerBroken {
		_ = sendTo(x.client, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "server conn crashed?"})
	}
	return false
}

// backward passes on the server's answers.
func (x *proxied) backward() {
	defer close(x.answered)
	for answer := []byte(nil); ; {
		message, err := x.fromServer.Receive()
		if err == nil {
			answer, err = message.Encode(answer)
		}
		if err != nil && !x.lost.Load() {
			_ = x.client.Close()
		}
		_, whole := message.(*pgproto3.ReadyForQuery)
		_, failed := message.(*pgproto3.ErrorResponse)
		if err != nil || whole && x.lost.Load() {
			return
		}
		if whole || failed && !x.lost.Load() {
			if _, err := x.client.Write(answer); err != nil {
				return
			}
			answer = answer[:0]
		}
	}
}
