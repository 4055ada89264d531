package native

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) eventRoutes(access protocol.Access) []protocol.Route {
	const events = inOrganization + "/events"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: inProject + "/events", Handle: access.Handle(a.createEvents)},
		{Method: http.MethodGet, Pattern: events, Handle: access.Handle(a.listEvents)},
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
	// The caller is a server: its own address and user agent tell nothing of the person.
	write.Project, write.Origin = project, consent.Origin{Protocol: name}
	return inBody(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Recorded, error) {
		write.Idempotency = idempotency
		recorded, err := a.svc.Record(c.Request.Context(), c.Actor, write)
		if err == nil {
			a.awaitCheckpoint(c, recorded)
		}
		return recorded, err
	}, recordedAnswer))
}

func recordedAnswer(recorded *consent.Recorded) (protocol.Answer, error) {
	list := eventList{Items: make([]event, len(recorded.Items))} // one event each
	for i := range recorded.Items {
		list.Items[i] = eventOf(&recorded.Items[i].Events[0])
	}
	return protocol.JSON(http.StatusCreated, list)
}

// The parameters that narrow and order a list of events.
var eventParameters = []string{"subject", "purpose", "project", "state", "action", "protocol", "from", "to",
	"recordedFrom", "recordedTo", "order"}

// eventFilter reads them. A mistake is in q.Err.
func eventFilter(q *protocol.Query) consent.EventFilter {
	f := consent.EventFilter{
		Project:      given(q, "project"),
		Purpose:      given(q, "purpose"),
		Subject:      protocol.Parsed(q, consent.NoID, parseSubject, "subject"),
		From:         protocol.Parsed(q, time.Time{}, parseFilterTime, "from"),
		To:           protocol.Parsed(q, time.Time{}, parseFilterTime, "to"),
		RecordedFrom: protocol.Parsed(q, time.Time{}, parseFilterTime, "recordedFrom"),
		RecordedTo:   protocol.Parsed(q, time.Time{}, parseFilterTime, "recordedTo"),
		Ascending:    protocol.Parsed(q, true, parseOrder, "order"),
	}
	if state := protocol.Parsed(q, 0, parseState, "state"); state != 0 {
		f.States = []consent.State{state}
	}
	if action := protocol.Parsed(q, 0, parseAction, "action"); action != 0 {
		f.Actions = []consent.Action{action}
	}
	if name := given(q, "protocol"); name != "" {
		f.Protocols = []string{name}
	}
	return f
}

// given gives the value of a parameter. Where it is there it must not be empty, which would not narrow, and be text.
func given(q *protocol.Query, name string) string {
	value := q.One(name)
	if value == "" && len(q.Values[name]) > 0 {
		q.Fail(consent.Errorf(consent.Invalid, "", "must not be empty"), name)
	}
	if !utf8.ValidString(value) || strings.Contains(value, "\x00") { // PostgreSQL would fail on it
		q.Fail(consent.Errorf(consent.Invalid, "", "must be valid UTF-8 without NUL"), name)
	}
	return value
}

var parseOrder = protocol.Choice("must be one of asc, desc", map[string]bool{"asc": true, "desc": false})

func parseSubject(given string) (consent.ID, error) {
	id, ok := consent.ParseID(given)
	if !ok || id == consent.NoID {
		return id, consent.Errorf(consent.Invalid, "", "must be the id of a subject")
	}
	return id, nil
}

func parseState(given string) (consent.State, error) {
	state, ok := consent.ParseState(given)
	if !ok {
		return state, consent.Errorf(consent.Invalid, "", "must be one of %s", stateWords)
	}
	return state, nil
}

func parseAction(given string) (consent.Action, error) {
	action, ok := consent.ParseAction(given)
	if !ok {
		return action, consent.Errorf(consent.Invalid, "", "must be one of %s", actionWords)
	}
	return action, nil
}

// parseFilterTime reads an instant that no decision is before.
func parseFilterTime(given string) (time.Time, error) {
	at, err := consent.ParseInstant(given)
	if err == nil && (at.Year() < 1970 || at.Year() > 9999) {
		err = consent.Errorf(consent.Invalid, "", "must be in the years 1970 to 9999")
	}
	return at, err
}

// listEvents answers GET {org}/events: a page in order of id, or all of it.
func (a *api) listEvents(c *protocol.Call) error {
	f, err := formOf(c)
	if err != nil {
		return err
	}
	if f != nil {
		q := query(c, eventParameters...)
		filter := eventFilter(q)
		if q.Err != nil {
			return q.Err
		}
		return inQueryOf(a.exportEvents(c, f, filter))
	}
	q := query(c, slices.Concat(eventParameters, []string{limitParameter, cursorParameter})...)
	filter := eventFilter(q)
	p, err := a.page(c, q)
	if err != nil {
		return err
	}
	filter.After, filter.Limit = p.afterID(), p.limit
	views, next, err := a.svc.EventsAfter(c.Request.Context(), c.Actor, filter)
	if err != nil {
		return inQueryOf(err)
	}
	list := eventList{Items: make([]event, len(views))}
	for i := range views {
		list.Items[i] = eventOf(&views[i])
	}
	if next != consent.NoID {
		if list.NextCursor, err = a.nextCursor(c, next[:]); err != nil {
			return err
		}
	}
	return protocol.WriteJSON(c, http.StatusOK, list)
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
