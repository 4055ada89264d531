package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Webhook is an address that is told of what happens, in messages that are signed as Standard Webhooks
// (https://www.standardwebhooks.com). Whoever receives them verifies them by a library of that standard.
type Webhook struct {
	ID             string    `json:"id"`
	URL            string    `json:"url"`
	Events         []string  `json:"events"`
	Description    string    `json:"description"`
	Status         string    `json:"status"`         // active or disabled
	DisabledReason string    `json:"disabledReason"` // requested, gone or failing; empty while it is active
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
	// PreviousSecretUntil is until when the secret of before a rotation signs too; zero: it does not.
	PreviousSecretUntil time.Time `json:"previousSecretUntil"`
	// Secret is there where CreateWebhook or RotateWebhook gave the webhook, and never again.
	Secret string `json:"secret"`
	ETag   string `json:"-"` // empty in lists
}

// NewWebhook asks for a webhook. URL and Events are needed; an event is a type such as consent.recorded, all of a kind
// such as consent.*, or * for all.
type NewWebhook struct {
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Description string   `json:"description,omitempty"`
}

// Delivery is a message to a webhook that was tried, or is to be.
type Delivery struct {
	ID         string    `json:"id"` // the header webhook-id, the same for every try
	Type       string    `json:"type"`
	EventID    string    `json:"eventId"`  // what it tells of; empty: of none
	Sequence   int64     `json:"sequence"` // of that
	State      string    `json:"state"`    // pending, delivered, parked or dropped
	Attempts   int       `json:"attempts"`
	Status     int       `json:"status"`     // of the last answer; 0: there was none
	Error      string    `json:"error"`      // what came of the last try, in a word; empty: it was taken
	DurationMs int64     `json:"durationMs"` // of the last try
	CreatedAt  time.Time `json:"createdAt"`
	TriedAt    time.Time `json:"triedAt"`   // zero: never
	NextTryAt  time.Time `json:"nextTryAt"` // zero: none is to come
}

func ofWebhook(id, rest string) string { return "/webhooks/" + url.PathEscape(id) + rest }

// CreateWebhook makes a webhook, which is told of what happens from now on. Keep its Secret: it is not shown again.
func (c *Client) CreateWebhook(ctx context.Context, in NewWebhook) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodPost, path: "/webhooks", body: in, once: true})
}

// Webhook gives a webhook.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodGet, path: ofWebhook(id, "")})
}

// Webhooks goes through all webhooks.
func (c *Client) Webhooks(ctx context.Context) iter.Seq2[Webhook, error] {
	return list[Webhook](ctx, c, "/webhooks", nil)
}

// UpdateWebhook changes the members of a webhook that the patch names (RFC 7396): url, events, description, and status,
// active or disabled; a webhook that is active again goes on where it stopped. etag is as for Attach.
func (c *Client) UpdateWebhook(ctx context.Context, id string, patch map[string]any, etag string) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodPatch, path: ofWebhook(id, ""), body: patch, once: true, ifMatch: etag})
}

// RotateWebhook gives a webhook another secret, which the answer has. The one of before signs too for 24 hours.
func (c *Client) RotateWebhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodPost, path: ofWebhook(id, "/rotate"), once: true})
}

// DeleteWebhook ends a webhook. etag is as for Attach.
func (c *Client) DeleteWebhook(ctx context.Context, id, etag string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: ofWebhook(id, ""), once: true, ifMatch: etag}, nil)
}

// PingWebhook has a message sent that tells of nothing. IsConflict where the webhook is disabled.
func (c *Client) PingWebhook(ctx context.Context, id string) (Delivery, error) {
	return c.delivery(ctx, ofWebhook(id, "/ping"))
}

// Deliveries goes through what is kept of a webhook's messages, the newest first.
func (c *Client) Deliveries(ctx context.Context, id string) iter.Seq2[Delivery, error] {
	return list[Delivery](ctx, c, ofWebhook(id, "/deliveries"), nil)
}

// Redeliver has a message tried again as if it never had been, under the id that it has. IsConflict where the webhook
// is disabled.
func (c *Client) Redeliver(ctx context.Context, id, delivery string) (Delivery, error) {
	return c.delivery(ctx, ofWebhook(id, "/deliveries/"+url.PathEscape(delivery)+"/redeliver"))
}

func (c *Client) webhook(ctx context.Context, k call) (w Webhook, err error) {
	w.ETag, err = c.doTagged(ctx, k, &w)
	return w, err
}

func (c *Client) delivery(ctx context.Context, path string) (d Delivery, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: path, once: true}, &d)
	return d, err
}
