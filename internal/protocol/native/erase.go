package native

import (
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// eraseRequest is the body of POST …/erase.
type eraseRequest struct {
	Reason   string `json:"reason"`
	Suppress bool   `json:"suppress"`
}

// erased is what is left of somebody who was erased.
type erased struct {
	SubjectID string  `json:"subjectId"`
	ErasedAt  instant `json:"erasedAt"`
	Sequence  int64   `json:"sequence"` // of the erasure's entry in the ledger
	Events    int64   `json:"events"`   // how many were erased
}

// eraseSubject answers POST …/erase.
func (a *api) eraseSubject(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	request, err := readBody[eraseRequest](c)
	if err != nil {
		return err
	}
	in := consent.EraseSubject{Subject: id, Reason: request.Reason, Suppress: request.Suppress}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Erased, error) {
		in.Idempotency = idempotency
		return a.svc.EraseSubject(c.Request.Context(), c.Actor, in)
	}, erasedAnswer)
}

func erasedAnswer(e *consent.Erased) (protocol.Answer, error) {
	return protocol.JSON(http.StatusOK, erased{SubjectID: e.Subject.String(), ErasedAt: instant(e.At),
		Sequence: e.Sequence, Events: e.Events})
}
