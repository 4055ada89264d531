package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webtest"
)

// TestFailingStore proves that a store that fails or panics is a 500 in the protocol's shape which says nothing of
// the cause, that the log has the cause, that nothing is left behind, and that the server goes on afterwards.
func TestFailingStore(t *testing.T) { onEngines(t, testFailingStore) }

func testFailingStore(t *testing.T, e *engine) {
	for _, tc := range []struct {
		name  string
		fault fault
		cold  bool // nothing is in memory
	}{
		{"reads fail", viewing, false}, {"reads fail, cold", viewing, true}, {"writes fail", updating, false},
		{"writes are lost", losing, false}, {"all fails", all, false}, {"all fails, cold", all, true},
		{"panic", panicking, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newHarness(t, e)
			met := 0
			for _, c := range calls(t, w.protocols) {
				if tc.cold {
					w.forget()
				}
				met += c.underFault(w, tc.fault)
			}
			if met < 10 {
				t.Errorf("only %d calls met the fault: the test proves little", met)
			}
			for _, c := range calls(t, w.protocols) {
				if res := c.send(w, w.mine, nil, c.body); res.Status != c.status {
					t.Fatalf("%s: after the fault: want %d, got %v", c.name, c.status, res)
				}
			}
		})
	}
}

// forget empties what the service keeps in memory: it does so at every revocation, of a key that was revoked before
// too.
func (w *harness) forget() {
	w.Helper()
	actor := w.actorOf(w.mine)
	id, ok := consent.ParseID(w.mine["revokedkeyid"])
	if !ok {
		w.Fatal("the harness has no revoked key")
	}
	w.must(w.svc.RevokeKey(context.Background(), actor, id, consent.Idempotency{}))
}

// underFault makes a call while the store fails, and reports whether (0 or 1) the fault met it.
func (c *call) underFault(w *harness, f fault) int {
	w.Helper()
	before := w.contents()
	w.store.set(f)
	res := c.send(w, w.mine, map[string]string{"Idempotency-Key": "k{{n}}"}, c.body)
	met := w.store.hits.Load() > 0
	w.store.set(none)
	if !met {
		if res.Status != c.status {
			w.Errorf("%s: did not meet the fault, but: %v", c.name, res)
		}
		return 0
	}
	if f == panicking && res.Status == c.status {
		return 0 // it read and had nothing to write
	}
	c.failed(w, res, "with a failing store")
	w.unchanged("", before, c.name+": with a failing store")
	return 1
}

// TestStoreAway proves that every call that needs the store is a 503 in its protocol's shape while the store is away,
// and says when to come again (see mayKeep).
func TestStoreAway(t *testing.T) { onEngines(t, testStoreAway) }

func testStoreAway(t *testing.T, e *engine) {
	w := newHarness(t, e)
	for _, c := range calls(t, w.protocols) {
		w.forget()
		w.store.set(away)
		res := c.send(w, w.mine, map[string]string{"Idempotency-Key": "away, " + c.name}, c.body)
		met := w.store.hits.Load() > 0
		w.store.set(none)
		if !met && !c.open {
			t.Errorf("%s: met the fault: %v", c.name, met)
		}
		if met {
			c.refused(w, res, http.StatusServiceUnavailable, "with the store away")
		}
	}
}

// TestUncertainStore proves that a write of which it is not known whether it was done is a 5xx that says nothing of
// the cause, and that a retry with the same Idempotency-Key settles it: it was done, and is not done again.
func TestUncertainStore(t *testing.T) { onEngines(t, testUncertainStore) }

func testUncertainStore(t *testing.T, e *engine) {
	w := newHarness(t, e)
	met := 0
	for _, c := range calls(t, w.protocols) {
		if !c.writes() {
			continue
		}
		once, body := map[string]string{"Idempotency-Key": "uncertain, " + c.name}, w.mine.expand(c.body)
		w.store.set(uncertain)
		res := c.send(w, w.mine, once, body)
		if w.store.hits.Load() == 0 {
			t.Errorf("%s: met no fault: %v", c.name, res)
		}
		w.store.set(none)
		met++
		c.failed(w, res, "with an uncertain store")
		before := w.contents()
		again := c.send(w, w.mine, once, body)
		if again.Status != c.status || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: the retry: %v", c.name, again)
		}
		w.unchanged("", before, c.name+": a retry")
	}
	if met < 10 {
		t.Errorf("only %d calls met the fault: the test proves little", met)
	}
	w.audit()
}

// failed fails unless the answer is a 500 that hides its cause, which the log has.
func (c *call) failed(w *harness, res *webtest.Response, what string) {
	w.Helper()
	c.refused(w, res, http.StatusInternalServerError, what)
	if strings.Contains(res.String(), "crocodile") || strings.Contains(res.String(), "secret") {
		w.Errorf("%s: shows the cause: %v", c.name, res)
	}
	c.logged(w, res)
}

// logged fails unless the log has the cause of an answer, by its request id.
func (c *call) logged(w *harness, res *webtest.Response) {
	w.Helper()
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"request":"`+res.Header.Get("X-Request-Id")+`"`) && strings.Contains(line, cause) {
			return
		}
	}
	w.Errorf("%s: the log has no cause for %v", c.name, res)
}

// TestHangingStore proves that a request whose time is over is answered 503 in the protocol's shape.
func TestHangingStore(t *testing.T) { onEngines(t, testHangingStore) }

func testHangingStore(t *testing.T, e *engine) {
	w := newHarness(t, e)
	for _, c := range calls(t, w.protocols) {
		if c.route.Method == http.MethodOptions || strings.HasPrefix(c.target, "/.well-known") {
			continue // answered from memory
		}
		w.store.set(hanging)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Millisecond)
		r := httptest.NewRequestWithContext(ctx, c.route.Method, w.mine.expand(c.target),
			strings.NewReader(w.mine.expand(c.body)))
		for name, value := range c.headers {
			r.Header.Set(name, w.mine.expand(value))
		}
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		cancel()
		if w.store.hits.Load() == 0 {
			continue // answered from memory as well
		}
		res := &webtest.Response{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
		c.refused(w, res, http.StatusServiceUnavailable, "with a hanging store")
	}
	w.store.set(none)
	close(w.store.release)
	for _, c := range calls(t, w.protocols) {
		if res := c.send(w, w.mine, nil, c.body); res.Status != c.status {
			t.Errorf("%s: after the store came back: want %d, got %v", c.name, c.status, res)
		}
	}
}
