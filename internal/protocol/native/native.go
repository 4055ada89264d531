// Package native speaks consentd's own API under /api/v1: it knows that API's
// paths, words and errors, and nothing of how things are kept or of any other
// protocol.
//
// The law is the contract "The native API". So far it has the calls on API keys;
// README.md lists them.
package native

import (
	"net/http"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// base is the path before every organization's id.
const base = "/api/v1/organizations/"

type api struct{ svc *service.Service }

// New makes the protocol over a service.
func New(svc *service.Service) protocol.Protocol {
	a := &api{svc: svc}
	access := protocol.Access{Authenticate: svc.Authenticate, Key: protocol.Bearer, Hint: "as Authorization: Bearer",
		Organization: protocol.InPath("organizationId")}
	const keys = base + "{organizationId}/keys"
	return protocol.Protocol{
		Name:  "native",
		Roots: []string{"api"},
		Routes: []protocol.Route{
			{Method: http.MethodPost, Pattern: keys, Handle: access.Handle(a.createKey)},
			{Method: http.MethodGet, Pattern: keys, Handle: access.Handle(a.listKeys)},
			{Method: http.MethodDelete, Pattern: keys + "/{keyId}", Handle: access.Handle(a.revokeKey)},
		},
		Fail: fail,
	}
}
