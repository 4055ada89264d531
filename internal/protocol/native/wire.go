package native

import (
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// newKey is the body of POST {org}/keys.
type newKey struct {
	Name      string          `json:"name"`
	Scopes    []consent.Scope `json:"scopes"`
	ExpiresAt *string         `json:"expiresAt"`
}

// key is a key as it is shown. Text is there in the answer that made it, and nowhere else.
type key struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Scopes    []consent.Scope `json:"scopes"`
	CreatedAt instant         `json:"createdAt"`
	ExpiresAt instant         `json:"expiresAt,omitzero"`
	RevokedAt instant         `json:"revokedAt,omitzero"`
	Text      string          `json:"key,omitzero"`
}

// keyList is a page of keys; NextCursor is absent on the last one.
type keyList struct {
	Items      []key  `json:"items"`
	NextCursor string `json:"nextCursor,omitzero"`
}

// input makes the core's input for a key, which checks name and scopes. Errors: Invalid, with the field.
func (r *newKey) input() (consent.NewKey, error) {
	input := consent.NewKey{Name: r.Name, Scopes: r.Scopes}
	if r.ExpiresAt == nil {
		return input, nil
	}
	at, err := consent.ParseInstant(*r.ExpiresAt)
	if err != nil {
		return input, protocol.At("expiresAt", err)
	}
	if at.Year() < 1 || at.Year() > 9999 {
		return input, consent.Errorf(consent.Invalid, "expiresAt", "must be in the years 1 to 9999")
	}
	if at.IsZero() { // which the core reads as never
		return input, consent.Errorf(consent.Invalid, "expiresAt", "must be in the future")
	}
	input.ExpiresAt = at
	return input, nil
}

func keyOf(k *consent.Key) key {
	return key{
		ID:        k.ID.String(),
		Name:      k.Name,
		Scopes:    k.Scopes,
		CreatedAt: instant(k.CreatedAt),
		ExpiresAt: instant(k.ExpiresAt),
		RevokedAt: instant(k.RevokedAt),
	}
}

// instant is a time as the API shows it: RFC 3339 in UTC, always with microseconds.
type instant time.Time

// IsZero leaves out what is not set, by omitzero.
func (t instant) IsZero() bool { return time.Time(t).IsZero() }

// MarshalText implements encoding.TextMarshaler.
func (t instant) MarshalText() ([]byte, error) {
	return appendMicros(make([]byte, 0, len("2006-01-02T15:04:05.000000Z")), time.Time(t).UnixMicro()), nil
}
