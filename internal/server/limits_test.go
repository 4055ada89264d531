package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/limit"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/webtest"
)

// limited puts another server with these limits in place of the harness's, on a clock that the test moves.
func (w *harness) limited(limits server.Limits) *testClock {
	w.Helper()
	clock := &testClock{}
	limits.Clock = clock.now
	options := w.options
	options.Limits = limits
	options.Metrics = server.NewMetrics("test", func() error { return w.svc.Ready() })
	s := httptest.NewServer(server.New(options))
	w.Cleanup(s.Close)
	w.url, w.urls = s.URL, []string{s.URL}
	return clock
}

// testClock stands still until it is moved.
type testClock struct{ passed atomic.Int64 }

func (c *testClock) now() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.passed.Load()))
}

func (c *testClock) pass(d time.Duration) { c.passed.Add(int64(d)) }

// headers fails unless an answer says that of the limits.
func saysLimits(t *testing.T, what string, res *webtest.Response, policy, left, retry string) {
	t.Helper()
	for name, want := range map[string]string{"RateLimit-Policy": policy, "RateLimit": left, "Retry-After": retry} {
		if got := strings.Join(res.Header.Values(name), " | "); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
}

var oneAnHour = limit.Quota{Count: 1, Window: time.Hour}

// TestLimitOfKey proves native.md: with limits on, every protocol answers what is over them by 429 in its own shape
// with Retry-After, says in headers how the key stands, and does nothing.
func TestLimitOfKey(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	w.limited(server.Limits{Key: oneAnHour})
	const policy = `"key";q=1;w=3600`
	first := w.do(w.mine, "GET", "/v1/subjects", bearerKey, "")
	if first.Status != 200 {
		t.Fatalf("%v", first)
	}
	saysLimits(t, "the first call", first, policy, `"key";r=0;t=3600`, "")
	w.do(w.mine, "GET", concordOrg, concordRoot, "") // the root key's
	before := w.contents()
	for _, c := range calls(t, w.protocols) {
		if c.open {
			continue
		}
		res := c.send(w, w.mine, nil, c.body)
		c.refused(w, res, 429, "over the limit of its key")
		saysLimits(t, c.name, res, policy, `"key";r=0;t=3600`, "3600")
	}
	w.unchanged("", before, "calls over the limit")
	if res := w.do(w.theirs, "GET", "/v1/subjects", bearerKey, ""); res.Status != 200 {
		t.Errorf("another's key: %v", res)
	}
	metrics := string(webtest.DoURL(w, w.url, "GET", "/metrics", nil, "").Body)
	if !strings.Contains(metrics, `consentd_requests_limited_total{limit="key"} `) ||
		!strings.Contains(metrics, `consentd_requests_limited_total{limit="organization"} 0`) ||
		strings.Contains(metrics, `consentd_requests_limited_total{limit="key"} 0`) {
		t.Errorf("the metrics do not count them:\n%s", metrics)
	}
}

// TestLimitOfOrganization: all keys of an organization share one quota, and what the root key does for it counts too.
func TestLimitOfOrganization(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	clock := w.limited(server.Limits{Key: limit.Quota{Count: 1000, Window: time.Second},
		Organization: limit.Quota{Count: 3, Window: 30 * time.Second}})
	const policy = `"key";q=1000;w=1, "organization";q=3;w=30`
	const full = `"key";r=999;t=1, `
	saysLimits(t, "key", w.do(w.mine, "GET", "/v1/subjects", bearerKey, ""), policy,
		full+`"organization";r=2;t=10`, "")
	saysLimits(t, "root key", w.do(w.mine, "GET", concordOrg, concordRoot, ""), policy,
		full+`"organization";r=1;t=20`, "")
	saysLimits(t, "token", w.do(w.mine, "GET", "/consent/gdpr", bearerToken, ""), policy,
		`"key";r=998;t=1, "organization";r=0;t=30`, "")
	for _, c := range calls(t, w.protocols) {
		if c.open || c.root && !strings.Contains(c.target, "{{org}}") {
			continue
		}
		clock.pass(time.Millisecond)
		res := c.send(w, w.mine, nil, c.body)
		c.refused(w, res, 429, "over the limit of its organization")
		if got := res.Header.Get("Retry-After"); got != "10" {
			t.Errorf("%s: Retry-After %q", c.name, got)
		}
	}
	if res := w.do(w.theirs, "GET", "/v1/subjects", bearerKey, ""); res.Status != 200 {
		t.Errorf("another organization: %v", res)
	}
	clock.pass(10 * time.Second)
	if res := w.do(w.mine, "GET", "/v1/subjects", bearerKey, ""); res.Status != 200 {
		t.Errorf("after Retry-After: %v", res)
	}
}

// TestLimitOfFailures: an address that shows too many wrong credentials is answered 429, in each protocol's shape,
// until it has waited; a key that is known as good, and other addresses, are served as ever.
func TestLimitOfFailures(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	clock := w.limited(server.Limits{Failures: limit.Quota{Count: 3, Window: 30 * time.Second}})
	from := func(address string, v vars) *webtest.Response {
		return w.do(v, "GET", "/v1/subjects", map[string]string{"Authorization": "Bearer {{key}}",
			"X-Forwarded-For": address}, "")
	}
	expect := func(what string, res *webtest.Response, status int) {
		t.Helper()
		if res.Status != status {
			t.Errorf("%s: want %d, got %v", what, status, res)
		}
	}
	wrong := w.mine.with(vars{"key": "wrong", "token": "wrong", "root": "wrong"})
	unseen, _ := w.key(w.actorOf(w.mine), "unseen", "subjects:read")
	const mine, neighbour, other = "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"
	expect("a good key", from(mine, w.mine), 200)
	for range 100 { // costs nothing, so counts for nothing
		expect("no key", w.do(w.mine, "GET", "/v1/subjects", map[string]string{"X-Forwarded-For": mine}, ""), 401)
	}
	for range 3 {
		expect("a wrong key", from(neighbour, wrong), 401)
	}
	for _, c := range calls(t, w.protocols) {
		if c.open {
			continue
		}
		res := c.send(w, wrong, map[string]string{"X-Forwarded-For": mine}, c.body)
		c.refused(w, res, 429, "over the limit of failures")
		saysLimits(t, c.name, res, "", "", "10")
	}
	expect("no key over the limit", w.do(w.mine, "GET", "/v1/subjects", map[string]string{"X-Forwarded-For": mine}, ""),
		401)
	expect("a key known as good", from(mine, w.mine), 200)
	expect("a good key that was never seen", from(mine, w.mine.with(vars{"key": unseen})), 429)
	expect("the same from elsewhere", from(other, w.mine.with(vars{"key": unseen})), 200)
	expect("the same, known now", from(mine, w.mine.with(vars{"key": unseen})), 200)
	clock.pass(10 * time.Second)
	expect("a wrong key, later", from(mine, wrong), 401)
	expect("and another", from(mine, wrong), 429)
}

// TestLimitsAreOff: without limits no answer speaks of any.
func TestLimitsAreOff(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	for range 3 {
		saysLimits(t, "a good key", w.do(w.mine, "GET", "/v1/subjects", bearerKey, ""), "", "", "")
	}
}

// TestLimitsAtOnce has many calls of one key at once: exactly its quota is answered.
func TestLimitsAtOnce(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	w.limited(server.Limits{Key: limit.Quota{Count: 50, Window: time.Hour}, Failures: oneAnHour})
	statuses := make(chan int, 200)
	for range cap(statuses) {
		go func() {
			statuses <- webtest.DoURL(w, w.url, "GET", "/v1/subjects",
				map[string]string{"Authorization": "Bearer " + w.mine["key"]}, "").Status
		}()
	}
	counted := map[int]int{}
	for range cap(statuses) {
		counted[<-statuses]++
	}
	if got := fmt.Sprint(counted); got != "map[200:50 429:150]" {
		t.Errorf("answered %s", got)
	}
}
