package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Purpose is what a consent is for.
type Purpose struct {
	Key             string          `json:"key"`
	Project         string          `json:"project"`
	Name            string          `json:"name"`
	Description     string          `json:"description"`
	LegalText       string          `json:"legalText"`
	URL             string          `json:"url"`
	Category        string          `json:"category"`
	Subcategory     string          `json:"subcategory"`
	Label           string          `json:"label"`
	Duration        string          `json:"duration"` // ISO 8601, such as P13M
	LegalBasis      string          `json:"legalBasis"`
	RequireReaccept bool            `json:"requireReaccept"`
	Required        bool            `json:"required"`
	Status          string          `json:"status"` // active, test, archived or obsolete
	Version         int             `json:"version"`
	CreatedAt       time.Time       `json:"createdAt"`
	UpdatedAt       time.Time       `json:"updatedAt"`
	Texts           map[string]Text `json:"texts"` // by language
	ETag            string          `json:"-"`     // for UpdatePurpose; empty in lists
}

// Text is what a purpose says in a language. SHA256 is of its legal text, and there in versions alone.
type Text struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	LegalText   string `json:"legalText,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
}

// NewPurpose asks for a purpose. Key and Name are needed; without Category and Subcategory it is filed under its key.
type NewPurpose struct {
	Key             string          `json:"key"`
	Name            string          `json:"name"`
	Description     string          `json:"description,omitempty"`
	LegalText       string          `json:"legalText,omitempty"`
	URL             string          `json:"url,omitempty"`
	Category        string          `json:"category,omitempty"`
	Subcategory     string          `json:"subcategory,omitempty"`
	Label           string          `json:"label,omitempty"`
	Duration        string          `json:"duration,omitempty"`   // empty: a year
	LegalBasis      string          `json:"legalBasis,omitempty"` // empty: consent
	RequireReaccept bool            `json:"requireReaccept,omitempty"`
	Required        bool            `json:"required,omitempty"`
	Status          string          `json:"status,omitempty"` // empty: active
	Texts           map[string]Text `json:"texts,omitempty"`
}

// PurposeVersion is what a purpose said from when to when.
type PurposeVersion struct {
	Version         int             `json:"version"`
	Name            string          `json:"name"`
	Description     string          `json:"description"`
	LegalText       string          `json:"legalText"` // empty in lists
	URL             string          `json:"url"`
	LegalBasis      string          `json:"legalBasis"`
	SHA256          string          `json:"sha256"` // of LegalText
	RequireReaccept bool            `json:"requireReaccept"`
	From            time.Time       `json:"from"`
	To              time.Time       `json:"to"` // zero: it holds
	Texts           map[string]Text `json:"texts"`
}

func (c *Client) ofPurpose(key, rest string) string {
	return c.ofProject("/purposes/" + url.PathEscape(key) + rest)
}

// CreatePurpose makes a purpose of the client's project. IsConflict where its key or its category, subcategory and
// label are taken.
func (c *Client) CreatePurpose(ctx context.Context, in NewPurpose) (Purpose, error) {
	return c.purpose(ctx, call{method: http.MethodPost, path: c.ofProject("/purposes"), body: in, once: true})
}

// Purposes goes through the purposes of the client's project, in the order in which they were made.
func (c *Client) Purposes(ctx context.Context) iter.Seq2[Purpose, error] {
	return list[Purpose](ctx, c, c.ofProject("/purposes"), nil)
}

// Purpose gives a purpose by its key.
func (c *Client) Purpose(ctx context.Context, key string) (Purpose, error) {
	return c.purpose(ctx, call{method: http.MethodGet, path: c.ofPurpose(key, "")})
}

// UpdatePurpose changes the members of a purpose that the patch names (RFC 7396): null takes one away. A change of what
// a purpose says makes a new version. etag is as for Attach.
func (c *Client) UpdatePurpose(ctx context.Context, key string, patch map[string]any, etag string) (Purpose, error) {
	return c.purpose(ctx, call{method: http.MethodPatch, path: c.ofPurpose(key, ""), body: patch, once: true,
		ifMatch: etag})
}

func (c *Client) purpose(ctx context.Context, k call) (Purpose, error) {
	var p Purpose
	etag, err := c.doTagged(ctx, k, &p)
	p.ETag = etag
	return p, err
}

// PurposeVersions goes through the versions of a purpose, the oldest first.
func (c *Client) PurposeVersions(ctx context.Context, key string) iter.Seq2[PurposeVersion, error] {
	return list[PurposeVersion](ctx, c, c.ofPurpose(key, "/versions"), nil)
}

// PurposeVersion gives one version of a purpose, with its texts.
func (c *Client) PurposeVersion(ctx context.Context, key string, version int) (PurposeVersion, error) {
	var v PurposeVersion
	path := c.ofPurpose(key, "/versions/"+strconv.Itoa(version))
	err := c.do(ctx, call{method: http.MethodGet, path: path}, &v)
	return v, err
}
