package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is what the server answered in place of what was asked for: its problem document (RFC 9457).
type Error struct {
	Type     string    `json:"type"` // the path of a page of the server about it
	Title    string    `json:"title"`
	Status   int       `json:"status"` // of the answer
	Detail   string    `json:"detail"` // what is wrong
	Instance string    `json:"instance"`
	ErasedAt time.Time `json:"erasedAt"` // with 410: since when the person is gone
	Errors   []Fault   `json:"errors"`   // with 400 and 422: where what is wrong

	RequestID  string        `json:"-"` // X-Request-Id, for the operator
	RetryAfter time.Duration `json:"-"` // what the server asked for; 0: nothing
}

// Fault is one mistake in a request. One of Pointer (RFC 6901, into the body), Parameter and Header says where; none
// of them: the whole body.
type Fault struct {
	Pointer   string `json:"pointer"`
	Parameter string `json:"parameter"`
	Header    string `json:"header"`
	Detail    string `json:"detail"`
}

// Error says what is wrong, with the first mistakes and the id of the request.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "consentd: %d %s", e.Status, e.Title)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if more := len(e.Errors) - 1; more > 0 {
		fmt.Fprintf(&b, " (and %d more)", more)
	}
	if e.RequestID != "" {
		b.WriteString(" [request " + e.RequestID + "]")
	}
	return b.String()
}

// StatusOf gives the status of the server's answer; 0 where err is none of the server's.
func StatusOf(err error) int {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// IsInvalid tells that the request was wrong, 400 or 422: Error.Errors says where.
func IsInvalid(err error) bool {
	s := StatusOf(err)
	return s == http.StatusBadRequest || s == http.StatusUnprocessableEntity
}

// IsUnauthenticated tells that the key is missing, unknown, expired or revoked.
func IsUnauthenticated(err error) bool { return StatusOf(err) == http.StatusUnauthorized }

// IsForbidden tells that the key lacks a scope.
func IsForbidden(err error) bool { return StatusOf(err) == http.StatusForbidden }

// IsNotFound tells that there is no such thing, or that it is another organization's.
func IsNotFound(err error) bool { return StatusOf(err) == http.StatusNotFound }

// IsConflict tells that what is on record does not allow it.
func IsConflict(err error) bool { return StatusOf(err) == http.StatusConflict }

// IsGone tells that the person was erased.
func IsGone(err error) bool { return StatusOf(err) == http.StatusGone }

// IsChanged tells that it was changed since it was read: the ETag that was given is an older one.
func IsChanged(err error) bool { return StatusOf(err) == http.StatusPreconditionFailed }

// IsRateLimited tells that more was asked than the limits allow, after all tries.
func IsRateLimited(err error) bool { return StatusOf(err) == http.StatusTooManyRequests }

// IsUnavailable tells that the server cannot do it now, after all tries, and did not do it.
func IsUnavailable(err error) bool { return StatusOf(err) == http.StatusServiceUnavailable }

// IsUnknown tells of the error of a write that nobody knows whether it was done: no answer came, or a 500, 502 or 504.
// The same write with the same Idempotency-Key settles it.
func IsUnknown(err error) bool {
	switch s := StatusOf(err); {
	case err == nil, errors.Is(err, errRequest), errors.Is(err, errAnswer):
		return false
	case s == 0:
		return true
	default:
		return s >= 500 && s != http.StatusServiceUnavailable
	}
}

// errRequest is of a request that could not be made of what was given: nothing was sent.
var errRequest = errors.New("consentd: the request cannot be made")

// errAnswer is of a whole answer of success that cannot be read: what was asked for was done.
var errAnswer = errors.New("consentd: the answer is not what was expected")

var errTooLarge = fmt.Errorf("%w: it has more than %d MiB", errAnswer, maxAnswer>>20)

// Bounds of what is read.
const (
	maxAnswer  = 64 << 20
	maxProblem = 1 << 20
	maxShown   = 300 // bytes of an answer that is no problem document, such as a proxy's page
)

// problemOf makes the error of an answer that is no success. It reads the body.
func problemOf(res *http.Response) error {
	e := &Error{Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "application/problem+json" || err != nil || json.Unmarshal(body, e) != nil {
		*e = Error{Detail: strings.ToValidUTF8(string(body[:min(len(body), maxShown)]), "\uFFFD"), RetryAfter: e.RetryAfter}
	}
	e.Status = res.StatusCode // of the answer itself, whatever the document says
	if e.Title == "" {
		e.Title = http.StatusText(res.StatusCode)
	}
	e.RequestID = res.Header.Get("X-Request-Id")
	return e
}

// retryAfter reads Retry-After: seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// retryable tells whether a try that failed so may be followed by another one.
func retryable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || errors.Is(err, errRequest) || errors.Is(err, errAnswer) {
		return false
	}
	switch StatusOf(err) {
	case 0, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
