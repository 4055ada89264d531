package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/webtest"
)

// TestPublicLedger proves proof.md, "--ledger-public": without a key checkpoint, keys, proofs, consistency and tiles are
// read of any organization that there is, and nothing else is. Who shows a key is held to it.
func TestPublicLedger(t *testing.T) { onEngines(t, testPublicLedger) }

func testPublicLedger(t *testing.T, e *engine) {
	w := newHarness(t, e)
	w.options.LedgerPublic, w.options.Metrics = true, nil
	open := server.New(w.options)
	get := func(v vars, target, key string) *webtest.Response {
		headers := map[string]string{}
		if key != "" {
			headers["Authorization"] = "Bearer " + key
		}
		return webtest.Do(t, open, "GET", v.expand(target), headers, "")
	}
	nobody := w.mine.with(vars{"org": uuid.NewString()})
	var opened int
	for _, c := range calls(t, w.protocols) {
		if !strings.Contains(c.target, "/ledger/") {
			if c.open || c.route.Method != "GET" {
				continue
			}
			if res := get(w.mine, c.target, ""); res.Status != http.StatusUnauthorized {
				t.Errorf("%s without a key: %v", c.name, res)
			}
			continue
		}
		opened++
		withKey := c.send(w, w.mine, nil, "")
		for _, v := range []vars{w.mine, w.theirs} {
			res := get(v, c.target, "")
			if res.Status != http.StatusOK || v["org"] == w.mine["org"] && string(res.Body) != string(withKey.Body) {
				t.Errorf("%s without a key: %v\nwith one: %v", c.name, res, withKey)
			}
		}
		for what, want := range map[*webtest.Response]int{
			get(nobody, c.target, ""):                           http.StatusNotFound,
			get(w.mine, c.target, w.mine["key"]):                http.StatusOK,
			get(w.theirs, c.target, w.mine["key"]):              http.StatusNotFound,
			get(w.mine, c.target, w.mine["root"]):               http.StatusOK,
			get(w.mine, c.target, w.mine["revokedkey"]):         http.StatusUnauthorized,
			get(w.mine, c.target, w.mine["key"]+"wrong"):        http.StatusUnauthorized,
			get(w.mine.with(vars{"org": "none"}), c.target, ""): http.StatusNotFound,
		} {
			if what.Status != want {
				t.Errorf("%s: want %d, got %v", c.name, want, what)
			}
		}
	}
	if opened < 5 {
		t.Errorf("only %d calls are open", opened)
	}
}
