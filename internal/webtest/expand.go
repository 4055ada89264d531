package webtest

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxRepeat bounds {{repeat}} in bytes, so that a slip of the pen does not take all memory.
const maxRepeat = 64 << 20

var errUnknown = errors.New("unknown variable")

// expander puts values in the place of {{variables}}, and keeps the first error.
type expander struct {
	vars map[string]string
	err  error
}

// pattern is text for what may have placeholders: the values have none.
func (x *expander) pattern(s string) string {
	return strings.ReplaceAll(x.expand(s, func(value string) string { return strings.ReplaceAll(value, "<", plainLT) }),
		`\<`, plainLT)
}

func (x *expander) text(s string) string {
	return x.expand(s, func(value string) string { return value })
}

func (x *expander) expand(s string, escape func(string) string) string {
	before, rest, found := strings.Cut(s, "{{")
	if !found {
		return s
	}
	end := closing(rest)
	if end < 0 {
		x.fail(errors.New("{{ without }}; a plain {{ is {{hex:7b7b}}"))
		return ""
	}
	return before + escape(x.value(rest[:end])) + x.expand(rest[end+2:], escape)
}

func (x *expander) fail(err error) {
	if x.err == nil {
		x.err = err
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

// value gives what stands for a variable or a call.
func (x *expander) value(s string) string {
	name, arg, call := strings.Cut(s, ":")
	if !call {
		value, ok := x.vars[s]
		if !ok {
			x.fail(fmt.Errorf("%w {{%s}}", errUnknown, s))
		}
		return value
	}
	if i := strings.LastIndexByte(arg, ':'); name == "basic" && i >= 0 {
		arg = arg[:i] + ":{{" + arg[i+1:] + "}}" // the last part is the name of a variable
	}
	value, err := called(name, x.text(arg))
	if err != nil {
		x.fail(fmt.Errorf("{{%.100s}}: %w", s, err))
	}
	return value
}

func called(name, arg string) (string, error) {
	switch name {
	case "basic":
		if !strings.Contains(arg, ":") {
			return "", errors.New("want {{basic:user:variable}}")
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(arg)), nil
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(arg)), nil
	case "query":
		return url.QueryEscape(arg), nil
	case "hex":
		raw, err := hex.DecodeString(arg)
		return string(raw), err
	case "in":
		wait, err := time.ParseDuration(arg)
		return time.Now().Add(wait).UTC().Format(time.RFC3339Nano), err
	case "repeat":
		count, text, ok := strings.Cut(arg, ":")
		n, err := strconv.Atoi(count)
		if !ok || err != nil || n < 0 || n > maxRepeat/max(1, len(text)) {
			return "", fmt.Errorf("want {{repeat:N:text}} of at most %d bytes", maxRepeat)
		}
		return strings.Repeat(text, n), nil
	}
	return "", errors.New("there are basic, repeat, base64, hex, query, in")
}
