package native

import (
	"net/http"
	"slices"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// readBody reads the call's body into a new T: a JSON object without members that T does not have. What cannot be read
// as an object is Invalid; what can be and is wrong, such as an unknown member or one of a wrong type, Unprocessable.
// Such a call takes no query: what somebody puts there by mistake, such as dryRun, is never passed over.
func readBody[T any](c *protocol.Call) (*T, error) {
	if err := query(c).Err; err != nil {
		return nil, err
	}
	var v *T
	if err := protocol.ReadStrict(c, &v); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, consent.Errorf(consent.Invalid, "", "the request body must be a JSON object")
	}
	return v, nil
}

// readNothing is readBody for a call that needs none: the body may be absent, else it is an empty object.
func readNothing(c *protocol.Call) error {
	if c.Request.ContentLength == 0 {
		return query(c).Err
	}
	_, err := readBody[struct{}](c)
	return err
}

// inBody makes Unprocessable of what the core calls Invalid in a body that could be read (contract, "422: readable, and
// wrong"). Everything else stays, and so does nil.
func inBody(err error) error {
	if !consent.IsKind(err, consent.Invalid) || slices.Contains(inHeader, consent.AsError(err).Field) {
		return err
	}
	e := *consent.AsError(err)
	e.Kind = consent.Unprocessable
	return &e
}

// project gives the id of the project that the path names by its id, its slug or "default". Errors: NotFound.
func (a *api) project(c *protocol.Call) (consent.ID, error) {
	name, err := c.Param("project")
	if err != nil {
		return consent.NoID, err
	}
	p, err := a.svc.ProjectNamed(c.Request.Context(), c.Actor, name)
	if err != nil {
		return consent.NoID, err
	}
	return p.ID, nil
}

// projectIn gives the id of the project that a body names, as project does; NoID where it names none, which is the
// default one. Errors: Unprocessable.
func (a *api) projectIn(c *protocol.Call, name string) (consent.ID, error) {
	if name == "" {
		return consent.NoID, nil
	}
	p, err := a.svc.ProjectNamed(c.Request.Context(), c.Actor, name)
	if consent.IsKind(err, consent.NotFound) {
		return consent.NoID, consent.Errorf(consent.Unprocessable, "project", "is no project of this organization")
	}
	if err != nil {
		return consent.NoID, err
	}
	return p.ID, nil
}

// writeTagged answers a read with its entity tag, or with 304 where the caller has that version already (RFC 9110,
// section 13.1.2).
func writeTagged(c *protocol.Call, etag string, v any) error {
	c.Header()["Etag"] = []string{etag}
	if hasTag(c.Request.Header["If-None-Match"], etag) {
		c.WriteHeader(http.StatusNotModified)
		return nil
	}
	return protocol.WriteJSON(c, http.StatusOK, v)
}

// hasTag tells whether If-None-Match has a tag. Tags are compared weakly, and ours have no comma inside.
func hasTag(lines []string, etag string) bool {
	list := strings.Split(strings.Join(lines, ","), ",")
	return slices.ContainsFunc(list, func(tag string) bool {
		tag = strings.TrimSpace(tag)
		return tag == "*" || strings.TrimPrefix(tag, "W/") == etag
	})
}
