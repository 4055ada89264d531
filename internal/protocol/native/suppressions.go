package native

import (
	"net/http"

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
	found, err := lookUp(a, c, a.svc.CheckSuppressed)
	if err != nil {
		return err
	}
	answer := suppressed{Suppressed: len(found.Kinds) > 0, Kinds: make([]string, len(found.Kinds))}
	for i, kind := range found.Kinds {
		answer.Kinds[i] = identifierNames.Of(string(kind))
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}
