package webtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// kinds are the types of placeholders, with what each matches of a text.
var kinds = map[string]string{
	"any":    `(?s:.*?)`,
	"string": `(?s:.*?)`,
	"int":    `-?(?:0|[1-9][0-9]*)`,
	"uuid":   `[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}`,
	"uuid7":  `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
	"key":    `[!-~]{16,}?`,
	"time":   `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z`,
}

var placeholder = regexp.MustCompile(`<([A-Za-z][A-Za-z0-9]*)(?::([A-Za-z_][A-Za-z0-9_]*))?>`)

// plainLT stands for a < that opens no placeholder, from \< or from a variable's value, until it is compared.
const plainLT = "\uE000"

func unescape(s string) string { return strings.ReplaceAll(s, plainLT, "<") }

// matcher gathers what differs in one answer.
type matcher struct {
	vars     map[string]string // with what the answer gave
	problems []string
}

const maxProblems = 20

func (m *matcher) add(format string, args ...any) {
	switch {
	case len(m.problems) < maxProblems:
		m.problems = append(m.problems, fmt.Sprintf(format, args...))
	case len(m.problems) == maxProblems:
		m.problems = append(m.problems, "and more")
	}
}

func (m *matcher) problem(what, want, got string) {
	m.add("%s: want %s, got %s", what, abbreviate(unescape(want)), abbreviate(got))
}

// answer compares all of an answer, whose variables are expanded.
func (m *matcher) answer(want *answer, res *Response) {
	if res.Status != want.status {
		m.problem("status", strconv.Itoa(want.status), strconv.Itoa(res.Status))
	}
	m.headers(want.headers, res.Header)
	body, got := strings.Join(want.body, "\n"), string(res.Body)
	switch want.mode {
	case bodyExact:
		m.exact("body", body, got)
	case bodyContains:
		for _, text := range want.body {
			if !strings.Contains(got, text) {
				m.add("body does not contain %q", abbreviate(text))
			}
		}
	case bodyMatch:
		m.body(body, got)
	}
}

// headers compares all values of each header that is named.
func (m *matcher) headers(want []header, got http.Header) {
	values := map[string][]string{}
	for _, h := range want {
		name, absent := strings.CutPrefix(h.name, "!")
		name = http.CanonicalHeaderKey(name)
		if values[name] = append(values[name], h.value); absent {
			values[name] = []string{}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(got[name]) != len(values[name]) {
			m.problem("header "+name, fmt.Sprintf("%q", values[name]), fmt.Sprintf("%q", got[name]))
			continue
		}
		for i, value := range values[name] {
			m.text("header "+name, value, got[name][i])
		}
	}
}

// exact compares texts to the byte, and shows where they begin to differ.
func (m *matcher) exact(what, want, got string) {
	if want == got {
		return
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	from := max(0, i-20)
	m.problem(fmt.Sprintf("%s from byte %d", what, from), strconv.Quote(want[from:]), strconv.Quote(got[from:]))
}

// body compares JSON as JSON, anything else as text.
func (m *matcher) body(want, got string) {
	expected, err := decode(want)
	if err != nil {
		if strings.IndexAny(want, "{[") == 0 {
			m.add("expected body is not JSON (write <= for what is not to be): %v", err)
			return
		}
		m.text("body", want, got)
		return
	}
	value, err := decode(got)
	if err != nil {
		m.add("body is not JSON: %v", err)
		return
	}
	m.value("", expected, value)
}

// text compares a text with one that may have placeholders, and keeps what they stand for.
func (m *matcher) text(what, want, got string) {
	found := placeholder.FindAllStringSubmatch(want, -1)
	if len(found) == 0 {
		m.exact(what, unescape(want), got)
		return
	}
	syntax := `\A`
	for i, literal := range placeholder.Split(want, -1) {
		syntax += regexp.QuoteMeta(unescape(literal))
		if i < len(found) {
			kind, known := kinds[found[i][1]]
			if !known {
				m.add("%s: unknown placeholder %s; there are %s; for a plain < write \\<", what, found[i][0],
					strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
				return
			}
			syntax += "(" + kind + ")"
		}
	}
	var values []string
	if rx, err := regexp.Compile(syntax + `\z`); err == nil { // else the text is too long, or not UTF-8
		values = rx.FindStringSubmatch(got)
	}
	if values == nil {
		m.problem(what, want, strconv.Quote(got))
		return
	}
	for i, p := range found {
		m.capture(what, p[0], p[1], p[2], values[i+1])
	}
}

// capture keeps what a placeholder stands for.
func (m *matcher) capture(what, text, kind, name, got string) {
	before, again := m.vars[name]
	switch _, err := time.Parse(time.RFC3339, got); {
	case kind == "time" && err != nil:
		m.problem(what, text, strconv.Quote(got))
	case name == "":
	case again && before != got:
		m.problem(what, text+" "+strconv.Quote(before)+" as before", strconv.Quote(got))
	default:
		m.vars[name] = got
	}
}

// value compares two JSON values; path is a JSON pointer (RFC 6901).
func (m *matcher) value(path string, want, got any) {
	switch want := want.(type) {
	case string:
		if text, ok := textFor(want, got); ok {
			m.text(at(path), want, text)
			return
		}
	case []any:
		if got, ok := got.([]any); ok {
			m.array(path, want, got)
			return
		}
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			m.object(path, want, got)
			return
		}
	default: // null, bool, json.Number
		if reflect.DeepEqual(want, got) {
			return
		}
	}
	m.problem(at(path), show(want), show(got))
}

// textFor gives the text of a JSON value, if it has the type that is wanted: alone, <int> is a number, <any> anything.
func textFor(want string, got any) (text string, ok bool) {
	text, ok = got.(string)
	p := placeholder.FindStringSubmatch(want)
	switch number, isNumber := got.(json.Number); {
	case p == nil || p[0] != want:
	case p[1] == "int":
		return number.String(), isNumber
	case p[1] == "any" && !ok:
		return show(got), true
	}
	return text, ok
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

func (m *matcher) object(path string, want, got map[string]any) {
	open := want[more] == any(more)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		switch {
		case open && name == more:
		case !ok:
			m.add("%s: missing", at(path+pointer(name)))
		default:
			m.value(path+pointer(name), want[name], value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, known := want[name]; !open && !known {
			m.add("%s: not expected: %s", at(path+pointer(name)), abbreviate(show(got[name])))
		}
	}
}

// at names a place in the body by its JSON pointer.
func at(path string) string { return strings.TrimSpace("body " + path) }

func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// show is the value as JSON.
func show(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// decode reads a JSON value. It refuses what encoding/json forgives: repeated members, bad UTF-8.
func decode(text string) (any, error) {
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil { // reading tokens does not check the syntax fully
		return nil, err
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return readValue(dec)
}

func readValue(dec *json.Decoder) (any, error) {
	first, err := dec.Token()
	switch {
	case err != nil:
		return nil, err
	case first == json.Delim('['):
		values := []any{}
		for dec.More() {
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		_, err = dec.Token()
		return values, err
	case first == json.Delim('{'):
		members := map[string]any{}
		for dec.More() {
			name, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			if _, twice := members[name.(string)]; twice {
				return nil, fmt.Errorf("member %q twice", name)
			}
			if members[name.(string)], err = readValue(dec); err != nil {
				return nil, err
			}
		}
		_, err = dec.Token()
		return members, err
	}
	return first, nil
}
