package native

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) eventRoutes(access protocol.Access) []protocol.Route {
	const events = inOrganization + "/events"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: inProject + "/events", Handle: access.Handle(a.createEvents)},
		{Method: http.MethodGet, Pattern: events + "/{eventId}", Handle: access.Handle(a.getEvent)},
	}
}

// name is by which the protocol is known in the ledger.
const name = "native"

// createEvents answers POST {org}/projects/{p}/events: 201 with the events in the order of the items, all or nothing.
func (a *api) createEvents(c *protocol.Call) error {
	project, err := a.project(c)
	if err != nil {
		return err
	}
	body, err := readBody[newEvents](c)
	if err != nil {
		return err
	}
	write, err := body.write()
	if err != nil {
		return err
	}
	write.Project, write.Origin = project, c.Origin(name)
	return inBody(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Recorded, error) {
		write.Idempotency = idempotency
		return a.svc.Record(c.Request.Context(), c.Actor, write)
	}, recordedAnswer))
}

func recordedAnswer(recorded *consent.Recorded) (protocol.Answer, error) {
	list := eventList{Items: make([]event, len(recorded.Items))} // one event each
	for i := range recorded.Items {
		list.Items[i] = eventOf(&recorded.Items[i].Events[0])
	}
	return protocol.JSON(http.StatusCreated, list)
}

// getEvent answers GET {org}/events/{id}.
func (a *api) getEvent(c *protocol.Call) error {
	id, err := c.IDParam("eventId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	view, err := a.svc.Event(c.Request.Context(), c.Actor, id)
	if err != nil {
		return err
	}
	return writeTagged(c, eventTag(&view.Event), eventOf(view))
}

// eventTag gives the entity tag of an event: it is of what was hashed, which changes only where a person is erased.
func eventTag(e *consent.Event) string {
	hash := sha256.New()
	hash.Write(e.BodyJSON)
	hash.Write(e.IdentityJSON)
	return `"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
}
