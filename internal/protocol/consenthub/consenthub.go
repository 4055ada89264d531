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
	access := protocol.Access{Authenticate: svc.Authenticate, Organization: organization,
		Key:  protocol.BasicOrBearer, // the vendor's samples, and the contract
		Hint: "as the password of Basic authentication, or as Authorization: Bearer"}
	return protocol.Protocol{
		Name:  name,
		Roots: []string{"consent-hub"},
		Routes: []protocol.Route{
			{Method: http.MethodPost, Pattern: "/consent-hub/consent", Handle: access.Handle(a.setConsents)},
			{Method: http.MethodPost, Pattern: "/consent-hub/consent-config/get", Handle: access.Handle(a.getConfig)},
		},
		Fail: fail,
	}
}

// organization is the key's own, for keys that have the vendor's scope. The service checks that too, but a call that
// names no person never gets there. Errors: Forbidden.
func organization(c *protocol.Call, actor consent.Actor) (consent.Actor, error) {
	actor, err := protocol.OfKey(c, actor)
	if err != nil {
		return actor, err
	}
	return actor, protocol.Need(actor, consent.ManageHub)
}
