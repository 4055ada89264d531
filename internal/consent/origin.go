package consent

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// How much of what a request says of itself is kept.
const (
	maxUserAgent = 512
	maxDomain    = 253
	maxURL       = 2048
	maxLocale    = 35 // BCP 47: registered tags stay below
)

// replace puts what the evidence says in place of what is known of the request, and tells whether it says where the
// person was. Errors: Invalid.
func (o *Origin) replace(e *Evidence, f *Facts) (told bool, err error) {
	if err := e.check(); err != nil {
		return false, err
	}
	if e.UserAgent != "" {
		o.UserAgent = clean(e.UserAgent, maxUserAgent)
	}
	if e.Domain != "" {
		domain, ok := normalizeDomain(strings.ToLower(e.Domain))
		if !ok || len(domain) > maxDomain {
			return false, Errorf(Invalid, "domain", "must be a host name")
		}
		o.Domain = domain
	}
	if e.Address.IsValid() {
		o.Address = e.Address
		o.Country = f.Country(e.Address)
	}
	if e.Country != "" {
		o.Country = CountryCode(e.Country)
	}
	return e.Country != "" || e.Address.IsValid(), nil
}

func (e *Evidence) check() error {
	for _, part := range []struct {
		noun, value string
		most        int
	}{{"form_url", e.FormURL, maxURL}, {"notice_url", e.NoticeURL, maxURL}, {"locale", e.Locale, maxLocale}} {
		if len(part.value) > part.most || !utf8.ValidString(part.value) {
			return Errorf(Invalid, part.noun, "must be valid UTF-8 of %d bytes at most", part.most)
		}
	}
	if c := e.Country; c != "" && c != UnknownCountry && (len(c) != 2 || strings.ContainsFunc(c, notLetter)) {
		return Errorf(Invalid, "country", "must be a two-letter country code or %s", UnknownCountry)
	}
	return nil
}

func notLetter(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }

// regime gives the regime under which somebody decides. An import comes from the importer's address, not the person's,
// unless it told where the person was.
func (o *Origin) regime(action Action, told bool, f *Facts) Regime {
	if action == Import && !told {
		return f.Regime(UnknownCountry)
	}
	return f.Regime(o.Country)
}

// keptAddress shows an address as it is kept: cut to IPv4 /24, IPv6 /48 unless the project asks for the whole.
func keptAddress(a netip.Addr, whole bool) string {
	if !a.IsValid() {
		return ""
	}
	a = a.Unmap().WithZone("")
	if whole {
		return a.String()
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.Addr().String()
}
