package consent

import "time"

// Expiry is a decision whose time is over from an instant on.
type Expiry struct {
	At       time.Time
	Event    ID
	Sequence int64
	Consent  ConsentKey // whose and for what, as it was recorded: the subject may be another person by now
}

// Ends tells whether it ended a consent that was given: it decides still, and says yes.
func (e *Expiry) Ends(c *Consent) bool {
	return c.Event == e.Event && c.ExpiresAt.Equal(e.At) && (c.State == Accepted || c.State == Implied)
}
