package webtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// Match compares a body with what a transcript's "< " lines would say: JSON as JSON, the rest as text, both with
// placeholders. Captured variables are added to vars, which may be nil, if all of it is right.
func Match(want string, got []byte, vars map[string]string) error {
	t, err := parseTemplate(want)
	if err != nil {
		return fmt.Errorf("webtest: %w", err)
	}
	for _, name := range t.names() {
		if _, ok := vars[name]; !ok {
			return fmt.Errorf("webtest: unknown variable {{%s}}", name)
		}
	}
	m := newMatcher(vars)
	m.body(t.expandEscaped(vars, escape), got)
	if len(m.problems) > 0 {
		return errors.New(strings.Join(m.problems, "\n"))
	}
	if vars != nil {
		maps.Copy(vars, m.vars)
	}
	return nil
}

// matcher gathers what differs in one answer.
type matcher struct {
	base     map[string]string // variables before the exchange
	vars     map[string]string // and with what it captured
	where    string            // put before each problem
	problems []string
}

func newMatcher(vars map[string]string) *matcher {
	m := &matcher{base: vars, vars: map[string]string{}}
	maps.Copy(m.vars, vars)
	return m
}

const maxProblems = 20

func (m *matcher) add(text string) {
	switch {
	case len(m.problems) < maxProblems:
		m.problems = append(m.problems, m.where+text)
	case len(m.problems) == maxProblems:
		m.problems = append(m.problems, m.where+"and more")
	}
}

func (m *matcher) problem(what, want, got string) {
	m.add(fmt.Sprintf("%s: want %s, got %s", what, abbreviate(want), abbreviate(got)))
}

// header compares once for each name: the first line that names it stands for all of them.
func (m *matcher) header(h headerLine, all []headerLine, got http.Header) {
	values := got.Values(h.name)
	what := "header " + h.name
	if h.absent {
		if len(values) > 0 {
			m.problem(what, "none", fmt.Sprintf("%q", values))
		}
		return
	}
	var wants []headerLine
	for _, o := range all {
		if !o.absent && strings.EqualFold(o.name, h.name) {
			wants = append(wants, o)
		}
	}
	if wants[0].pos != h.pos {
		return
	}
	if len(values) != len(wants) {
		m.problem(what, fmt.Sprintf("%d of it", len(wants)), fmt.Sprintf("%d: %q", len(values), values))
		return
	}
	for i, w := range wants {
		m.text(what, m.expandPattern(w.value), values[i])
	}
}

func (m *matcher) expandPattern(t template) string {
	return escapeMarked(t.expandEscaped(m.base, escape))
}

func (m *matcher) exact(want, got string) {
	switch {
	case want == got:
	case len(want) > maxDiffed || len(got) > maxDiffed:
		i := 0
		for i < min(len(want), len(got)) && want[i] == got[i] {
			i++
		}
		m.problem(fmt.Sprintf("body from byte %d", i), strconv.Quote(want[i:min(i+100, len(want))]),
			strconv.Quote(got[i:min(i+100, len(got))]))
	default:
		m.add("body (-want +got):\n" + strings.TrimRight(cmp.Diff(want, got), "\n"))
	}
}

// maxDiffed bounds what is worth a diff: of a longer body only the first difference is shown.
const maxDiffed = 8 << 10

func (m *matcher) contains(want, got string) {
	if !strings.Contains(got, want) {
		m.add("body does not contain " + strconv.Quote(abbreviate(want)))
	}
}

func (m *matcher) body(want string, got []byte) {
	want = escapeMarked(want)
	wants, err := decode([]byte(want))
	if err != nil && strings.IndexAny(want, "{[") == 0 {
		m.add("expected body is not JSON (write <= for what is not to be): " + err.Error())
		return
	}
	if err != nil || len(wants) == 0 {
		m.textBody(want, string(got))
		return
	}
	gots, err := decode(got)
	switch {
	case err != nil:
		m.add("body is not JSON: " + err.Error())
	case len(gots) != len(wants):
		m.problem("body", fmt.Sprintf("%d JSON values", len(wants)), strconv.Itoa(len(gots)))
	default:
		for i := range wants {
			path := ""
			if len(wants) > 1 {
				path = fmt.Sprintf("[%d]", i)
			}
			m.value(path, wants[i], gots[i])
		}
	}
}

func (m *matcher) textBody(want, got string) {
	pat, err := parsePattern(want)
	if err != nil {
		m.add(err.Error())
		return
	}
	if pat.isLiteral() {
		m.exact(pat.String(), got)
		return
	}
	values, ok := pat.match(got)
	if !ok {
		m.exact(pat.String(), got)
		return
	}
	m.captureAll("body", pat, values)
}

