// Package slashid knows the published protocol of SlashID's GDPR consent and persons calls: paths, credentials,
// JSON, status codes and tokens. It does not know what a consent means or who is who: that is the core's.
package slashid

import (
	"net/http"
	"slices"
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
	svc    *service.Service
	cors   protocol.CORS // of ownLevels
	clock  func() time.Time
	tokens *tokens
}

// ownLevels is the one path that pages of other origins may call (contract, "CORS").
const ownLevels = "/consent/gdpr"

func corsFor(origins []string) protocol.CORS {
	return protocol.CORS{
		Allowed: func(origin string) bool { return slices.Contains(origins, origin) },
		Methods: "GET, POST, PUT, DELETE",
		Headers: "authorization, content-type, slashid-sdkversion",
		MaxAge:  "7200", // the most that browsers keep in common
	}
}

// New makes the protocol over a service.
func New(svc *service.Service, o Options) protocol.Protocol {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	a := &api{svc: svc, cors: corsFor(o.Origins), clock: o.Clock, tokens: newTokens(svc, o.Issuer, o.Clock)}
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
		{Method: http.MethodOptions, Pattern: ownLevels, Handle: a.cors.Preflight},

		{Method: http.MethodPost, Pattern: "/persons", Handle: a.byKey(a.createPerson)},
		{Method: http.MethodPut, Pattern: "/persons", Handle: a.byKey(a.upsertPerson)},
		{Method: http.MethodGet, Pattern: "/persons/{person_id}", Handle: a.byKey(a.getPerson)},
		{Method: http.MethodDelete, Pattern: "/persons/{person_id}", Handle: a.byKey(a.deletePerson)},
		{Method: http.MethodPost, Pattern: "/persons/{person_id}/mint-token", Handle: a.byKey(a.mintToken)},
		{Method: http.MethodGet, Pattern: "/.well-known/jwks.json", Handle: a.jwks},
	}
}

// byKey serves calls of an organization's own servers, with its id and key in the two headers. The person is empty
// where the path names nobody.
func (a *api) byKey(handle func(c *protocol.Call, person string) error) func(*protocol.Call) error {
	access := protocol.Access{Authenticate: a.svc.Authenticate, Key: protocol.Header("SlashID-API-Key"),
		Hint: "in the header SlashID-API-Key", Organization: a.organization}
	return access.Handle(func(c *protocol.Call) error {
		person, err := c.Param("person_id")
		if err != nil {
			return errPersonID
		}
		if normal, err := consent.Normalize(consent.UserID, person); err == nil { // else the core refuses it
			person = normal
		}
		return explain(c, person, handle(c, person))
	})
}

// organization is the one that SlashID-OrgID names. Whatever is wrong with it, an unknown organization or another
// tenant's included, is Unauthenticated (contract, "Errors").
func (a *api) organization(c *protocol.Call, actor consent.Actor) (consent.Actor, error) {
	id, ok := consent.ParseID(c.Request.Header.Get("SlashID-OrgID"))
	if !ok {
		return actor, errOrganization
	}
	actor, err := actor.In(id)
	if err == nil && actor.Root { // it may name one that there is not
		_, err = a.svc.Catalog(c.Request.Context(), actor)
	}
	if consent.IsKind(err, consent.NotFound) {
		err = errOrganization
	}
	return actor, err
}

// byToken serves calls of a person's browser, with a token that mintToken made.
func (a *api) byToken(handle func(c *protocol.Call, person string) error) func(*protocol.Call) error {
	access := protocol.Access{Authenticate: a.tokens.actor, Key: protocol.Bearer, Hint: "as Authorization: Bearer"}
	return a.cors.Handle(access.Handle(func(c *protocol.Call) error {
		return explain(c, c.Actor.Person, handle(c, c.Actor.Person))
	}))
}

// userID is how the core knows a person.
func userID(person string) consent.Identifier {
	return consent.Identifier{Kind: consent.UserID, Value: person}
}
