package protocol

import (
	"context"
	"net/http"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Access says who may make the calls of a protocol: whoever shows a good API key.
type Access struct {
	// Authenticate gives the actor that a key stands for; the key is empty where none was sent.
	Authenticate func(ctx context.Context, key string) (consent.Actor, error)
	Key          func(*http.Request) string // finds the key
	Hint         string                     // how to send it, as in "in the header x-api-key"
	// Organization gives the actor for the organization that the call is about. Nil: the key's own; none for the root key.
	Organization func(*Call, consent.Actor) (consent.Actor, error)
}

// Handle makes a handler that runs another one once it is known who calls, before anything else is looked at.
// Errors: Unauthenticated, which does not tell a missing key from an unknown one; those of Organization and of Limits.
func (a Access) Handle(handle func(*Call) error) func(*Call) error {
	return func(c *Call) error {
		if err := a.identify(c); err != nil {
			return err
		}
		return handle(c)
	}
}

// identify finds out who calls, and holds clients to their limits. A call without a credential costs nothing and
// counts nowhere: some clients send one only when they are asked to.
func (a Access) identify(c *Call) error {
	credential, limits := a.Key(c.Request), c.Limits
	if limits == nil || credential == "" {
		return a.authenticate(c, credential, unlimited{})
	}
	if err := limits.Admit(c.Header(), c.Client, credential); err != nil {
		return err
	}
	err := a.authenticate(c, credential, limits)
	switch {
	case err == nil:
		limits.Good(credential)
	case consent.IsKind(err, consent.Unauthenticated):
		limits.Wrong(c.Client)
	}
	return err
}

// authenticate finds the actor, first of the credential, then for the organization that the call is about.
func (a Access) authenticate(c *Call, credential string, limits Limits) error {
	actor, err := a.Authenticate(c.Request.Context(), credential)
	if consent.IsKind(err, consent.Unauthenticated) {
		return &consent.Error{Kind: consent.Unauthenticated, Err: err,
			Msg: "missing or unknown credentials: send an API key " + a.Hint}
	}
	if err != nil {
		return err
	}
	c.Actor = actor // for the access line, whatever comes of it
	if err := limits.Count(c.Header(), actor); err != nil {
		return err
	}
	if a.Organization != nil {
		if actor, err = a.Organization(c, actor); err != nil {
			return err
		}
		c.Actor = actor
	}
	return limits.CountOrganization(c.Header(), actor)
}

// InPath is an Access.Organization for paths that name the organization by its id. The root key may name any.
// Errors: NotFound, for another tenant's too.
func InPath(param string) func(*Call, consent.Actor) (consent.Actor, error) {
	return func(c *Call, actor consent.Actor) (consent.Actor, error) {
		id, err := c.IDParam(param)
		if err != nil {
			return actor, err
		}
		return actor.In(id)
	}
}

// OfKey is an Access.Organization for paths that name none: it is the key's own. Errors: Forbidden for the root key.
func OfKey(_ *Call, actor consent.Actor) (consent.Actor, error) {
	if actor.Root {
		return actor, consent.Errorf(consent.Forbidden, "", "the root key belongs to no organization; use a key of one")
	}
	return actor, nil
}

// Need refuses an actor who lacks one of the scopes, with Forbidden.
func Need(actor consent.Actor, scopes ...consent.Scope) error {
	for _, scope := range scopes {
		if !actor.Has(scope) {
			return consent.Errorf(consent.Forbidden, "", "the key lacks the scope %s", scope)
		}
	}
	return nil
}

// Header is an Access.Key: the value of a header.
func Header(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.Header.Get(name) }
}

// Bearer gives the token of the Authorization header (RFC 6750, section 2.1);
// empty where there is none, or more than one header.
func Bearer(r *http.Request) string {
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(token, " ")
}

// BasicOrBearer gives the password of HTTP Basic (RFC 7617), whatever the user name, or else the token that Bearer
// gives. Empty where there is none, or more than one header.
func BasicOrBearer(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok && len(r.Header["Authorization"]) == 1 {
		return password
	}
	return Bearer(r)
}
