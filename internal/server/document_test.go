package server_test

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/openapi"
	"github.com/consentd/consentd/internal/protocol/native"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/webtest"
)

// systemCalls are those of no protocol. HEAD comes with GET.
var systemCalls = []string{"GET /healthz", "GET /readyz", "GET /metrics", "GET /api/openapi.json", "GET /docs",
	"GET /docs/assets/{asset}", "GET /docs/errors/{name}"}

// silent is for a server without a store, of which only the documents are asked for.
var silent = server.Options{Log: slog.New(slog.DiscardHandler)}

// documentedCalls lists the calls of the document, "METHOD path", in order.
func documentedCalls(t *testing.T) (calls []string) {
	t.Helper()
	raw, err := openapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for method := range item {
			if method != "parameters" {
				calls = append(calls, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(calls)
	return calls
}

// documentedPath is a pattern as the document has it, where a rest of slashes needs a name.
func documentedPath(pattern string) string {
	return strings.Replace(pattern, "/tile/*", "/tile/{tile}", 1)
}

// TestDocumentHasTheCallsThereAre: a call that is mounted is in the document, and no other one is.
func TestDocumentHasTheCallsThereAre(t *testing.T) {
	t.Parallel()
	documented := documentedCalls(t)
	mounted := slices.Clone(systemCalls)
	for _, p := range listed {
		for _, route := range p.Routes {
			mounted = append(mounted, route.Method+" "+documentedPath(route.Pattern))
		}
	}
	for _, call := range mounted {
		if !slices.Contains(documented, call) {
			t.Errorf("%s is mounted and not in the document: add it to a file in internal/openapi", call)
		}
	}
	for _, call := range documented {
		if !slices.Contains(mounted, call) {
			t.Errorf("%s is in the document and not mounted", call)
		}
	}
}

// TestDocumentsAreServed looks at every path of the documents, and at those beside them.
func TestDocumentsAreServed(t *testing.T) {
	t.Parallel()
	h := server.New(silent)
	get := func(path string, headers map[string]string) *webtest.Response {
		return webtest.Do(t, h, "GET", path, headers, "")
	}
	for path, kind := range map[string]string{
		"/api/openapi.json":                 "application/json",
		"/docs/errors/unprocessable":        "text/html; charset=utf-8",
		"/docs":                             "text/html; charset=utf-8",
		"/docs/assets/swagger-ui.css":       "text/css; charset=utf-8",
		"/docs/assets/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	} {
		plain := get(path, nil)
		etag := plain.Header.Get("ETag")
		if plain.Status != 200 || plain.Header.Get("Content-Type") != kind || len(etag) < 10 ||
			plain.Header.Get("X-Content-Type-Options") != "nosniff" || plain.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, plain)
		}
		if again := get(path, map[string]string{"If-None-Match": etag}); again.Status != 304 || len(again.Body) > 0 {
			t.Errorf("%s, unchanged: %v", path, again)
		}
		if post := webtest.Do(t, h, "POST", path, nil, ""); post.Status != 405 ||
			post.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %v", path, post)
		}
	}
	for _, p := range native.Problems() {
		if res := get(native.TypeBase+p.Name, nil); res.Status != 200 || !strings.Contains(string(res.Body), p.ToDo[:20]) {
			t.Errorf("%s: %v", p.Name, res)
		}
	}
	if body := get("/api/openapi.json", nil).Body; !json.Valid(body) {
		t.Errorf("the document is no JSON: %.200s", body)
	}
	for _, path := range []string{"/docs/", "/docs/assets/", "/docs/assets/x.js", "/docs/errors/", "/docs/errors/none",
		"/api/openapi.yaml"} {
		if res := get(path, nil); res.Status != 404 {
			t.Errorf("%s: %v", path, res)
		}
	}
}
