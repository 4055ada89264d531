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
		{"> GET /", "f:1: no answer"},
		{"> GET /\n\n> GET /\n< 200", "f:1: no answer"},
		{"> GET /\n# comment\n< 200", "f:1: no answer"},
		{"> GET /\n< 200\n\n< body", "f:4: no request"},
		{"> GET /\n< 200\n# comment\n< body", "f:4: no request"},
		{"< 200", "f:1: no request"},
		{"x", "f:1: no request"},
		{"> GET /\n< 200\nx", "f:3: no request"},
		{">GET /\n< 200", "f:1: a space is missing"},
		{"> GET /\n>\n>x\n< 200", "f:1: a space is missing"},
		{"> GET /\n>=x\n< 200", "f:1: a space is missing"},
		{"> GET\n< 200", "f:1: want method and target"},
		{"> GET /\n> nocolon\n< 200", "f:1: want Name: value"},
		{"> GET /\n> a b: c\n< 200", "f:1: want Name: value"},
		{"> GET /\n< OK", "f:1: want a final status"},
		{"> GET /\n< 100", "f:1: want a final status"},
		{"> GET /\n<200", "f:1: want a final status"},
		{"> GET /\n< 200 OK", "f:1: want a final status"},
		{"> GET /\n<\n< 200", "f:1: want a final status"},
		{"> GET /\n< 200\n<x", "f:1: a space is missing"},
		{"> GET /\n< 200\n< !", "f:1: want Name: value or !Name"},
		{"> GET /\n< 200\n< !A: b", "f:1: want Name: value or !Name"},
		{"> GET /\n< 200\n< {\"a\":1}", "f:1: want Name: value"},
		{"> GET /\n< 200\n<* x", "f:1: a text behind <*"},
		{"> GET /\n< 200\n<*\n<*", "f:1: <* after <*"},
		{"> GET /\n< 200\n<=x", "f:1: a space is missing"},
		{"> GET /\n< 200\n<~", "f:1: <~ without a text"},
		{"> GET /\n< 200\n<= x\n< y", "f:1: < after <=: a body is expected in one way"},
		{"> GET /\r\n< 200", "f: carriage return"},
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
		x := &expander{vars: vars}
		if got := x.text(in); got != want || x.err != nil {
			t.Errorf("%s: got %q, %v, want %q", in, got, x.err, want)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	for in, problem := range map[string]string{
		"{{":                        "{{ without }}",
		"{{repeat:2:{{x}}":          "{{ without }}",
		"{{a b}}":                   "unknown variable {{a b}}",
		"{{}}":                      "unknown variable {{}}",
		"{{unset}}{{":               "unknown variable {{unset}}",
		"{{repeat:2:{{unset}}}}":    "unknown variable {{unset}}",
		"{{basic:me:unset}}":        "unknown variable {{unset}}",
		"{{upper:a}}":               "{{upper:a}}: there are",
		"{{hex:0}}":                 "{{hex:0}}: ",
		"{{in:soon}}":               "{{in:soon}}: ",
		"{{repeat:x:y}}":            "{{repeat:x:y}}: want",
		"{{repeat:9}}":              "{{repeat:9}}: want",
		"{{repeat:-1:y}}":           "{{repeat:-1:y}}: want",
		"{{repeat:999999999:y}}":    "of at most",
		"{{repeat:9:{{repeat:x:y}}": "{{ without }}",
		"{{basic:user}}":            "{{basic:user}}: want",
	} {
		x := &expander{vars: map[string]string{"key": "k"}}
		if got := x.text(in); x.err == nil || !strings.Contains(x.err.Error(), problem) {
			t.Errorf("%s: got %q, %v, want an error with %s", in, got, x.err, problem)
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
		exchanges, err := parse("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("no place in %v", err)
			}
			return
		}
		if len(exchanges) == 0 {
			t.Error("no exchanges")
		}
		for _, ex := range exchanges {
			if !strings.HasPrefix(ex.place, "f:") || ex.method == "" || ex.target == "" || ex.want.status < 200 {
				t.Errorf("odd exchange %+v", ex)
			}
			(&expander{vars: map[string]string{}}).answer(ex.want)
		}
	})
}
