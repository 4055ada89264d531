package server

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/protocol"
)

// Malformed answers a request that net/http could not read and so gave to no handler, in the shape of the protocol
// whose path it asks for. began are the first bytes of the request, status what it is to be answered with, and msg why,
// where net/http says so. The answer is a whole one that closes its connection; nil where nobody owns the path.
func (s *Server) Malformed(began []byte, status int, msg string) []byte {
	started := time.Now()
	method, path := firstLine(string(began))
	p := s.find(path)
	if p == s.fallback {
		return nil
	}
	if msg == "" {
		msg = malformed
	}
	var out bufferedAnswer
	c := &protocol.Call{ResponseWriter: &out, ID: s.nextID(), Route: "-",
		Request: &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}}}
	c.Header()["X-Request-Id"] = []string{c.ID}
	p.Fail(c, &protocol.StatusError{Status: status, Msg: msg})
	s.logAccess(c, p.Name, time.Since(started))
	return out.wire(c.Status, started)
}

const malformed = "this is no valid HTTP request; look at its first line (percent-encoding of the path, version) " +
	"and at its headers"

// firstLine gives the method and the path of a request by its first bytes, the path as it stands; empty where they are
// none. Of a method that was read in part the rest is given: what follows it is what counts.
func firstLine(began string) (method, path string) {
	line, _, _ := strings.Cut(began, "\n")
	method, target, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(target, "/") {
		return method, ""
	}
	if end := strings.IndexAny(target, "? #\r"); end >= 0 {
		target = target[:end]
	}
	return method, target
}

// bufferedAnswer is an answer that is put together before it is sent.
type bufferedAnswer struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *bufferedAnswer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// Write implements http.ResponseWriter.
func (a *bufferedAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// WriteHeader implements http.ResponseWriter: the call notes the status.
func (a *bufferedAnswer) WriteHeader(int) {}

// wire gives the bytes of the whole answer.
func (a *bufferedAnswer) wire(status int, at time.Time) []byte {
	h := a.Header()
	h.Set("Date", at.UTC().Format(http.TimeFormat))
	h.Set("Connection", "close")
	h.Set("Content-Length", strconv.Itoa(a.body.Len()))
	var out bytes.Buffer
	_, _ = io.WriteString(&out, "HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status)+"\r\n")
	_ = h.Write(&out) // into memory: it does not fail
	_, _ = io.WriteString(&out, "\r\n")
	_, _ = out.Write(a.body.Bytes())
	return out.Bytes()
}
