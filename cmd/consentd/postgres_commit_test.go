package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// keyless writes without Idempotency-Keys, each thing once, and keeps what it was told.
type keyless struct {
	r       *trial
	tenant  tenant
	mu      sync.Mutex
	began   time.Time
	written int
	done    map[string]bool // decisions by when they were taken, which were acknowledged
	unknown map[string]bool // … or of which nobody knows
}

// write records one decision of somebody new, by an instant of its own: that is not encrypted on its way.
func (k *keyless) write() {
	k.mu.Lock()
	k.written++
	at := k.began.Add(time.Duration(10*k.written+1) * time.Microsecond).Format("2006-01-02T15:04:05.000000Z")
	k.mu.Unlock()
	body := strings.Replace(items(uuid.NewString()), `"userId"`, `"consentDate":"`+at+`","userId"`, 1)
	status, answer, _ := k.r.try(k.r.client, "POST", k.tenant.eventsPath(), "", body)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case status/100 == 2:
		k.done[at] = true
	case status >= 500:
		k.unknown[at] = true
	default:
		k.r.t.Errorf("a write without a key: %d %s", status, answer)
	}
}

// compare counts the events of each decision, and holds those that nobody knows of to what the proxy did to their
// commit.
func (k *keyless) compare(proxy *commitProxy, have map[string]int) {
	for at := range k.done {
		if have[at] != 1 {
			k.r.t.Errorf("an acknowledged event is there %d times", have[at])
		}
	}
	there := map[fault]int{}
	of := map[fault]int{}
	for at := range k.unknown {
		met := passes // no commit of the decision was cut
		for _, c := range proxy.cut {
			if !bytes.Contains(c.sent, []byte(at)) {
				continue
			}
			if met != passes {
				k.r.t.Errorf("an event whose commit was %s was sent again, and %s", met, c.met)
			}
			met = c.met
		}
		of[met]++
		there[met] += have[at]
		if have[at] > 1 {
			k.r.t.Errorf("an event that nobody could tell of is there %d times", have[at])
		}
	}
	logFailed(k.r.t, "%d writes without a key acknowledged; unknown by fault %v, of which there %v",
		len(k.done), of, there)
	if there[passes] > 0 {
		k.r.t.Errorf("of %d writes that were refused before their commit %d are there", of[passes], there[passes])
	}
	if of[cutBefore] == 0 || there[cutBefore] > 0 {
		k.r.t.Errorf("of %d writes whose commit never reached the server %d are there", of[cutBefore], there[cutBefore])
	}
	for _, met := range []fault{cutAfter, poolerBroken} {
		if of[met] == 0 || there[met] != of[met] {
			k.r.t.Errorf("of %d writes whose commit was done %d are there", of[met], there[met])
		}
	}
}

// eventsByInstant counts events by when they occurred.
func eventsByInstant(t *testing.T, table string) map[string]int {
	t.Helper()
	have := map[string]int{}
	for line := range strings.Lines(table) {
		at, count, _ := strings.Cut(strings.TrimSpace(line), "|")
		n, err := strconv.Atoi(count)
		must(t, err)
		have[at] = n
	}
	return have
}

// TestCommitWithoutAnswer cuts connections after COMMIT was sent and before its answer is there. Nobody can tell then
// whether the write was done: it is said so, nothing is tried again inside, and a retry with the same key settles it.
func TestCommitWithoutAnswer(t *testing.T) {
	s := ownPostgres(t)
	proxy := newCommitProxy(t, s.Addr())
	r := startTrial(t, urlOf("", proxy.listener.Addr().String()))
	k := &keyless{r: r, tenant: newTenant(t, r.p), began: time.Now().UTC().Add(-time.Hour).Truncate(time.Second),
		done: map[string]bool{}, unknown: map[string]bool{}}
	for range 4 {
		r.keep(func(int) { k.write() })
	}
	r.goesOn(20)
	if n := r.metric("consentd_db_unknown_total"); n != 0 || proxy.commits.Load() == 0 {
		t.Fatalf("%v commits without an answer before any was cut; the proxy saw %d", n, proxy.commits.Load())
	}
	for _, f := range []fault{cutBefore, cutUnderWay, cutAfter, poolerBroken} {
		met := proxy.met.Load()
		proxy.fault.Store(int32(f))
		want := int64(rounds(50))
		waitFor(t, fmt.Sprintf("%d commits to be %s", want, f), func() bool { return proxy.met.Load() >= met+want })
		proxy.fault.Store(int32(passes))
		r.goesOn(20)
	}
	r.rest()
	k.compare(proxy, eventsByInstant(t, psql(t, s, "consents", `SELECT substring(convert_from(body, 'UTF8')
FROM '"occurred_at":"([^"]*)"'), count(*) FROM events WHERE organization_id = '`+k.tenant.organization+`' GROUP BY 1`)))
	if n, met := r.metric("consentd_db_unknown_total"), proxy.met.Load(); n != float64(met) {
		t.Errorf("%d commits were left without an answer, and %v are counted as unknown", met, n)
	}
	r.finish(s)
}
