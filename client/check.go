package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Unknown is the state of what somebody was never asked. It is no Declined.
const Unknown = "unknown"

// Expired is the state of a yes whose time is over.
const Expired = "expired"

// Question asks whether consents are in force.
type Question struct {
	Identifiers Identifiers
	Purposes    []string  // keys; nil: all of the client's project
	At          time.Time // a past instant, as it was by what had occurred by then; zero: now
	AsRecorded  bool      // with At: by what was recorded by then
}

// Check is what holds for one person. Of a person nobody knows SubjectID is empty, and every state Unknown.
type Check struct {
	SubjectID string    `json:"subjectId"`
	Ambiguous bool      `json:"ambiguous"` // the identifiers name several people
	At        time.Time `json:"at"`
	Results   []Result  `json:"results"`
}

// Result is what holds for a person and a purpose. Granted says whether one may; Reason says why, in one word.
type Result struct {
	Purpose        string    `json:"purpose"`
	Granted        bool      `json:"granted"`
	State          string    `json:"state"`
	Reason         string    `json:"reason"`
	DecidedAt      time.Time `json:"decidedAt"`
	ExpiresAt      time.Time `json:"expiresAt"`
	EventID        string    `json:"eventId"`
	PurposeVersion int       `json:"purposeVersion"`
	CurrentVersion int       `json:"currentVersion"`
	Stale          bool      `json:"stale"` // decided under an older version of the purpose
}

// May tells whether a purpose may be served for a person now. Where it cannot be told, it is false with an error.
func (c *Client) May(ctx context.Context, who Identifiers, purpose string) (bool, error) {
	check, err := c.Check(ctx, Question{Identifiers: who, Purposes: []string{purpose}})
	if err != nil {
		return false, err
	}
	if len(check.Results) != 1 || check.Results[0].Purpose != purpose {
		return false, errors.New("consentd: the answer is about another purpose")
	}
	return check.Results[0].Granted, nil
}

// Check tells for one person what holds. It makes nobody known.
func (c *Client) Check(ctx context.Context, q Question) (Check, error) {
	var answer Check
	body := c.checkBody(q)
	body.Identifiers = &q.Identifiers
	err := c.do(ctx, call{method: http.MethodPost, path: "/check", body: body}, &answer)
	return answer, err
}

// CheckAll tells for 1 to 100 people what holds, in their order. q.Identifiers is not looked at.
func (c *Client) CheckAll(ctx context.Context, who []Identifiers, q Question) ([]Check, error) {
	body := c.checkBody(q)
	for _, ids := range who {
		body.Subjects = append(body.Subjects, checkedSubject{ids})
	}
	var answer struct {
		Subjects []Check `json:"subjects"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: "/check", body: body}, &answer)
	return answer.Subjects, err
}

// checkBody is the body of a check: of one person, or of several.
type checkBody struct {
	Identifiers *Identifiers     `json:"identifiers,omitempty"`
	Subjects    []checkedSubject `json:"subjects,omitempty"`
	Purposes    []string         `json:"purposes,omitempty"`
	At          time.Time        `json:"at,omitzero"`
	AsRecorded  bool             `json:"asRecorded,omitempty"`
	Project     string           `json:"project"`
}

type checkedSubject struct {
	Identifiers Identifiers `json:"identifiers"`
}

func (c *Client) checkBody(q Question) checkBody {
	return checkBody{Purposes: q.Purposes, At: q.At, AsRecorded: q.AsRecorded, Project: c.config.Project}
}
