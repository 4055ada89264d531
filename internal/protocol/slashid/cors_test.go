package slashid

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/protocol"
)

const listed = "https://shop.example"

// call plays one request against a handler of an api without a service: enough for what ends before it is asked.
func call(t *testing.T, method, target, from string, handle func(*api, *protocol.Call) error) *http.Response {
	t.Helper()
	a := &api{cors: corsFor([]string{listed, "http://localhost:3000"}), tokens: newTokens(nil, testIssuer, nil)}
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, nil)
	if from != "" {
		r.Header.Set("Origin", from)
	}
	c := &protocol.Call{ResponseWriter: rec, Request: r}
	if err := handle(a, c); err != nil {
		a.fail(c, err)
	}
	return rec.Result()
}

// headers gives what a browser looks at.
func headers(r *http.Response) map[string][]string {
	got := map[string][]string{}
	for _, name := range []string{"Vary", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
		"Access-Control-Allow-Headers", "Access-Control-Max-Age", "Access-Control-Allow-Credentials"} {
		if values := r.Header.Values(name); len(values) > 0 {
			got[name] = values
		}
	}
	return got
}

// slashid.md, CORS: a preflight from a listed origin is granted what the SDK needs, exactly for that origin.
func TestPreflight(t *testing.T) {
	preflight := func(a *api, c *protocol.Call) error { return a.cors.Preflight(c) }
	granted := func(origin string) map[string][]string {
		return map[string][]string{
			"Vary":                         {"Origin"},
			"Access-Control-Allow-Origin":  {origin},
			"Access-Control-Allow-Methods": {"GET, POST, PUT, DELETE"},
			"Access-Control-Allow-Headers": {"authorization, content-type, slashid-sdkversion"},
			"Access-Control-Max-Age":       {"7200"},
		}
	}
	refused := map[string][]string{"Vary": {"Origin"}}
	for origin, want := range map[string]map[string][]string{
		listed:                       granted(listed),
		"http://localhost:3000":      granted("http://localhost:3000"),
		"":                           refused,
		"null":                       refused,
		"https://evil.example":       refused,
		listed + ".evil.example":     refused,
		"http://shop.example":        refused,
		"https://SHOP.example":       refused,
		listed + ":443":              refused,
		listed + ", " + "http://x.y": refused,
	} {
		response := call(t, http.MethodOptions, ownLevels, origin, preflight)
		if response.StatusCode != http.StatusNoContent {
			t.Errorf("%q: status %d", origin, response.StatusCode)
		}
		if diff := cmp.Diff(want, headers(response)); diff != "" {
			t.Errorf("%q: %s", origin, diff)
		}
	}
}

// Errors carry the headers too, or a page could not read them: our own and those from before a handler.
func TestCORSOnErrors(t *testing.T) {
	withoutToken := func(a *api, c *protocol.Call) error { return a.byToken(nil)(c) }
	otherMethod := func(*api, *protocol.Call) error {
		return &protocol.StatusError{Status: 405, Msg: "method not allowed"}
	}
	for _, tc := range []struct {
		name, target string
		handle       func(*api, *protocol.Call) error
		status       int
		want         map[string][]string
	}{
		{"401", ownLevels, withoutToken, 401,
			map[string][]string{"Vary": {"Origin"}, "Access-Control-Allow-Origin": {listed}}},
		{"405", ownLevels + "?a=b", otherMethod, 405,
			map[string][]string{"Vary": {"Origin"}, "Access-Control-Allow-Origin": {listed}}},
		{"another path", "/persons", otherMethod, 405, map[string][]string{}},
	} {
		response := call(t, http.MethodPatch, tc.target, listed, tc.handle)
		if response.StatusCode != tc.status {
			t.Errorf("%s: status %d", tc.name, response.StatusCode)
		}
		if diff := cmp.Diff(tc.want, headers(response)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}
