package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// The secrets of a webhook are sealed by the organization's own key. That one lies wrapped, so what rotates the keys of
// the key file has nothing to do about webhooks.

// The places of a webhook's two secrets.
const currentSecret, previousSecret = "current", "previous"

// placeOfSecret names a secret's place, so that none can be moved to another.
func placeOfSecret(webhook consent.ID, which string) []byte { return append(webhook[:], which...) }

var errNoWebhookSecret = errors.New("it has no secret")

// webhooks seals the secrets of webhooks.
func (s *sealer) webhooks(context.Context) (err error) {
	c := &s.changes
	c.Webhooks = append([]consent.Webhook(nil), c.Webhooks...)
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		if len(w.Secret) == 0 {
			return fmt.Errorf("webhook %s: %w", w.Webhook, errNoWebhookSecret)
		}
		by := s.subjects[consent.SubjectKey{Organization: w.Organization}]
		w.Secret, err = by.Seal(sealing.LabelWebhook, placeOfSecret(w.Webhook, currentSecret), w.Secret)
		if err == nil && len(w.Previous) > 0 {
			w.Previous, err = by.Seal(sealing.LabelWebhook, placeOfSecret(w.Webhook, previousSecret), w.Previous)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Webhook implements Reader. A secret that cannot be decrypted, since it or its key was changed, is empty.
func (o *openedReader) Webhook(ctx context.Context, key consent.WebhookKey) (*consent.Webhook, error) {
	w, err := o.Reader.Webhook(ctx, key)
	if err != nil || w == nil {
		return nil, err
	}
	opener := o.opener(ctx)
	opener.want(consent.SubjectKey{Organization: key.Organization})
	if err := opener.load(); err != nil {
		return nil, err
	}
	if err := opener.openWebhook(w); err != nil && !errors.Is(err, errUnreadable) {
		return nil, err
	}
	return w, nil
}

// Webhooks implements Reader. A list has no secrets.
func (o *openedReader) Webhooks(ctx context.Context, organization consent.ID) ([]consent.Webhook, error) {
	all, err := o.Reader.Webhooks(ctx, organization)
	for i := range all {
		all[i].Secret, all[i].Previous = nil, nil
	}
	return all, err
}

// openWebhook decrypts the secrets of a webhook, by the key of its organization, which is loaded; what cannot be is
// empty then.
func (p *opener) openWebhook(w *consent.Webhook) error {
	by := consent.SubjectKey{Organization: w.Organization}
	var err, err2 error
	w.Secret, err = p.open(by, sealing.LabelWebhook, placeOfSecret(w.Webhook, currentSecret), w.Secret)
	if w.Previous != nil {
		w.Previous, err2 = p.open(by, sealing.LabelWebhook, placeOfSecret(w.Webhook, previousSecret), w.Previous)
	}
	return errors.Join(err, err2)
}
