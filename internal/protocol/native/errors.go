package native

import (
	"net/http"
	"strings"

	"github.com/consentd/consentd/internal/protocol"
)

// problem is RFC 9457's problem details; its type says no more than the status does.
type problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Instance string  `json:"instance"`
	Errors   []fault `json:"errors,omitempty"` // 400 and 422 only
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

// idempotencyKey is the one field that package protocol and the core name which is a header.
const idempotencyKey = "Idempotency-Key"

// fail answers a call that went wrong.
func fail(c *protocol.Call, err error) {
	status, field, msg := protocol.Status(err)
	p := problem{
		Type:     "about:blank",
		Title:    http.StatusText(status),
		Status:   status,
		Detail:   protocol.Message(strings.TrimPrefix(field, inQuery), msg),
		Instance: "urn:request:" + c.ID,
	}
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		p.Errors = []fault{faultAt(field, msg)}
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

func faultAt(field, msg string) fault {
	if parameter, ok := strings.CutPrefix(field, inQuery); ok {
		return fault{Parameter: parameter, Detail: msg}
	}
	if field == idempotencyKey {
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
