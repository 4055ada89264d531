package consent

import (
	"slices"
	"time"
)

// Subject is a person as the store knows one. Its identifiers are kept apart.
type Subject struct {
	Organization ID
	ID           ID
	Type         string // "user" unless said
	MergedInto   ID     // zero: it stands for itself
	CreatedAt    time.Time
	Record       Record
	Restriction  Restriction
	Erasure      Erasure // after one the rest is empty, but for the id
}

// Record is what an organization keeps about a subject, in versions.
type Record struct {
	Version   int // 1, 2, 3, … without gaps
	ChangedAt time.Time
	ChangedBy ID     // the API key
	Data      []byte // a JSON object, as given (numbers keep their text)
	// Profile is a JSON object that one protocol keeps for itself; the core
	// does not look inside. Empty: none.
	Profile []byte
}

// NewSubject makes a subject with an empty record.
func NewSubject(a Actor, id ID, typ string, now time.Time) Subject {
	return Subject{Organization: a.Organization, ID: id, Type: typ, CreatedAt: now,
		Record: Record{Version: 1, ChangedAt: now, ChangedBy: a.Key, Data: []byte("{}")}}
}

// DefaultSubjectType is the type of a person of whom nothing else was said.
const DefaultSubjectType = "user"

// SaveMode says how new data meets the data on record.
type SaveMode uint8

const (
	// Merge replaces each member by the new one of that name; the others stay.
	Merge SaveMode = iota
	// Rewrite puts the new data in the place of the old.
	Rewrite
)

// SaveSubject asks to make or change the record of a subject that is
// named by type and id.
type SaveSubject struct {
	Type string // [A-Za-z0-9_.-]{1,64}
	// Name is the id by which the organization names the subject: a user_id for type
	// "user". Empty: made (UUIDv7).
	Name string
	Data []byte // a JSON object; empty: {}
	Mode SaveMode
	// MustExist refuses an unknown subject with NotFound.
	MustExist   bool
	If          IfMatch
	Idempotency Idempotency
}

// IfMatch is what a caller knows of a record that it changes; zero: nothing. It is looked at in the transaction of
// the change, last of all: who would be refused anyway is told why (RFC 9110, section 13.2.1).
type IfMatch struct {
	Given    bool
	Any      bool // any record will do
	Versions []int
}

// Check refuses with PreconditionFailed what does not meet the condition; version 0: there is no record.
func (m IfMatch) Check(version int) error {
	if !m.Given || version != 0 && (m.Any || slices.Contains(m.Versions, version)) {
		return nil
	}
	return Errorf(PreconditionFailed, "If-Match", "is not the version that there is now; read it again")
}

// DeleteSubject asks to remove the record of a subject that is named by type and id, see SaveSubject.
type DeleteSubject struct {
	Type, Name string
	// KeepProof refuses it with Conflict while consent events are on record.
	KeepProof   bool
	If          IfMatch
	Idempotency Idempotency
}

// SubjectView is the record of a subject with the names by which it is known.
type SubjectView struct {
	Subject
	Name        string // the id by which the organization names it; see SaveSubject
	Identifiers []Identifier
	Created     bool // by this very call

	// What only a subject that was asked for by its own id has:
	Merged []SubjectMerge // those that stand, of somebody into this very subject, in the order of recording
	Tag    int            // another one whenever anything of the view is
	// Projects are the ids of the projects that its identifiers are of, by number.
	Projects map[int]ID
}

// SavePerson asks to make or change the record of a person who is named by contact
// identifiers: an upsert finds the person by them, by the identity rules.
type SavePerson struct {
	Handles []Identifier // e-mail addresses, phone numbers, user names; at least one where it creates
	// Name is the user_id of a known person to change; empty: found by Handles, or made with
	// a new user_id (UUIDv7).
	Name string
	// Upsert changes a known person; without it a known one is a Conflict.
	Upsert      bool
	Data        []byte // nil: as it was
	Profile     []byte // nil: as it was
	Idempotency Idempotency
}

// SubjectFilter narrows a list of subjects that have a name; zero members do not.
type SubjectFilter struct {
	Type   string
	Name   string
	Text   string // the data contains it, whatever the letter case
	Offset int
	Limit  int
}

// NamedSubject is a subject with an identifier by which the organization names it.
type NamedSubject struct {
	Name    OwnedIdentifier
	Subject Subject
	Place   OwnedName // where it stands in the list, as the store has its name
}

// SubjectPage is a part of a list and the size of the whole.
type SubjectPage struct {
	Items []SubjectView
	Total int64
}
