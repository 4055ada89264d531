// Package protocol is what all protocols share of HTTP and JSON: who calls, how
// a call is read and answered, and how its answer is kept for a retry. It knows
// no protocol's words, and decides nothing.
package protocol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Protocol is one published API: the paths it owns and how it speaks of mistakes.
type Protocol struct {
	Name   string
	Roots  []string // the first segments of its paths; no other protocol has them
	Routes []Route
	// Fail answers a call that went wrong, in the protocol's shape. err is not
	// nil; Status says what may be shown of it.
	Fail func(c *Call, err error)
}

// Route is one call of a protocol. Pattern is chi's: /persons/{person_id}.
type Route struct {
	Method, Pattern string
	Handle          func(c *Call) error
}

// Call is one request being answered. It belongs to one goroutine.
type Call struct {
	http.ResponseWriter
	Request *http.Request
	ID      string        // shown in the access line and as X-Request-Id
	Client  netip.Addr    // after trusted proxies only
	Actor   consent.Actor // once authenticated: its key's id goes into the access line
	Route   string        // the pattern that matched, "-" where none did
	Status  int           // what was answered; 0: nothing yet
	Err     error         // what went wrong, for the log
	// Reserve, where set, takes memory for a large answer while it is sent; false: there is none now.
	Reserve func(size int64) (release func(), ok bool)
	Budget  *BodyBudget // where set, what all calls' large bodies share; Handle gives back what this one has of it
	// Connection ends when the client goes away; unlike the Request's context it has no deadline. See Stream.
	Connection context.Context
	Streams    *Streams
	streaming  bool   // what is sent is a Stream
	Limits     Limits // where set, how often clients may call
	held       held
	body       []byte
}

