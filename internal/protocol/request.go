package protocol

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Origin tells where a write came from, for the protocol of that name. The core cuts what is too long.
func (c *Call) Origin(name string) consent.Origin {
	return consent.Origin{Protocol: name, Address: c.Client, UserAgent: c.Request.UserAgent(),
		Domain: siteOf(c.Request.Header)}
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
