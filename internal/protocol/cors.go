package protocol

import (
	"net/http"
	"slices"
)

// CORS lets pages of other origins make calls and read the answers (Fetch standard, section 3.2, "CORS protocol").
// No credentials are allowed: a token or a key is no cookie.
type CORS struct {
	Allowed func(origin string) bool // tells whether an Origin header names an origin whose pages may
	Methods string                   // what a preflight grants, as its headers say it
	Headers string
	MaxAge  string // seconds for which a browser may keep that
}

// Allow lets an allowed origin read the answer, errors included, and tells whether it did. It may be called again for
// the same answer.
func (o *CORS) Allow(c *Call) bool {
	h, from := c.Header(), c.Request.Header.Get("Origin")
	if !slices.Contains(h.Values("Vary"), "Origin") {
		h.Add("Vary", "Origin") // for caches, and for an origin that is not allowed too
	}
	if !o.Allowed(from) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", from)
	return true
}

// Preflight answers a browser that asks before it calls. An origin that is not allowed gets no permission, and no word
// about why.
func (o *CORS) Preflight(c *Call) error {
	if o.Allow(c) {
		h := c.Header()
		h.Set("Access-Control-Allow-Methods", o.Methods)
		h.Set("Access-Control-Allow-Headers", o.Headers)
		h.Set("Access-Control-Max-Age", o.MaxAge)
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// Handle makes a handler whose answers allowed origins may read.
func (o *CORS) Handle(handle func(*Call) error) func(*Call) error {
	return func(c *Call) error {
		o.Allow(c)
		return handle(c)
	}
}
