package consent

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Most blobs are so plain that they can be read in a tenth of the time that package json takes, which reads the others.

// decode reads a body as json.Unmarshal does.
func (b *Body) decode(blob []byte) error {
	read := *b
	if isPlain(blob) && plainMembers(blob, read.set) {
		*b = read
		return nil
	}
	return json.Unmarshal(blob, b)
}

// set takes a member of a plain body; false: that is for package json.
func (b *Body) set(name, value []byte) bool {
	switch string(name) {
	case "action":
		return setString(&b.Action, value)
	case "displayed_text":
		return setString(&b.DisplayedText, value)
	case "expires_at":
		return setString(&b.ExpiresAt, value)
	case "locale":
		return setString(&b.Locale, value)
	case "occurred_at":
		return setString(&b.OccurredAt, value)
	case "project":
		return setString(&b.Project, value)
	case "purpose":
		return setString(&b.Purpose, value)
	case "purpose_version":
		n, err := strconv.Atoi(string(value))
		b.PurposeVersion = n
		return err == nil
	case "regime":
		return setString((*string)(&b.Regime), value)
	case "state":
		return setString(&b.State, value)
	}
	return false
}

// decode reads an identity as json.Unmarshal does.
func (i *Identity) decode(blob []byte) error {
	read := *i
	if isPlain(blob) && plainMembers(blob, read.set) {
		*i = read
		return nil
	}
	return json.Unmarshal(blob, i)
}

// set takes a member of a plain identity; false: that is for package json.
func (i *Identity) set(name, value []byte) bool {
	switch string(name) {
	case "anonymous_id":
		return setString(&i.AnonymousID, value)
	case "country":
		return setString(&i.Country, value)
	case "country_said":
		return setString(&i.CountrySaid, value)
	case "domain":
		return setString(&i.Domain, value)
	case "form_url":
		return setString(&i.FormURL, value)
	case "identifiers":
		return i.setIdentifiers(value)
	case "import":
		return setString(&i.Import, value)
	case "ip":
		return setString(&i.IP, value)
	case "key":
		return setString(&i.Key, value)
	case "notice_url":
		return setString(&i.NoticeURL, value)
	case "protocol":
		return setString(&i.Protocol, value)
	case "session":
		return setString(&i.Session, value)
	case "user_agent":
		return setString(&i.UserAgent, value)
	}
	return false
}

func (i *Identity) setIdentifiers(value []byte) bool {
	given := map[string]string{}
	i.Identifiers = given
	return plainMembers(value, func(kind, value []byte) bool {
		var s string
		ok := setString(&s, value)
		given[string(kind)] = s
		return ok
	})
}

func setString(into *string, value []byte) bool {
	if value[0] != '"' {
		return false
	}
	*into = string(value[1 : len(value)-1])
	return true
}

// isPlain tells whether a blob is canonical JSON of which that is quick to see; of others it says nothing.
func isPlain(blob []byte) bool {
	rest, ok := plain(blob, 0)
	return ok && len(rest) == 0 && utf8.Valid(blob)
}

// plainMembers visits the members of an object that isPlain, until one is refused.
func plainMembers(b []byte, visit func(name, value []byte) bool) bool {
	if b[0] != '{' {
		return false
	}
	for b = b[1:]; b[0] != '}'; {
		name, rest, _ := plainString(bytes.TrimPrefix(b, []byte{','}))
		value := rest[1:]
		b, _ = plain(value, 0)
		if !visit(name, value[:len(value)-len(b)]) {
			return false
		}
	}
	return true
}

// plain reads one value of a blob where it is quick to see that it is written canonically: no string has anything to
// escape, every number is of digits alone, names stand in order. Most blobs are so; of others it says nothing.
func plain(b []byte, depth int) (rest []byte, ok bool) {
	switch {
	case len(b) == 0 || depth > 10:
		return nil, false
	case b[0] == '"':
		_, rest, ok = plainString(b)
		return rest, ok
	case b[0] != '{':
		rest = bytes.TrimLeft(b, "0123456789")
		digits := len(b) - len(rest)
		return rest, digits == 1 || digits > 1 && digits <= maxPlainDigits && b[0] != '0'
	}
	var before []byte
	for b = b[1:]; len(b) > 0 && b[0] != '}'; {
		if before != nil {
			if b[0] != ',' {
				return nil, false
			}
			b = b[1:]
		}
		name, value, ok := plainString(b)
		if !ok || !plainName(name) || before != nil && bytes.Compare(before, name) >= 0 || len(value) == 0 ||
			value[0] != ':' {
			return nil, false
		}
		if b, ok = plain(value[1:], depth+1); !ok {
			return nil, false
		}
		before = name
	}
	if len(b) == 0 {
		return nil, false
	}
	return b[1:], true
}

// maxPlainDigits are so few that every number has its own double, which is written by them.
const maxPlainDigits = 15

// plainName tells whether a name takes the same place by its bytes as by its UTF-16 code units: none of its characters
// is U+E000 or more.
func plainName(name []byte) bool {
	return !bytes.ContainsFunc(name, func(r rune) bool { return r >= 0xe000 })
}

func plainString(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i, c := range b[1:] {
		switch {
		case c == '"':
			return b[1 : 1+i], b[2+i:], true
		case c < 0x20 || c == '\\':
			return nil, nil, false
		}
	}
	return nil, nil, false
}
