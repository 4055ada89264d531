// Package webhook knows how one message is signed and delivered to one address, and nothing of consents, stores or
// retries.
//
// Messages have the form of Standard Webhooks (https://www.standardwebhooks.com). Addresses are whatever somebody with
// a key wrote down, so the package keeps from being led into the operator's own network: see Options.Allow.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Reason says in one word of a few what came of a try; it is fit to be kept and shown.
type Reason string

// What may come of a try. Where it is Answered or Redirect, the result has the status.
const (
	Answered   Reason = "answered"            // whatever the status
	Redirect   Reason = "redirect"            // 3xx, which is not followed
	Timeout    Reason = "timeout"             // no answer in time
	Refused    Reason = "refused"             // nobody takes the connection
	Broken     Reason = "broken"              // the connection ended without an answer
	Garbage    Reason = "garbage"             // what came is no answer of HTTP
	TooLarge   Reason = "too_large"           // the answer's headers do not end
	TLS        Reason = "tls"                 // no encryption was agreed upon, or the certificate is not the host's
	Unresolved Reason = "unresolved"          // the host has no address
	NotAllowed Reason = "address_not_allowed" // the host has no address that may be connected to
	BadURL     Reason = "bad_url"             // it is no http or https URL
	Canceled   Reason = "canceled"            // the caller's context ended: nobody knows
)

// Reasons are all that there are.
var Reasons = []Reason{Answered, Redirect, Timeout, Refused, Broken, Garbage, TooLarge, TLS, Unresolved, NotAllowed,
	BadURL, Canceled}

// Endpoint is where a message goes, and with what it is signed: the newest secret first.
type Endpoint struct {
	URL     string
	Secrets []Secret
}

// Message is what is delivered. ID is the same for every try of it; At is when this try is made, which receivers hold
// against their clock.
type Message struct {
	ID   string
	At   time.Time
	Body []byte // JSON
}

// Result is what came of a try.
type Result struct {
	Status int // of the answer; 0: there was none
	Reason Reason
	Took   time.Duration // until the status was known
}

// Taken tells whether the receiver has the message: it answered with 2xx.
func (r Result) Taken() bool { return r.Reason == Answered && r.Status/100 == 2 }

const (
	// maxTime is how long a receiver has to answer, look-up and connecting included.
	maxTime = 15 * time.Second
	// Of an answer the status counts. So much of the rest is read, for so long, to use the connection again.
	maxBody     = 64 << 10
	maxBodyTime = time.Second
	maxHeaders  = 16 << 10
	// What is kept open between messages: of one host, of all, and for how long.
	idleOfHost = 8
	idleOfAll  = 512
	idleTime   = 90 * time.Second
	// sessions of TLS are remembered, so that connecting again costs less.
	sessions = 512
)

// Options are what a Client is made of; the zero value is for production.
type Options struct {
	// Allow are addresses that may be connected to though they are not public. To them http is spoken too.
	Allow []netip.Prefix
	// Resolve looks hosts up; nil: as the system does.
	Resolve Resolve
	// Timeout is how long a receiver has to answer; 0: 15 s.
	Timeout time.Duration
	// Roots are whom certificates are believed from; nil: whom the system believes.
	Roots *x509.CertPool
}

// Client delivers messages. It may be used at once from many goroutines. How many messages one receiver is sent at once
// is its caller's business: connections are no bound, since endpoints of one host must not wait for each other.
type Client struct {
	resolve   Resolve
	allow     []netip.Prefix
	roots     *x509.CertPool
	timeout   time.Duration
	sessions  tls.ClientSessionCache
	transport *http.Transport
	open      context.Context // until Close
	close     context.CancelFunc
}

// New makes a client; Close ends it. It uses no proxy, whatever the environment says: a proxy would look hosts up
// again.
func New(o Options) *Client {
	c := &Client{resolve: o.Resolve, allow: o.Allow, roots: o.Roots, timeout: o.Timeout,
		sessions: tls.NewLRUClientSessionCache(sessions)}
	if c.resolve == nil {
		c.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.timeout == 0 {
		c.timeout = maxTime
	}
	c.open, c.close = context.WithCancel(context.Background())
	c.transport = &http.Transport{DialContext: c.dialPlain, DialTLSContext: c.dialTLS, MaxIdleConnsPerHost: idleOfHost,
		MaxIdleConns: idleOfAll, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: maxHeaders, DisableCompression: true}
	return c
}

// Close lets go of the connections, and ends those that are being made. Nothing may be sent after it.
func (c *Client) Close() {
	c.close()
	c.transport.CloseIdleConnections()
}

// Send makes one try to deliver a message, within 15 s. It follows no redirect, and connects to the address that the
// host resolves to now, or did when a connection that is still open was made.
// Source: Standard Webhooks, sections "Webhook Headers" and "Operational considerations".
func (c *Client) Send(ctx context.Context, e Endpoint, m Message) Result {
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := request(within, e, m)
	if err != nil {
		return Result{Reason: BadURL}
	}
	answer, err := c.transport.RoundTrip(r) // unlike http.Client it follows nothing
	result := Result{Took: time.Since(began)}
	switch {
	case err != nil && ctx.Err() != nil:
		result.Reason = Canceled
		return result
	case err != nil:
		result.Reason = reasonOf(err)
		return result
	case answer.StatusCode/100 == 3:
		result.Reason = Redirect
	default:
		result.Reason = Answered
	}
	result.Status = answer.StatusCode
	discard(answer, cancel)
	return result
}

var errBadURL = errors.New("must be an http or https URL with a host and without a user")

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return nil, errBadURL
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errBadURL
		}
	}
	return u, nil
}

// request makes the call of a message.
func request(ctx context.Context, e Endpoint, m Message) (*http.Request, error) {
	if _, err := parseURL(e.URL); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(m.Body))
	if err != nil {
		return nil, errBadURL
	}
	r.Header = http.Header{
		"Content-Type":      {"application/json"},
		"User-Agent":        {"consentd"},
		"Webhook-Id":        {m.ID},
		"Webhook-Timestamp": {strconv.FormatInt(m.At.Unix(), 10)},
		"Webhook-Signature": {sign(e.Secrets, m.ID, m.At, m.Body)},
		// Not sent: it tells net/http that the call may be made again where a connection that was idle turns out to be
		// closed. Receivers know a message that comes twice by its id.
		"Idempotency-Key": {},
	}
	return r, nil
}

// discard reads the rest of an answer, which tells nothing, so that the connection can be used again. It waits for
// nobody: what is long or slow costs the receiver its connection.
func discard(answer *http.Response, cancel context.CancelFunc) {
	defer answer.Body.Close()
	if answer.ContentLength == 0 || answer.ContentLength > maxBody {
		return
	}
	late := time.AfterFunc(maxBodyTime, cancel)
	defer late.Stop()
	_, _ = io.CopyN(io.Discard, answer.Body, maxBody+1) // the message is delivered, or not, by now
}

// reasonOf says what an error of net/http's means.
func reasonOf(err error) Reason {
	var known *fault
	var network *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &known):
		return known.reason
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case strings.Contains(err.Error(), "response headers exceeded"): // net/http has no other name for it
		return TooLarge
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network),
		strings.Contains(err.Error(), "server closed idle connection"):
		return Broken
	}
	return Garbage
}
