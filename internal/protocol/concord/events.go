package concord

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// createEvents: POST …/projects/{projectId}/consent-events, 201, all or nothing.
func (a *api) createEvents(c *protocol.Call) error {
	ctx := c.Request.Context()
	project, err := a.project(c)
	if err != nil {
		return err
	}
	var body newEvents
	if err := protocol.ReadJSON(c, &body); err != nil {
		return err
	}
	write, err := body.write(project)
	if err != nil {
		return err
	}
	write.Origin = c.Origin(name)
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Recorded, error) {
		write.Idempotency = idempotency
		return a.svc.Record(ctx, c.Actor, write)
	}, answerRecorded)
}

// write makes the core's batch of a request. Errors: no items, 400; an item that names no type, 422.
func (b *newEvents) write(project consent.ID) (consent.Write, error) {
	if len(b.Items) == 0 {
		return consent.Write{}, invalid("items", "is required")
	}
	w := consent.Write{Project: project, Items: make([]consent.Item, len(b.Items)), Field: b.field}
	decisions := make([]consent.Decision, len(b.Items))
	identifiers := make([]consent.Identifier, 0, 2*len(b.Items))
	for i := range b.Items {
		item := &b.Items[i]
		purpose := item.purpose()
		if purpose == (consent.PurposeRef{}) {
			return w, consent.Errorf(consent.Unprocessable, itemField(i, "consentType"),
				"is required, or else category, subcategory and label")
		}
		decisions[i] = consent.Decision{Purpose: purpose, State: consent.State(item.ConsentState),
			Action: consent.Action(item.ConsentAction), OccurredAt: item.ConsentDate.Time, ExpiresAt: item.ExpirationDate.Time}
		from := len(identifiers)
		identifiers = item.identifiers(identifiers)
		w.Items[i] = consent.Item{Identifiers: identifiers[from:len(identifiers):len(identifiers)],
			Decisions: decisions[i : i+1 : i+1]}
	}
	return w, nil
}

// purpose gives what the item says about its type; zero where it says nothing. An absent label is AnyLabel.
func (e *newEvent) purpose() consent.PurposeRef {
	ref := consent.PurposeRef{ID: consent.ID(e.ConsentType)}
	if e.Category == "" && !e.Subcategory.given && e.Label == "" {
		return ref
	}
	ref.Taxonomy = consent.Taxonomy{Category: string(e.Category), Subcategory: e.Subcategory.value, Label: string(e.Label)}
	if e.Label == "" {
		ref.Taxonomy.Label = consent.AnyLabel
	}
	return ref
}

// identifiers appends the item's identifiers to a list.
func (e *newEvent) identifiers(list []consent.Identifier) []consent.Identifier {
	add := func(kind consent.IdentifierKind, given *text) {
		if given.given {
			list = append(list, consent.Identifier{Kind: kind, Value: given.value})
		}
	}
	add(consent.UserID, &e.UserID)
	add(consent.ProjectUserID, &e.ProjectUserID)
	add(consent.Email, &e.Email)
	add(consent.Phone, &e.PhoneNumber)
	if e.ConcordID != (id{}) {
		list = append(list, consent.Identifier{Kind: consent.AnonymousID, Value: consent.ID(e.ConcordID).String()})
	}
	return list
}

// field names the place of a mistake: items[3].consentState.
func (b *newEvents) field(i int, noun string) string {
	switch {
	case noun == "identifiers":
		return fmt.Sprintf("items[%d]", i)
	case noun == "purpose" && i < len(b.Items) && b.Items[i].ConsentType == (id{}):
		return itemField(i, "category, subcategory, label")
	}
	return itemField(i, fieldNames.Of(noun))
}

func itemField(i int, name string) string { return fmt.Sprintf("items[%d].%s", i, name) }

// answerRecorded shows what was recorded in the form in which a list shows it later.
func answerRecorded(recorded *consent.Recorded) (protocol.Answer, error) {
	n := len(recorded.Items) // one event each
	body := make([]byte, 0, 32+n*eventSize)
	body = append(strconv.AppendInt(append(body, `{"count":`...), int64(n), 10), `,"items":[`...)
	for i := range recorded.Items {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendEvent(body, &recorded.Items[i].Events[0])
	}
	return protocol.Answer{Status: http.StatusCreated, ContentType: "application/json", Body: append(body, `]}`...)}, nil
}

