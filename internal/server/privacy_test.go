package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/webtest"
)

// from is what a browser and a trusted proxy add to a request.
var from = map[string]string{"X-Forwarded-For": "203.0.113.77", "User-Agent": "AntelopeBrowser/7.1",
	"Referer": "https://okapi.example/one@okapi.example"}

// TestLogs proves that no log line, at any level, no metric and no Location has anything of a person or a key,
// over all calls and their mistakes; and that each request has one access line that says what it should.
func TestLogs(t *testing.T) { onEngines(t, testLogs) }

func testLogs(t *testing.T, e *engine) {
	w := newHarness(t, e)
	all := calls(t, w.protocols)
	for _, c := range all {
		for _, tc := range []struct {
			v    vars
			body string
			key  bool // the credentials are good
		}{
			{w.mine, c.body, true}, {w.mine, `{"email":"one.giraffe@shop.example","email":"+31610505002"}`, true},
			{w.mine.with(vars{"key": w.mine["key"] + "x", "root": "giraffe root", "token": w.mine["token"] + "x"}), c.body,
				false},
			{w.mine.with(vars{"person": "one.giraffe@shop.example", "subject": "+31610505002", "device": "giraffe"}), c.body,
				true},
		} {
			change := maps.Clone(from)
			change["Idempotency-Key"] = "giraffe {{n}}"
			w.accessLine(&c, tc.v, c.send(w, tc.v, change, tc.body), tc.key)
		}
	}
	for _, path := range []string{"/one.giraffe@shop.example", "/persons/one.giraffe@shop.example/x/y",
		"/v1/one.giraffe@shop.example", "/readyz"} {
		w.do(w.mine, "DELETE", path+"?email=one.giraffe@shop.example", from, "")
	}
	w.store.set(updating)
	for _, c := range all {
		c.send(w, w.mine, from, c.body)
	}
	w.store.set(none)
	res := webtest.DoURL(w, w.url, "GET", "/metrics", nil, "")
	w.clean("the log", w.log.String())
	w.clean("/metrics", string(res.Body))
}

// clean fails where a text has anything personal or secret.
func (w *harness) clean(where, text string) {
	w.Helper()
	lower := strings.ToLower(text)
	secrets := []string{"giraffe", "zebra", "antelope", "okapi", "203.0.113", "cd_live_", "cd_test_", "@", webtest.RootKey}
	for _, v := range []vars{w.mine, w.theirs} {
		for _, name := range []string{"email", "phone", "person", "doomedperson", "subject", "device", "key", "token",
			"revokedkey", "expiredkey"} {
			secrets = append(secrets, v[name])
			if len(v[name]) > 60 { // of keys and tokens not even a part
				secrets = append(secrets, v[name][50:58])
			}
		}
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte("ops@shop.example:"+v["key"])))
	}
	for _, secret := range secrets {
		if at := strings.Index(lower, strings.ToLower(secret)); at >= 0 {
			w.Errorf("%s has %q: %s", where, secret, text[max(0, at-200):min(len(text), at+200)])
		}
	}
}

// accessLine finds the one line of a request and looks at what it says.
func (w *harness) accessLine(c *call, v vars, res *webtest.Response, goodKey bool) {
	w.Helper()
	if strings.Contains(res.Header.Get("Location"), "@") {
		w.Errorf("%s: a Location has an e-mail address: %v", c.name, res)
	}
	mine := w.accessLines(res)
	for wait := time.Now(); len(mine) == 0 && time.Since(wait) < 10*time.Second; mine = w.accessLines(res) {
		time.Sleep(time.Millisecond) // a long answer is there before the line is
	}
	if len(mine) != 1 {
		w.Fatalf("%s: %d access lines for %v", c.name, len(mine), res)
	}
	line := mine[0]
	key := v["keyid"]
	switch {
	case c.open || !goodKey:
		key = "-"
	case c.root:
		key = rootKeyID(w)
	}
	want := map[string]any{"protocol": c.protocol, "method": c.route.Method, "route": c.route.Pattern,
		"status": float64(res.Status), "key": key}
	for name, value := range want {
		if line[name] != value {
			w.Errorf("%s: the access line says %s %v, not %v, of %v", c.name, name, line[name], value, res)
		}
	}
	if us, ok := line["us"].(float64); !ok || us < 1 || us > 30e6 {
		w.Errorf("%s: the access line says it took %v µs", c.name, line["us"])
	}
	known := []string{"time", "level", "msg", "id", "us", "protocol", "method", "route", "status", "key"}
	for name := range line {
		if !slices.Contains(known, name) {
			w.Errorf("%s: the access line has %q besides", c.name, name)
		}
	}
}

