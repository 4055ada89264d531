package consent

import (
	"time"
	"unicode/utf8"
)

// The blobs of an event are canonical JSON (RFC 8785). They have strings,
// small integers and truths only, so that members in order and the string rules of section 3.2.2.2
// are all that it takes; a test compares them with a library's form.

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string in canonical form. s must be valid UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// appendMember appends one member of an object behind others, or nothing where the value is empty.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = appendName(b, name)
	return appendString(b, value)
}

func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// formatInstant writes an instant as it reads in a blob: RFC 3339, UTC, always six digits. Package time is slow for
// layouts that are not its own.
func formatInstant(t time.Time) string {
	b := t.UTC().AppendFormat(make([]byte, 0, len("2006-01-02T15:04:05.000000Z")), time.RFC3339)
	b = append(b[:len(b)-len("Z")], ".000000Z"...)
	for at, micros := len(b)-2, t.Nanosecond()/1000; micros > 0; at, micros = at-1, micros/10 {
		b[at] += byte(micros % 10)
	}
	return string(b)
}

// clean makes what came in a header fit to be kept: valid UTF-8, no NUL, at most so many bytes.
func clean(s string, most int) string {
	ok := len(s) <= most
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= 0x20 && s[i] < 0x7f
	}
	if ok {
		return s
	}
	out := make([]rune, 0, min(len(s), most))
	size := 0
	for _, r := range s {
		if r < 0x20 || r == 0x7f {
			r = utf8.RuneError
		}
		if size += utf8.RuneLen(r); size > most {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
