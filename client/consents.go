package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Consent is what holds for a person and a purpose, in a list of everybody's.
type Consent struct {
	SubjectID string `json:"subjectId"`
	Project   string `json:"project"`
	Result
}

// ConsentFilter chooses consents of the organization. What is empty does not narrow.
type ConsentFilter struct {
	Project string // id or slug
	Purpose string // key
	State   string
}

// Consents goes through the current consents of everybody page by page. Who was never asked has none.
func (c *Client) Consents(ctx context.Context, f ConsentFilter) iter.Seq2[Consent, error] {
	return list[Consent](ctx, c, "/consents", query("project", f.Project, "purpose", f.Purpose, "state", f.State))
}

// ExportConsents goes through them in one answer, which is quicker for many, and ends with ErrCutOff unless all of them
// came. It is not tried again once it has begun.
func (c *Client) ExportConsents(ctx context.Context, f ConsentFilter) iter.Seq2[Consent, error] {
	return stream[Consent](ctx, c, "/consents", query("project", f.Project, "purpose", f.Purpose, "state", f.State))
}

// SubjectConsents are a person's consents in all projects, as they hold at an instant.
type SubjectConsents struct {
	SubjectID string           `json:"subjectId"` // who the subject asked about is now
	At        time.Time        `json:"at"`
	Items     []SubjectConsent `json:"items"` // of the purposes on which something is on record
}

// SubjectConsent is what holds for a purpose of a project.
type SubjectConsent struct {
	Project string `json:"project"`
	Result
}

// SubjectConsents tells what holds for a person now or, where at is not zero, what held then; asRecorded as in
// Question. IsNotFound where there is no such person.
func (c *Client) SubjectConsents(ctx context.Context, id string, at time.Time, asRecorded bool) (SubjectConsents,
	error) {
	var answer SubjectConsents
	recorded := ""
	if asRecorded {
		recorded = "true"
	}
	err := c.do(ctx, call{method: http.MethodGet, path: ofSubject(id, "/consents"),
		query: query("at", instant(at), "asRecorded", recorded)}, &answer)
	return answer, err
}
