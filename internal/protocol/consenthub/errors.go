package consenthub

import (
	"net/http"

	"github.com/consentd/consentd/internal/protocol"
)

// failure is the shape of every error (contract: ours, the vendor publishes none).
type failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// fail answers a call that went wrong.
func fail(c *protocol.Call, err error) {
	status, field, msg := protocol.Status(err)
	if status == http.StatusUnauthorized {
		c.Header().Set("WWW-Authenticate", `Basic realm="consentd"`)
	}
	// What could not be sent has nobody left to hear of it.
	_ = protocol.WriteJSON(c, status, failure{Code: status, Message: protocol.Message(field, msg)})
}
