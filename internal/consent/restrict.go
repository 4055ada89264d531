package consent

import "time"

// RestrictSubject asks that what is held of a person be kept and not used (GDPR Art. 18), or that it may be used again,
// by a subject's own id.
type RestrictSubject struct {
	Subject     ID
	Reason      string // stays in the ledger; empty: none
	Idempotency Idempotency
}

// Restriction is that of a person. A check answers no from then on; writes are kept.
type Restriction struct {
	At       time.Time // zero: there is none
	Sequence int64     // of its entry in the ledger
}

// holds tells whether it does at an instant.
func (r Restriction) holds(at time.Time) bool { return !r.At.IsZero() && !at.Before(r.At) }

// Restricted answers RestrictSubject.
type Restricted struct {
	Subject ID
	Restriction
}

// RestrictedSubject is a subject with its restriction.
type RestrictedSubject struct {
	SubjectKey
	Restriction
}

// RestrictionEntry makes the entry by which a subject is restricted, or by which that ends, but for its place in the
// ledger.
func (a Actor) RestrictionEntry(kind EntryKind, subject ID, reason string) LedgerEntry {
	return a.entryAbout(kind, subject, reason, nil, nil)
}
