package native

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) checkRoutes(access protocol.Access) []protocol.Route {
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: inOrganization + "/check", Handle: access.Handle(a.check)},
		{Method: http.MethodGet, Pattern: inOrganization + "/subjects/{subjectId}/consents",
			Handle: access.Handle(a.consentsOfSubject)},
	}
}

// checkRequest is the body of POST {org}/check: about one person, or about several.
type checkRequest struct {
	Identifiers *identifiers   `json:"identifiers"`
	Subjects    []checkSubject `json:"subjects"`
	Purposes    []string       `json:"purposes"` // nil: all of the project's
	Project     *string        `json:"project"`
	At          *string        `json:"at"`
	AsRecorded  bool           `json:"asRecorded"`
}

// checkSubject is one of several people.
type checkSubject struct {
	Identifiers *identifiers `json:"identifiers"`
}

// query makes the core's query, and tells whether it is about several people. Errors: Unprocessable.
func (r *checkRequest) query() (q consent.CheckQuery, several bool, err error) {
	q.Purposes, several = r.Purposes, r.Subjects != nil
	if several == (r.Identifiers != nil) {
		return q, several, consent.Errorf(consent.Unprocessable, "",
			"must have identifiers, of one person, or subjects, of several; and not both")
	}
	if r.Project != nil {
		if q.Project = *r.Project; q.Project == "" {
			return q, several, consent.Errorf(consent.Unprocessable, "project", "must not be empty")
		}
	}
	if r.At != nil {
		if q.At, err = consent.ParseInstant(*r.At); err != nil {
			return q, several, inBody(protocol.At("at", err))
		}
	}
	q.AsRecorded = r.AsRecorded
	if !several {
		q.People, q.Field = [][]consent.Identifier{r.Identifiers.list()}, fieldOfOne
		return q, several, nil
	}
	q.People, q.Field = make([][]consent.Identifier, len(r.Subjects)), fieldOfMany
	for i := range r.Subjects {
		q.People[i] = r.Subjects[i].Identifiers.list()
	}
	return q, several, nil
}

// fieldOfOne is a consent.CheckQuery.Field of a check about one person.
func fieldOfOne(person int, noun string) string {
	switch {
	case person < 0 && noun == "people":
		return "" // of one person it is the purposes that are too many
	case person < 0 || noun == "identifiers":
		return noun
	}
	return "identifiers." + identifierNames.Of(noun)
}

// fieldOfMany is that of a check about several.
func fieldOfMany(person int, noun string) string {
	if person < 0 && noun == "people" {
		return "subjects"
	}
	if person < 0 {
		return noun
	}
	return "subjects[" + strconv.Itoa(person) + "]." + fieldOfOne(person, noun)
}

// check answers POST {org}/check.
func (a *api) check(c *protocol.Call) error {
	request, err := readBody[checkRequest](c)
	if err != nil {
		return err
	}
	q, several, err := request.query()
	if err != nil {
		return err
	}
	answers, err := a.svc.Check(c.Request.Context(), c.Actor, q)
	if err != nil {
		return inBody(err)
	}
	return sendJSON(c, checkAnswer(answers, several))
}

// sendJSON answers a read by what was written as JSON already.
func sendJSON(c *protocol.Call, body []byte) error {
	return protocol.SendRead(c, protocol.Answer{Status: http.StatusOK, ContentType: jsonType, Body: body})
}

// What an answer takes, to begin with: of a person, and of each result.
const (
	sizeOfChecked = 160
	sizeOfResult  = 320
)

// checkAnswer writes the answer without reflection: whoever sends mail to many asks very often.
func checkAnswer(answers []consent.Checked, several bool) []byte {
	size := len(`{"subjects":[]}`)
	for i := range answers {
		size += sizeOfChecked + sizeOfResult*len(answers[i].Results)
	}
	b := make([]byte, 0, size)
	if !several {
		return appendChecked(b, &answers[0])
	}
	b = append(b, `{"subjects":[`...)
	for i := range answers {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendChecked(b, &answers[i])
	}
	return append(b, `]}`...)
}

