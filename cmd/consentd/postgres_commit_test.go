package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// keyless writes without Idempotency-Keys, each thing once, and keeps what it was told.
type keyless struct {
	r       *trial
	tenant  tenant
	mu      sync.Mutex
	done    map[string]bool // people by user id, for whom a write was acknowledged
	unknown map[string]bool // … or of whom nobody knows
}

// write records one decision of somebody new.
func (k *keyless) write() {
	user := uuid.NewString()
	status, answer, _ := k.r.try(k.r.client, "POST", k.tenant.eventsPath(), "", items(user))
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case status/100 == 2:
		k.done[user] = true
	case status >= 500:
		k.unknown[user] = true
	default:
		k.r.t.Errorf("a write without a key: %d %s", status, answer)
	}
}

// compare counts the events of each person, and holds those that nobody knows of to what the proxy did to their commit.
func (k *keyless) compare(proxy *commitProxy, have map[string]int) {
	for user := range k.done {
		if have[user] != 1 {
			k.r.t.Errorf("an acknowledged event is there %d times", have[user])
		}
	}
	there := map[fault]int{}
	of := map[fault]int{}
	for user := range k.unknown {
		met := passes // no commit of the person's was cut
		for _, c := range proxy.cut {
			if !bytes.Contains(c.sent, []byte(user)) {
				continue
			}
			if met != passes {
				k.r.t.Errorf("an event whose commit was %s was sent again, and %s", met, c.met)
			}
			met = c.met
		}
		of[met]++
		there[met] += have[user]
		if have[user] > 1 {
			k.r.t.Errorf("an event that nobody could tell of is there %d times", have[user])
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

// eventsByUser counts events by the user ids of their people.
func eventsByUser(t *testing.T, table string) map[string]int {
	t.Helper()
	have := map[string]int{}
	for line := range strings.Lines(table) {
		user, count, _ := strings.Cut(strings.TrimSpace(line), "|")
		n, err := strconv.Atoi(count)
		must(t, err)
		have[user] = n
	}
	return have
}

// TestCommitWithoutAnswer cuts connections after COMMIT was sent and before its answer is there. Nobody can tell then
// whether the write was done: it is said so, nothing is tried again inside, and a retry with the same key settles it.
func TestCommitWithoutAnswer(t *testing.T) {
	s := ownPostgres(t)
	proxy := newCommitProxy(t, s.Addr())
	r := startTrial(t, urlOf("", proxy.listener.Addr().String()))
	k := &keyless{r: r, tenant: newTenant(t, r.p), done: map[string]bool{}, unknown: map[string]bool{}}
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
	k.compare(proxy, eventsByUser(t, psql(t, s, "consents", `SELECT i.value, count(e.event_id) FROM identifiers i
JOIN events e USING (organization_id, subject_id)
WHERE i.organization_id = '`+k.tenant.organization+`' GROUP BY i.value`)))
	if n, met := r.metric("consentd_db_unknown_total"), proxy.met.Load(); n != float64(met) {
		t.Errorf("%d commits were left without an answer, and %v are counted as unknown", met, n)
	}
	r.finish(s)
}