// WriteHeader notes the status, and says what every answer says: that no cache may keep it, unless its handler said
// otherwise, and with a 503 or 429 when to come again (contracts, "Places").
func (c *Call) WriteHeader(status int) {
	if c.Status == 0 {
		c.Status = status
		h := c.Header()
		if _, said := h["Cache-Control"]; !said {
			h["Cache-Control"] = noStore
		}
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			if _, said := h["Retry-After"]; !said {
				h["Retry-After"] = retryAfter
			}
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

// The values of headers that nobody changes. Whatever a 503 is for, such as a database that is replaced, a restart
// or too many large requests, mostly lasts some seconds.
var (
	noStore    = []string{"no-store"}
	retryAfter = []string{"5"}
)

// Write writes a part of the answer's body.
func (c *Call) Write(p []byte) (int, error) {
	if c.Status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (c *Call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Handle runs a handler: it answers a replayed write again and everything else
// that the handler returns by fail. What nobody classified is logged here, once. A stream that has begun is broken off,
// by http.ErrAbortHandler.
func Handle(c *Call, log *slog.Logger, handle func(*Call) error, fail func(*Call, error)) {
	defer c.releaseBody()
	err := handle(c)
	if err == nil {
		return
	}
	var replayed *consent.Replayed
	if errors.As(err, &replayed) {
		answer, decodeErr := decodeAnswer(replayed.Answer)
		if decodeErr == nil {
			c.Header().Set("Idempotency-Replayed", "true")
			answer.Send(c)
			return
		}
		err = decodeErr
	}
	c.Err = err
	// Who is Unavailable has said so once, and what broke a stream off is told below.
	if status, _, _ := Status(err); status == http.StatusInternalServerError && !c.streaming {
		log.Error("call failed", "request", c.ID, "error", err)
	}
	switch {
	case c.Status == 0:
		fail(c, err)
	case c.streaming:
		log.Info("stream broken off", "request", c.ID, "reason", err)
		panic(http.ErrAbortHandler)
	}
}

// StatusError is a mistake that only HTTP knows, such as 405 or 415.
type StatusError struct {
	Status int
	Msg    string
}

func (e *StatusError) Error() string { return e.Msg }

var statuses = [...]int{
	consent.Internal: 500, consent.Invalid: 400, consent.Unprocessable: 422, consent.Unauthenticated: 401,
	consent.Forbidden: 403, consent.NotFound: 404, consent.Conflict: 409, consent.TooLarge: 413, consent.Unavailable: 503,
	consent.PreconditionFailed: 412, consent.Gone: 410,
}

// Status says how an error is answered: the status, the field it is about (may be empty)
// and a message that may be shown. For 500 the message is "Internal Server Error".
func Status(err error) (status int, field, msg string) {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Status, "", s.Msg
	}
	e := consent.AsError(err)
	if e.Kind == consent.Internal {
		return 500, "", http.StatusText(500)
	}
	return statuses[e.Kind], e.Field, e.Msg
}

// Message joins a field and a message: "items[3].email: must be an e-mail address".
func Message(field, msg string) string {
	if field == "" {
		return msg
	}
	return field + ": " + msg
}

// Param gives a decoded part of the path.
func (c *Call) Param(name string) (string, error) {
	raw := chiParam(c.Request, name)
	if c.Request.URL.RawPath == "" { // the router matched the decoded path
		return raw, nil
	}
	value, err := url.PathUnescape(raw)
	if err != nil {
		return "", consent.Errorf(consent.Invalid, name, "is not valid percent-encoding")
	}
	return value, nil
}

// IDParam gives a part of the path that is an id; what is no UUID names nothing, so it is NotFound.
func (c *Call) IDParam(name string) (consent.ID, error) {
	if id, ok := consent.ParseID(chiParam(c.Request, name)); ok && id != consent.NoID {
		return id, nil
	}
	return consent.NoID, consent.Errorf(consent.NotFound, "", "%s not found", nounOf(name))
}

// Answer is a whole answer, so that it can be kept and given again byte for byte.
type Answer struct {
	Status      int
	ContentType string
	Location    string
	ETag        string // without white space
	Body        []byte
}

// Send answers a call. A client that is gone is no error: nobody is left to tell.
func (a Answer) Send(c *Call) {
	c.releaseDecoded()
	h := c.Header()
	if a.ContentType != "" {
		h["Content-Type"] = contentType(a.ContentType)
	}
	if a.Location != "" {
		h["Location"] = []string{a.Location}
	}
	if a.ETag != "" {
		h["Etag"] = []string{a.ETag}
	}
	if a.Status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
	}
	c.WriteHeader(a.Status)
	if len(a.Body) > 0 {
		_, _ = c.Write(a.Body)
	}
}

var jsonType = []string{"application/json"}

// contentType is the value of a header, which nobody changes: nearly all answers share one.
func contentType(of string) []string {
	if of == jsonType[0] {
		return jsonType
	}
	return []string{of}
}

func (a Answer) encode() []byte {
	head := strings.TrimRight(strconv.Itoa(a.Status)+" "+a.ETag, " ") + "\n" + a.ContentType + "\n" + a.Location + "\n"
	return append([]byte(head), a.Body...)
}

func decodeAnswer(kept []byte) (Answer, error) {
	parts := bytes.SplitN(kept, []byte("\n"), 4)
	if len(parts) != 4 {
		return Answer{}, errors.New("idempotency record is damaged")
	}
	first, etag, _ := strings.Cut(string(parts[0]), " ")
	status, err := strconv.Atoi(first)
	return Answer{Status: status, ETag: etag, ContentType: string(parts[1]), Location: string(parts[2]),
		Body: parts[3]}, err
}

// Reply does a write and answers it: do gets the protection that the call's
// Idempotency-Key asks for and gives the result that render makes the answer
// from. render must have no effect; it runs before the commit where there is a key.
func Reply[R any](c *Call, do func(consent.Idempotency) (R, error), render func(R) (Answer, error)) error {
	var kept *Answer
	idempotency, err := c.idempotency()
	if err != nil {
		return err
	}
	idempotency.Render = func(result any) ([]byte, error) {
		answer, err := render(result.(R))
		kept = &answer
		return answer.encode(), err
	}
	result, err := do(idempotency)
	if err != nil {
		return err
	}
	if kept == nil {
		answer, err := render(result)
		if err != nil {
			return err
		}
		kept = &answer
	}
	kept.Send(c)
	return nil
}

// ReplyStatus is Reply for a write that is answered by a status alone.
func ReplyStatus(c *Call, status int, do func(consent.Idempotency) error) error {
	idempotency, err := c.idempotency()
	if err != nil {
		return err
	}
	answer := Answer{Status: status}
	idempotency.Render = func(any) ([]byte, error) { return answer.encode(), nil }
	if err := do(idempotency); err != nil {
		return err
	}
	answer.Send(c)
	return nil
}

// idempotency reads the Idempotency-Key.
func (c *Call) idempotency() (consent.Idempotency, error) {
	values := c.Request.Header["Idempotency-Key"]
	if len(values) == 0 {
		return consent.Idempotency{}, nil
	}
	key := values[0]
	ok := len(values) == 1 && len(key) >= 1 && len(key) <= 255
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] >= 0x20 && key[i] < 0x7f
	}
	if !ok {
		return consent.Idempotency{}, consent.Errorf(consent.Invalid, "Idempotency-Key",
			"must be one header of 1 to 255 printable ASCII characters")
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(c.Request.Method), []byte(c.Request.URL.RequestURI()), c.body} {
		h.Write([]byte(strconv.Itoa(len(part)) + ":"))
		h.Write(part)
	}
	return consent.Idempotency{Key: key, Fingerprint: [32]byte(h.Sum(nil))}, nil
}
