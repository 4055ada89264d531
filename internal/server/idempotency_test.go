package server_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webtest"
)

// TestIdempotency proves common.md, "Durability and retries", on every call that writes.
func TestIdempotency(t *testing.T) { onEngines(t, testIdempotency) }

func testIdempotency(t *testing.T, e *engine) {
	for _, c := range calls(t, listed) {
		if !c.writes() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newHarness(t, e)
			c.replays(w)
			w.doomAgain()
			c.badIdempotencyKeys(w)
			w.doomAgain()
			c.atOnce(w)
		})
	}
}

func (c *call) replays(w *harness) {
	w.Helper()
	once := map[string]string{"Idempotency-Key": "first ~ " + c.name}
	body := w.mine.expand(c.body)
	first := c.send(w, w.mine, once, body)
	if first.Status != c.status || first.Header.Get("Idempotency-Replayed") != "" {
		w.Fatalf("%s: first try: %v", c.name, first)
	}
	before := w.contents()
	again := c.send(w, w.mine, once, body)
	if again.Header.Get("Idempotency-Replayed") != "true" {
		w.Errorf("%s: the retry is not marked: %v", c.name, again)
	}
	for _, res := range []*webtest.Response{first, again} {
		for _, name := range []string{"Idempotency-Replayed", "X-Request-Id", "Date"} {
			res.Header.Del(name)
		}
	}
	if first.String() != again.String() || string(first.Body) != string(again.Body) {
		w.Errorf("%s: the retry is answered\n%v\nand not\n%v", c.name, again, first)
	}
	c.otherRequests(w, once, body)
	w.unchanged("", before, c.name+": retries")

	foreign := w.mine.with(vars{"key": w.secondKey(), "token": w.theirs["token"]})
	if c.root {
		return // there is one root key only
	}
	if res := c.send(w, foreign, once, body); res.Header.Get("Idempotency-Replayed") != "" ||
		res.Status == http.StatusUnprocessableEntity || res.Status >= 500 {
		w.Errorf("%s: another API key's Idempotency-Key counts: %v", c.name, res)
	}
}

// otherRequests sends others than the first under its key: with another body, or of a call without one to another
// target.
func (c *call) otherRequests(w *harness, once map[string]string, body string) {
	w.Helper()
	if !c.takesBody() {
		other := *c
		other.target += map[bool]string{true: "&", false: "?"}[strings.Contains(c.target, "?")]
		c.refused(w, other.send(w, w.mine, once, ""), http.StatusUnprocessableEntity,
			"another target under the same key")
		return
	}
	for what, other := range map[string]string{"a space more": body + " ", "another member": with(`"x":1`)(body),
		"broken": body[1:]} {
		res := c.send(w, w.mine, once, other)
		if what == "broken" && res.Status == http.StatusBadRequest {
			continue // refused for itself, which is as good
		}
		c.refused(w, res, http.StatusUnprocessableEntity, "another body under the same key: "+what)
	}
}

func (w *harness) secondKey() string {
	w.Helper()
	text, _ := w.key(w.actorOf(w.mine), "second", consent.AllScopes...)
	return text
}

func (c *call) badIdempotencyKeys(w *harness) {
	w.Helper()
	before := w.contents()
	for what, change := range map[string]map[string]string{
		"too long":       {"Idempotency-Key": strings.Repeat("k", 256)},
		"not ASCII":      {"Idempotency-Key": "clé"},
		"a tab":          {"Idempotency-Key": "a\tb"},
		"two":            {"Idempotency-Key": "a", "idempotency-key": "b"},
		"the same twice": {"Idempotency-Key": "a", "idempotency-key": "a"},
	} {
		c.refused(w, c.send(w, w.mine, change, c.body), http.StatusBadRequest, "Idempotency-Key: "+what)
	}
	// An empty value cannot be sent by send, which takes the header out.
	headers := maps.Clone(c.headers)
	headers["Idempotency-Key"] = ""
	c.refused(w, w.do(w.mine, c.route.Method, c.target, headers, c.body), http.StatusBadRequest,
		"Idempotency-Key: empty")
	w.unchanged("", before, c.name+": bad Idempotency-Keys")
	longest := map[string]string{"Idempotency-Key": strings.Repeat("k", 255)}
	if res := c.send(w, w.mine, longest, c.body); res.Status < 200 || res.Status > 299 {
		w.Errorf("%s: a key of 255 characters: %v", c.name, res)
	}
}

// atOnce sends one write many times at once: it is done once, and everybody gets the same answer.
func (c *call) atOnce(w *harness) {
	w.Helper()
	const clients = 6
	body, once := w.mine.expand(c.body), map[string]string{"Idempotency-Key": "at once, " + c.name}
	answers := make([]*webtest.Response, clients)
	done := make(chan struct{})
	for i := range clients {
		go func() {
			defer func() { done <- struct{}{} }()
			answers[i] = c.send(w, w.mine, once, body)
		}()
	}
	for range clients {
		<-done
	}
	fresh := 0
	for _, res := range answers {
		if res == nil || res.Status < 200 || res.Status > 299 || string(res.Body) != string(answers[0].Body) {
			w.Fatalf("%s: at once: %v, but another got %v", c.name, res, answers[0])
		}
		if res.Header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 {
		w.Errorf("%s: of %d tries at once %d were done", c.name, clients, fresh)
	}
}
