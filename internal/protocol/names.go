package protocol

import (
	"errors"

	"github.com/consentd/consentd/internal/consent"
)

// Names are a protocol's names of the core's fields. What is not listed has the name of "", or else the core's own.
type Names map[string]string

// Of gives the protocol's name of a field.
func (n Names) Of(field string) string {
	for _, key := range [...]string{field, ""} {
		if name, ok := n[key]; ok {
			return name
		}
	}
	return field
}

// Field is a consent.Write.Field of a protocol whose writes have one item.
func (n Names) Field(_ int, field string) string { return n.Of(field) }

// Rename gives the core's error the protocol's name of its field. Other errors, and nil, stay as they are.
func (n Names) Rename(err error) error {
	var e *consent.Error
	if !errors.As(err, &e) || n.Of(e.Field) == e.Field {
		return err
	}
	return At(n.Of(e.Field), e)
}
