package slashid

import (
	"errors"
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

var (
	errOrganization = consent.Errorf(consent.Unauthenticated, "", "missing or unknown organization")
	errToken        = consent.Errorf(consent.Unauthenticated, "", "missing, expired or foreign token")
	errPersonID     = consent.Errorf(consent.Invalid, "", "invalid person_id")
)

// personField is the field under which every mistake in a person's id is told.
const personField = "person_id"

// explain puts the core's errors about the person of a call into the vendor's words. Known are people by any user_id;
// of an unknown one the form decides: a UUID could be a person (404), anything else could not (400).
func explain(c *protocol.Call, person string, err error) error {
	if err == nil {
		return nil
	}
	e := consent.AsError(err)
	switch {
	case e.Kind == consent.Invalid && (e.Field == personField || e.Field == string(consent.UserID) || e.Field == "id"):
		return errPersonID
	case e.Kind != consent.NotFound:
		return err
	}
	id, ok := consent.ParseID(person)
	switch {
	case ok:
		return consent.Errorf(consent.NotFound, "", "could not find person %s", id)
	case c.Actor.Person != "": // a token's, so no id that could be wrong was given: it was deleted since
		return consent.Errorf(consent.NotFound, "", "could not find person")
	}
	return errPersonID
}

// fail answers a call that went wrong (contract, "Errors"). 401 has no body. An unknown path is plain text; a known
// one with another method has the shape of all other errors, as the vendor documents none for it.
func (a *api) fail(c *protocol.Call, err error) {
	if c.Request.URL.Path == ownLevels { // also for what fails before a handler runs
		a.cors.Allow(c)
	}
	status, field, msg := protocol.Status(err)
	var ofHTTP *protocol.StatusError
	switch {
	case status == http.StatusUnauthorized:
		c.WriteHeader(status)
		return
	case status == http.StatusNotFound && errors.As(err, &ofHTTP):
		c.Header().Set("Content-Type", "text/plain; charset=utf-8")
		c.WriteHeader(status)
		_, _ = c.Write([]byte("404 page not found")) // the client is gone: nothing is left to tell
		return
	case status == http.StatusForbidden:
		field, msg = "", "access denied"
	}
	body := errorBody{HTTPCode: status, Message: protocol.Message(field, msg)}
	_ = protocol.WriteJSON(c, status, errorsBody{Errors: []errorBody{body}})
}
