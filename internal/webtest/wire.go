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
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
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
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, v := range r.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	shown := r.Body[:min(len(r.Body), maxShown)]
	fmt.Fprintf(&b, "\n%s", shown)
	if len(shown) < len(r.Body) {
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

type header struct{ name, value string }

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

const (
	timeout = 30 * time.Second // for one exchange
	maxBody = 64 << 20
)

// send speaks HTTP/1.1 by hand: net/http's client would clean paths, refuse odd requests and add headers of its own.
func send(addr string, req *request) (*Response, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	sent := make(chan error, 1)
	go func() { sent <- req.write(conn, addr) }() // a server may answer before it has read all
	res, err := read(conn, req.method)
	closeErr := conn.Close()
	sendErr := <-sent
	if err != nil {
		return nil, errors.Join(err, sendErr)
	}
	return res, closeErr // an answer that came before the request's end is an answer
}

func read(conn io.Reader, method string) (*Response, error) {
	br := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
		if err != nil {
			return nil, fmt.Errorf("read body of %d: %w", res.StatusCode, err)
		}
		if len(body) > maxBody {
			return nil, fmt.Errorf("body of %d is longer than %d bytes", res.StatusCode, maxBody)
		}
		h := res.Header
		if len(res.TransferEncoding) > 0 { // ReadResponse takes it out; the transcript may ask for it
			h.Set("Transfer-Encoding", strings.Join(res.TransferEncoding, ", "))
		}
		return &Response{Status: res.StatusCode, Header: h, Body: body}, nil
	}
}

func (r *request) write(w io.Writer, addr string) error {
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
	if !coded && !sized && (r.body != "" || takesBody(r.method)) {
		fmt.Fprintf(&b, "Content-Length: %s\r\n", strconv.Itoa(len(r.body)))
	}
	b.WriteString("\r\n")
	if strings.EqualFold(coding, "chunked") {
		if err := writeChunks(&b, r.body); err != nil {
			return err
		}
	} else {
		b.WriteString(r.body)
	}
	_, err := b.WriteTo(w)
	return err
}

func takesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

const chunkSize = 4096

func writeChunks(b *bytes.Buffer, body string) error {
	cw := httputil.NewChunkedWriter(b)
	for chunk := range slices.Chunk([]byte(body), chunkSize) {
		if _, err := cw.Write(chunk); err != nil {
			return err
		}
	}
	if err := cw.Close(); err != nil {
		return err
	}
	b.WriteString("\r\n")
	return nil
}
