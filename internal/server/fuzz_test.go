package server_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// FuzzServer throws requests at the whole server, with good credentials in place of KEY, TOKEN, ORG and the like:
// whatever comes, the answer is no 5xx, and nothing panics.
func FuzzServer(f *testing.F) {
	w := newHarness(f, engines[0])
	for _, c := range calls(f, w.protocols) {
		var headers strings.Builder
		for name, value := range c.headers {
			headers.WriteString(name + ": " + value + "\n")
		}
		f.Add(c.route.Method, c.target, headers.String(), strings.ReplaceAll(c.body, "{{n}}", "1"))
	}
	f.Add("BREW", "/", "", "")
	f.Add("GET", "/persons/%00/consent/gdpr?consent_levels=%zz", "SlashID-OrgID: {{org}}\nSlashID-API-Key: {{key}}", "")
	f.Add("POST", "//v1//subjects", "Transfer-Encoding: chunked\nX-Forwarded-For: ,", "5\nhello\n0\n\n")
	var once sync.Mutex // a request's failure is found by its own log lines
	f.Fuzz(func(t *testing.T, method, target, headers, body string) {
		r := parsed(w, method, target, headers, body)
		if r == nil {
			return
		}
		once.Lock()
		defer once.Unlock()
		w.log.Reset()
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		if rec.Code >= 500 || strings.Contains(w.log.String(), "panic") {
			t.Errorf("%s %q\n%s\n%q\nanswer: %d %s\nlog: %s", method, target, headers, body, rec.Code, rec.Body, w.log)
		}
	})
}

// parsed makes the request that net/http would hand over; nil where it would refuse it itself.
func parsed(w *harness, method, target, headers, body string) *http.Request {
	var raw strings.Builder
	raw.WriteString(method + " " + w.mine.expand(target) + " HTTP/1.1\r\nHost: consentd.test\r\n")
	for line := range strings.SplitSeq(w.mine.expand(headers), "\n") {
		if line != "" {
			raw.WriteString(line + "\r\n")
		}
	}
	raw.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw.String())))
	if err != nil {
		return nil
	}
	filled := w.mine.expand(body)
	r.Body, r.ContentLength = http.NoBody, int64(len(filled))
	if filled != "" {
		r.Body = readCloser{strings.NewReader(filled)}
	}
	r.RemoteAddr = "127.0.0.1:1"
	return r
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
