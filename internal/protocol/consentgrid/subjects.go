package consentgrid

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// save answers POST /v1/subjects/{type}, where the id is ours to make, and POST and PATCH
// /v1/subjects/{type}/{subjectId}. An unknown subject is made, or is 404 where it must exist.
func (a *api) save(mustExist bool) func(*protocol.Call) error {
	return func(c *protocol.Call) error { return a.saveSubject(c, mustExist) }
}

func (a *api) saveSubject(c *protocol.Call, mustExist bool) error {
	typ, id, err := nameOf(c)
	if err != nil {
		return err
	}
	mode, err := saveModeOf(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	condition, err := c.IfMatch()
	if err != nil {
		return err
	}
	var request *saveRequest
	if err := protocol.ReadJSON(c, &request); err != nil {
		return err
	}
	data, err := request.dataFor(typ, id)
	if err != nil {
		return err
	}
	input := consent.SaveSubject{Type: typ, Name: id, Data: data, Mode: mode, MustExist: mustExist, If: condition}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.SubjectView, error) {
		input.Idempotency = idempotency
		return a.svc.SaveSubject(c.Request.Context(), c.Actor, input)
	}, savedAnswer)
}

// savedAnswer is 201 with the place of a new subject, 200 for one that was there.
func savedAnswer(s *consent.SubjectView) (protocol.Answer, error) {
	answer, err := protocol.JSON(http.StatusOK, recordOf(s))
	answer.ETag = protocol.ETag(s.Record.Version)
	if s.Created {
		answer.Status = http.StatusCreated
		answer.Location = "/v1/subjects/" + url.PathEscape(s.Type) + "/" + url.PathEscape(s.Name)
	}
	return answer, err
}

// getSubject answers GET /v1/subjects/{type}/{subjectId}, with ?version= from the archive.
func (a *api) getSubject(c *protocol.Call) error {
	typ, id, err := nameOf(c)
	if err != nil {
		return err
	}
	version, err := versionOf(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	s, err := a.svc.Subject(c.Request.Context(), c.Actor, typ, id, version)
	if err != nil {
		return err
	}
	c.Header()["Etag"] = []string{protocol.ETag(s.Record.Version)}
	return protocol.WriteJSON(c, http.StatusOK, envelopeOf(s))
}

// listSubjects answers GET /v1/subjects.
func (a *api) listSubjects(c *protocol.Call) error {
	filter, err := filterOf(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := a.svc.Subjects(c.Request.Context(), c.Actor, filter)
	if err != nil {
		return err
	}
	answer := subjectList{Total: page.Total, Subjects: make([]envelope, len(page.Items))}
	for i := range page.Items {
		answer.Subjects[i] = envelopeOf(&page.Items[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// deleteSubject answers DELETE /v1/subjects/{type}/{subjectId}: 200 without a
// body; 409 while consent events are on record, 412 where If-Match is of another version.
func (a *api) deleteSubject(c *protocol.Call) error {
	typ, id, err := nameOf(c)
	if err != nil {
		return err
	}
	condition, err := c.IfMatch()
	if err != nil {
		return err
	}
	input := consent.DeleteSubject{Type: typ, Name: id, KeepProof: true, If: condition}
	return protocol.ReplyStatus(c, http.StatusOK, func(idempotency consent.Idempotency) error {
		input.Idempotency = idempotency
		return a.svc.DeleteSubject(c.Request.Context(), c.Actor, input)
	})
}

// nameOf gives the type and the id in the path; the id is empty where the path has none. Errors: Invalid.
func nameOf(c *protocol.Call) (typ, id string, err error) {
	if typ, err = c.Param("type"); err != nil {
		return "", "", err
	}
	if id, err = c.Param("subjectId"); err != nil || id == "" {
		return typ, "", err
	}
	if id, err = normalID(id); err != nil {
		return "", "", protocol.At("subjectId", err)
	}
	return typ, id, nil
}

// normalID gives an id as it is looked up and compared, and holds it against the contract's last line: 1 to 256 bytes,
// no control characters, no slash. Errors: Invalid.
func normalID(id string) (string, error) {
	id, err := consent.Normalize(consent.UserID, id)
	if err == nil && strings.Contains(id, "/") {
		err = consent.Errorf(consent.Invalid, "", "must not contain a slash")
	}
	return id, err
}
