package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/server"
)

// speaking makes a protocol of one call, /name/call, for what the server itself does.
func speaking(name string, handle func(*protocol.Call) error) protocol.Protocol {
	return protocol.Protocol{Name: name, Roots: []string{name},
		Routes: []protocol.Route{{Method: "POST", Pattern: "/" + name + "/call", Handle: handle}},
		Fail: func(c *protocol.Call, err error) {
			status, _, msg := protocol.Status(err)
			http.Error(c, name+": "+msg, status)
		}}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestRequestIDs proves that each answer has an id of its own, which no client chooses.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s := server.NewOf(server.Options{Log: quiet()}, []protocol.Protocol{speaking("one",
		func(*protocol.Call) error { return nil })})
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			for range 200 {
				r, rec := httptest.NewRequest("POST", "/one/call", nil), httptest.NewRecorder()
				r.Header.Set("X-Request-Id", "theirs")
				s.ServeHTTP(rec, r)
				id := rec.Header().Values("X-Request-Id")
				mu.Lock()
				if len(id) != 1 || id[0] == "" || id[0] == "theirs" || seen[id[0]] {
					t.Errorf("X-Request-Id %q", id)
				}
				seen[strings.Join(id, "")] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 1600 {
		t.Errorf("%d ids for 1600 requests", len(seen))
	}
}

// TestSystem proves what /healthz, /readyz and /metrics answer, draining included.
func TestSystem(t *testing.T) { onEngines(t, testSystem) }

func testSystem(t *testing.T, e *engine) {
	w := newHarness(t, e)
	expect := func(method, path string, status int, body string) {
		t.Helper()
		res := w.do(w.mine, method, path, nil, "")
		if res.Status != status || body != "*" && string(res.Body) != body {
			t.Errorf("%s %s: want %d %q, got %v", method, path, status, body, res)
		}
		if allow := res.Header.Get("Allow"); (status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", method, path, allow)
		}
	}
	expect("GET", "/healthz", 200, "ok\n")
	expect("GET", "/readyz", 200, "ready\n")
	expect("GET", "/metrics", 200, "*")
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		expect("HEAD", path, 200, "")
		for _, method := range []string{"POST", "DELETE", "OPTIONS", "BREW"} {
			expect(method, path, 405, "method not allowed\n")
		}
	}
	for _, path := range []string{"/", "/healthz/", "/healthz/x", "/nothing", "/metricsx", "//healthz"} {
		expect("GET", path, 404, "404 page not found\n")
		expect("BREW", path, 404, "404 page not found\n")
	}
	connection := func() string {
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
		if rec.Code != 200 {
			t.Errorf("got %d", rec.Code)
		}
		return rec.Header().Get("Connection")
	}
	if got := connection(); got != "" {
		t.Errorf("Connection: %s without need", got)
	}
	w.server.Drain()
	expect("GET", "/healthz", 200, "ok\n")
	expect("GET", "/readyz", 503, "shutting down\n")
	if got := connection(); got != "close" {
		t.Errorf("Connection: %q while draining", got)
	}
	for _, line := range w.lines() {
		if route, _ := line["route"].(string); line["msg"] == "request" &&
			(route == "/healthz" || route == "/readyz" || route == "/metrics") {
			if line["protocol"] != "system" || line["status"].(float64) < 400 {
				t.Errorf("a probe that went well has an access line, or one that did not has another name: %v", line)
			}
		}
	}
}

// TestNotReady proves that /readyz shows why writes are refused.
func TestNotReady(t *testing.T) { onEngines(t, testNotReady) }

func testNotReady(t *testing.T, e *engine) {
	w := newHarness(t, e)
	if res := w.do(w.mine, "GET", "/metrics", nil, ""); !strings.Contains(string(res.Body), "\nconsentd_ready 1\n") {
		t.Errorf("consentd_ready is not 1: %v", res)
	}
	w.svc.Close()
	if res := w.do(w.mine, "GET", "/readyz", nil, ""); res.Status != 503 || string(res.Body) != "shutting down\n" {
		t.Errorf("with a closed service: %v", res)
	}
	if res := w.do(w.mine, "GET", "/metrics", nil, ""); !strings.Contains(string(res.Body), "\nconsentd_ready 0\n") {
		t.Errorf("consentd_ready is not 0: %v", res)
	}
}

// TestNoMetrics proves that without metrics there is no /metrics.
func TestNoMetrics(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	server.NewOf(server.Options{Log: quiet()}, nil).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

// TestTwoOfOneRoot proves that a list in which two protocols own one path does not start.
func TestTwoOfOneRoot(t *testing.T) {
	t.Parallel()
	defer func() {
		if got := fmt.Sprint(recover()); got != "server: two protocols own /one" {
			t.Errorf("got %q", got)
		}
	}()
	server.NewOf(server.Options{Log: quiet()}, []protocol.Protocol{speaking("one", nil), speaking("two", nil),
		speaking("one", nil)})
}

// TestPanic proves that a panic is that call's 500, in its protocol's shape, and nobody else's trouble.
func TestPanic(t *testing.T) {
	t.Parallel()
	log := &logtest.Buffer{}
	begun := false
	s := server.NewOf(server.Options{Log: slog.New(slog.NewJSONHandler(log, nil))}, []protocol.Protocol{
		speaking("one", func(c *protocol.Call) error {
			if begun {
				_, _ = io.WriteString(c, "half an answer")
			}
			panic(cause)
		}),
		speaking("two", func(c *protocol.Call) error {
			c.WriteHeader(http.StatusNoContent)
			return nil
		}),
		speaking("three", func(*protocol.Call) error { panic(http.ErrAbortHandler) }),
	})
	send := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest("POST", path, nil))
		return rec
	}
	if rec := send("/one/call"); rec.Code != 500 || rec.Body.String() != "one: Internal Server Error\n" {
		t.Errorf("got %d %q", rec.Code, rec.Body)
	}
	if !strings.Contains(log.String(), cause) || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("the log has not the cause and the stack: %s", log)
	}
	begun = true
	if rec := send("/one/call"); rec.Body.String() != "half an answer" {
		t.Errorf("after half an answer: %q", rec.Body)
	}
	if rec := send("/two/call"); rec.Code != 204 {
		t.Errorf("another protocol: %d", rec.Code)
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("http.ErrAbortHandler does not reach net/http")
			}
		}()
		send("/three/call")
	}()
}

// TestUnclassified proves that what nobody classified is a 500 without its words, and is logged once.
func TestUnclassified(t *testing.T) {
	t.Parallel()
	log := &logtest.Buffer{}
	s := server.NewOf(server.Options{Log: slog.New(slog.NewJSONHandler(log, nil))}, []protocol.Protocol{
		speaking("one", func(*protocol.Call) error { return fmt.Errorf("try this: %w", errCause) }),
		speaking("two", func(*protocol.Call) error {
			return &consent.Error{Kind: consent.Conflict, Field: "f", Msg: "no", Err: errCause}
		}),
	})
	for path, want := range map[string]string{"/one/call": "500 one: Internal Server Error\n",
		"/two/call": "409 two: no\n"} {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest("POST", path, nil))
		if got := fmt.Sprintf("%d %s", rec.Code, rec.Body); got != want {
			t.Errorf("%s: got %q", path, got)
		}
	}
	if n := strings.Count(log.String(), cause); n != 1 {
		t.Errorf("the cause is logged %d times: %s", n, log)
	}
}
