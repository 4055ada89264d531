package client

import (
	"context"
	"iter"
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
