package native

import (
	"net/http"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// mergeRequest is the body of POST …/merge.
type mergeRequest struct {
	SubjectID string `json:"subjectId"`
	DryRun    bool   `json:"dryRun"`
}

// mergeSubjects answers POST …/merge with the subject and what changed for it and for the other one.
func (a *api) mergeSubjects(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	request, err := readBody[mergeRequest](c)
	if err != nil {
		return err
	}
	in := consent.MergeSubjects{Subject: id, DryRun: request.DryRun}
	if in.Other, err = otherSubject(request.SubjectID); err != nil {
		return err
	}
	if in.If, err = c.IfMatch(); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.MergedSubjects, error) {
		in.Idempotency = idempotency
		merged, err := a.svc.MergeSubjects(c.Request.Context(), c.Actor, in)
		return merged, inMerge.Rename(err)
	}, mergeAnswer)
}

// unmergeRequest is the body of POST …/unmerge.
type unmergeRequest struct {
	SubjectID string `json:"subjectId"`
}

// unmergeSubjects answers POST …/unmerge with both subjects.
func (a *api) unmergeSubjects(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	request, err := readBody[unmergeRequest](c)
	if err != nil {
		return err
	}
	in := consent.UnmergeSubjects{Subject: id}
	if in.Other, err = otherSubject(request.SubjectID); err != nil {
		return err
	}
	if in.If, err = c.IfMatch(); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.UnmergedSubjects, error) {
		in.Idempotency = idempotency
		apart, err := a.svc.UnmergeSubjects(c.Request.Context(), c.Actor, in)
		return apart, inMerge.Rename(err)
	}, unmergeAnswer)
}

// inMerge names what is wrong with the body of a merge or of its undoing.
var inMerge = protocol.Names{"subject_id": "subjectId"}

// otherSubject reads the id in a body; what is no id is nobody's. Errors: Unprocessable.
func otherSubject(given string) (consent.ID, error) {
	if given == "" {
		return consent.NoID, consent.Errorf(consent.Unprocessable, "subjectId", "is required")
	}
	id, ok := consent.ParseID(given)
	if !ok || id == consent.NoID {
		return consent.NoID, consent.Errorf(consent.Unprocessable, "subjectId", "is no subject of this organization")
	}
	return id, nil
}

// mergeShown is what a merge changed, or would change.
type mergeShown struct {
	Subject subject         `json:"subject"`
	DryRun  bool            `json:"dryRun"`
	Changes []consentChange `json:"changes"`
}

// consentChange is what a merge makes of what a subject had decided for a purpose.
type consentChange struct {
	SubjectID string       `json:"subjectId"`
	Project   string       `json:"project"`
	Purpose   string       `json:"purpose"`
	Before    consentShown `json:"before"`
	After     consentShown `json:"after"`
}

// consentShown is a consent in short; EventID is there where anything was decided.
type consentShown struct {
	State     string  `json:"state"` // expired, and unknown where nothing was decided, too
	ExpiresAt instant `json:"expiresAt,omitzero"`
	EventID   string  `json:"eventId,omitzero"`
}

func mergeAnswer(m *consent.MergedSubjects) (protocol.Answer, error) {
	shown := mergeShown{Subject: subjectOf(m.Subject), DryRun: m.DryRun, Changes: make([]consentChange, len(m.Changes))}
	for i := range m.Changes {
		change := &m.Changes[i]
		shown.Changes[i] = consentChange{SubjectID: change.Subject.String(), Project: change.ProjectID.String(),
			Purpose: change.PurposeKey, Before: inShort(&change.Before, m.At), After: inShort(&change.After, m.At)}
	}
	answer, err := protocol.JSON(http.StatusOK, shown)
	answer.ETag = protocol.ETag(m.Subject.Tag)
	return answer, err
}

func inShort(c *consent.Consent, at time.Time) consentShown {
	switch {
	case c.Event == consent.NoID:
		return consentShown{State: "unknown"}
	case c.Expired(at):
		return consentShown{State: "expired", ExpiresAt: instant(c.ExpiresAt), EventID: c.Event.String()}
	}
	return consentShown{State: c.State.String(), ExpiresAt: instant(c.ExpiresAt), EventID: c.Event.String()}
}

func unmergeAnswer(apart *consent.UnmergedSubjects) (protocol.Answer, error) {
	answer, err := protocol.JSON(http.StatusOK, struct {
		Subject subject `json:"subject"`
		Other   subject `json:"other"`
	}{subjectOf(apart.Subject), subjectOf(apart.Other)})
	answer.ETag = protocol.ETag(apart.Subject.Tag)
	return answer, err
}
