package native

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) keyRoutes(access protocol.Access) []protocol.Route {
	const keys = inOrganization + "/keys"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: keys, Handle: access.Handle(a.createKey)},
		{Method: http.MethodGet, Pattern: keys, Handle: access.Handle(a.listKeys)},
		{Method: http.MethodDelete, Pattern: keys + "/{keyId}", Handle: access.Handle(a.revokeKey)},
	}
}

// createKey answers POST {org}/keys: 201 with the key's text, which no other answer has.
func (a *api) createKey(c *protocol.Call) error {
	request, err := readBody[newKey](c)
	if err != nil {
		return err
	}
	input, err := request.input()
	if err != nil {
		return inBody(err)
	}
	return inBody(protocol.Reply(c, func(idempotency consent.Idempotency) (consent.CreatedKey, error) {
		return a.svc.CreateKey(c.Request.Context(), c.Actor, input, idempotency)
	}, createdAnswer))
}

func createdAnswer(made consent.CreatedKey) (protocol.Answer, error) {
	shown := keyOf(&made.Key)
	shown.Text = made.Text
	answer, err := protocol.JSON(http.StatusCreated, shown)
	answer.Location = base + made.Organization.String() + "/keys/" + made.ID.String()
	return answer, err
}

// listKeys answers GET {org}/keys: a page in order of id, revoked keys too.
func (a *api) listKeys(c *protocol.Call) error {
	q := query(c, limitParameter, cursorParameter)
	p, err := a.page(c, q)
	if err != nil {
		return err
	}
	keys, err := a.svc.Keys(c.Request.Context(), c.Actor, p.afterID(), p.limit+1)
	if err != nil {
		return err
	}
	keys, next, err := cutPage(a, c, p, keys, func(k *consent.Key) consent.ID { return k.ID })
	if err != nil {
		return err
	}
	answer := keyList{Items: make([]key, len(keys)), NextCursor: next}
	for i := range keys {
		answer.Items[i] = keyOf(&keys[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// revokeKey answers DELETE {org}/keys/{keyId}: 204, also where it was revoked before.
func (a *api) revokeKey(c *protocol.Call) error {
	id, err := c.IDParam("keyId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	return protocol.ReplyStatus(c, http.StatusNoContent, func(idempotency consent.Idempotency) error {
		return a.svc.RevokeKey(c.Request.Context(), c.Actor, id, idempotency)
	})
}
