package webtest

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// match compares a body with what a transcript's "< " lines would say. Captured variables are added to vars if all of
// it is right.
func match(want string, got []byte, vars map[string]string) error {
	x := &expander{vars: vars}
	expected := x.answer(answer{status: http.StatusOK, body: strings.Split(want, "\n")})
	if x.err != nil {
		return x.err
	}
	m := &matcher{vars: map[string]string{}}
	maps.Copy(m.vars, vars)
	m.answer(expected, &Response{Status: http.StatusOK, Body: got})
	if len(m.problems) > 0 {
		return errors.New(strings.Join(m.problems, "\n"))
	}
	maps.Copy(vars, m.vars)
	return nil
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ want, got string }{
		{`{"a":1,"b":[true,null]}`, ` {"b":[true,null], "a":1}` + "\n"},
		{`{"a":"<int>"}`, `{"a":123456789012345678901234567890}`},
		{`{"a":"<any>"}`, `{"a":{"b":[]}}`},
		{`{"a":"<any>"}`, `{"a":null}`},
		{`{"a":"<string>"}`, `{"a":"line\nline"}`},
		{`{"a":"<key>"}`, `{"a":"cd_test_0123456789"}`},
		{`{"a":"<uuid7>"}`, `{"a":"` + testID + `"}`},
		{`{"a":"<time>"}`, `{"a":"2026-02-28T23:59:59Z"}`},
		{`{"a":"/x/<uuid:id>/<uuid:id>"}`, `{"a":"/x/` + testID + `/` + testID + `"}`},
		{`{"a":"{{odd}}"}`, `{"a":"<uuid>"}`},
		{`{"a":"\<uuid> \<b>"}`, `{"a":"<uuid> <b>"}`},
		{`{"<b>":1}`, `{"<b>":1}`},
		{`{"a":1,"...":"..."}`, `{"b":2,"a":1}`},
		{`{"...":"..."}`, `{}`},
		{`[1,"..."]`, `[1,2,3]`},
		{`["..."]`, `[]`},
		{``, ``},
		{`ok <int>`, `ok 12`},
		{`<uuid>`, testID},
		{`"<uuid>"`, `"` + testID + `"`},
	} {
		if err := match(c.want, []byte(c.got), map[string]string{"odd": "<uuid>"}); err != nil {
			t.Errorf("match(%s, %s): %v", c.want, c.got, err)
		}
	}
}

// refusals are wrong answers, with a part of what is said about each.
var refusals = []struct{ want, got, problem string }{
	{`{"a":1}`, `{"a":1.0}`, "body /a: want 1, got 1.0"},
	{`{"a":12345678901234567890}`, `{"a":12345678901234567891}`, "want 12345678901234567890"},
	{`{"a":1}`, `{}`, "body /a: missing"},
	{`{}`, `{"a":null}`, "body /a: not expected: null"},
	{`{"a":1}`, `{"A":1}`, "body /A: not expected"},
	{`{"a":1}`, `{"a":1,"a":1}`, `member "a" twice`},
	{`{"a":null}`, `{"a":[]}`, "want null, got []"},
	{`{"a":[]}`, `{"a":{}}`, "want [], got {}"},
	{`{"a":{}}`, `{"a":null}`, "want {}, got null"},
	{`{"a":"1"}`, `{"a":1}`, `want "1", got 1`},
	{`{"a":1}`, `{"a":"1"}`, `want 1, got "1"`},
	{`{"a":true}`, `{"a":false}`, "want true, got false"},
	{`[1,2]`, `[2,1]`, "body /0: want 1, got 2"},
	{`[1]`, `[1,2]`, "body: want 1 elements, got 2"},
	{`[1,2,"..."]`, `[1]`, "body: want 2 elements"},
	{`{"a/~":{"b":1}}`, `{"a/~":{"b":2}}`, "body /a~1~0/b: want 1"},
	{`{"a":"<int>"}`, `{"a":"1"}`, `want "<int>", got "1"`},
	{`{"a":"<int>"}`, `{"a":1.5}`, `want <int>, got "1.5"`},
	{`{"a":"<string>"}`, `{"a":null}`, `want "<string>"`},
	{`{"a":"<uuid>"}`, `{"a":"` + strings.ToUpper(testID) + `"}`, "want <uuid>"},
	{`{"a":"<uuid7>"}`, `{"a":"0198d4a2-6f3c-4b1e-9a41-5f0c8e2d7b63"}`, "want <uuid7>"},
	{`{"a":"<time>"}`, `{"a":"2026-01-02T03:04:05+00:00"}`, "want <time>"},
	{`{"a":"<time>"}`, `{"a":"2026-02-30T03:04:05Z"}`, "want <time>"},
	{`{"a":"<key>"}`, `{"a":"short"}`, "want <key>"},
	{`{"a":"<any>","b":1}`, `{"b":1}`, "body /a: missing"},
	{`{"a":"<int:n>","b":"<int:n>"}`, `{"a":1,"b":2}`, `body /b: want <int:n> "1" as before, got "2"`},
	{`{"a":"<int:set>"}`, `{"a":1}`, `"7" as before`},
	{`{"a":"<nope>"}`, `{"a":"x"}`, "unknown placeholder <nope>"},
	{`{"a":"<script>x"}`, `{"a":"<script>x"}`, "unknown placeholder <script>"},
	{`{"a":"\<uuid>"}`, `{"a":"` + testID + `"}`, `want "<uuid>"`},
	{`{"a":"x-<int>"}`, `{"a":"x-01"}`, "want x-<int>"},
	{`{"a":"x-<int>"}`, `{"a":3}`, `want "x-<int>", got 3`},
	{`{"a":1}`, `{"a":1}{"a":1}`, "body is not JSON"},
	{`{"a":1}`, `{"a":1} x`, "body is not JSON"},
	{`{"a":1}`, ``, "body is not JSON"},
	{`{"a":"<any>"}`, "{\"a\":\"\xff\"}", "not UTF-8"},
	{``, ` `, `body from byte 0: want "", got " "`},
	{`a`, "a\n", `body from byte 0: want "a", got "a\n"`},
	{`ok <int>`, `ok x`, `body: want ok <int>, got "ok x"`},
	{`{{unset}}`, ``, "unknown variable {{unset}}"},
	{`{{`, ``, "{{ without }}"},
	{strings.Repeat("x", 100_000) + "y", strings.Repeat("x", 100_000) + "z",
		`body from byte 99980: want "xxxxxxxxxxxxxxxxxxxxy", got "xxxxxxxxxxxxxxxxxxxxz"`},
}