// listProjectEvents: GET …/projects/{projectId}/consent-events.
func (a *api) listProjectEvents(c *protocol.Call) error {
	project, err := c.IDParam("projectId")
	if err != nil {
		return err
	}
	filter, err := parseEventFilter(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	filter.Projects = []consent.ID{project}
	return a.listEvents(c, filter)
}

// listOrganizationEvents: GET …/organizations/{organizationId}/consent-events, which has one more filter, projectIds.
func (a *api) listOrganizationEvents(c *protocol.Call) error {
	filter, err := parseEventFilter(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	return a.listEvents(c, filter)
}

func (a *api) listEvents(c *protocol.Call, filter consent.EventFilter) error {
	page, err := a.svc.Events(c.Request.Context(), c.Actor, filter)
	if err != nil {
		return fieldNames.Rename(err)
	}
	items := make([]event, len(page.Items))
	for i := range page.Items {
		items[i] = event{&page.Items[i]}
	}
	return protocol.WriteJSON(c, http.StatusOK, newList(filter.Offset, page.Total, items))
}

// parseEventFilter reads the filters, the order and the page of a list of events.
func parseEventFilter(raw string) (consent.EventFilter, error) {
	q := queryRules.ParseQuery(raw)
	f := consent.EventFilter{
		Projects:      convert(projectIDs(q), toID),
		From:          protocol.Parsed(q, instant{}, parseInstant, "startDate").Time,
		To:            protocol.Parsed(q, instant{}, parseInstant, "endDate").Time,
		Categories:    convert(protocol.Each(q, parseCategory, "category"), toString),
		Subcategories: q.All("subcategory"),
		Labels:        convert(protocol.Each(q, parseLabel, "label"), toString),
		States:        statesIn(q),
		Actions:       actionsIn(q),
		Keys:          convert(protocol.Each(q, parseID, "submitter"), toID),
		Domains:       convert(q.All("domain"), strings.ToLower),
		Countries:     convert(q.All("geography"), geography),
		People:        peopleIn(q),
		ByOccurredAt:  protocol.Parsed(q, false, parseSort, "sort"),
		Ascending:     protocol.Parsed(q, false, parseOrder, "order"),
	}
	f.Offset, f.Limit = pageOf(q)
	return f, q.Err
}

// parseSort tells whether a list is by when people decided; parseOrder, whether it ascends.
var (
	parseSort = protocol.Choice("must be one of dateCreated, consentDate",
		map[string]bool{"dateCreated": false, "consentDate": true})
	parseOrder = protocol.Choice("must be one of desc, asc", map[string]bool{"desc": false, "asc": true})
)

// geography is the country that a filter asks for. What has not the form of a code is kept, and finds nothing:
// it must not find the people whose place is not known.
func geography(given string) string {
	if code := consent.CountryCode(given); code != consent.UnknownCountry || len(given) == 2 {
		return code
	}
	return strings.ToUpper(given)
}

func toID(i id) consent.ID              { return consent.ID(i) }
func toState(s state) consent.State     { return consent.State(s) }
func toAction(a action) consent.Action  { return consent.Action(a) }
func toString[T ~string](word T) string { return string(word) }

// projectIDs may be given several times or joined by commas [ours].
func projectIDs(q *protocol.Query) []id {
	const name = "projectIds"
	q.Values[name] = strings.Split(strings.Join(q.All(name), ","), ",")
	return protocol.Each(q, parseID, name)
}

// statesIn counts withdrawn as declined, as which it shows.
func statesIn(q *protocol.Query) []consent.State {
	given := convert(protocol.Each(q, parseState, "consentState"), toState)
	for _, s := range given {
		if s == consent.Declined {
			return append(given, consent.Withdrawn)
		}
	}
	return given
}

// actionsIn counts what consentd did by itself as import, as which it shows.
func actionsIn(q *protocol.Query) []consent.Action {
	given := convert(protocol.Each(q, parseAction, "consentAction"), toAction)
	for _, a := range given {
		if a == consent.Import {
			return append(given, consent.System)
		}
	}
	return given
}

// peopleIn gives whom the filters name.
func peopleIn(q *protocol.Query) []consent.Identifier {
	people := convert(protocol.Each(q, parseID, "concordId"), func(i id) consent.Identifier {
		return consent.Identifier{Kind: consent.AnonymousID, Value: consent.ID(i).String()}
	})
	for _, filter := range [...]struct {
		name string
		kind consent.IdentifierKind
	}{
		{"userId", consent.UserID}, {"projectUserId", consent.ProjectUserID},
		{"email", consent.Email}, {"phoneNumber", consent.Phone},
	} {
		for _, value := range q.All(filter.name) {
			people = append(people, consent.Identifier{Kind: filter.kind, Value: value})
		}
	}
	return people
}