// text compares one string with one pattern.
func (m *matcher) text(what, want, got string) {
	pat, err := parsePattern(want)
	if err != nil {
		m.add(what + ": " + err.Error())
		return
	}
	if pat.isLiteral() {
		if pat.String() != got {
			m.problem(what, strconv.Quote(pat.String()), strconv.Quote(got))
		}
		return
	}
	values, ok := pat.match(got)
	if !ok {
		m.problem(what, pat.String(), strconv.Quote(got))
		return
	}
	m.captureAll(what, pat, values)
}

func (m *matcher) captureAll(what string, pat pattern, values []string) {
	for _, pc := range pat {
		if pc.kind != "" {
			m.capture(what, pc, values[0])
			values = values[1:]
		}
	}
}

func (m *matcher) capture(what string, pc piece, got string) {
	if pc.capture == "" {
		return
	}
	if before, ok := m.vars[pc.capture]; ok && before != got {
		m.problem(what, pc.text+" "+strconv.Quote(before)+" as before", strconv.Quote(got))
		return
	}
	m.vars[pc.capture] = got
}

// value compares two JSON values; path is a JSON pointer.
func (m *matcher) value(path string, want, got any) {
	switch want := want.(type) {
	case string:
		m.stringValue(path, want, got)
	case []any:
		if got, ok := got.([]any); ok {
			m.array(path, want, got)
			return
		}
		m.problem(at(path), show(want), show(got))
	case object:
		if got, ok := got.(object); ok {
			m.object(path, want, got)
			return
		}
		m.problem(at(path), show(want), show(got))
	default: // null, bool, json.Number: comparable
		if want != scalar(got) {
			m.problem(at(path), show(want), show(got))
		}
	}
}

// scalar makes got safe to compare by ==, which panics on slices.
func scalar(got any) any {
	switch got.(type) {
	case []any, object:
		return struct{}{}
	}
	return got
}

func (m *matcher) stringValue(path, want string, got any) {
	what := at(path)
	pat, err := parsePattern(want)
	if err != nil {
		m.add(what + ": " + err.Error())
		return
	}
	if len(pat) == 1 && pat[0].kind != "" {
		m.placeholder(what, pat, got)
		return
	}
	s, ok := got.(string)
	if !ok {
		m.problem(what, strconv.Quote(pat.String()), show(got))
		return
	}
	m.text(what, want, s)
}

// placeholder compares a JSON value with a placeholder that stands alone.
func (m *matcher) placeholder(what string, pat pattern, got any) {
	k := kinds[pat[0].kind]
	text := plain(got)
	ok := k.value(got)
	if ok && k.syntax != kinds["any"].syntax { // any and string take every text, line breaks too
		_, ok = pat.match(text)
	}
	if !ok {
		m.problem(what, pat.String(), show(got))
		return
	}
	m.capture(what, pat[0], text)
}

const more = "..."

func (m *matcher) array(path string, want, got []any) {
	if n := len(want) - 1; n >= 0 && want[n] == any(more) {
		want = want[:n]
		got = got[:min(n, len(got))]
	}
	if len(want) != len(got) {
		m.problem(at(path), fmt.Sprintf("%d elements", len(want)), fmt.Sprintf("%d: %s", len(got), show(got)))
		return
	}
	for i := range want {
		m.value(path+"/"+strconv.Itoa(i), want[i], got[i])
	}
}

func (m *matcher) object(path string, want, got object) {
	open := false
	for _, w := range want {
		if w.name == more && w.value == any(more) {
			open = true
			continue
		}
		i := got.find(unescape(w.name))
		if i < 0 {
			m.add(at(path+pointer(unescape(w.name))) + ": missing")
			continue
		}
		m.value(path+pointer(got[i].name), w.value, got[i].value)
	}
	for _, g := range got {
		known := slices.ContainsFunc(want, func(w member) bool { return unescape(w.name) == g.name })
		if !open && !known {
			m.add(at(path+pointer(g.name)) + ": not expected: " + abbreviate(show(g.value)))
		}
	}
}

// at names a place in the body by its JSON pointer.
func at(path string) string {
	if path == "" {
		return "body"
	}
	return "body " + path
}

func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// plain is what a capture keeps: a string's text, any other value's JSON.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return show(v)
}

// show is the value as JSON, the placeholders readable.
func show(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return unescape(strings.TrimSuffix(b.String(), "\n"))
}
