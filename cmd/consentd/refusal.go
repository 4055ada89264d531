package main

import (
	"bytes"
	"strconv"
	"strings"
)

// net/http answers a request that it cannot read by itself, in plain text and with one write on the connection, before
// any handler sees it. The connection knows that answer by its form, and puts that of the path's protocol in its place.

// beganSize is how much is kept of the beginning of a request: its method and the first segment of its path.
const beganSize = 64

// began is the beginning of a request, as far as it was read.
type began struct {
	bytes [beganSize]byte
	size  int
}

func (b *began) add(p []byte) { b.size += copy(b.bytes[b.size:], p) }

// refusalHeaders is all that net/http says in such an answer. Those of handlers have a date, and their headers in order
// of name.
const refusalHeaders = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// refusalOf takes an answer of net/http itself apart; false: it is another one. msg is what it says besides the status.
func refusalOf(answer []byte) (status int, msg string, ok bool) {
	line, rest, _ := bytes.Cut(answer, []byte("\r\n"))
	line, ok = bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(line) < 4 || !bytes.HasPrefix(rest, []byte(refusalHeaders)) {
		return 0, "", false
	}
	status, err := strconv.Atoi(string(line[:3]))
	_, msg, _ = strings.Cut(string(line[4:]), ": ")
	return status, msg, err == nil && status >= 400
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	status, msg, ok := refusalOf(p)
	if !ok || c.of.malformed == nil {
		return c.TCPConn.Write(p)
	}
	c.mu.Lock()
	request := c.began
	c.mu.Unlock()
	answer := c.of.malformed(request.bytes[:request.size], status, msg)
	if answer == nil {
		return c.TCPConn.Write(p)
	}
	if _, err := c.TCPConn.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}
