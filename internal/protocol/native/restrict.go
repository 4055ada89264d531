package native

import (
	"context"
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// restrictRequest is the body of POST …/restrict and …/unrestrict.
type restrictRequest struct {
	Reason string `json:"reason"`
}

// restricted tells whether somebody is restricted, and if so, since when and by which entry of the ledger.
type restricted struct {
	SubjectID    string  `json:"subjectId"`
	Restricted   bool    `json:"restricted"`
	RestrictedAt instant `json:"restrictedAt,omitzero"`
	Sequence     int64   `json:"sequence,omitzero"`
}

// restrictSubject answers POST …/restrict.
func (a *api) restrictSubject(c *protocol.Call) error {
	return a.changeRestriction(c, a.svc.RestrictSubject)
}

// unrestrictSubject answers POST …/unrestrict.
func (a *api) unrestrictSubject(c *protocol.Call) error {
	return a.changeRestriction(c, a.svc.UnrestrictSubject)
}

func (a *api) changeRestriction(c *protocol.Call, change func(context.Context, consent.Actor,
	consent.RestrictSubject) (*consent.Restricted, error)) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	request, err := readBody[restrictRequest](c)
	if err != nil {
		return err
	}
	in := consent.RestrictSubject{Subject: id, Reason: request.Reason}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Restricted, error) {
		in.Idempotency = idempotency
		return change(c.Request.Context(), c.Actor, in)
	}, restrictedAnswer)
}

func restrictedAnswer(r *consent.Restricted) (protocol.Answer, error) {
	return protocol.JSON(http.StatusOK, restricted{SubjectID: r.Subject.String(), Restricted: !r.At.IsZero(),
		RestrictedAt: instant(r.At), Sequence: r.Sequence})
}
