package consent

import (
	"bytes"
	"slices"
	"time"
)

// ExportedEvent is what of an event an export is made from: what else it has is in its blobs too (see CheckEvent). Where
// all entries of a ledger are read, it is any of them.
type ExportedEvent struct {
	ID, Subject                       ID
	Sequence                          int64
	OccurredAt, RecordedAt, ExpiresAt time.Time
	// BodyJSON and IdentityJSON are the Event's.
	BodyJSON, IdentityJSON []byte
	Unreadable             bool   // as the Event's
	Text                   string // that the person was shown, see TextName
	// Of a LedgerEntry:
	Kind     EntryKind
	Leaf     []byte
	ErasedBy int64
}

// TextName gives the name in the body of the text that the person was shown, "sha256:<hex>"; nil where there is none.
// The body is canonical JSON, so it stands right behind the action.
func (e *ExportedEvent) TextName() []byte {
	const action, text = `{"action":"`, `","displayed_text":"`
	rest, ok := bytes.CutPrefix(e.BodyJSON, []byte(action))
	if !ok {
		return nil
	}
	rest = bytes.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz_")
	if rest, ok = bytes.CutPrefix(rest, []byte(text)); !ok {
		return nil
	}
	name, _, _ := bytes.Cut(rest, []byte{'"'})
	return name
}

// ExportedEvents is a part of a ledger, in memory that the next part uses again: who keeps a row copies it.
type ExportedEvents struct {
	Rows  []ExportedEvent
	Blobs []byte // holds the blobs of all rows
	Cut   bool   // rows at the end were dropped, since they would have taken too much memory
}

// Reset empties the part.
func (p *ExportedEvents) Reset() { p.Rows, p.Blobs, p.Cut = p.Rows[:0], p.Blobs[:0], false }

// EventSpan is a part of a ledger by the order of ids: behind After as far as To, which belongs to it. Where it
// descends, To is the lesser one.
type EventSpan struct{ After, To ID }

// WholeLedger gives the span of a ledger whose last event is known.
func WholeLedger(last ID, ascending bool) EventSpan {
	if ascending {
		return EventSpan{To: last}
	}
	for i := len(last) - 1; i >= 0; i-- { // the id behind it
		if last[i]++; last[i] != 0 {
			break
		}
	}
	return EventSpan{After: last}
}

// All tells whether the query matches every event of the organization.
func (q *EventQuery) All() bool {
	return !q.Narrowed() && len(q.Projects) == 0 && q.From.IsZero() && q.To.IsZero()
}

// ExportedConsents is a part of the current consents of everybody, in memory that the next part uses again.
type ExportedConsents struct {
	Rows       []Consent
	Restricted []time.Time // since when the person of each row is; zero: is not
	Catalog    *Catalog    // has the purposes of all rows
}

// ConsentFilter asks for the current consents of everybody in an organization. What is empty does not narrow.
type ConsentFilter struct {
	Project string   // its id, its slug or "default"
	Purpose string   // a key, in whatever projects
	States  []string // as a check says them
}

// ConsentQuery is a ConsentFilter with all names looked up.
type ConsentQuery struct {
	project  int // 0: all
	purposes []ProjectPurpose
	states   []string
}

// ConsentQuery looks up the names of a filter. Errors: Unprocessable, with the field.
func (d *Catalog) ConsentQuery(f ConsentFilter) (q ConsentQuery, err error) {
	q.states = f.States
	if f.Project != "" {
		p, err := d.ProjectNamed(f.Project)
		if err != nil {
			return q, Errorf(Unprocessable, "project", "is not known in this organization")
		}
		q.project = p.Number
	}
	if f.Purpose == "" {
		return q, nil
	}
	for i := range d.Purposes {
		if p := &d.Purposes[i]; p.Key == f.Purpose && (q.project == 0 || q.project == p.Project) {
			q.purposes = append(q.purposes, ProjectPurpose{p.Project, p.Number})
		}
	}
	if len(q.purposes) == 0 {
		return q, Errorf(Unprocessable, "purpose", "is not known in this organization, or not in that project")
	}
	return q, nil
}

// StandingConsent says of one person and purpose how the consent stands.
type StandingConsent struct {
	Subject ID
	Project *Project
	CheckResult
}

// Standing says how a consent stands at an instant, as a check would that names the person by no more than their id; ok
// is false where the query does not ask for it. The purpose must be of the catalog.
func (d *Catalog) Standing(q *ConsentQuery, c *Consent, restricted Restriction, at time.Time) (s StandingConsent,
	ok bool) {
	if c.Event == NoID || q.project != 0 && c.Project != q.project ||
		q.purposes != nil && !slices.Contains(q.purposes, ProjectPurpose{c.Project, c.Purpose}) {
		return s, false
	}
	purpose, of := d.PurposeNumbered(c.Project, c.Purpose), *c
	if purpose.objectedBy(&of) {
		of.ExpiresAt = time.Time{}
	}
	s = StandingConsent{Subject: c.Subject, Project: d.ProjectNumbered(c.Project),
		CheckResult: purpose.result(&of, Instant{}, at, false)}
	if restricted.holds(at) {
		s.refuse(ReasonRestricted)
	}
	return s, q.states == nil || slices.Contains(q.states, s.State)
}
