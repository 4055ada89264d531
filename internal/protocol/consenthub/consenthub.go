// Package consenthub speaks Atlassian's Consent Hub API: it knows that API's
// paths, words and errors, and nothing of how consent is kept or of any other
// protocol.
//
// The law is the contract "Atlassian Consent Hub" and the vendor's page
// https://developer.atlassian.com/platform/privacy-and-consent-onboarding/rest/api-group-consents/;
// README.md says which of the two says what.
package consenthub

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// name is the protocol's name in the ledger.
const name = "consent-hub"

type api struct {
	svc    *service.Service
	places consent.Places
}

// New makes the protocol over a service. places answers where an address is and
// which regime holds there; it should be the one that the service has.
func New(svc *service.Service, places consent.Places) protocol.Protocol {
	a := &api{svc: svc, places: places}
	return protocol.Protocol{
		Name:  name,
		Roots: []string{"consent-hub"},
		Routes: []protocol.Route{
			{Method: http.MethodPost, Pattern: "/consent-hub/consent",
				Handle: a.admit(a.setConsents)},
			{Method: http.MethodPost, Pattern: "/consent-hub/consent-config/get",
				Handle: a.admit(a.getConfig)},
		},
		Fail: fail,
	}
}

// admit runs a call for whoever shows a key that has the vendor's scope. The
// service checks it too, but a call that names no person never gets there.
// Errors: Unauthenticated, Forbidden.
func (a *api) admit(handle func(*protocol.Call) error) func(*protocol.Call) error {
	return func(c *protocol.Call) error {
		actor, err := a.svc.Authenticate(c.Request.Context(), credential(c.Request))
		if err != nil {
			return protocol.KeyMissing(err, "as the password of Basic authentication, or as Authorization: Bearer")
		}
		c.Actor = actor
		if actor.Root {
			return consent.Errorf(consent.Forbidden, "", "the root key belongs to no organization; use a key of one")
		}
		if !actor.Has(consent.ManageHub) {
			return consent.Errorf(consent.Forbidden, "", "the key lacks the scope %s", consent.ManageHub)
		}
		return handle(c)
	}
}

// credential gives the API key: the password of HTTP Basic, whatever the user
// name (vendor's samples), or a Bearer token (contract). Empty where there is none, or more than one header.
func credential(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok && len(r.Header["Authorization"]) == 1 {
		return password
	}
	return protocol.Bearer(r)
}
