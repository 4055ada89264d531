package consent

import "time"

// SuppressionHash is what stays of an identifier that is suppressed: a keyed hash.
type SuppressionHash [16]byte

// Suppression says that nothing is to be done with an identifier, whoever it is of.
type Suppression struct {
	Organization ID
	Hash         SuppressionHash
	At           time.Time
}

// Suppressed answers whether identifiers are suppressed.
type Suppressed struct {
	Kinds []IdentifierKind // of those that are, in the order in which they were given
}
