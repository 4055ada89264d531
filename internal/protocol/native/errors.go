package native

import (
	"net/http"
	"slices"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// problem is RFC 9457's problem details. Type is the path of a page that the server serves.
type problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Instance string  `json:"instance"`
	ErasedAt instant `json:"erasedAt,omitzero"` // 410 only
	Errors   []fault `json:"errors,omitempty"`  // 400 and 422 only
}

// Problem is a type of problem, for the page that its URI names.
type Problem struct {
	Name    string // the last segment of the type
	Status  int
	Meaning string
	ToDo    string // what the caller can do about it
}

// TypeBase is what the types of problems begin with; the name follows.
const TypeBase = "/docs/errors/"

// Problems gives all types of problems, in order of status. The caller may keep the slice.
func Problems() []Problem { return slices.Clone(problems) }

var problems = []Problem{
	{"malformed", http.StatusBadRequest, "The request could not be read: its JSON, its query or a header is malformed.",
		"errors says where. Mend the request; sent again as it is, it fails again."},
	{"unauthenticated", http.StatusUnauthorized, "No API key was sent, or it is unknown, expired or revoked.",
		"Send a good key as Authorization: Bearer. The answer does not tell which of these it is."},
	{"forbidden", http.StatusForbidden, "The key is good, and lacks the scope that this call needs.",
		"detail names the scope. Make a key that has it."},
	{"not-found", http.StatusNotFound, "There is nothing here, or it is another organization's.",
		"Look at the path and its ids."},
	{"method-not-allowed", http.StatusMethodNotAllowed, "The path is known, and does not take this method.",
		"The header Allow lists the methods that it takes."},
	{"not-acceptable", http.StatusNotAcceptable, "Accept names no form that this list can be sent in.",
		"detail lists the forms. Without Accept it is a page in JSON."},
	{"timeout", http.StatusRequestTimeout, "The request body came too slowly.", "Send smaller batches, or send faster."},
	{"conflict", http.StatusConflict, "What is on record does not allow it.",
		"detail says what stands in the way. Read what is there, then decide anew."},
	{"gone", http.StatusGone, "This person was erased, at erasedAt. Nothing else is left.",
		"Forget the id. Who comes back with the same identifiers is somebody new."},
	{"precondition-failed", http.StatusPreconditionFailed, "It was changed since you read it.",
		"Read it again, apply your change to that, and send the new ETag as If-Match."},
	{"too-large", http.StatusRequestEntityTooLarge, "The request is larger than the server takes.",
		"Send fewer items at a time."},
	{"unsupported-media-type", http.StatusUnsupportedMediaType, "The body is not declared as JSON.",
		"Send Content-Type: application/json, and no Content-Encoding."},
	{"unprocessable", http.StatusUnprocessableEntity, "The request could be read, and something in it is wrong.",
		"errors says where and what, by JSON pointers (RFC 6901). Nothing was changed."},
	{"rate-limited", http.StatusTooManyRequests, "More requests were sent than the limits allow.",
		"Wait as long as Retry-After says. The headers RateLimit and RateLimit-Policy say what is left."},
	{"internal", http.StatusInternalServerError, "The server failed; whether a write was done is not known.",
		"Retry with the same Idempotency-Key, which settles it. Tell the operator the instance, which is in the log."},
	{"unavailable", http.StatusServiceUnavailable,
		"The server cannot do it now. Nothing was changed, unless detail says so.",
		"Retry after the seconds that Retry-After says, with the same Idempotency-Key."},
}

// typeOf gives the type of problem of a status.
func typeOf(status int) string {
	for i := range problems {
		if problems[i].Status == status {
			return TypeBase + problems[i].Name
		}
	}
	return "about:blank"
}

// fault is one mistake and its place: a pointer (RFC 6901) into the body, "" for
// all of it, or the name of a query parameter or header.
type fault struct {
	Pointer   *string `json:"pointer,omitzero"`
	Parameter string  `json:"parameter,omitzero"`
	Header    string  `json:"header,omitzero"`
	Detail    string  `json:"detail"`
}

// inQuery before an error's field says that it is a query parameter.
const inQuery = "?"

// inHeader are the fields that package protocol and the core name which are headers.
var inHeader = []string{"Idempotency-Key", "If-Match"}

// fail answers a call that went wrong.
func fail(c *protocol.Call, err error) {
	status, field, msg := protocol.Status(err)
	p := problem{
		Type:     typeOf(status),
		Title:    http.StatusText(status),
		Status:   status,
		Detail:   protocol.Message(strings.TrimPrefix(field, inQuery), msg),
		Instance: "urn:request:" + c.ID,
	}
	switch status {
	case http.StatusGone:
		p.ErasedAt = instant(consent.AsError(err).ErasedAt)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		p.Errors = faults(field, msg, err)
	case http.StatusUnauthorized:
		c.Header().Set("WWW-Authenticate", `Bearer realm="consentd"`)
	}
	answer, err := protocol.JSON(status, p)
	if err != nil { // strings and numbers only: it does not happen
		answer.Body = []byte("{}")
	}
	answer.ContentType = "application/problem+json"
	answer.Send(c)
}

// maxFaults is the most mistakes that one answer lists.
const maxFaults = 100

// faults lists the mistake that an error names, and those that came with it.
func faults(field, msg string, err error) []fault {
	out := []fault{faultAt(field, msg)}
	for _, more := range consent.AsError(err).More {
		if len(out) == maxFaults {
			break
		}
		out = append(out, faultAt(more.Field, more.Msg))
	}
	return out
}

func faultAt(field, msg string) fault {
	if parameter, ok := strings.CutPrefix(field, inQuery); ok {
		return fault{Parameter: parameter, Detail: msg}
	}
	if slices.Contains(inHeader, field) {
		return fault{Header: field, Detail: msg}
	}
	p := pointerTo(field)
	return fault{Pointer: &p, Detail: msg}
}

// pointerTo turns a field as people write it, items[3].state, into a JSON
// pointer, /items/3/state; nothing into the pointer to the whole body.
func pointerTo(field string) string {
	if field == "" {
		return ""
	}
	flat := strings.NewReplacer("~", "~0", "/", "~1", "[", ".", "]", "").Replace(field)
	return "/" + strings.ReplaceAll(flat, ".", "/")
}
