package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Key is an API key. Text is there in the answer of CreateKey alone.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"` // zero: never
	RevokedAt time.Time `json:"revokedAt"` // zero: it is not
	Text      string    `json:"key"`
}

// NewKey asks for a key.
type NewKey struct {
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // zero: never
}

// CreateKey makes a key. Its text is kept nowhere, so keep it.
func (c *Client) CreateKey(ctx context.Context, in NewKey) (Key, error) {
	var made Key
	err := c.do(ctx, call{method: http.MethodPost, path: "/keys", body: in, once: true}, &made)
	return made, err
}

// Keys goes through all keys of the organization, in the order in which they were made; those that were revoked or
// have expired too.
func (c *Client) Keys(ctx context.Context) iter.Seq2[Key, error] {
	return list[Key](ctx, c, "/keys", nil)
}

// RevokeKey ends a key at once. Revoking it again changes nothing.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/keys/" + url.PathEscape(id), once: true}, nil)
}
