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
	"strings"
	"sync"
	"sync/atomic"
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

// TestUntoldCommands: operators see which webhooks are disabled and which messages were given up, and try or drop them.
func TestUntoldCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey}, "--webhook-allow", "127.0.0.0/8")
	o := newTenant(t, p)
	var status atomic.Int32
	var pings atomic.Int32
	status.Store(http.StatusGone)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		pings.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer receiver.Close()
	jobs := func(args ...string) *process {
		return command(t, nil, append([]string{"jobs", "--data", dir}, args...)...)
	}
	var hook, message struct{ ID string }
	ask := func(method, path, body string, to any) {
		t.Helper()
		status, answer := call(t, method, p.url+"/api/v1/organizations/"+o.organization+"/webhooks"+path,
			map[string]string{"Authorization": "Bearer " + rootKey}, body)
		if status/100 != 2 || json.Unmarshal(answer, to) != nil {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
	}
	ask("POST", "", `{"url":"`+receiver.URL+`","events":["consent.*"]}`, &hook)
	ask("POST", "/"+hook.ID+"/ping", `{}`, &message)
	within(t, 20*time.Second, "it is parked", func() bool {
		return strings.Contains(jobs("list", "--parked").out.String(), message.ID)
	})
	list := jobs("list", "--parked").out.String()
	hold(t, "the list", list, o.organization, hook.ID, "disabled", "answered 410", "webhook.ping", "parked "+
		time.Now().UTC().Format("2006-"), "to webhook "+hook.ID)
	if p := jobs("retry", message.ID); p.code != exitFailed || !strings.Contains(p.errOut.String(),
		"make it active first") {
		t.Errorf("retry while it is disabled: %d %s", p.code, p.errOut.String())
	}
	_, metrics := call(t, "GET", p.url+"/metrics", nil, "")
	hold(t, "metrics", string(metrics), `consentd_webhooks{state="active"} 0`, `consentd_webhooks{state="disabled"} 1`,
		"consentd_webhook_messages_parked 1", "consentd_webhook_behind_entries 0")

	status.Store(http.StatusOK)
	ask("PATCH", "/"+hook.ID, `{"status":"active"}`, &hook)
	before := pings.Load()
	hold(t, "retry", jobs("retry", message.ID).out.String(), "Message "+message.ID, "is due now")
	within(t, 20*time.Second, "it is sent", func() bool { return pings.Load() > before })
	within(t, 20*time.Second, "nothing is parked", func() bool {
		return strings.Contains(jobs("list", "--parked").out.String(), "no jobs")
	})
	hold(t, "drop", jobs("drop", message.ID).out.String(), "Message "+message.ID, "is dropped")
	var after struct{ Items []struct{ State string } }
	ask("GET", "/"+hook.ID+"/deliveries", "", &after)
	if len(after.Items) != 1 || after.Items[0].State != "dropped" {
		t.Errorf("deliveries after the drop: %+v", after)
	}
}
