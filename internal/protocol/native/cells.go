package native

import (
	"bytes"
	"encoding/hex"
	"errors"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// An export is rows of cells, whichever form it is sent in: a table of columns says what there is.

// column is one member of what is exported.
type column struct {
	group string // the object that it is a member of; "": it is none's
	name  string
	kind  cellKind
	few   bool // many rows have the same text
}

// path names a column by one word.
func (c *column) path() string {
	if c.group == "" {
		return c.name
	}
	return c.group + "." + c.name
}

type cellKind uint8

const (
	textCell    cellKind = iota // text is what stands between the quotes of a JSON string
	jsonCell                    // text is JSON
	numberCell                  // number
	booleanCell                 // number is 1 for true
	instantCell                 // number is microseconds since 1970
)

// cell is a value of one column; where it is not set, the member is absent.
type cell struct {
	set    bool
	number int64
	text   []byte // is overwritten with the next row
	own    []byte // memory of the cell's own
}

func (c *cell) setText(text []byte)  { c.set, c.text = true, text }
func (c *cell) setNumber(n int64)    { c.set, c.number = true, n }
func (c *cell) setTime(at time.Time) { c.set, c.number = !at.IsZero(), at.UnixMicro() }
func (c *cell) setBoolean(b bool) {
	c.set, c.number = true, 0
	if b {
		c.number = 1
	}
}

// setPlain writes a text that is not escaped yet into the memory that the cell had before.
func (c *cell) setPlain(text string) {
	c.own = protocol.AppendString(c.own[:0], text)
	c.setText(c.own[1 : len(c.own)-1])
}

// setID writes an id into the memory that the cell had before; none where it is zero.
func (c *cell) setID(id consent.ID) {
	c.own = appendID(c.own[:0], id)
	c.setText(c.own[1 : len(c.own)-1])
	c.set = id != consent.NoID
}

// appendMicros appends microseconds since 1970 as an instant is shown: time.Time's way would take most of the time of
// an export.
func appendMicros(b []byte, micros int64) []byte {
	const day = 24 * 60 * 60 * 1e6
	days, rest := micros/day, micros%day
	if rest < 0 {
		days, rest = days-1, rest+day
	}
	year, month, date := civil(days)
	b = appendDigits(b, year, 4)
	b = append(appendDigits(append(b, '-'), month, 2), '-')
	b = append(appendDigits(b, date, 2), 'T')
	b = append(appendDigits(b, rest/(60*60*1e6), 2), ':')
	b = append(appendDigits(b, rest/(60*1e6)%60, 2), ':')
	b = append(appendDigits(b, rest/1e6%60, 2), '.')
	return append(appendDigits(b, rest%1e6, 6), 'Z')
}

// civil gives the date of a day since 1970, in the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date
// Algorithms", civil_from_days). Years begin in March there, so that the odd day is the last.
func civil(days int64) (year, month, date int64) {
	days += 719468 // since 1 March of the year 0
	era := days / 146097
	if days < 0 {
		era = (days - 146096) / 146097
	}
	of := days - era*146097 // day of the 400 years
	year = (of - of/1460 + of/36524 - of/146096) / 365
	of -= 365*year + year/4 - year/100 // day of the year
	month = (5*of + 2) / 153
	date = of - (153*month+2)/5 + 1
	year += era * 400
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	return year, month, date
}

func appendDigits(b []byte, n, width int64) []byte {
	at := len(b)
	b = append(b, "000000"[:width]...)
	for i := len(b) - 1; i >= at; i, n = i-1, n/10 {
		b[i] = byte('0' + n%10)
	}
	return b
}

var errBlob = errors.New("a blob is damaged")

// eachMember calls visit for the members of an object of canonical JSON, in order. A value is as it is written, but for
// a string it is what stands between its quotes. Blobs are ours, so no more is looked at than what it takes to find the
// next member.
func eachMember(object []byte, visit func(name, value []byte)) error {
	if len(object) < 2 || object[0] != '{' || object[len(object)-1] != '}' {
		return errBlob
	}
	for rest := object[1:]; rest[0] != '}'; {
		name, value, ok := cutString(rest)
		if !ok || len(value) < 2 || value[0] != ':' {
			return errBlob
		}
		if value[1] == '"' {
			value, rest, ok = cutString(value[1:])
		} else {
			value, rest, ok = cutValue(value[1:])
		}
		if !ok || len(rest) == 0 {
			return errBlob
		}
		visit(name, value)
		if rest[0] == ',' && len(rest) > 1 {
			rest = rest[1:]
		}
	}
	return nil
}

// cutString gives what stands between the quotes of a string, and what follows.
func cutString(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for at := 1; ; at++ {
		end := bytes.IndexByte(b[at:], '"')
		if end < 0 {
			return nil, nil, false
		}
		at += end
		escapes := 0
		for b[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return b[1:at], b[at+1:], true
		}
	}
}

// cutValue gives a value that is no string, and what follows.
func cutValue(b []byte) (value, rest []byte, ok bool) {
	depth := 0
	for at := 0; at < len(b); at++ {
		switch b[at] {
		case '"':
			text, _, ok := cutString(b[at:])
			if !ok {
				return nil, nil, false
			}
			at += len(text) + 1
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				return b[:at], b[at:], at > 0
			}
			if b[at] != ',' {
				depth--
			}
		}
	}
	return nil, nil, false
}

// unescape gives what a JSON string says, of what stands between its quotes; b where nothing is escaped.
func unescape(b []byte) []byte {
	at := bytes.IndexByte(b, '\\')
	if at < 0 {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:at]...)
	for ; at < len(b); at++ {
		if b[at] != '\\' {
			out = append(out, b[at])
			continue
		}
		at++
		switch b[at] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u': // of control characters alone (RFC 8785, section 3.2.2.2)
			at += 4
			n, _ := hex.DecodeString(string(b[at-1 : at+1]))
			out = append(out, n...)
		default:
			out = append(out, b[at])
		}
	}
	return out
}
