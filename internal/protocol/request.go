package protocol

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Bearer gives the token of the Authorization header (RFC 6750, section 2.1);
// empty where there is none, or more than one header.
func Bearer(r *http.Request) string {
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(token, " ")
}

// KeyMissing says how a call of the protocol shows its key, where err is of one that is missing or not known; which of the two is nobody's
// business.
func KeyMissing(err error, how string) error {
	if !consent.IsKind(err, consent.Unauthenticated) {
		return err
	}
	return &consent.Error{Kind: consent.Unauthenticated, Msg: "missing or unknown credentials: send an API key " + how, Err: err}
}

// Origin tells where a write came from, for the protocol of that name. The core cuts what is too long.
func (c *Call) Origin(name string) consent.Origin {
	return consent.Origin{Protocol: name, Address: c.Client, UserAgent: c.Request.UserAgent(), Domain: siteOf(c.Request.Header)}
}

// siteOf gives the host of the page that a browser calls from, of Origin or else of Referer, in lower
// case; empty where neither names a host or an address without a zone.
func siteOf(h http.Header) string {
	for _, header := range [...]string{"Origin", "Referer"} {
		given := h.Get(header)
		if given == "" { // as from every server
			continue
		}
		u, err := url.Parse(given)
		if err != nil {
			continue
		}
		if host := strings.ToLower(u.Hostname()); host != "" && len(host) <= 253 && !strings.ContainsFunc(host, notInHost) {
			return host
		}
	}
	return ""
}

func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-.:", r)
}
