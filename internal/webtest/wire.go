package webtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Response is an answer, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// String shows the answer, abbreviated.
func (r *Response) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", r.Status, http.StatusText(r.Status))
	_ = r.Header.Write(&b) // a strings.Builder takes everything
	fmt.Fprintf(&b, "\n%s", r.Body[:min(len(r.Body), maxShown)])
	if len(r.Body) > maxShown {
		fmt.Fprintf(&b, "… (%d bytes)", len(r.Body))
	}
	return strings.TrimRight(b.String(), "\n")
}

// Do sends one request to the handler over loopback TCP, as a transcript would.
func Do(t testing.TB, h http.Handler, method, target string, headers map[string]string, body string) *Response {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	return DoURL(t, srv.URL, method, target, headers, body)
}

// DoURL is Do for a server that runs already: base is http://host:port, the target is sent as it stands.
func DoURL(t testing.TB, base, method, target string, headers map[string]string, body string) *Response {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("webtest: base URL: %v", err)
	}
	req := &request{method: method, target: target, body: body}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		req.headers = append(req.headers, header{name, headers[name]})
	}
	res, err := send(u.Host, req)
	if err != nil {
		t.Fatalf("webtest: %s %s: %v", method, target, err)
	}
	return res
}

type request struct {
	method, target string
	headers        []header
	body           string
}

func (r *request) header(name string) (value string, ok bool) {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			return h.value, true
		}
	}
	return "", false
}

const timeout = 30 * time.Second // for one exchange

// send speaks HTTP/1.1 by hand: net/http's client would clean paths, refuse odd requests and add headers of its own.
func send(addr string, req *request) (*Response, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() { // a server may answer before it has read all, and such an answer is one
		_, err := conn.Write(req.bytes(addr))
		sent <- err
	}()
	res, err := read(conn, req.method)
	closed := conn.Close()
	if sendErr := <-sent; err != nil {
		return nil, errors.Join(err, sendErr)
	}
	return res, closed
}

func read(conn net.Conn, method string) (*Response, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read body of %d: %w", res.StatusCode, err)
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// bytes gives the request as it is sent, its body in chunks where it says so.
func (r *request) bytes(addr string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.method, r.target)
	if _, ok := r.header("Host"); !ok {
		fmt.Fprintf(&b, "Host: %s\r\n", addr)
	}
	for _, h := range r.headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	coding, coded := r.header("Transfer-Encoding")
	_, sized := r.header("Content-Length")
	takesBody := slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, r.method)
	if !coded && !sized && (r.body != "" || takesBody) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n")
	if !strings.EqualFold(coding, "chunked") {
		b.WriteString(r.body)
		return b.Bytes()
	}
	for chunk := range slices.Chunk([]byte(r.body), 4096) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}
