package client

import (
	"context"
	"net/http"
	"time"
)

// Erased is what is left of a person who was erased.
type Erased struct {
	SubjectID string    `json:"subjectId"`
	ErasedAt  time.Time `json:"erasedAt"`
	Sequence  int64     `json:"sequence"` // of the erasure in the ledger
	Events    int64     `json:"events"`   // how many decisions were erased
}

type eraseBody struct {
	Reason   string `json:"reason,omitempty"`
	Suppress bool   `json:"suppress,omitempty"`
}

// Restriction tells whether what is held of a person is not to be used, and if so, since when and by which entry of the
// ledger.
type Restriction struct {
	SubjectID    string    `json:"subjectId"`
	Restricted   bool      `json:"restricted"`
	RestrictedAt time.Time `json:"restrictedAt"`
	Sequence     int64     `json:"sequence"`
}

// Restrict has a person kept and not used, by the id of a subject: a check says no, and writes are kept. The reason
// stays in the ledger. Once more it gives the same.
func (c *Client) Restrict(ctx context.Context, id, reason string) (Restriction, error) {
	return c.changeRestriction(ctx, id, "/restrict", reason)
}

// Unrestrict ends that. Of who is not restricted it changes nothing.
func (c *Client) Unrestrict(ctx context.Context, id, reason string) (Restriction, error) {
	return c.changeRestriction(ctx, id, "/unrestrict", reason)
}

func (c *Client) changeRestriction(ctx context.Context, id, path, reason string) (r Restriction, err error) {
	_, err = c.doTagged(ctx, call{method: http.MethodPost, path: ofSubject(id, path), body: eraseBody{Reason: reason},
		once: true}, &r)
	return r, err
}

// Erase forgets a person for good, by the id of a subject. The reason stays in the ledger, so it must not tell who it
// was. Once more it gives the same. The id is IsGone from then on.
func (c *Client) Erase(ctx context.Context, id, reason string) (Erased, error) {
	return c.erase(ctx, id, eraseBody{Reason: reason})
}

// EraseAndSuppress is Erase of a person who wants no more: a check by one of their identifiers says no, until they decide
// something by it themselves.
func (c *Client) EraseAndSuppress(ctx context.Context, id, reason string) (Erased, error) {
	return c.erase(ctx, id, eraseBody{reason, true})
}

func (c *Client) erase(ctx context.Context, id string, body eraseBody) (e Erased, err error) {
	_, err = c.doTagged(ctx, call{method: http.MethodPost, path: ofSubject(id, "/erase"), body: body, once: true}, &e)
	return e, err
}