// accessLines finds the lines of the request that was answered.
func (w *harness) accessLines(res *webtest.Response) (lines []map[string]any) {
	w.Helper()
	for text := range strings.Lines(w.log.String()) {
		if !strings.Contains(text, `"`+res.Header.Get("X-Request-Id")+`"`) || !strings.Contains(text, `"msg":"request"`) {
			continue
		}
		var line map[string]any
		w.must(json.Unmarshal([]byte(text), &line))
		lines = append(lines, line)
	}
	return lines
}

func rootKeyID(w *harness) string {
	w.Helper()
	root, err := w.svc.Authenticate(w.Context(), webtest.RootKey)
	w.must(err)
	return root.Key.String()
}

var (
	metricLine = regexp.MustCompile(`^(consentd_[a-z_]+)(\{(?:[a-z]+="(?:[^"\\]|\\.)*",?)*\})? [-+0-9.eEInfNa]+$`)
	label      = regexp.MustCompile(`([a-z]+)="((?:[^"\\]|\\.)*)"`)
)

// TestMetrics proves that all names begin with consentd_, and that labels have words of ours only, whatever clients
// send.
func TestMetrics(t *testing.T) { onEngines(t, testMetrics) }

func testMetrics(t *testing.T, e *engine) {
	w := newHarness(t, e)
	words := map[string][]string{"method": {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"},
		"route": {"-", "/healthz", "/readyz", "/metrics"}, "protocol": {"none", "system"},
		"outcome": {"committed", "failed", "signed", "refused", "behind", "cosigned", "forked", "unknown"}}
	for _, p := range w.protocols {
		words["protocol"] = append(words["protocol"], p.Name)
		for _, route := range p.Routes {
			words["route"] = append(words["route"], route.Pattern)
		}
	}
	w.do(w.mine, "POST", "/consent-hub/consent", basicKey,
		`{"email":"{{email}}","locale":"NL","consents":[{"key":"news","granted":true}]}`)
	for i := range 20 {
		for _, path := range []string{"/raw", "/persons/raw", "/persons/raw/consent/gdpr", "/v1/subjects/raw/raw",
			"/consent-hub/raw", "/healthz/raw", "/readyz?raw"} {
			for _, method := range []string{"GET", "PUT", "HEAD", "RAW" + fmt.Sprint(i)} {
				w.do(w.mine, method, path+fmt.Sprint(i), nil, "")
			}
		}
	}
	res := webtest.DoURL(w, w.url, "GET", "/metrics", nil, "")
	seen := map[string]bool{}
	for line := range strings.Lines(string(res.Body)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := metricLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("/metrics: %q is no metric of ours", line)
			continue
		}
		seen[m[1]] = true
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if allowed, ok := words[l[1]]; ok && !slices.Contains(allowed, l[2]) {
				t.Errorf("/metrics: %s=%q is not a word of ours: %s", l[1], l[2], line)
			}
		}
	}
	for _, name := range []string{"consentd_requests_total", "consentd_request_duration_seconds_count",
		"consentd_batches_total", "consentd_checkpoints_total", "consentd_ready"} {
		if !seen[name] {
			t.Errorf("/metrics has no %s:\n%s", name, res.Body)
		}
	}
}
