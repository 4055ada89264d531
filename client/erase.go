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
	Reason string `json:"reason,omitempty"`
}

// Erase forgets a person for good, by the id of a subject. The reason stays in the ledger, so it must not tell who it
// was. Once more it gives the same. The id is IsGone from then on.
func (c *Client) Erase(ctx context.Context, id, reason string) (Erased, error) {
	var e Erased
	_, err := c.doTagged(ctx, call{method: http.MethodPost, path: ofSubject(id, "/erase"), body: eraseBody{reason},
		once: true}, &e)
	return e, err
}
