package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"time"
)

// told is what a server does that tells a webhook of all that is written.
type told struct {
	overNone average // writes, of those of a server without a webhook
	messages float64 // a second meanwhile
	drained  float64 // a second while nobody writes
}

// measureWebhooks loads a server that tells a receiver of each decision in turns with one that tells nobody. The one
// whose turn it is not stands still: what it has left to send would else take from the other. Then nobody writes, and
// what is left is sent.
func (r *run) measureWebhooks(ctx context.Context) error {
	var messages atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		messages.Add(1)
	}))
	defer receiver.Close()
	person := newPeople(r.People)
	var tenants [2]*tenant
	for i, name := range []string{"data-untold", "data-told"} {
		t, err := startTenant(ctx, r.Consentd, append(r.folder(name), "CONSENTD_WEBHOOK_ALLOW=127.0.0.0/8"), person)
		if err != nil {
			return err
		}
		tenants[i] = t
		defer t.server.stop()
		defer t.server.command.Process.Signal(syscall.SIGCONT)
	}
	none, one := &compared{next: tenants[0].writes(person)}, &compared{next: tenants[1].writes(person)}
	for _, c := range []*compared{none, one} { // uncounted: a fresh write-ahead log grows
		if _, err := load(ctx, 64, r.Phase, c.next); err != nil {
			return err
		}
	}
	root := http.Header{"Authorization": {"Bearer " + rootKey}}
	err := postJSON(tenants[1].server.url+tenants[1].path+"/webhooks", root,
		[]byte(`{"url":"`+receiver.URL+`","events":["consent.recorded"]}`), nil)
	if err != nil {
		return err
	}
	sent := int64(0)
	for i := range 2*turns + 1 {
		c, other := none, tenants[1]
		if i%2 == 1 {
			c, other = one, tenants[0]
		}
		if err := other.server.command.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		before := messages.Load()
		run, err := loadAfter(ctx, 64, r.Phase/turns, 2*r.Phase/turns, c.next)
		if err != nil {
			return err
		}
		if c == one {
			sent += messages.Load() - before
		}
		c.runs = append(c.runs, run)
		if err := other.server.command.Process.Signal(syscall.SIGCONT); err != nil {
			return err
		}
	}
	r.told.overNone = one.over(none)
	r.told.messages = float64(sent) / (3 * r.Phase).Seconds()
	if err := tenants[0].server.stop(); err != nil {
		return err
	}
	before, began := messages.Load(), time.Now()
	for time.Since(began) < 2*r.Phase && ctx.Err() == nil {
		at := messages.Load()
		time.Sleep(r.Phase / 10)
		if now := messages.Load(); now == at { // all is sent
			break
		}
		r.told.drained = float64(messages.Load()-before) / time.Since(began).Seconds()
	}
	return ctx.Err()
}
