package importing

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Members are those of a JSON object, by their names in lower case without _ and -: what a site's own server calls
// user_id in one file it calls userId in another.
type Members map[string]jsontext.Value

// MembersOf reads the members of an object; none of anything else.
func MembersOf(value jsontext.Value) Members {
	var given map[string]jsontext.Value
	if value.Kind() != '{' || json.Unmarshal(value, &given) != nil {
		return nil
	}
	found := make(Members, len(given))
	for name, value := range given {
		found[Squeeze(name)] = value
	}
	return found
}

// Squeeze makes one of the spellings of a member.
func Squeeze(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// Text gives the first of some members that is a text or a number, as a text.
func (m Members) Text(names ...string) string {
	for _, name := range names {
		switch value := m[name]; value.Kind() {
		case '"':
			if text := strings.TrimSpace(Unquoted(value)); text != "" {
				return text
			}
		case '0':
			return string(value)
		}
	}
	return ""
}

// Object gives the members of a member.
func (m Members) Object(name string) Members { return MembersOf(m[name]) }

// Unquoted gives a JSON text without its quotes, and anything else as it stands.
func Unquoted(value jsontext.Value) string {
	if text, err := jsontext.AppendUnquote(nil, value); err == nil {
		return string(text)
	}
	return string(value)
}

// Kept fills a line with what a site's own server keeps beside what a tool's front end gives it: who it was, and when.
// Which names are looked for is in the README.
func (o *Options) Kept(l *Line, m Members) error {
	l.Identifiers = Identifiers{UserID: m.Text("userid", "user", "customerid"), Email: m.Text("email", "emailaddress"),
		Phone: m.Text("phone", "phonenumber"), AnonymousID: m.Text("anonymousid", "visitorid", "consentid", "sessionid")}
	l.Evidence.UserAgent, l.Evidence.IP = m.Text("useragent"), m.Text("ip", "ipaddress")
	at, err := o.At("the date", m.Text("occurredat", "timestamp", "createdat", "receivedat", "date", "time"))
	l.OccurredAt = at
	return err
}

// IDOf makes the externalId of a decision out of the parts of another tool's names; empty where one is missing.
func IDOf(parts ...string) string {
	for _, part := range parts {
		if part == "" {
			return ""
		}
	}
	return strings.Join(parts, ":")
}
