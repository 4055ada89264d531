// Package slashid knows the published protocol of SlashID's GDPR consent and persons calls: paths, credentials,
// JSON, status codes and tokens. It does not know what a consent means or who is who: that is the core's.
package slashid

import (
	"net/http"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// Options are what the operator decides.
type Options struct {
	// Issuer is the public URL of the server: the iss of tokens.
	Issuer string
	// Origins are the exact web origins whose pages may call /consent/gdpr.
	Origins []string
	Clock   func() time.Time // nil: time.Now
}

// api holds what the handlers share; they may run at once.
type api struct {
	svc     *service.Service
	origins []string
	clock   func() time.Time
	tokens  *tokens
}

// New makes the protocol over a service.
func New(svc *service.Service, o Options) protocol.Protocol {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	a := &api{svc: svc, origins: o.Origins, clock: o.Clock, tokens: newTokens(svc, o.Issuer, o.Clock)}
	return protocol.Protocol{
		Name:   "slashid",
		Roots:  []string{"persons", "consent", ".well-known"},
		Routes: a.routes(),
		Fail:   a.fail,
	}
}

func (a *api) routes() []protocol.Route {
	const ofPerson = "/persons/{person_id}/consent/gdpr"
	return []protocol.Route{
		{Method: http.MethodGet, Pattern: ofPerson, Handle: a.byKey(a.getLevels)},
		{Method: http.MethodPost, Pattern: ofPerson, Handle: a.byKey(a.overwriteLevels(http.StatusCreated))},
		{Method: http.MethodPut, Pattern: ofPerson, Handle: a.byKey(a.overwriteLevels(http.StatusOK))},
		{Method: http.MethodDelete, Pattern: ofPerson, Handle: a.byKey(a.deleteLevels)},

		{Method: http.MethodGet, Pattern: ownLevels, Handle: a.byToken(a.getLevels)},
		{Method: http.MethodPost, Pattern: ownLevels, Handle: a.byToken(a.overwriteLevels(http.StatusCreated))},
		{Method: http.MethodPut, Pattern: ownLevels, Handle: a.byToken(a.overwriteLevels(http.StatusOK))},
		{Method: http.MethodDelete, Pattern: ownLevels, Handle: a.byToken(a.deleteLevels)},
		{Method: http.MethodOptions, Pattern: ownLevels, Handle: a.preflight},

		{Method: http.MethodPost, Pattern: "/persons", Handle: a.byKey(a.createPerson)},
		{Method: http.MethodPut, Pattern: "/persons", Handle: a.byKey(a.upsertPerson)},
		{Method: http.MethodGet, Pattern: "/persons/{person_id}", Handle: a.byKey(a.getPerson)},
		{Method: http.MethodDelete, Pattern: "/persons/{person_id}", Handle: a.byKey(a.deletePerson)},
		{Method: http.MethodPost, Pattern: "/persons/{person_id}/mint-token", Handle: a.byKey(a.mintToken)},
		{Method: http.MethodGet, Pattern: "/.well-known/jwks.json", Handle: a.jwks},
	}
}

// caller is who calls, and about which person.
type caller struct {
	actor   consent.Actor
	person  string // empty where the call names nobody
	byToken bool   // the person speaks for themselves
}

// identifier is how the core knows the person.
func (w caller) identifier() consent.Identifier {
	return consent.Identifier{Kind: consent.UserID, Value: w.person}
}

// byKey serves calls of an organization's own servers, with its id and key in the two headers.
func (a *api) byKey(handle func(*protocol.Call, caller) error) func(*protocol.Call) error {
	return func(c *protocol.Call) error {
		who, err := a.authenticateKey(c)
		if err != nil {
			return err
		}
		if who.person, err = c.Param("person_id"); err != nil {
			return errPersonID
		}
		if normal, err := consent.Normalize(consent.UserID, who.person); err == nil { // else the core refuses it
			who.person = normal
		}
		return who.explain(handle(c, who))
	}
}

// authenticateKey reads SlashID-OrgID and SlashID-API-Key. Whatever is wrong with either, an
// unknown organization or another tenant's included, is Unauthenticated (contract, "Errors").
func (a *api) authenticateKey(c *protocol.Call) (who caller, err error) {
	ctx, header := c.Request.Context(), c.Request.Header
	if who.actor, err = a.svc.Authenticate(ctx, header.Get("SlashID-API-Key")); err != nil {
		return who, err
	}
	c.Actor = who.actor
	organization, ok := consent.ParseID(header.Get("SlashID-OrgID"))
	if !ok {
		return who, errOrganization
	}
	if who.actor, err = who.actor.In(organization); err != nil {
		return who, errOrganization
	}
	c.Actor = who.actor
	if _, err = a.svc.Catalog(ctx, who.actor); consent.IsKind(err, consent.NotFound) {
		err = errOrganization
	}
	return who, err
}

// byToken serves calls of a person's browser, with a token that mintToken made.
func (a *api) byToken(handle func(*protocol.Call, caller) error) func(*protocol.Call) error {
	return func(c *protocol.Call) error {
		a.allowOrigin(c)
		who, err := a.authenticateToken(c)
		if err != nil {
			return err
		}
		return who.explain(handle(c, who))
	}
}

func (a *api) authenticateToken(c *protocol.Call) (who caller, err error) {
	ctx := c.Request.Context()
	if who.actor, err = a.tokens.actor(ctx, protocol.Bearer(c.Request)); err != nil {
		return who, err
	}
	c.Actor = who.actor
	who.person, who.byToken = who.actor.Person, true
	return who, nil
}