// CheckJSON writes the answer about one person as POST {org}/check gives it.
func CheckJSON(c *consent.Checked) []byte { return appendChecked(nil, c) }

func appendChecked(b []byte, c *consent.Checked) []byte {
	b = append(b, `{"subjectId":`...)
	b = appendID(b, c.Subject)
	if c.Ambiguous {
		b = append(b, `,"ambiguous":true`...)
	}
	b = append(b, `,"at":`...)
	b = appendInstant(b, c.At)
	b = append(b, `,"results":[`...)
	for i := range c.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendResult(b, &c.Results[i])
		b = append(b, '}')
	}
	return append(b, `]}`...)
}

// appendResult writes the members of a result. Those of the event that decides are absent where none does.
func appendResult(b []byte, r *consent.CheckResult) []byte {
	b = append(b, `"purpose":`...)
	b = protocol.AppendString(b, r.Purpose.Key)
	b = append(b, `,"granted":`...)
	b = strconv.AppendBool(b, r.Granted)
	b = append(append(append(b, `,"state":"`...), r.State...), `","reason":"`...)
	b = append(append(b, r.Reason...), '"')
	if r.Event != consent.NoID {
		b = append(b, `,"decidedAt":`...)
		b = appendInstant(b, r.DecidedAt)
		if !r.ExpiresAt.IsZero() {
			b = append(b, `,"expiresAt":`...)
			b = appendInstant(b, r.ExpiresAt)
		}
		b = append(b, `,"eventId":`...)
		b = appendID(b, r.Event)
		b = append(b, `,"purposeVersion":`...)
		b = strconv.AppendInt(b, int64(r.PurposeVersion), 10)
	}
	b = append(b, `,"currentVersion":`...)
	b = strconv.AppendInt(b, int64(r.CurrentVersion), 10)
	b = append(b, `,"stale":`...)
	return strconv.AppendBool(b, r.Stale)
}

// appendID writes an id, and null for none.
func appendID(b []byte, id consent.ID) []byte {
	if id == consent.NoID {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = hex.AppendEncode(b, id[:4])
	for _, part := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), part)
	}
	return append(b, '"')
}

// appendInstant writes what instant does.
func appendInstant(b []byte, t time.Time) []byte {
	return append(appendMicros(append(b, '"'), t.UnixMicro()), '"')
}

// consentsOfSubject answers GET {org}/subjects/{subjectId}/consents: those on record, now or at an instant.
func (a *api) consentsOfSubject(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	q := query(c, "project", "at", "asRecorded")
	project := given(q, "project")
	at := consent.Instant{
		At:         protocol.Parsed(q, time.Time{}, parseFilterTime, "at"),
		AsRecorded: protocol.Parsed(q, false, parseBool, "asRecorded"),
	}
	if q.Err != nil {
		return q.Err
	}
	consents, err := a.svc.ConsentsOfSubject(c.Request.Context(), c.Actor, id, project, at)
	if err != nil {
		return inQueryOf(err)
	}
	return sendJSON(c, subjectConsents(consents))
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, consent.Errorf(consent.Invalid, "", "must be true or false")
	}
	return s == "true", nil
}

func subjectConsents(s *consent.SubjectConsents) []byte {
	b := make([]byte, 0, sizeOfChecked+(sizeOfResult+64)*len(s.Items))
	b = append(b, `{"subjectId":`...)
	b = appendID(b, s.Subject)
	b = append(b, `,"at":`...)
	b = appendInstant(b, s.At)
	b = append(b, `,"items":`...)
	return append(appendStanding(b, s.Items), '}')
}

// appendStanding appends a list of somebody's consents.
func appendStanding(b []byte, items []consent.SubjectConsent) []byte {
	b = append(b, '[')
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"project":`...)
		b = appendID(b, items[i].Project)
		b = append(b, ',')
		b = append(appendResult(b, &items[i].CheckResult), '}')
	}
	return append(b, ']')
}
