package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/scratchpg"
)

const (
	faultWriters = 12
	faultReaders = 3
)

// trial is a consentd over PostgreSQL, under many writers and some readers, while the database breaks.
type trial struct {
	*writers
	t       *testing.T
	p       *process
	client  *http.Client
	answers *stopwatch
	reads   atomic.Int64
	ending  atomic.Bool
	running sync.WaitGroup
}

// ownPostgres is a server that the test may break.
func ownPostgres(t *testing.T) *scratchpg.Server {
	t.Helper()
	s, err := scratchpg.Start(scratchpg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePostgres(t, s) })
	psql(t, s, "postgres", "CREATE DATABASE consents")
	return s
}

func closePostgres(t *testing.T, s *scratchpg.Server) {
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func psql(t *testing.T, s *scratchpg.Server, database, sql string) string {
	t.Helper()
	out, err := s.Psql(database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// urlOf names the database on one server or several.
func urlOf(options string, addresses ...string) string {
	return "postgres://consentd@" + strings.Join(addresses, ",") + "/consents?sslmode=disable" + options
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startTrial starts a consentd and the load on it.
func startTrial(t *testing.T, url string, args ...string) *trial {
	t.Helper()
	p := serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_DATABASE_URL=" + url},
		append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	r := &trial{t: t, p: p, writers: &writers{t: t, tenant: newTenant(t, p)}, answers: &stopwatch{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * faultWriters}
	r.answers.transport, r.client = transport, &http.Client{Timeout: time.Minute, Transport: r.answers}
	r.move(p)
	t.Cleanup(func() { // also after Fatal
		r.ending.Store(true)
		r.running.Wait()
		transport.CloseIdleConnections()
	})
	r.writers.start(0)
	for range faultWriters {
		r.keep(func(n int) { r.write(r.client, n) })
	}
	for range faultReaders {
		r.keep(func(int) { r.read() })
	}
	return r
}

// keep does something again and again until the trial ends.
func (r *trial) keep(do func(n int)) {
	r.running.Go(func() {
		for n := 0; !r.ending.Load() && !r.t.Failed(); n++ {
			do(n)
		}
	})
}

// read asks for the newest events: they are there, or the database is not.
func (r *trial) read() {
	path := "/privacy-v1/organizations/" + r.tenant.organization + "/consent-events?limit=5"
	status, answer, _ := r.try(r.client, "GET", path, "", "")
	switch {
	case status == 200:
		r.reads.Add(1)
	case status >= 500:
		time.Sleep(10 * time.Millisecond)
	default:
		r.t.Errorf("GET %s: %d %s", path, status, answer)
	}
}

// goesOn waits until some writes are acknowledged and some reads answered.
func (r *trial) goesOn(writes int64) {
	r.t.Helper()
	wrote, read := r.acknowledged.Load(), r.reads.Load()
	waitFor(r.t, fmt.Sprintf("%d acknowledged writes and %d reads", writes, writes/10), func() bool {
		return r.t.Failed() || r.acknowledged.Load() >= wrote+writes && r.reads.Load() >= read+writes/10
	})
}

func (r *trial) ready() int {
	status, _ := call(r.t, "GET", r.p.url+"/readyz", nil, "")
	return status
}

// becomes waits until /readyz answers with a status.
func (r *trial) becomes(status int) {
	r.t.Helper()
	waitFor(r.t, fmt.Sprintf("/readyz to answer %d", status), func() bool { return r.t.Failed() || r.ready() == status })
}

// metric gives what a metric shows.
func (r *trial) metric(name string) float64 {
	r.t.Helper()
	_, text := call(r.t, "GET", r.p.url+"/metrics", nil, "")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			must(r.t, err)
			return v
		}
	}
	r.t.Fatalf("there is no metric %s", name)
	return 0
}

// rest ends the load.
func (r *trial) rest() {
	r.ending.Store(true)
	r.running.Wait()
}

// finish ends the load, and holds the database against what was acknowledged.
func (r *trial) finish(s *scratchpg.Server) {
	r.t.Helper()
	r.rest()
	logFailed(r.t, "%d writes acknowledged, %d requests had to be sent again, %d answers were replayed, %d reads; "+
		"the longest answer took %s; unknown %v, retries %v, pools replaced %v",
		r.acknowledged.Load(), r.again.Load(), r.replayed.Load(), r.reads.Load(), r.answers.longest(),
		r.metric("consentd_db_unknown_total"), r.metric("consentd_db_retries_total"),
		r.metric("consentd_db_pools_replaced_total"))
	r.compare(r.p)
	got := psql(r.t, s, "consents", countSequence+"'"+r.tenant.organization+"'")
	n := firstEntries + len(r.expected) + 2*len(r.erased) // the leaf of a decision, and the erasure
	if want := fmt.Sprintf("%d|%d|1|%d", n, n, n); got != want {
		r.t.Errorf("entries, sequences, least and greatest sequence are %s; want %s", got, want)
	}
	r.p.stop(r.t)
}

// stopwatch is a transport that keeps how long the longest answer took.
type stopwatch struct {
	transport *http.Transport
	most      atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (w *stopwatch) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	res, err := w.transport.RoundTrip(r)
	for took := int64(time.Since(began)); ; {
		if most := w.most.Load(); took <= most || w.most.CompareAndSwap(most, took) {
			return res, err
		}
	}
}

func (w *stopwatch) longest() time.Duration {
	return time.Duration(w.most.Load()).Round(time.Millisecond)
}

// rounds is how often a thing is done, less often for the race detector's sake.
func rounds(n int) int {
	if testing.Short() {
		return max(2, n/5)
	}
	return n
}

// TestPostgresStopped crashes the database again and again.
func TestPostgresStopped(t *testing.T) {
	s := ownPostgres(t)
	r := startTrial(t, urlOf("", s.Addr()))
	for range rounds(10) {
		r.goesOn(100)
		must(t, s.Stop("immediate"))
		r.becomes(503)
		must(t, s.Restart())
		r.becomes(200)
	}
	r.goesOn(100)
	r.finish(s)
}

// TestBackendsTerminated ends all of consentd's sessions again and again. There always is a database, so it is always
// ready.
func TestBackendsTerminated(t *testing.T) {
	s := ownPostgres(t)
	r := startTrial(t, urlOf("", s.Addr()))
	var red atomic.Int64
	r.keep(func(int) {
		if r.ready() != 200 {
			red.Add(1)
		}
		time.Sleep(10 * time.Millisecond)
	})
	terminated := 0
	for n := range rounds(40) {
		r.goesOn(5)
		time.Sleep(time.Duration(50+(n*37)%150) * time.Millisecond)
		ended := psql(t, s, "postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "+
			"application_name = 'consentd'")
		n, err := strconv.Atoi(ended)
		must(t, err)
		terminated += n
	}
	r.goesOn(100)
	logFailed(t, "%d sessions terminated", terminated)
	r.finish(s)
	if n := red.Load(); n > 0 {
		t.Errorf("/readyz was red %d times", n)
	}
}
