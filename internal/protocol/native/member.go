package native

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// member is a member of a JSON merge patch (RFC 7396): absent, null, or a value.
type member[T any] struct {
	given, null bool
	value       T
}

// UnmarshalJSONFrom reads a value or null.
func (m *member[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	m.given = true
	if m.null = dec.PeekKind() == 'n'; m.null {
		return dec.SkipValue()
	}
	return json.UnmarshalDecode(dec, &m.value)
}

// fixed is a member that a read shows and that cannot be changed.
type fixed struct{}

// UnmarshalJSONFrom refuses what there is.
func (*fixed) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if err := dec.SkipValue(); err != nil {
		return err
	}
	return consent.Errorf(consent.Invalid, "", "cannot be changed; leave it out")
}

// orEmpty gives what was given, where null stands for the empty value; nil: nothing was.
func (m *member[T]) orEmpty() *T {
	if !m.given {
		return nil
	}
	return &m.value
}
