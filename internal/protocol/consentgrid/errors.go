package consentgrid

import (
	"net/http"

	"github.com/consentd/consentd/internal/protocol"
)

// failure is the vendor's "JSON error object containing diagnostics"; its members are ours.
type failure struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// codes are words that a program can switch on.
var codes = map[int]string{
	http.StatusBadRequest:            "bad_request",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusRequestTimeout:        "request_timeout",
	http.StatusConflict:              "conflict",
	http.StatusGone:                  "gone",
	http.StatusPreconditionFailed:    "precondition_failed",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "unprocessable",
	http.StatusTooManyRequests:       "too_many_requests",
	http.StatusServiceUnavailable:    "unavailable",

	http.StatusRequestHeaderFieldsTooLarge: "headers_too_large",
	http.StatusNotImplemented:              "not_implemented",
	http.StatusHTTPVersionNotSupported:     "version_not_supported",
}

// fail answers a call that went wrong.
func fail(c *protocol.Call, err error) {
	status, field, msg := protocol.Status(err)
	if status == http.StatusUnauthorized {
		c.Header().Set("WWW-Authenticate", `Bearer realm="consentd"`)
	}
	code, ok := codes[status]
	if !ok {
		code = "internal"
	}
	// What could not be sent has nobody left to hear of it.
	_ = protocol.WriteJSON(c, status, failure{Error: code, Message: protocol.Message(field, msg)})
}
