package server_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/webtest"
)

// TestMalformed proves that a request that no handler sees is refused in the shape of its path's protocol.
func TestMalformed(t *testing.T) { onEngines(t, testMalformed) }

func testMalformed(t *testing.T, e *engine) {
	w := newHarness(t, e)
	for _, p := range w.protocols {
		for _, root := range p.Roots {
			for status, msg := range map[int]string{400: "", 431: "", 501: "", 505: "unsupported protocol version"} {
				began := "BREW /" + root + "/one.giraffe@shop.example/%zz HTTP/1.1\r\nHost: x\r\n\r\n"
				answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(w.server.Malformed([]byte(began),
					status, msg))), nil)
				w.must(err)
				body, err := io.ReadAll(answer.Body)
				w.must(err)
				res := &webtest.Response{Status: answer.StatusCode, Header: answer.Header, Body: body}
				w.mayKeep("/"+root, res)
				if err := checkShape(p.Name, res); err != nil || res.Status != status || !answer.Close ||
					!strings.Contains(string(body), msg) {
					t.Errorf("/%s: %d: %v in %v", root, status, err, res)
				}
			}
		}
	}
	for _, began := range []string{"", "GET", "GET ", "GET / HTTP/1.1", "GET /nothing/%zz HTTP/1.1",
		"GET /healthz%z HTTP/1.1",
		"GET v1/%zz HTTP/1.1", "GET  /v1/%zz HTTP/1.1", "GET http://x/v1/%zz HTTP/1.1", "\r\nGET /v1/%zz", "\x00\xff \xff"} {
		if answer := w.server.Malformed([]byte(began), 400, ""); answer != nil {
			t.Errorf("%q: %s", began, answer)
		}
	}
	w.clean("the log", w.log.String())
}
