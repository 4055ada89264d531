package consenthub

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// getConfig answers POST /consent-hub/consent-config/get (contract, second
// call). It is a read that makes nobody; its answer is not kept for retries,
// because a decision read back must never be a stale one.
func (a *api) getConfig(c *protocol.Call) error {
	var request *configRequest
	if err := protocol.ReadJSON(c, &request); err != nil {
		return err
	}
	q, err := request.query()
	if err != nil {
		return err
	}
	country := a.places.Country(q.address)
	answer := configuration{Locale: country, RequiresOptIn: a.places.Regime(country) == consent.OptIn}
	if q.email != "" {
		if answer.HasChosen, answer.Choice, err = a.choice(c, q.email); err != nil {
			return err
		}
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// choice tells what the person with an e-mail address said about general
// marketing: whether they ever said anything, and whether it is a yes that holds now.
func (a *api) choice(c *protocol.Call, email string) (has, yes bool, err error) {
	person, err := a.svc.Person(c.Request.Context(), c.Actor,
		consent.PersonQuery{Scope: consent.ManageHub, Identifier: consent.Identifier{Kind: consent.Email, Value: email}})
	if consent.IsKind(err, consent.NotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	latest := person.Consents[consent.GeneralMarketingOptIn]
	return latest.Active, latest.Said() && latest.InForce(person.At), nil
}
