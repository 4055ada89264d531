package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// facts are what the body and the ident of a decision say.
type facts struct {
	Action, State, Regime               string
	Text                                string // the hash of what was shown, in hex; empty: none was given
	OccurredAt, ExpiresAt, Locale       string
	Project, Purpose                    string
	Version                             int // 0: the decision is older than the purpose's first version
	Undated                             bool
	Noted                               []named // what the client noted of it
	Who                                 []named // the identifiers that the write named
	AnonymousID                         string
	Country, IP, Browser, Site          string
	FormURL, NoticeURL, Protocol, KeyID string
}

// named is a value with its name.
type named struct{ Name, Value string }

// factsOf reads a decision. An error names the field; what could be read is in the facts all the same.
func factsOf(d *Decision) (f facts, field string, err error) {
	body, err := members(d.Body)
	if err != nil {
		return f, "body", err
	}
	r := reader{of: body}
	f.Action, f.State, f.Regime = r.text("action"), r.text("state"), r.text("regime")
	f.OccurredAt, f.ExpiresAt, f.Locale = r.text("occurred_at"), r.text("expires_at"), r.text("locale")
	f.Project, f.Purpose = r.text("project"), r.text("purpose")
	f.Noted = r.object("metadata")
	r.into("purpose_version", &f.Version)
	r.into("undated", &f.Undated)
	if name := r.text("displayed_text"); name != "" {
		var ok bool
		if f.Text, ok = hashOf(name); !ok {
			r.fail("displayed_text", errors.New("it is not the hash of a text"))
		}
	}
	if r.err != nil {
		return f, "body", r.err
	}
	ident, err := members(d.Ident)
	if err != nil {
		return f, "ident", err
	}
	r = reader{of: ident}
	f.Who, f.AnonymousID = r.object("identifiers"), r.text("anonymous_id")
	f.Country, f.IP, f.Browser, f.Site = r.text("country"), r.text("ip"), r.text("user_agent"), r.text("domain")
	f.FormURL, f.NoticeURL = r.text("form_url"), r.text("notice_url")
	f.Protocol, f.KeyID = r.text("protocol"), r.text("key")
	return f, "ident", r.err
}

// expires gives when a yes ends; what grants nothing has nothing that ends.
func (f *facts) expires() string {
	passive := f.State == "implied" || f.State == "accepted" && f.Action == "implied"
	if f.State == "accepted" && !passive || passive && f.Regime == "opt-out" {
		return f.ExpiresAt
	}
	return ""
}

// reader reads members of an object, and keeps the first mistake.
type reader struct {
	of  map[string]json.RawMessage
	err error
}

func (r *reader) fail(name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", name, err)
	}
}

// into reads a member where there is one.
func (r *reader) into(name string, into any) {
	raw, given := r.of[name]
	if !given {
		return
	}
	if bytes.Equal(raw, []byte("null")) {
		r.fail(name, errors.New("it is null"))
	} else if err := json.Unmarshal(raw, into); err != nil {
		r.fail(name, err)
	}
}

func (r *reader) text(name string) (text string) {
	r.into(name, &text)
	return text
}

// object reads a flat object, in order of names. Values that are no texts are given as JSON.
func (r *reader) object(name string) (out []named) {
	raw, given := r.of[name]
	if !given {
		return nil
	}
	all, err := members(string(raw))
	if err != nil {
		r.fail(name, err)
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		value := string(all[key])
		if strings.HasPrefix(value, `"`) {
			if err := json.Unmarshal(all[key], &value); err != nil {
				r.fail(name, err)
			}
		}
		out = append(out, named{key, value})
	}
	return out
}

// hashPrefix stands before the hash of a text.
const hashPrefix = "sha256:"

// hashOf gives the hex of a text's name in a body or a version.
func hashOf(name string) (string, bool) {
	hash, ok := strings.CutPrefix(name, hashPrefix)
	return hash, ok && isHash(hash)
}

func isHash(s string) bool {
	notHex := func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }
	return len(s) == 64 && !strings.ContainsFunc(s, notHex)
}

// textOf gives the hash of the text that a file has the name of.
func textOf(name string) (string, bool) {
	hash, ok := strings.CutPrefix(name, textFolder)
	hash, ok2 := strings.CutSuffix(hash, textSuffix)
	return hash, ok && ok2 && isHash(hash)
}

// versionKey names a version of a purpose.
type versionKey struct {
	project, purpose string
	version          int
}

func (v *Version) key() versionKey { return versionKey{v.Project, v.Purpose, v.Version} }

func (f *facts) versionKey() versionKey { return versionKey{f.Project, f.Purpose, f.Version} }

// versions finds versions by what decisions name.
func (b *Bundle) versions() map[versionKey]*Version {
	out := make(map[versionKey]*Version, len(b.Versions))
	for i := range b.Versions {
		out[b.Versions[i].key()] = &b.Versions[i]
	}
	return out
}
