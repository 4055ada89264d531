package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

// TestWebhooks makes, changes and ends a webhook, and finds its messages.
func TestWebhooks(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	made := must[client.Webhook](t)(c.CreateWebhook(ctx, client.NewWebhook{URL: "https://crm.example/in",
		Events: []string{"consent.*"}, Description: "crm"}))
	if made.ID == "" || made.Status != "active" || !strings.HasPrefix(made.Secret, "whsec_") || made.ETag == "" ||
		made.CreatedAt.IsZero() {
		t.Errorf("%+v", made)
	}
	read := must[client.Webhook](t)(c.Webhook(ctx, made.ID))
	unsaid := made
	unsaid.Secret = ""
	if d := cmp.Diff(unsaid, read); d != "" {
		t.Errorf("read again (-made +read):\n%s", d)
	}
	rotated := must[client.Webhook](t)(c.RotateWebhook(ctx, made.ID))
	if rotated.Secret == made.Secret || rotated.PreviousSecretUntil.IsZero() {
		t.Errorf("rotated: %+v", rotated)
	}
	if _, err := c.UpdateWebhook(ctx, made.ID, map[string]any{"status": "disabled"}, made.ETag); !client.IsChanged(err) {
		t.Errorf("an old tag: %v", err)
	}
	ping := must[client.Delivery](t)(c.PingWebhook(ctx, made.ID))
	if ping.Type != "webhook.ping" || ping.State != "pending" || ping.NextTryAt.IsZero() {
		t.Errorf("%+v", ping)
	}
	if d := cmp.Diff([]client.Delivery{ping}, collect(t, c.Deliveries(ctx, made.ID))); d != "" {
		t.Errorf("deliveries (-made +read):\n%s", d)
	}
	if again := must[client.Delivery](t)(c.Redeliver(ctx, made.ID, ping.ID)); again.ID != ping.ID {
		t.Errorf("%+v", again)
	}
	off := must[client.Webhook](t)(c.UpdateWebhook(ctx, made.ID, map[string]any{"status": "disabled"}, rotated.ETag))
	if off.Status != "disabled" || off.DisabledReason != "requested" {
		t.Errorf("%+v", off)
	}
	if _, err := c.PingWebhook(ctx, made.ID); !client.IsConflict(err) {
		t.Errorf("ping of a disabled one: %v", err)
	}
	if all := collect(t, c.Webhooks(ctx)); len(all) != 1 || all[0].ID != made.ID {
		t.Errorf("all: %+v", all)
	}
	if err := c.DeleteWebhook(ctx, made.ID, off.ETag); err != nil {
		t.Error(err)
	}
	if _, err := c.Webhook(ctx, made.ID); !client.IsNotFound(err) {
		t.Errorf("after its end: %v", err)
	}
}
