package service

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webhook"
)

// previousSecretFor is how long the secret of before signs too after a rotation (contract, "Webhooks").
const previousSecretFor = 24 * time.Hour

// DeliveryID is the id of a message to a webhook about an entry of the ledger, which tells receivers what they have
// already: the same where the message is made again after a crash, and another for another type. Ids of a webhook are
// in the order of the instants, to the millisecond: when the entry was recorded, or a consent expired. It is a UUID of
// version 8 (RFC 9562, section 5.8): 48 bits of the time, the others of the SHA-256 of all else.
func DeliveryID(to, entry consent.ID, of consent.EventType, at time.Time) consent.ID {
	hash := sha256.Sum256(slices.Concat(to[:], entry[:], []byte(of)))
	var id consent.ID
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	copy(id[6:], hash[:])
	id[6] = 0x80 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// CreateWebhook makes a webhook, which is told of what happens from now on. The answer to keep is rendered from a
// *ToldSecret. Errors: Invalid, Forbidden, NotFound, Conflict where there are too many.
func (s *Service) CreateWebhook(ctx context.Context, a consent.Actor, in consent.NewWebhook,
	idem consent.Idempotency) (made *consent.ToldSecret, err error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	err = s.update(ctx, a, idem, func(tx Tx) (any, error) {
		head, err := headOf(ctx, tx, a.Organization) // first, as endOf does
		if err != nil {
			return nil, err
		}
		w, err := in.Create(head, s.now())
		if err == nil {
			err = s.checkURL(w.URL)
		}
		if err != nil {
			return nil, err
		}
		others, err := tx.Webhooks(ctx, a.Organization)
		if err != nil {
			return nil, err
		}
		if len(others) >= consent.MaxWebhooks {
			return nil, consent.Errorf(consent.Conflict, "", "an organization may have %d webhooks", consent.MaxWebhooks)
		}
		w.WebhookKey = consent.WebhookKey{Organization: a.Organization, Webhook: s.newID()}
		secret := s.newWebhookSecret()
		w.Secret = secret.Bytes()
		made = &consent.ToldSecret{Webhook: w, Text: secret.Text()}
		return made, tx.Append(ctx, &consent.Changes{Webhooks: []consent.Webhook{w}})
	})
	return made, s.waking(err)
}

// checkURL refuses what nothing could be sent to. Errors: Invalid.
func (s *Service) checkURL(url string) error {
	if err := webhook.Check(url, s.webhookAllow); err != nil {
		return consent.Errorf(consent.Invalid, "url", "%s", err)
	}
	return nil
}

func (s *Service) newWebhookSecret() webhook.Secret {
	secret, err := webhook.NewSecret(randomOf(s.read))
	if err != nil { // read gives or panics
		panic("consent: no randomness: " + err.Error())
	}
	return secret
}

// randomOf makes a reader of what fills all that it is given.
type randomOf func(p []byte)

func (r randomOf) Read(p []byte) (int, error) {
	r(p)
	return len(p), nil
}

// waking has who is to be told looked for, where a write that they waited for was done, or may have been.
func (s *Service) waking(err error) error {
	if err == nil || consent.IsKind(err, consent.Internal) || consent.IsKind(err, consent.Unavailable) {
		s.wakeFeeds()
	}
	return err
}

// Webhooks lists the webhooks of the actor's organization behind one, in order of id, without their secrets.
// Errors: Forbidden, NotFound.
func (s *Service) Webhooks(ctx context.Context, a consent.Actor, after consent.ID, limit int) ([]consent.Webhook,
	error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	var all []consent.Webhook
	err := s.viewOnce(ctx, func(r Reader) (err error) {
		all, err = r.Webhooks(ctx, a.Organization)
		return err
	})
	all = slices.DeleteFunc(all, func(w consent.Webhook) bool { return string(w.Webhook[:]) <= string(after[:]) })
	return all[:min(limit, len(all))], err
}

var errNoWebhook = &consent.Error{Kind: consent.NotFound, Msg: "webhook not found"}

// webhookOf reads a webhook of an organization.
func webhookOf(ctx context.Context, r Reader, organization, id consent.ID) (*consent.Webhook, error) {
	w, err := r.Webhook(ctx, consent.WebhookKey{Organization: organization, Webhook: id})
	if err == nil && w == nil {
		err = errNoWebhook
	}
	return w, err
}

// Webhook gives a webhook without its secrets. Errors: Forbidden, NotFound.
func (s *Service) Webhook(ctx context.Context, a consent.Actor, id consent.ID) (w *consent.Webhook, err error) {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		w, err = webhookOf(ctx, asStored(r), a.Organization, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	w.Secret, w.Previous = nil, nil
	return w, nil
}

// changeWebhook has change change a webhook, and writes it where it says that it did. A webhook whose secret cannot be
// read can only get another.
func (s *Service) changeWebhook(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency,
	change func(w *consent.Webhook) (result any, changed bool, err error)) error {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return err
	}
	return s.waking(s.update(ctx, a, idem, func(tx Tx) (any, error) {
		w, err := webhookOf(ctx, tx, a.Organization, id)
		if err != nil {
			return nil, err
		}
		result, changed, err := change(w)
		if err != nil || !changed {
			return result, err
		}
		if len(w.Secret) == 0 {
			return nil, consent.Errorf(consent.Conflict, "", "the webhook's secret cannot be read, since what is stored of it "+
				"was changed; rotate it first")
		}
		return result, tx.Append(ctx, &consent.Changes{Webhooks: []consent.Webhook{*w},
			MovedWebhooks: []consent.MovedWebhook{{WebhookKey: w.WebhookKey, WebhookCursor: w.WebhookCursor}}})
	}))
}

// UpdateWebhook changes a webhook (see consent.Webhook.Change). The answer to keep is rendered from a *Webhook.
// Errors: Invalid, Forbidden, NotFound, Conflict, PreconditionFailed.
func (s *Service) UpdateWebhook(ctx context.Context, a consent.Actor, in consent.UpdateWebhook) (
	to *consent.Webhook, err error) {
	err = s.changeWebhook(ctx, a, in.Webhook, in.Idempotency, func(w *consent.Webhook) (any, bool, error) {
		changed, is, err := w.Change(&in.Change, s.now())
		if err == nil && in.Change.URL != nil {
			err = s.checkURL(changed.URL)
		}
		if err == nil {
			err = in.If.Check(w.Revision)
		}
		*w, to = changed, &changed
		return to, is, err
	})
	return to, err
}

// RotateWebhook gives a webhook another secret; the one of before signs too for 24 hours. The answer to keep is
// rendered from a *ToldSecret. Errors: Forbidden, NotFound.
func (s *Service) RotateWebhook(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency) (
	told *consent.ToldSecret, err error) {
	err = s.changeWebhook(ctx, a, id, idem, func(w *consent.Webhook) (any, bool, error) {
		secret, now := s.newWebhookSecret(), s.now()
		w.Rotate(secret.Bytes(), now, now.Add(previousSecretFor))
		told = &consent.ToldSecret{Webhook: *w, Text: secret.Text()}
		return told, true, nil
	})
	return told, err
}

// RemoveWebhook ends a webhook. What is kept of its deliveries, which may be much, a job removes. The answer to keep is
// rendered from struct{}{}. Errors: Forbidden, NotFound, PreconditionFailed.
func (s *Service) RemoveWebhook(ctx context.Context, a consent.Actor, in consent.RemoveWebhook) error {
	if err := a.Require(consent.WebhooksWrite); err != nil {
		return err
	}
	return s.update(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		w, err := webhookOf(ctx, asStored(tx), a.Organization, in.Webhook)
		if err == nil {
			err = in.If.Check(w.Revision)
		}
		if err != nil {
			return nil, err
		}
		now := s.now()
		return struct{}{}, tx.Append(ctx, &consent.Changes{RemovedWebhooks: []consent.WebhookKey{w.WebhookKey},
			Jobs: []consent.Job{{Organization: a.Organization, ID: s.newID(), Kind: dropDeliveriesJob,
				Payload: w.Webhook[:], RunAt: now, CreatedAt: now}}})
	})
}
