package native

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) webhookRoutes(access protocol.Access) []protocol.Route {
	const webhooks = inOrganization + "/webhooks"
	const one = webhooks + "/{webhookId}"
	const deliveries = one + "/deliveries"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: webhooks, Handle: access.Handle(a.createWebhook)},
		{Method: http.MethodGet, Pattern: webhooks, Handle: access.Handle(a.listWebhooks)},
		{Method: http.MethodGet, Pattern: one, Handle: access.Handle(a.getWebhook)},
		{Method: http.MethodPatch, Pattern: one, Handle: access.Handle(a.changeWebhook)},
		{Method: http.MethodDelete, Pattern: one, Handle: access.Handle(a.removeWebhook)},
		{Method: http.MethodPost, Pattern: one + "/ping", Handle: access.Handle(a.pingWebhook)},
		{Method: http.MethodPost, Pattern: one + "/rotate", Handle: access.Handle(a.rotateWebhook)},
		{Method: http.MethodGet, Pattern: deliveries, Handle: access.Handle(a.listDeliveries)},
		{Method: http.MethodPost, Pattern: deliveries + "/{deliveryId}/redeliver", Handle: access.Handle(a.redeliver)},
	}
}

// createWebhook answers POST {org}/webhooks: 201 with the secret, which no other answer has but that of a rotation.
func (a *api) createWebhook(c *protocol.Call) error {
	request, err := readBody[newWebhook](c)
	if err != nil {
		return err
	}
	input := consent.NewWebhook{URL: request.URL, Events: request.Events, Description: request.Description}
	return inBody(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.ToldSecret, error) {
		return a.svc.CreateWebhook(c.Request.Context(), c.Actor, input, idempotency)
	}, func(made *consent.ToldSecret) (protocol.Answer, error) {
		answer, err := secretAnswer(http.StatusCreated, made)
		answer.Location = base + made.Organization.String() + "/webhooks/" + made.WebhookKey.Webhook.String()
		return answer, err
	}))
}

func secretAnswer(status int, told *consent.ToldSecret) (protocol.Answer, error) {
	shown := webhookOf(&told.Webhook)
	shown.Secret = told.Text
	answer, err := protocol.JSON(status, shown)
	answer.ETag = protocol.ETag(told.Revision)
	return answer, err
}

// listWebhooks answers GET {org}/webhooks: a page in order of id.
func (a *api) listWebhooks(c *protocol.Call) error {
	p, err := a.page(c, query(c, limitParameter, cursorParameter))
	if err != nil {
		return err
	}
	list, err := a.svc.Webhooks(c.Request.Context(), c.Actor, p.afterID(), p.limit+1)
	if err != nil {
		return err
	}
	list, next, err := cutPage(a, c, p, list, func(w *consent.Webhook) consent.ID { return w.Webhook })
	if err != nil {
		return err
	}
	answer := webhookList{Items: make([]webhook, len(list)), NextCursor: next}
	for i := range list {
		answer.Items[i] = webhookOf(&list[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// getWebhook answers GET {org}/webhooks/{webhookId}.
func (a *api) getWebhook(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	w, err := a.svc.Webhook(c.Request.Context(), c.Actor, id)
	if err != nil {
		return err
	}
	return writeTagged(c, protocol.ETag(w.Revision), webhookOf(w))
}

// changeWebhook answers PATCH {org}/webhooks/{webhookId}: 200 with the webhook as it is then.
func (a *api) changeWebhook(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	condition, err := c.IfMatch()
	if err != nil {
		return err
	}
	request, err := readBody[webhookPatch](c)
	if err != nil {
		return err
	}
	change, err := request.change()
	if err != nil {
		return inBody(err)
	}
	return inBody(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Webhook, error) {
		return a.svc.UpdateWebhook(c.Request.Context(), c.Actor, consent.UpdateWebhook{Webhook: id, Change: change,
			If: condition, Idempotency: idempotency})
	}, func(w *consent.Webhook) (protocol.Answer, error) {
		answer, err := protocol.JSON(http.StatusOK, webhookOf(w))
		answer.ETag = protocol.ETag(w.Revision)
		return answer, err
	}))
}

// removeWebhook answers DELETE {org}/webhooks/{webhookId}: 204.
func (a *api) removeWebhook(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	condition, err := c.IfMatch()
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	return protocol.ReplyStatus(c, http.StatusNoContent, func(idempotency consent.Idempotency) error {
		return a.svc.RemoveWebhook(c.Request.Context(), c.Actor, consent.RemoveWebhook{Webhook: id, If: condition,
			Idempotency: idempotency})
	})
}

// pingWebhook answers POST {org}/webhooks/{webhookId}/ping: 202 with the delivery.
func (a *api) pingWebhook(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Delivery, error) {
		return a.svc.PingWebhook(c.Request.Context(), c.Actor, id, idempotency)
	}, acceptedAnswer)
}

func acceptedAnswer(d *consent.Delivery) (protocol.Answer, error) {
	return protocol.JSON(http.StatusAccepted, deliveryOf(d))
}

// rotateWebhook answers POST {org}/webhooks/{webhookId}/rotate: 200 with the new secret.
func (a *api) rotateWebhook(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.ToldSecret, error) {
		return a.svc.RotateWebhook(c.Request.Context(), c.Actor, id, idempotency)
	}, func(told *consent.ToldSecret) (protocol.Answer, error) { return secretAnswer(http.StatusOK, told) })
}

// listDeliveries answers GET {org}/webhooks/{webhookId}/deliveries: a page, the newest first.
func (a *api) listDeliveries(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	p, err := a.page(c, query(c, limitParameter, cursorParameter))
	if err != nil {
		return err
	}
	list, err := a.svc.Deliveries(c.Request.Context(), c.Actor, id, p.afterID(), p.limit+1)
	if err != nil {
		return err
	}
	list, next, err := cutPage(a, c, p, list, func(d *consent.Delivery) consent.ID { return d.ID })
	if err != nil {
		return err
	}
	answer := deliveryList{Items: make([]delivery, len(list)), NextCursor: next}
	for i := range list {
		answer.Items[i] = deliveryOf(&list[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// redeliver answers POST {org}/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver: 202 with the delivery.
func (a *api) redeliver(c *protocol.Call) error {
	id, err := c.IDParam("webhookId")
	if err != nil {
		return err
	}
	which, err := c.IDParam("deliveryId")
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Delivery, error) {
		return a.svc.Redeliver(c.Request.Context(), c.Actor, id, which, idempotency)
	}, acceptedAnswer)
}
