package native

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) personRoutes(access protocol.Access) []protocol.Route {
	return []protocol.Route{{Method: http.MethodGet, Pattern: inOrganization + "/subjects/{subjectId}/export",
		Handle: access.Handle(a.exportSubject)}}
}

const (
	personFormat = "consentd-person/1"
	personMemory = 5 << 20 // that an export of a person holds meanwhile: two parts of events and what is ready to be sent
)

// exportSubject answers GET {org}/subjects/{subjectId}/export: all that is held of a person, one JSON object.
func (a *api) exportSubject(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	return c.Stream(jsonType, personMemory, func(ctx context.Context, to *protocol.Stream) error {
		d := newPersonDocument(to)
		if err := a.svc.ExportSubject(ctx, c.Actor, id, d); err != nil {
			return err
		}
		return d.end()
	})
}

// personHead begins the document; the lists of personLists follow in the same object.
type personHead struct {
	Format         string           `json:"format"`
	ExportedAt     instant          `json:"exportedAt"`
	ExportedBy     exporter         `json:"exportedBy"`
	OrganizationID string           `json:"organizationId"`
	Subject        subject          `json:"subject"`
	Identifiers    []heldIdentifier `json:"identifiers"`
	Merged         []mergedInto     `json:"merged"`
	Consents       jsontext.Value   `json:"consents"`
}

// exporter is the key that asked for it.
type exporter struct {
	ID   string `json:"id"`
	Name string `json:"name,omitzero"`
}

// heldIdentifier is an identifier with whose it is: a subject's own, or of whom it was before a merge.
type heldIdentifier struct {
	Kind      string `json:"kind"`
	Value     string `json:"value"`
	Project   string `json:"project,omitzero"`
	SubjectID string `json:"subjectId"`
}

// mergedInto is somebody who turned out to be the subject, or to be somebody who did.
type mergedInto struct {
	SubjectID string  `json:"subjectId"`
	Into      string  `json:"into"`
	MergedAt  instant `json:"mergedAt"`
}

// heldVersion is a record as it was from UpdatedAt on, with the key that made it so.
type heldVersion struct {
	SubjectID string          `json:"subjectId"`
	Type      string          `json:"type"`
	Version   int             `json:"version"`
	CreatedAt instant         `json:"createdAt"`
	UpdatedAt instant         `json:"updatedAt"`
	KeyID     string          `json:"keyId"`
	Data      json.RawMessage `json:"data"`
	Profile   json.RawMessage `json:"profile,omitzero"` // what another protocol keeps beside data
}

// heldRequest is an entry of the ledger about a person that is no decision.
type heldRequest struct {
	Sequence   int64   `json:"sequence"`
	SubjectID  string  `json:"subjectId"`
	Kind       string  `json:"kind"`
	RecordedAt instant `json:"recordedAt"`
	Reason     string  `json:"reason,omitzero"`
	KeyID      string  `json:"keyId"`
	From       string  `json:"from,omitzero"` // who was merged, where it is about that, or who was taken apart again
	Into       string  `json:"into,omitzero"`
}

// personLists are those that are sent part by part, in this order.
var personLists = [...]string{"versions", "events", "requests"}

const (
	heldVersions = iota
	heldEvents
	heldRequests
)

// heldColumns are those of an exported event, and what it was recorded as.
var heldColumns = append(append([]column{}, eventColumns...), column{name: "body", kind: jsonCell},
	column{name: "ident", kind: jsonCell}, unreadableColumn)

const (
	heldBody = eventCells + iota
	heldIdent
	heldUnreadable
)

// personDocument writes what is held of a person as one JSON object, a service.SubjectTaker.
type personDocument struct {
	buffered
	name  func(string) // takes the name of the file
	list  int          // which of personLists is open; -1: none yet
	some  bool         // it has an element
	event objects
	cells []cell
}

func newPersonDocument(to *protocol.Stream) *personDocument {
	return &personDocument{buffered: buffered{to: to}, name: to.Attach, list: -1, event: newObjects(heldColumns),
		cells: make([]cell, len(heldColumns))}
}

