package ledger

import "fmt"

// An Opening shows what a leaf commits to. Whoever has it can verify the two texts against the leaf; it tells nothing
// about other leaves, of the same subject either.
type Opening struct {
	Body, Ident         []byte // byte for byte as they were hashed
	BodySalt, IdentSalt Salt
}

// Open makes the opening of the subject's entry with sequence n. It keeps body and ident.
func (s *Secret) Open(n uint64, body, ident []byte) Opening {
	o := Opening{Body: body, Ident: ident}
	o.BodySalt, o.IdentSalt = s.Salts(n)
	return o
}

// Verify holds the texts against a leaf. An error wraps ErrNotCommitted and says which of them it is, or both.
func (o *Opening) Verify(l Leaf) error {
	sameBody := CommitBody(o.BodySalt, o.Body) == l.Body
	sameIdent := CommitIdent(o.IdentSalt, o.Ident) == l.Ident
	switch {
	case sameBody && sameIdent:
		return nil
	case sameBody:
		return fmt.Errorf("%w: ident", ErrNotCommitted)
	case sameIdent:
		return fmt.Errorf("%w: body", ErrNotCommitted)
	}
	return fmt.Errorf("%w: body and ident", ErrNotCommitted)
}
