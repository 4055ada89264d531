package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/pgtest"
)

// TestWebhookKillLoop kills the server again and again while it tells a receiver of what is written: of each decision
// it is told at least once, doubles have one id, and nothing is told that is not on record.
func TestWebhookKillLoop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	webhookKillLoop(t, 12, killTarget{args: []string{"--data", dir}})
}

// TestWebhookKillLoopPostgres is TestWebhookKillLoop over PostgreSQL, where a killed server's webhooks wait until its
// lease is over.
func TestWebhookKillLoopPostgres(t *testing.T) {
	webhookKillLoop(t, 2, killTarget{env: []string{"CONSENTD_DATABASE_URL=" + pgtest.Database(t, "", nil)}})
}

// hookReceiver takes messages, some of them badly, and keeps what they said.
type hookReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string][]byte // by webhook-id
	taken  map[string]int    // how often, by the id of the event that it is about
	tried  int
	odd    []string // what should not be
}

func newHookReceiver(t *testing.T) *hookReceiver {
	r := &hookReceiver{bodies: map[string][]byte{}, taken: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // it was killed while it sent
	}
	var said struct {
		Type string
		Data struct{ ID string }
	}
	id := q.Header.Get("webhook-id")
	err = json.Unmarshal(body, &said)
	r.mu.Lock()
	before, again := r.bodies[id]
	r.bodies[id] = body
	r.tried++
	switch {
	case err != nil || id == "" || said.Type != "consent.recorded":
		r.odd = append(r.odd, fmt.Sprintf("%q: %.200s", id, body))
	case again && !bytes.Equal(before, body):
		r.odd = append(r.odd, fmt.Sprintf("%s says %.300s and then %.300s", id, before, body))
	}
	fails := !again && rand.IntN(50) == 0
	if !fails {
		r.taken[said.Data.ID]++
	}
	r.mu.Unlock()
	switch {
	case !fails:
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	case rand.IntN(2) == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = c.Close()
		}
	}
}

func (r *hookReceiver) count() (taken int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken)
}

func webhookKillLoop(t *testing.T, kills int, target killTarget) {
	t.Parallel()
	target.args = append(target.args, "--webhook-allow", "127.0.0.0/8")
	r := newHookReceiver(t)
	p := target.start(t)
	load := &writers{t: t, tenant: newTenant(t, p), lasting: true}
	load.move(p)
	status, answer := call(t, "POST", p.url+"/api/v1/organizations/"+load.tenant.organization+"/webhooks",
		map[string]string{"Authorization": "Bearer " + rootKey}, `{"url":"`+r.URL+`","events":["consent.recorded"]}`)
	if status != http.StatusCreated {
		t.Fatalf("make a webhook: %d %s", status, answer)
	}
	all := func() []event {
		t.Helper()
		written := allEvents(t, p, load.tenant)
		waitLong(t, fmt.Sprintf("messages of all %d decisions", len(written)),
			func() bool { return t.Failed() || r.count() >= len(written) })
		return written
	}
	for kill := range kills {
		if len(target.env) > 0 { // nobody writes while a lease is waited for
			all()
		}
		acknowledged, told := load.acknowledged.Load(), r.count()
		stop := load.start(3)
		waitLong(t, fmt.Sprintf("writes and messages before kill %d", kill+1), func() bool {
			return t.Failed() || load.acknowledged.Load() >= acknowledged+50 && r.count() >= told+20
		})
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		p.signal(t, syscall.SIGKILL)
		<-p.ended
		p = target.start(t)
		load.move(p)
		stop()
	}
	written := all()
	r.mu.Lock()
	defer r.mu.Unlock()
	there := map[string]bool{}
	for _, e := range written {
		there[e.ID] = true
		if r.taken[e.ID] == 0 {
			t.Errorf("nothing was told of %s", e.ID)
		}
	}
	for id := range r.taken {
		if !there[id] {
			t.Errorf("told of %s, which is not on record", id)
		}
	}
	if len(r.odd) > 0 || len(r.bodies) != len(written) {
		t.Errorf("%d ids of %d decisions, odd: %.5q", len(r.bodies), len(written), r.odd)
	}
	t.Logf("%d kills, %d decisions, %d tries", kills, len(written), r.tried)
}

// waitLong waits for what may need a lease's end, and a receiver that rests.
func waitLong(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
