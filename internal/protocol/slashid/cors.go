package slashid

import (
	"net/http"
	"slices"

	"github.com/consentd/consentd/internal/protocol"
)

// ownLevels is the one path that pages of other origins may call (contract, "CORS").
const ownLevels = "/consent/gdpr"

// preflight answers a browser that asks before it calls. A page of an origin that the
// operator did not list gets no permission, and no word about why.
func (a *api) preflight(c *protocol.Call) error {
	if a.allowOrigin(c) {
		h := c.Header()
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", "authorization, content-type, slashid-sdkversion")
		h.Set("Access-Control-Max-Age", "7200") // the most that browsers keep in common
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin lets a listed origin read the answer, errors included, and tells whether it did. It may be
// called again for the same answer. A token is no cookie, so no credentials are allowed.
func (a *api) allowOrigin(c *protocol.Call) bool {
	if c.Request.URL.Path != ownLevels {
		return false
	}
	h, from := c.Header(), c.Request.Header.Get("Origin")
	if !slices.Contains(h.Values("Vary"), "Origin") {
		h.Add("Vary", "Origin") // for caches, with an unlisted origin too
	}
	if !slices.Contains(a.origins, from) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", from)
	return true
}
