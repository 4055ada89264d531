// Package consentgrid speaks ConsentGrid's subjects API: it knows that API's
// paths, words and errors, and nothing of how subjects are kept or of any
// other protocol.
//
// The law is the contract "ConsentGrid subjects" and the vendor's pages
// https://aws.consentgrid.io/apidoc/ (subjects); README.md says which of the
// two says what.
package consentgrid

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

type api struct{ svc *service.Service }

// New makes the protocol over a service.
func New(svc *service.Service) protocol.Protocol {
	a := &api{svc: svc}
	const one = "/v1/subjects/{type}/{subjectId}"
	return protocol.Protocol{
		Name:  "consentgrid",
		Roots: []string{"v1"},
		Routes: []protocol.Route{
			{Method: http.MethodGet, Pattern: "/v1/subjects", Handle: a.admit(a.listSubjects)},
			{Method: http.MethodPost, Pattern: "/v1/subjects/{type}", Handle: a.admit(a.createSubject)},
			{Method: http.MethodPost, Pattern: one, Handle: a.admit(a.saveSubject)},
			{Method: http.MethodPatch, Pattern: one, Handle: a.admit(a.updateSubject)},
			{Method: http.MethodGet, Pattern: one, Handle: a.admit(a.getSubject)},
			{Method: http.MethodDelete, Pattern: one, Handle: a.admit(a.deleteSubject)},
		},
		Fail: fail,
	}
}

// admit runs a call for whoever shows a good key of an organization.
// Errors: Unauthenticated; Forbidden for the root key, since no path here names an organization.
func (a *api) admit(handle func(*protocol.Call) error) func(*protocol.Call) error {
	return func(c *protocol.Call) error {
		actor, err := a.svc.Authenticate(c.Request.Context(), protocol.Bearer(c.Request))
		if err != nil {
			return protocol.KeyMissing(err, "as Authorization: Bearer")
		}
		c.Actor = actor
		if actor.Root {
			return consent.Errorf(consent.Forbidden, "", "the root key belongs to no organization; use a key of one")
		}
		return handle(c)
	}
}
