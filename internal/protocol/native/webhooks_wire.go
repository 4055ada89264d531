package native

import (
	"github.com/consentd/consentd/internal/consent"
)

// newWebhook is the body of POST {org}/webhooks.
type newWebhook struct {
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Description string   `json:"description"`
}

// webhookPatch is the body of PATCH {org}/webhooks/{webhookId}, a JSON merge patch.
type webhookPatch struct {
	URL         member[string]   `json:"url"`
	Events      member[[]string] `json:"events"`
	Description member[string]   `json:"description"`
	Status      member[string]   `json:"status"`

	ID             fixed `json:"id"`
	DisabledReason fixed `json:"disabledReason"`
	PreviousUntil  fixed `json:"previousSecretUntil"`
	CreatedAt      fixed `json:"createdAt"`
	UpdatedAt      fixed `json:"updatedAt"`
}

// The states of a webhook.
const (
	activeWebhook   = "active"
	disabledWebhook = "disabled"
)

// change makes the core's change, which checks the rest. Errors: Invalid.
func (r *webhookPatch) change() (consent.WebhookChange, error) {
	change := consent.WebhookChange{URL: r.URL.orEmpty(), Events: r.Events.orEmpty(),
		Description: r.Description.orEmpty()}
	if status := r.Status.orEmpty(); status != nil {
		active := *status == activeWebhook
		if !active && *status != disabledWebhook {
			return change, consent.Errorf(consent.Invalid, "status", "must be %s or %s", activeWebhook, disabledWebhook)
		}
		change.Active = &active
	}
	return change, nil
}

// webhook is a webhook as it is shown. Secret is there in the answers that made it, and nowhere else. How far it has
// come is not shown: that changes all the time, and the entity tag must change with what is shown.
type webhook struct {
	ID             string                 `json:"id"`
	URL            string                 `json:"url"`
	Events         []string               `json:"events"`
	Description    string                 `json:"description,omitzero"`
	Status         string                 `json:"status"`
	DisabledReason consent.DisabledReason `json:"disabledReason,omitzero"`
	CreatedAt      instant                `json:"createdAt"`
	UpdatedAt      instant                `json:"updatedAt"`
	PreviousUntil  instant                `json:"previousSecretUntil,omitzero"`
	Secret         string                 `json:"secret,omitzero"`
}

// webhookList is a page of webhooks; NextCursor is absent on the last one.
type webhookList struct {
	Items      []webhook `json:"items"`
	NextCursor string    `json:"nextCursor,omitzero"`
}

func webhookOf(w *consent.Webhook) webhook {
	shown := webhook{
		ID:             w.WebhookKey.Webhook.String(),
		URL:            w.URL,
		Events:         w.Events,
		Description:    w.Description,
		Status:         activeWebhook,
		DisabledReason: w.Disabled,
		CreatedAt:      instant(w.CreatedAt),
		UpdatedAt:      instant(w.UpdatedAt),
		PreviousUntil:  instant(w.PreviousUntil),
	}
	if !w.Active() {
		shown.Status = disabledWebhook
	}
	return shown
}

// delivery is a delivery as it is shown.
type delivery struct {
	ID         string            `json:"id"` // the header webhook-id
	Type       consent.EventType `json:"type"`
	EventID    string            `json:"eventId,omitzero"`
	Sequence   int64             `json:"sequence,omitzero"`
	State      string            `json:"state"`
	Attempts   int               `json:"attempts"`
	Status     int               `json:"status,omitzero"` // of the last answer
	Error      string            `json:"error,omitzero"`
	DurationMs int64             `json:"durationMs,omitzero"` // of the last try
	CreatedAt  instant           `json:"createdAt"`
	TriedAt    instant           `json:"triedAt,omitzero"`
	NextTryAt  instant           `json:"nextTryAt,omitzero"`
}

// deliveryList is a page of deliveries; NextCursor is absent on the last one.
type deliveryList struct {
	Items      []delivery `json:"items"`
	NextCursor string     `json:"nextCursor,omitzero"`
}

func deliveryOf(d *consent.Delivery) delivery {
	shown := delivery{
		ID:         d.ID.String(),
		Type:       d.Type,
		Sequence:   d.Sequence,
		State:      d.State.String(),
		Attempts:   d.Attempts,
		Status:     d.Status,
		Error:      d.Error,
		DurationMs: d.Took.Milliseconds(),
		CreatedAt:  instant(d.CreatedAt),
		TriedAt:    instant(d.TriedAt),
		NextTryAt:  instant(d.NextTryAt),
	}
	if d.Entry != consent.NoID {
		shown.EventID = d.Entry.String()
	}
	return shown
}
