package native

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) suppressionRoutes(access protocol.Access) []protocol.Route {
	const suppressions = inOrganization + "/suppressions"
	return []protocol.Route{
		{Method: http.MethodGet, Pattern: suppressions + "/count", Handle: access.Handle(a.countSuppressions)},
		{Method: http.MethodPost, Pattern: suppressions + ":check", Handle: access.Handle(a.checkSuppressions)},
	}
}

// countSuppressions answers GET {org}/suppressions/count.
func (a *api) countSuppressions(c *protocol.Call) error {
	if err := query(c).Err; err != nil {
		return err
	}
	n, err := a.svc.SuppressionCount(c.Request.Context(), c.Actor)
	if err != nil {
		return err
	}
	return protocol.WriteJSON(c, http.StatusOK, struct {
		Count int64 `json:"count"`
	}{n})
}

// suppressed tells whether any of some identifiers is, and the kinds of those that are.
type suppressed struct {
	Suppressed bool     `json:"suppressed"`
	Kinds      []string `json:"kinds"`
}

// checkSuppressions answers POST {org}/suppressions:check. It writes nothing.
func (a *api) checkSuppressions(c *protocol.Call) error {
	request, err := readBody[lookup](c)
	if err != nil {
		return err
	}
	given := request.Identifiers.list()
	if len(given) == 0 {
		return consent.Errorf(consent.Unprocessable, "identifiers", "must have at least one identifier")
	}
	project, err := a.projectIn(c, request.Project)
	if err != nil {
		return err
	}
	found, err := a.svc.CheckSuppressed(c.Request.Context(), c.Actor, project, given)
	if err != nil {
		if field := consent.AsError(err).Field; field != "" {
			err = protocol.At("identifiers."+identifierNames.Of(field), err)
		}
		return inBody(err)
	}
	answer := suppressed{Suppressed: len(found.Kinds) > 0, Kinds: make([]string, len(found.Kinds))}
	for i, kind := range found.Kinds {
		answer.Kinds[i] = identifierNames.Of(string(kind))
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}
