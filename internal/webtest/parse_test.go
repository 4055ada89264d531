package webtest

import (
	"os"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ transcript, problem string }{
		{"", "f: no exchanges"},
		{"# only a comment\n", "f: no exchanges"},
		{"> GET /", "f:1: request without an answer"},
		{"> GET /\n\n> GET /\n< 200", "f:3: request without an answer"},
		{"> GET /\n< 200\n\n< body", "f:4: answer without a request"},
		{"> GET /\n< 200\n# comment\n< body", "f:4: answer without a request"},
		{"< 200", "f:1: answer without a request"},
		{"x", "f:1: line starts with none of # > <"},
		{">GET /\n< 200", "f:1: no space after >"},
		{"> GET\n< 200", "f:1: want method and target"},
		{"> GET /\n> nocolon\n< 200", "f:2: want Name: value"},
		{"> GET /\n> a b: c\n< 200", "f:2: want Name: value"},
		{"> GET /\n< OK", "f:2: want a final status"},
		{"> GET /\n< 100", "f:2: want a final status"},
		{"> GET /\n<200", "f:2: want a final status"},
		{"> GET /\n< 200 OK", "f:2: want a final status"},
		{"> GET /\n< 200\n<x", "f:3: after < comes"},
		{"> GET /\n< 200\n< !", "f:3: want !Header-Name"},
		{"> GET /\n< 200\n< {\"a\":1}", "f:3: want Name: value"},
		{"> GET /\n< 200\n<* x", "f:3: want a space or nothing after <*"},
		{"> GET /\n< 200\n<*\n<*", "f:4: <* after <*"},
		{"> GET /\n< 200\n<=x", "f:3: want a space or nothing after <="},
		{"> GET /\n< 200\n<~", "f:3: <~ without a text"},
		{"> GET /\n< 200\n<= x\n< y", "f:4: <  after <=: a body is expected in one way"},
		{"> GET /\n< 200\n<\n< {\"a\":\"<uid>\"}", "f:4: unknown placeholder <uid>"},
		{"> GET /\n< 200\n< A: <uid>", "f:3: unknown placeholder <uid>"},
		{"> GET /\r\n< 200", "f:1: carriage return"},
		{"> GET /{{\n< 200", "f:1: {{ without }}"},
		{"> GET /{{a b}}\n< 200", "f:1: {{a b}} is not a variable name"},
		{"> GET /{{}}\n< 200", "f:1: {{}} is not a variable name"},
		{"> GET /{{upper:a}}\n< 200", "there is no {{upper:…}}"},
		{"> GET /{{hex:0}}\n< 200", "f:1: {{hex:0}}"},
		{"> GET /{{repeat:x:y}}\n< 200", "f:1: {{repeat:x:y}}"},
		{"> GET /{{repeat:9}}\n< 200", "f:1: {{repeat:9}}"},
		{"> GET /{{repeat:-1:y}}\n< 200", "f:1: {{repeat:-1:y}}"},
		{"> GET /{{repeat:999999999:y}}\n< 200", "more than"},
		{"> GET /{{basic:user}}\n< 200", "f:1: {{basic:user}}"},
	} {
		_, err := parse("f", c.transcript)
		if err == nil || !strings.HasPrefix(err.Error(), "f:") || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q: want an error with %q, got %v", c.transcript, c.problem, err)
		}
	}
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"key": "k:1", "q": "a&b"}
	for in, want := range map[string]string{
		"":                              "",
		"a}}b":                          "a}}b",
		"{{key}}-{{key}}":               "k:1-k:1",
		"{{basic:me@example.com:key}}":  "Basic bWVAZXhhbXBsZS5jb206azox",
		"{{basic:a{{q}}:key}}":          "Basic YWEmYjprOjE=",
		"Basic {{base64:me:{{key}}}}":   "Basic bWU6azox",
		"{{repeat:3:[}}":                "[[[",
		"{{repeat:2:{{hex:7d}}}}":       "}}",
		"{{repeat:2:a:b}}":              "a:ba:b",
		"{{repeat:0:x}}":                "",
		"{{hex:7b7b}}key}}":             "{{key}}",
		"{{query:{{q}}}}":               "a%26b",
		`{"a":{{key}}}`:                 `{"a":k:1}`,
		`{{repeat:2:{{repeat:2:x}}y}}z`: "xxyxxyz",
	} {
		tmpl, err := parseTemplate(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := tmpl.expand(vars); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

// FuzzParse: what the parser takes has exchanges, each with a position and a status, and errors name the place.
func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("testdata/things.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample))
	f.Add("> GET /{{a}}\n< 200\n<\n< {\"a\":\"<any:b>\"}\n\n> POST /{{basic:a:b}}\n>\n> {{hex:ff}}\n< 202\n<*")
	f.Fuzz(func(t *testing.T, data string) {
		tr, err := parse("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("no place in %v", err)
			}
			return
		}
		if len(tr.exchanges) == 0 {
			t.Error("no exchanges")
		}
		for _, ex := range tr.exchanges {
			if ex.pos.line < 1 || ex.method == "" || ex.want.status < 200 || ex.want.pos.line <= ex.pos.line {
				t.Errorf("odd exchange %+v", ex)
			}
		}
		undefined(tr, nil)
	})
}
