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

// What a bundle takes of the memory of streams while it is made: about so much for each decision and each byte of what
// was said, and never more than all streams together may have.
const (
	evidencePerDecision = 12 << 10
	evidencePerByte     = 3
	mostEvidence        = 24 << 20
)

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
	bundle, err := a.svc.Evidence(c.Request.Context(), c.Actor, id, purpose, int64(since))
	if err != nil {
		return notYet(c, inQueryOf(err))
	}
	memory := min(evidencePerDecision*len(bundle.Decisions)+evidencePerByte*bundle.Size(), mostEvidence)
	return inQueryOf(c.Stream("application/zip", int64(memory), func(_ context.Context, to *protocol.Stream) error {
		to.Attach("evidence-" + bundle.Person.ID + ".zip")
		return service.WriteEvidence(to, bundle)
	}))
}
