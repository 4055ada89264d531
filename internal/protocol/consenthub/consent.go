package consenthub

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// setConsents answers POST /consent-hub/consent: 202 without a body once the
// decisions are durable (contract, first call).
func (a *api) setConsents(c *protocol.Call) error {
	var request *consentRequest
	if err := protocol.ReadJSON(c, &request); err != nil {
		return err
	}
	write, err := request.write()
	if err != nil {
		return err
	}
	return protocol.ReplyStatus(c, http.StatusAccepted, func(idempotency consent.Idempotency) error {
		return a.record(c, write, idempotency)
	})
}

// record puts a write on record. One without decisions changes nothing, but its
// answer is kept like any other.
func (a *api) record(c *protocol.Call, write consent.Write, idempotency consent.Idempotency) error {
	ctx := c.Request.Context()
	if len(write.Items[0].Decisions) == 0 {
		return a.svc.RunOnce(ctx, c.Actor, idempotency, func() (any, error) { return struct{}{}, nil })
	}
	origin := c.Origin(name)
	origin.Country = write.Origin.Country
	write.Origin, write.Idempotency, write.Scope = origin, idempotency, consent.ManageHub
	_, err := a.svc.Record(ctx, c.Actor, write)
	return err
}
