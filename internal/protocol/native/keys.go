package native

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// createKey answers POST {org}/keys: 201 with the key's text, which no other answer has.
func (a *api) createKey(c *protocol.Call) error {
	var request *newKey
	if err := protocol.ReadJSON(c, &request); err != nil {
		return err
	}
	input, err := request.input()
	if err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (consent.CreatedKey, error) {
		return a.svc.CreateKey(c.Request.Context(), c.Actor, input, idempotency)
	}, createdAnswer)
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
	p, err := pageOf(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	keys, err := a.svc.Keys(c.Request.Context(), c.Actor, p.after, p.limit+1)
	if err != nil {
		return err
	}
	answer := keyList{}
	if len(keys) > p.limit {
		keys = keys[:p.limit]
		answer.NextCursor = cursorOf(keys[p.limit-1].ID)
	}
	answer.Items = make([]key, len(keys))
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
	return protocol.ReplyStatus(c, http.StatusNoContent, func(idempotency consent.Idempotency) error {
		return a.svc.RevokeKey(c.Request.Context(), c.Actor, id, idempotency)
	})
}
