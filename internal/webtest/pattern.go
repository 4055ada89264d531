package webtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// kind is a type of placeholder.
type kind struct {
	syntax string              // as a part of a text
	check  func(s string) bool // what the syntax cannot say; may be nil
	value  func(v any) bool    // is v of the JSON type that the placeholder alone stands for?
}

var kinds = map[string]kind{
	"any":    {syntax: `.*?`, value: func(any) bool { return true }},
	"string": {syntax: `.*?`, value: isA[string]},
	"int":    {syntax: `-?(?:0|[1-9][0-9]*)`, value: isA[json.Number]},
	"number": {syntax: `-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`, value: isA[json.Number]},
	"bool":   {syntax: `true|false`, value: isA[bool]},
	"uuid":   {syntax: `[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}`, value: isA[string]},
	"uuid7":  {syntax: `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`, value: isA[string]},
	"key":    {syntax: `[!-~]{16,}?`, value: isA[string]},
	"time": {syntax: `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z`, value: isA[string],
		check: isTime},
}

func isA[T any](v any) bool { _, ok := v.(T); return ok }

func isTime(s string) bool { _, err := time.Parse(time.RFC3339, s); return err == nil }

// pattern is a text with placeholders, parsed.
type pattern []piece

// piece is a literal text or a placeholder.
type piece struct {
	text    string // as written
	kind    string // empty: literal
	capture string
}

// plainLT stands for a < that opens no placeholder, from \< or from a variable's value, until the pattern is parsed.
const plainLT = "\uE000"

func escape(s string) string       { return strings.ReplaceAll(s, "<", plainLT) }
func escapeMarked(s string) string { return strings.ReplaceAll(s, `\<`, plainLT) }
func unescape(s string) string     { return strings.ReplaceAll(s, plainLT, "<") }

var placeholderForm = regexp.MustCompile(`<([A-Za-z][A-Za-z0-9]*)(?::([A-Za-z_][A-Za-z0-9_]*))?>`)

func parsePattern(s string) (pattern, error) {
	var pat pattern
	from := 0
	for _, m := range placeholderForm.FindAllStringSubmatchIndex(s, -1) {
		ph := piece{text: s[m[0]:m[1]], kind: s[m[2]:m[3]]}
		if _, ok := kinds[ph.kind]; !ok {
			known := strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
			return nil, fmt.Errorf("unknown placeholder %s; there are %s; for a plain < write \\<", ph.text, known)
		}
		if m[4] >= 0 {
			ph.capture = s[m[4]:m[5]]
		}
		if from < m[0] {
			pat = append(pat, piece{text: unescape(s[from:m[0]])})
		}
		pat = append(pat, ph)
		from = m[1]
	}
	if from < len(s) {
		pat = append(pat, piece{text: unescape(s[from:])})
	}
	return pat, nil
}

// isLiteral reports whether the pattern has no placeholder.
func (p pattern) isLiteral() bool {
	return len(p) == 0 || len(p) == 1 && p[0].kind == ""
}

// String shows the pattern as it was written.
func (p pattern) String() string {
	var b strings.Builder
	for _, pc := range p {
		b.WriteString(pc.text)
	}
	return b.String()
}

// match returns what each placeholder stands for in got, in order.
func (p pattern) match(got string) (values []string, ok bool) {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, pc := range p {
		if pc.kind == "" {
			b.WriteString(regexp.QuoteMeta(pc.text))
		} else {
			b.WriteString("(" + kinds[pc.kind].syntax + ")")
		}
	}
	b.WriteString(`\z`)
	rx, err := regexp.Compile(b.String())
	if err != nil { // a text that is too long or not UTF-8 cannot hold placeholders
		return nil, false
	}
	m := rx.FindStringSubmatch(got)
	if m == nil {
		return nil, false
	}
	i := 0
	for _, pc := range p {
		if pc.kind == "" {
			continue
		}
		i++
		if check := kinds[pc.kind].check; check != nil && !check(m[i]) {
			return nil, false
		}
	}
	return m[1:], true
}
