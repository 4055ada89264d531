package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/scratchpg"
)

// synchronousPair is a primary whose commits wait for its standby, and the standby, which once promoted waits for
// nobody.
func synchronousPair(t *testing.T) (primary, standby *scratchpg.Server) {
	t.Helper()
	primary = ownPostgres(t)
	standby, err := primary.Standby("second")
	must(t, err)
	t.Cleanup(func() { closePostgres(t, standby) })
	psql(t, primary, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'second'; SELECT pg_reload_conf()")
	waitFor(t, "the standby to be synchronous", func() bool {
		return psql(t, primary, "postgres", "SELECT sync_state FROM pg_stat_replication WHERE application_name = "+
			"'second'") == "sync"
	})
	return primary, standby
}

func pairURL(primary, standby *scratchpg.Server) string {
	return urlOf("&target_session_attrs=read-write", primary.Addr(), standby.Addr())
}

// TestSyncStandbyPromoted crashes a primary and puts its synchronous standby in its place.
func TestSyncStandbyPromoted(t *testing.T) {
	primary, standby := synchronousPair(t)
	r := startTrial(t, pairURL(primary, standby))
	r.goesOn(200)
	must(t, primary.Stop("immediate"))
	r.becomes(503)
	must(t, standby.Promote())
	r.becomes(200)
	r.goesOn(200)
	r.finish(standby)
}

// Limits of TestFrozenPrimary.
const (
	longestAnswer  = 15 * time.Second
	recoveryWithin = 10 * time.Second
)

// TestFrozenPrimary freezes a primary under load: it keeps its connections and takes new ones, and answers none. The
// few connections that there may be are soon all broken, and each would keep its place for 15 s.
func TestFrozenPrimary(t *testing.T) {
	primary, standby := synchronousPair(t)
	r := startTrial(t, pairURL(primary, standby), "--database-connections", "4")
	r.goesOn(200)
	must(t, primary.Freeze())
	r.becomes(503)
	again := r.again.Load()
	within(t, longestAnswer, "every writer to have an answer", func() bool { return r.again.Load() >= again+faultWriters })
	must(t, standby.Promote())
	promoted := time.Now()
	r.goesOn(50)
	r.becomes(200)
	if took := time.Since(promoted); took > recoveryWithin {
		t.Errorf("after the promotion it took %s until writes and reads went on", took)
	}
	r.goesOn(200)
	if n := r.metric("consentd_db_pools_replaced_total"); n == 0 {
		t.Error("the pool was not replaced")
	}
	if took := r.answers.longest(); took > longestAnswer {
		t.Errorf("the longest answer took %s", took)
	}
	r.finish(standby)
}

// TestUnreplicatedWrite freezes a synchronous standby. A write that waits for it is committed on the primary, where it
// can be read as soon as the wait is cut off; but it is lost where the standby becomes the primary. So nobody is told
// that it was done until the standby has it: not who retries with the same key, nor who asks for what is so already.
func TestUnreplicatedWrite(t *testing.T) {
	primary, standby := synchronousPair(t)
	r := startTrial(t, pairURL(primary, standby))
	r.goesOn(50)
	r.rest()
	people := map[string]bool{personOf(t, r.until2xx(r.client, "POST", r.tenant.eventsPath(), items("somebody"))): true}
	for _, tc := range []struct{ method, path, key, body, done string }{
		{"POST", r.tenant.eventsPath(), "the-key-of-one-write", items("somebody else"), "201 true"},
		{"PUT", "/persons/somebody/consent/gdpr", "", `{"consent_levels":["marketing"]}`, "200 false"},
	} {
		must(t, standby.Freeze())
		answered := make(chan string, 1)
		again := func() {
			go func() {
				status, answer, replayed := r.try(r.client, tc.method, tc.path, tc.key, tc.body)
				answered <- fmt.Sprintln(status, replayed, string(answer))
			}()
		}
		for _, end := range []string{"pg_cancel_backend", "pg_terminate_backend", "pg_cancel_backend"} {
			again()
			waitFor(t, "an answer when the wait for the standby is cut off", func() bool {
				// A checkpoint may wait too, before the write.
				psql(t, primary, "postgres", "SELECT count("+end+"(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
				return len(answered) > 0
			})
			if answer := <-answered; !strings.HasPrefix(answer, "500 ") {
				t.Errorf("%s, after %s: %s", tc.method, end, answer)
			}
		}
		must(t, standby.Thaw())
		again()
		answer := <-answered
		if !strings.HasPrefix(answer, tc.done) {
			t.Errorf("%s with the standby: %s", tc.method, answer)
		} else if tc.method == "POST" {
			people[personOf(t, []byte(answer[strings.IndexByte(answer, '{'):]))] = true
		}
	}
	for what, s := range map[string]*scratchpg.Server{"primary": primary, "standby": standby} {
		events := "SELECT count(*) FROM events WHERE subject_id IN ('" +
			strings.Join(slices.Collect(maps.Keys(people)), "', '") + "')"
		if n := psql(t, s, "consents", events); n != "6" { // a PUT without a key renews each time
			t.Errorf("on the %s there are %s events, want 6", what, n)
		}
	}
}

// TestMissingStandby freezes the standby that commits wait for. Reads go on and the database answers, but nothing is
// committed: the balancer is told so until the standby is back, whoever retries with a key, and whoever is refused
// meanwhile.
func TestMissingStandby(t *testing.T) {
	primary, standby := synchronousPair(t)
	r := startTrial(t, urlOf("", primary.Addr()))
	r.goesOn(50)
	other := newTenant(t, r.p)
	r.keep(func(n int) { // nobody is known by that name, which takes a batch to tell
		status, answer := call(t, "PUT", fmt.Sprintf("%s/persons/nobody-%d/consent/gdpr", r.p.url, n),
			map[string]string{"SlashID-API-Key": rootKey,
				"SlashID-OrgID": other.organization, "Content-Type": "application/json"}, `{"consent_levels":["marketing"]}`)
		if status == 200 {
			t.Errorf("nobody's consent was recorded: %s", answer)
		}
		time.Sleep(200 * time.Millisecond)
	})
	must(t, standby.Freeze())
	within(t, 40*time.Second, "/readyz to be red without a standby", func() bool { return r.ready() == 503 })
	stays := time.Now().Add(time.Duration(rounds(25)) * time.Second)
	for ; time.Now().Before(stays); time.Sleep(100 * time.Millisecond) {
		if status := r.ready(); status != 503 {
			t.Fatalf("/readyz is %d again, though nothing was committed", status)
		}
	}
	reads := r.reads.Load()
	waitFor(t, "reads to go on", func() bool { return r.reads.Load() > reads })
	must(t, standby.Thaw())
	r.becomes(200)
	r.goesOn(50)
	r.finish(primary)
}

// personOf gives the person of the one event of an answer.
func personOf(t *testing.T, answer []byte) string {
	t.Helper()
	var made eventList
	must(t, json.Unmarshal(answer, &made))
	if len(made.Items) != 1 {
		t.Fatalf("no event: %s", answer)
	}
	return made.Items[0].Person
}
