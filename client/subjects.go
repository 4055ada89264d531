package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Subject is a person as the organization knows them.
type Subject struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Identifiers []Identifier    `json:"identifiers"`
	Data        json.RawMessage `json:"data"`
	Version     int             `json:"version"` // of Data
	CreatedAt   time.Time       `json:"createdAt"`
	UpdatedAt   time.Time       `json:"updatedAt"`
	Merged      []MergedSubject `json:"merged"`
	// RestrictedAt is since when what is held is not to be used; zero: it may be.
	RestrictedAt time.Time `json:"restrictedAt"`
	ETag         string    `json:"-"` // for calls that take one
}

// Identifier is one name of a person. Project is there for a projectUserId.
type Identifier struct {
	Kind    string `json:"kind"` // userId, projectUserId, email, phone or anonymousId
	Value   string `json:"value"`
	Project string `json:"project,omitempty"`
}

// MergedSubject is somebody who turned out to be the same person.
type MergedSubject struct {
	SubjectID string    `json:"subjectId"`
	MergedAt  time.Time `json:"mergedAt"`
}

func ofSubject(id, rest string) string { return "/subjects/" + url.PathEscape(id) + rest }

// LookUp gives the person whom identifiers name. IsNotFound where there is none.
func (c *Client) LookUp(ctx context.Context, who Identifiers) (Subject, error) {
	body := struct {
		Identifiers Identifiers `json:"identifiers"`
		Project     string      `json:"project"`
	}{who, c.config.Project}
	return c.subject(ctx, call{method: http.MethodPost, path: "/subjects:lookup", body: body})
}

// Subject gives a person by the id that consentd gave them.
func (c *Client) Subject(ctx context.Context, id string) (Subject, error) {
	return c.subject(ctx, call{method: http.MethodGet, path: ofSubject(id, "")})
}

func (c *Client) subject(ctx context.Context, k call) (Subject, error) {
	var s Subject
	etag, err := c.doTagged(ctx, k, &s)
	s.ETag = etag
	return s, err
}

// Attach gives a person one more identifier. IsConflict where it is somebody else's. etag, where it is not empty, is
// the ETag of the Subject as it was read: IsChanged where that is not the latest. It gives the ETag that the subject
// has now.
func (c *Client) Attach(ctx context.Context, id string, name Identifier, etag string) (string, error) {
	return c.doTagged(ctx, call{method: http.MethodPost, path: ofSubject(id, "/identifiers"), body: name, once: true,
		ifMatch: etag}, nil)
}

// Detach takes an identifier of a person away. etag is as for Attach.
func (c *Client) Detach(ctx context.Context, id string, name Identifier, etag string) (string, error) {
	return c.doTagged(ctx, call{method: http.MethodDelete, path: ofSubject(id, "/identifiers"), body: name, once: true,
		ifMatch: etag}, nil)
}

// SubjectEvents goes through what a person decided, in the order in which it was recorded.
func (c *Client) SubjectEvents(ctx context.Context, id string) iter.Seq2[Event, error] {
	return list[Event](ctx, c, ofSubject(id, "/events"), nil)
}
