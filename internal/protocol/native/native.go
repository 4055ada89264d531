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
	const keys = base + "{organizationId}/keys"
	return protocol.Protocol{
		Name:  "native",
		Roots: []string{"api"},
		Routes: []protocol.Route{
			{Method: http.MethodPost, Pattern: keys, Handle: a.admit(a.createKey)},
			{Method: http.MethodGet, Pattern: keys, Handle: a.admit(a.listKeys)},
			{Method: http.MethodDelete, Pattern: keys + "/{keyId}", Handle: a.admit(a.revokeKey)},
		},
		Fail: fail,
	}
}

// admit runs a call for whoever shows a good key, for the organization in the path.
// Errors: Unauthenticated; NotFound for another tenant's organization.
func (a *api) admit(handle func(*protocol.Call) error) func(*protocol.Call) error {
	return func(c *protocol.Call) error {
		actor, err := a.svc.Authenticate(c.Request.Context(), protocol.Bearer(c.Request))
		if err != nil {
			return protocol.KeyMissing(err, "as Authorization: Bearer")
		}
		c.Actor = actor
		organization, err := c.IDParam("organizationId")
		if err != nil {
			return err
		}
		if actor, err = actor.In(organization); err != nil {
			return err
		}
		c.Actor = actor
		return handle(c)
	}
}
