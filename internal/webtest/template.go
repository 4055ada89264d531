package webtest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// template is a text with {{variables}}, parsed.
type template []part

// part is a literal text, a variable or a call.
type part struct {
	fn   function
	text string        // literal: the text; variable, basic: the variable's name; hex: the bytes
	wait time.Duration // in: how far from now
	n    int           // repeat
	arg  template      // of a call
}

type function string

const (
	literal   function = ""
	variable  function = "{{}}" // no call can have this name
	fnBasic   function = "basic"
	fnRepeat  function = "repeat"
	fnBase64  function = "base64"
	fnHex     function = "hex"
	fnQuery   function = "query"
	fnIn      function = "in"
	maxRepeat          = 64 << 20 // bytes, so that a slip of the pen does not take all memory
)

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func parseTemplate(s string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(s, "{{")
		if before != "" {
			t = append(t, part{text: before})
		}
		if !found {
			return t, nil
		}
		end := closing(rest)
		if end < 0 {
			return nil, errUnclosed
		}
		p, err := parseCall(rest[:end])
		if err != nil {
			return nil, err
		}
		t = append(t, p)
		s = rest[end+2:]
	}
}

// closing finds the }} that ends what was opened just before s, or -1.
func closing(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "{{":
			depth++
			i++
		case "}}":
			if depth == 0 {
				return i
			}
			depth--
			i++
		}
	}
	return -1
}

func parseCall(s string) (part, error) {
	name, arg, isCall := strings.Cut(s, ":")
	if !isCall {
		if !identifier.MatchString(s) {
			return part{}, fmt.Errorf("{{%s}} is not a variable name", s)
		}
		return part{fn: variable, text: s}, nil
	}
	p := part{fn: function(name)}
	var err error
	switch p.fn {
	case fnBasic:
		return parseBasic(arg)
	case fnRepeat:
		return parseRepeat(arg)
	case fnIn:
		p.wait, err = time.ParseDuration(arg)
	case fnHex:
		var raw []byte
		raw, err = hex.DecodeString(arg)
		p.text = string(raw)
	case fnBase64, fnQuery:
		p.arg, err = parseTemplate(arg)
	default:
		err = fmt.Errorf("there is no {{%s:…}}; there are basic, repeat, base64, hex, query, in", name)
	}
	if err != nil {
		return part{}, fmt.Errorf("{{%s}}: %w", s, err)
	}
	return p, nil
}

func parseBasic(s string) (part, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || !identifier.MatchString(s[i+1:]) {
		return part{}, fmt.Errorf("{{basic:%s}}: want {{basic:user:variable}}", s)
	}
	user, err := parseTemplate(s[:i])
	return part{fn: fnBasic, text: s[i+1:], arg: user}, err
}

func parseRepeat(s string) (part, error) {
	count, text, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 0 {
		return part{}, fmt.Errorf("{{repeat:%s}}: want {{repeat:N:text}}", s)
	}
	if n > maxRepeat/max(1, len(text)) {
		return part{}, fmt.Errorf("{{repeat:%s}}: more than %d bytes", s, maxRepeat)
	}
	arg, err := parseTemplate(text)
	return part{fn: fnRepeat, n: n, arg: arg}, err
}

// names lists the variables that the template uses.
func (t template) names() []string {
	var names []string
	for _, p := range t {
		if p.fn == variable || p.fn == fnBasic {
			names = append(names, p.text)
		}
		names = append(names, p.arg.names()...)
	}
	return names
}

// expand needs a value for each of t.names; the runner checks that before it plays.
func (t template) expand(vars map[string]string) string {
	return t.expandEscaped(vars, nil)
}

// expandEscaped passes what stands for a variable or call through esc, so that a value is never read as a placeholder.
func (t template) expandEscaped(vars map[string]string, esc func(string) string) string {
	var b strings.Builder
	for _, p := range t {
		s := p.expand(vars)
		if esc != nil && p.fn != literal {
			s = esc(s)
		}
		b.WriteString(s)
	}
	return b.String()
}

func (p part) expand(vars map[string]string) string {
	switch p.fn {
	case variable:
		return vars[p.text]
	case fnBasic:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.arg.expand(vars)+":"+vars[p.text]))
	case fnRepeat:
		return strings.Repeat(p.arg.expand(vars), p.n)
	case fnBase64:
		return base64.StdEncoding.EncodeToString([]byte(p.arg.expand(vars)))
	case fnIn:
		return time.Now().Add(p.wait).UTC().Format(time.RFC3339Nano)
	case fnQuery:
		return url.QueryEscape(p.arg.expand(vars))
	}
	return p.text // literal, hex
}

func expandLines(lines []bodyLine, vars map[string]string, esc func(string) string) string {
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.text.expandEscaped(vars, esc)
	}
	return strings.Join(texts, "\n")
}
