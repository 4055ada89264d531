package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// recorder stands between engines and their servers and keeps what the engines send, whichever way they send it.
type recorder struct {
	mu   sync.Mutex
	sent map[string][]uint32 // statements, with the types of their parameters
}

// through gives a URL by which a server is reached through the recorder until the test ends.
func (r *recorder) through(t *testing.T, address string) string {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := to.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // the test ends
			}
			running.Go(func() { r.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	to.Host = l.Addr().String()
	return to.String()
}

// pass connects a client to the server until one of them ends it.
func (r *recorder) pass(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return // the client sees it
	}
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
		close(answered)
	}()
	r.listen(bufio.NewReader(client), server)
	_ = server.Close()
	<-answered
}

// startUp is what the first message begins with that is not about encryption or a cancellation
// (https://www.postgresql.org/docs/15/protocol-message-formats.html); messages after it begin with their kind.
const startUp = 3 << 16

func (r *recorder) listen(in *bufio.Reader, server io.Writer) {
	for started := false; ; {
		head := 4
		if started {
			head = 5
		}
		message := make([]byte, head)
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint32(message[head-4:])) - 4
		message = append(message, make([]byte, size)...)
		if _, err := io.ReadFull(in, message[head:]); err != nil {
			return
		}
		if started {
			r.record(message[0], message[head:])
		} else {
			started = binary.BigEndian.Uint32(message[head:]) == startUp
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// record keeps the statement of a message that has one.
func (r *recorder) record(kind byte, body []byte) {
	switch kind {
	case 'P': // to parse: its name, the statement, and how many types of parameters follow
		_, body, _ = bytes.Cut(body, []byte{0})
	case 'Q':
	default:
		return
	}
	statement, rest, _ := bytes.Cut(body, []byte{0})
	var kinds []uint32
	for at := 2; at+4 <= len(rest); at += 4 {
		kinds = append(kinds, binary.BigEndian.Uint32(rest[at:]))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[string(statement)] = kinds
}
