// Package client speaks consentd's native API: it records decisions, asks whether consent is in force, and reads
// purposes, people and their history.
//
//	c, err := client.New(client.Config{URL: "https://consent.example.com", Organization: organization, Key: key})
//	…
//	_, err = c.Record(ctx, client.Decision{Identifiers: client.Identifiers{Email: "ada@example.com"},
//		Purpose: "marketing", State: client.Accepted})
//	…
//	ok, err := c.May(ctx, client.Identifiers{Email: "ada@example.com"}, "marketing")
//
// A [Client] may be used at once from many goroutines. Every call takes a context first, and ends with it.
//
// # Retries
//
// What may have been lost is tried again, up to Config.Tries times: a connection that broke, also in the middle of an
// answer, and the statuses 429, 500, 502, 503 and 504. Each write carries an Idempotency-Key that stays the same over
// its tries, so it is done once however often it was sent. Between tries it waits for a random part of a time that
// doubles, after what Retry-After says. Where a write failed and [IsUnknown] says so of its error, nobody knows whether
// it was done; [Client.RecordOnce] with the same key settles it.
//
// # Errors
//
// What the server refused is an [*Error] that holds its problem document (RFC 9457). IsInvalid, IsNotFound and so on
// tell kinds apart.
//
// The package imports nothing but the standard library. It knows the API and none of the rules behind it.
package client

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config is what a Client is made of. URL, Organization and Key are needed.
type Config struct {
	URL          string // of the server, without /api; a path before it is kept
	Organization string // its id
	Key          string // an API key of the organization, or the root key
	Project      string // id or slug of the project that calls are about; empty: the organization's default one
	// HTTP makes the requests. Nil: a client of its own, that follows no redirect, so that the key goes nowhere else.
	HTTP *http.Client
	// Tries is how often a call is sent at most. 0: 4; 1: no retries.
	Tries int
	// TryTimeout bounds each try of a call, but not of a stream. 0: 30 s.
	TryTimeout time.Duration
	// MaxWait is the longest that a call waits before it is tried again. A server that asks for more gets no further
	// try: the error says how long it asked for. 0: 30 s.
	MaxWait time.Duration
	// UserAgent is sent with each request. Empty: "consentd-client".
	UserAgent string
}

// Client calls a server for one organization. It is made by New and not changed afterwards.
type Client struct {
	config Config
	base   string // of the organization's paths
}

// New makes a client. It makes no request.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("client: Config.URL is not a URL") // without the error, which may hold a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("client: Config.URL must be http:// or https:// with a host, without query and fragment")
	case strings.Contains(u.Path, "/api/v1"):
		return nil, errors.New("client: Config.URL must end before /api/v1, which the client adds")
	case c.Organization == "":
		return nil, errors.New("client: Config.Organization is empty")
	case c.Key == "":
		return nil, errors.New("client: Config.Key is empty")
	case c.Tries < 0 || c.TryTimeout < 0 || c.MaxWait < 0:
		return nil, errors.New("client: a number in Config is negative")
	}
	c.Project = cmp.Or(c.Project, "default")
	c.Tries = cmp.Or(c.Tries, 4)
	c.TryTimeout = cmp.Or(c.TryTimeout, 30*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.UserAgent = cmp.Or(c.UserAgent, "consentd-client")
	if c.HTTP == nil {
		c.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	made := &Client{config: c}
	made.base = strings.TrimRight(c.URL, "/") + "/api/v1/organizations/" + url.PathEscape(c.Organization)
	return made, nil
}

// ForProject gives a client for another project of the organization, by its id or slug.
func (c *Client) ForProject(project string) *Client {
	other := *c
	other.config.Project = cmp.Or(project, "default")
	return &other
}

// String says where the client calls. No verb of package fmt shows its key.
func (c *Client) String() string {
	return fmt.Sprintf("client of organization %s at %s", c.config.Organization, c.base)
}

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// ofProject is the path of something of the client's project.
func (c *Client) ofProject(rest string) string {
	return "/projects/" + url.PathEscape(c.config.Project) + rest
}
