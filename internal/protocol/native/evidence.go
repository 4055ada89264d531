package native

import (
	"context"
	"math"
	"net/http"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

func (a *api) evidenceRoutes(access protocol.Access) []protocol.Route {
	return []protocol.Route{{Method: http.MethodGet, Pattern: inOrganization + "/subjects/{subjectId}/evidence",
		Handle: access.Handle(a.getEvidence)}}
}

// mostEvidence is how much of the memory of all streams a bundle reserves at most: with it one that is as large as may
// be is made at a time, and smaller ones beside it.
const mostEvidence = 24 << 20

// getEvidence answers GET {org}/subjects/{subjectId}/evidence[?purpose=][&since=]: the bundle, a zip.
func (a *api) getEvidence(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	q := query(c, "purpose", "since")
	purpose := given(q, "purpose")
	since := q.Number(0, 1, math.MaxInt, "since")
	if q.Err != nil {
		return q.Err
	}
	return inQueryOf(c.Stream("application/zip", 0, func(_ context.Context, to *protocol.Stream) error {
		left := int64(mostEvidence)
		reserve := func(bytes int64) error {
			bytes = min(bytes, left)
			left -= bytes
			return to.Reserve(bytes)
		}
		bundle, err := a.svc.Evidence(c.Request.Context(), c.Actor, id, purpose, int64(since), reserve)
		if err != nil {
			return notYet(c, err)
		}
		to.Attach("evidence-" + bundle.Person.ID + ".zip")
		return service.WriteEvidence(to, bundle)
	}))
}
