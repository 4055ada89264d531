package client

import (
	"context"
	"net/http"
	"time"
)

// Merge is what a merge made of two people, or would make.
type Merge struct {
	Subject Subject         `json:"subject"` // who stays
	DryRun  bool            `json:"dryRun"`
	Changes []ConsentChange `json:"changes"`
}

// ConsentChange is what a merge makes of what one of the two had decided for a purpose.
type ConsentChange struct {
	SubjectID string       `json:"subjectId"`
	Project   string       `json:"project"`
	Purpose   string       `json:"purpose"`
	Before    ConsentState `json:"before"`
	After     ConsentState `json:"after"`
}

// ConsentState is a consent in short. EventID is empty where nothing was decided.
type ConsentState struct {
	State     string    `json:"state"`
	ExpiresAt time.Time `json:"expiresAt"`
	EventID   string    `json:"eventId"`
}

type mergeBody struct {
	SubjectID string `json:"subjectId"`
	DryRun    bool   `json:"dryRun,omitempty"`
}

// Merge takes another subject for the one that id names from now on. With dryRun it says what would change, and changes
// nothing. IsConflict where both have an id by which their organization knows a person. etag is as for Attach.
func (c *Client) Merge(ctx context.Context, id, other string, dryRun bool, etag string) (Merge, error) {
	var m Merge
	tag, err := c.doTagged(ctx, call{method: http.MethodPost, path: ofSubject(id, "/merge"),
		body: mergeBody{other, dryRun}, once: true, ifMatch: etag}, &m)
	m.Subject.ETag = tag
	return m, err
}

// Unmerge undoes the merge of other into the subject that id names, and gives both as they are then. What was recorded
// since stays with the subject. etag is as for Attach.
func (c *Client) Unmerge(ctx context.Context, id, other, etag string) (subject, apart Subject, err error) {
	var both struct {
		Subject Subject `json:"subject"`
		Other   Subject `json:"other"`
	}
	both.Subject.ETag, err = c.doTagged(ctx, call{method: http.MethodPost, path: ofSubject(id, "/unmerge"),
		body: mergeBody{SubjectID: other}, once: true, ifMatch: etag}, &both)
	return both.Subject, both.Other, err
}