func TestMatchRefuses(t *testing.T) {
	for _, c := range refusals {
		vars := map[string]string{"set": "7"}
		err := match(c.want, []byte(c.got), vars)
		if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("match(%.100s, %.100s): want an error with %s, got %v", c.want, c.got, c.problem, err)
		}
		if len(vars) != 1 {
			t.Errorf("match(%.100s, %.100s) failed and captured: %v", c.want, c.got, vars)
		}
	}
}

func TestMatchReportsEveryProblemUpToABound(t *testing.T) {
	got := "[" + strings.TrimSuffix(strings.Repeat("1,", 100), ",") + "]"
	err := match(strings.ReplaceAll(got, "1", "2"), []byte(got), nil)
	if n := strings.Count(err.Error(), "\n") + 1; n != maxProblems+1 {
		t.Errorf("%d problems, want %d", n, maxProblems+1)
	}
}

func TestMatchCaptures(t *testing.T) {
	vars := map[string]string{}
	got := `{"id":"` + testID + `","n":12345678901234567890,"o":{"b":1, "a":"<"}}`
	if err := match(`{"id":"<uuid:id>","n":"<int:n>","o":"<any:o>"}`, []byte(got), vars); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"id": testID, "n": "12345678901234567890", "o": `{"a":"<","b":1}`}
	if !maps.Equal(vars, want) {
		t.Errorf("captured %v, want %v", vars, want)
	}
	if err := match(`{"id":"{{id}}","n":{{n}},"o":{{o}}}`, []byte(got), vars); err != nil {
		t.Errorf("captured values do not match what they came from: %v", err)
	}
}

// FuzzMatch: a document without anything special matches itself, and not with one member more.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.0,{"b":null}],"c":"\u00e9"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := string(doc)
		value, err := decode(s)
		if err != nil || strings.ContainsAny(s, "<\uE000") || strings.Contains(s, "u003") ||
			strings.Contains(s, "{{") || strings.Contains(s, "...") || strings.Contains(s, `\`) {
			return
		}
		if err := match(s, doc, map[string]string{}); err != nil {
			t.Errorf("%s does not match itself: %v", doc, err)
		}
		o, ok := value.(map[string]any)
		if !ok || o["added"] != nil {
			return
		}
		o["added"] = true
		larger, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if match(s, larger, nil) == nil || match(string(larger), doc, nil) == nil {
			t.Errorf("%s matches %s", doc, larger)
		}
	})
}
