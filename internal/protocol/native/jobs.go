package native

import (
	"net/http"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) jobRoutes(access protocol.Access) []protocol.Route {
	const jobs = inOrganization + "/jobs"
	return []protocol.Route{
		{Method: http.MethodGet, Pattern: jobs, Handle: access.Handle(a.listJobs)},
		{Method: http.MethodPost, Pattern: jobs + "/{jobId}/retry", Handle: access.Handle(a.retryJob)},
		{Method: http.MethodDelete, Pattern: jobs + "/{jobId}", Handle: access.Handle(a.dropJob)},
	}
}

// job is work that is due at a time, as it is shown.
type job struct {
	ID        string  `json:"id"`
	Kind      string  `json:"kind"`
	State     string  `json:"state"`
	DueAt     instant `json:"dueAt"`
	Attempts  int     `json:"attempts"`
	Error     string  `json:"error,omitempty"`
	CreatedAt instant `json:"createdAt"`
	ParkedAt  instant `json:"parkedAt,omitzero"`
}

func jobOf(j *consent.Job) job {
	out := job{ID: j.ID.String(), Kind: j.Kind, State: "waiting", DueAt: instant(j.RunAt), Attempts: j.Attempts,
		Error: j.Error, CreatedAt: instant(j.CreatedAt), ParkedAt: instant(j.ParkedAt)}
	switch {
	case !j.ParkedAt.IsZero():
		out.State = "parked"
	case j.Holder != consent.NoID:
		out.State = "running"
	}
	return out
}

var parseJobState = protocol.Choice("must be parked", map[string]bool{"parked": true})

// listJobs answers GET {org}/jobs.
func (a *api) listJobs(c *protocol.Call) error {
	q := query(c, "state", limitParameter, cursorParameter)
	parked := protocol.Parsed(q, false, parseJobState, "state")
	p, err := a.page(c, q)
	if err != nil {
		return err
	}
	found, err := a.svc.Jobs(c.Request.Context(), c.Actor, parked, p.afterID(), p.limit+1)
	if err != nil {
		return err
	}
	found, next, err := cutPage(a, c, p, found, func(j *consent.Job) consent.ID { return j.ID })
	if err != nil {
		return err
	}
	list := struct {
		Items      []job  `json:"items"`
		NextCursor string `json:"nextCursor,omitempty"`
	}{make([]job, len(found)), next}
	for i := range found {
		list.Items[i] = jobOf(&found[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, list)
}

// jobRetry is the body of POST {org}/jobs/{jobId}/retry.
type jobRetry struct {
	At *string `json:"at"`
}

// retryJob answers POST {org}/jobs/{jobId}/retry. It may be called twice.
func (a *api) retryJob(c *protocol.Call) error {
	id, err := c.IDParam("jobId")
	if err != nil {
		return err
	}
	body, err := readBody[jobRetry](c)
	if err != nil {
		return err
	}
	var at time.Time
	if body.At != nil {
		if at, err = parseFilterTime(*body.At); err != nil {
			return inBody(protocol.At("at", err))
		}
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Job, error) {
		return a.svc.RetryJob(c.Request.Context(), c.Actor, id, at, idempotency)
	}, func(j *consent.Job) (protocol.Answer, error) { return protocol.JSON(http.StatusOK, jobOf(j)) })
}

// dropJob answers DELETE {org}/jobs/{jobId}.
func (a *api) dropJob(c *protocol.Call) error {
	id, err := c.IDParam("jobId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	return protocol.ReplyStatus(c, http.StatusNoContent, func(idempotency consent.Idempotency) error {
		return a.svc.DropJob(c.Request.Context(), c.Actor, id, idempotency)
	})
}