// appendJSON appends a value.
func (d *personDocument) appendJSON(v any) error {
	answer, err := protocol.JSON(http.StatusOK, v)
	d.b = append(d.b, answer.Body...)
	return err
}

// open closes lists until one is open; behind the last of them none is.
func (d *personDocument) open(list int) {
	for d.list < list {
		if d.list >= 0 {
			d.b = append(d.b, ']')
		}
		d.list, d.some = d.list+1, false
		if d.list < len(personLists) {
			d.b = append(append(append(d.b, `,"`...), personLists[d.list]...), `":[`...)
		}
	}
}

// element begins an element of a list.
func (d *personDocument) element(list int) {
	d.open(list)
	if d.some {
		d.b = append(d.b, ',')
	}
	d.some = true
}

// end writes what makes it whole.
func (d *personDocument) end() error {
	d.open(len(personLists))
	d.b = append(d.b, '}')
	return d.flush()
}

// Person implements service.SubjectTaker.
func (d *personDocument) Person(p *consent.ExportedSubject) error {
	s := p.Subject
	d.name("person-" + s.ID.String() + ".json")
	head := personHead{Format: personFormat, ExportedAt: instant(p.At), ExportedBy: exporter{p.By.ID.String(), p.By.Name},
		OrganizationID: s.Organization.String(), Subject: subjectOf(s), Identifiers: make([]heldIdentifier, len(p.Names)),
		Merged: make([]mergedInto, len(p.Merges)), Consents: appendStanding(nil, p.Consents)}
	for i, n := range p.Names {
		held := heldIdentifier{Kind: identifierNames.Of(string(n.Kind)), Value: n.Value, SubjectID: n.Subject.String()}
		if n.Project != 0 {
			held.Project = s.Projects[n.Project].String()
		}
		if n.Origin != consent.NoID {
			held.SubjectID = n.Origin.String()
		}
		head.Identifiers[i] = held
	}
	for i, m := range p.Merges {
		head.Merged[i] = mergedInto{m.From.String(), m.Into.String(), instant(m.MergedAt)}
	}
	if err := d.appendJSON(head); err != nil {
		return err
	}
	d.b = d.b[:len(d.b)-1] // the lists follow
	return nil
}

// Versions implements service.SubjectTaker.
func (d *personDocument) Versions(part []consent.Subject) error {
	for i := range part {
		s, record := &part[i], &part[i].Record
		held := heldVersion{SubjectID: s.ID.String(), Type: s.Type, Version: record.Version, CreatedAt: instant(s.CreatedAt),
			UpdatedAt: instant(record.ChangedAt), KeyID: record.ChangedBy.String(), Data: record.Data}
		if len(record.Profile) > 0 {
			held.Profile = record.Profile
		}
		d.element(heldVersions)
		if err := d.appendJSON(held); err != nil {
			return err
		}
		if err := d.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// Events implements service.SubjectTaker.
func (d *personDocument) Events(part *consent.ExportedEvents) error {
	for i := range part.Rows {
		e := &part.Rows[i]
		if err := fillEvent(d.cells, e); err != nil {
			return err
		}
		d.cells[heldBody].setText(e.BodyJSON)
		if !e.Unreadable {
			d.cells[heldIdent].setText(e.IdentityJSON)
		}
		if e.Unreadable || e.Text == "" && e.TextName() != nil { // nobody is to miss what is not there without being told
			d.cells[heldUnreadable].setBoolean(true)
		}
		d.element(heldEvents)
		d.b = d.event.append(d.b, d.cells)
		if err := d.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// Requests implements service.SubjectTaker.
func (d *personDocument) Requests(part []consent.SubjectRequest) error {
	for i := range part {
		r := &part[i]
		held := heldRequest{Sequence: r.Sequence, SubjectID: r.Subject.String(), Kind: r.Kind.String(),
			RecordedAt: instant(r.RecordedAt), Reason: r.Reason, KeyID: r.Key.String()}
		if r.From != consent.NoID {
			held.From, held.Into = r.From.String(), r.Into.String()
		}
		d.element(heldRequests)
		if err := d.appendJSON(held); err != nil {
			return err
		}
		if err := d.flushFull(); err != nil {
			return err
		}
	}
	return nil
}
