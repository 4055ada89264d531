package ledger

import (
	"errors"
	"strings"
	"testing"
)

// TestOpening holds openings against leaves: what was committed passes, and any other bit of it is named.
func TestOpening(t *testing.T) {
	secret := Secret{1, 2, 3}
	body, ident := []byte(`{"a":1}`), []byte(`{"b":2}`)
	leaf := NewLeaf(1700000000000, &secret, 7, body, ident)
	changed := func(change func(*Opening)) Opening {
		o := secret.Open(7, append([]byte{}, body...), append([]byte{}, ident...))
		change(&o)
		return o
	}
	for _, c := range []struct {
		name, says string
		opening    Opening
	}{
		{"as committed", "", changed(func(*Opening) {})},
		{"another body", ": body", changed(func(o *Opening) { o.Body[0] ^= 1 })},
		{"a longer body", ": body", changed(func(o *Opening) { o.Body = append(o.Body, ' ') })},
		{"another salt of the body", ": body", changed(func(o *Opening) { o.BodySalt[31] ^= 0x80 })},
		{"another ident", ": ident", changed(func(o *Opening) { o.Ident = nil })},
		{"another salt of the ident", ": ident", changed(func(o *Opening) { o.IdentSalt[0] ^= 1 })},
		{"body and ident exchanged", ": body and ident", changed(func(o *Opening) { o.Body, o.Ident = o.Ident, o.Body })},
		{"of another entry", ": body and ident", secret.Open(8, body, ident)},
	} {
		err := c.opening.Verify(leaf)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, ErrNotCommitted) || !strings.HasSuffix(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
