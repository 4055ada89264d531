package native

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) consentRoutes(access protocol.Access) []protocol.Route {
	return []protocol.Route{
		{Method: http.MethodGet, Pattern: inOrganization + "/consents", Handle: access.Handle(a.listConsents)},
	}
}

// The columns of exported consents: those of a check's result, with whose it is and where.
const (
	consentSubject = iota
	consentProject
	consentPurpose
	consentGranted
	consentState
	consentReason
	consentDecidedAt
	consentExpiresAt
	consentEvent
	consentVersion
	consentCurrentVersion
	consentStale
)

var consentColumns = []column{
	consentSubject:        {name: "subjectId"},
	consentProject:        {name: "project", few: true},
	consentPurpose:        {name: "purpose", few: true},
	consentGranted:        {name: "granted", kind: booleanCell},
	consentState:          {name: "state", few: true},
	consentReason:         {name: "reason", few: true},
	consentDecidedAt:      {name: "decidedAt", kind: instantCell},
	consentExpiresAt:      {name: "expiresAt", kind: instantCell},
	consentEvent:          {name: "eventId"},
	consentVersion:        {name: "purposeVersion", kind: numberCell},
	consentCurrentVersion: {name: "currentVersion", kind: numberCell},
	consentStale:          {name: "stale", kind: booleanCell},
}

func fillConsent(cells []cell, c *consent.StandingConsent) {
	cells[consentSubject].setID(c.Subject)
	cells[consentProject].setID(c.Project.ID)
	cells[consentPurpose].setPlain(c.Purpose.Key)
	cells[consentGranted].setBoolean(c.Granted)
	cells[consentState].setPlain(c.State)
	cells[consentReason].setPlain(string(c.Reason))
	cells[consentDecidedAt].setTime(c.DecidedAt)
	cells[consentExpiresAt].setTime(c.ExpiresAt)
	cells[consentEvent].setID(c.Event)
	cells[consentVersion].setNumber(int64(c.PurposeVersion))
	cells[consentCurrentVersion].setNumber(int64(c.CurrentVersion))
	cells[consentStale].setBoolean(c.Stale)
}

// standingStates are the states that a filter may name.
var standingStates = []string{consent.Accepted.String(), consent.Declined.String(), consent.Withdrawn.String(),
	consent.Implied.String(), consent.Viewed.String(), consent.StateExpired}

// consentFilter reads the parameters that narrow a list of consents. A mistake is in q.Err.
func consentFilter(q *protocol.Query) (f consent.ConsentFilter) {
	f.Project, f.Purpose = given(q, "project"), given(q, "purpose")
	if state := q.One("state"); slices.Contains(standingStates, state) {
		f.States = []string{state}
	} else if len(q.Values["state"]) > 0 {
		q.Fail(consent.Errorf(consent.Invalid, "", "must be one of %s", consent.Listed(standingStates)), "state")
	}
	return f
}

// listConsents answers GET {org}/consents: a page in order of subject, project and purpose, or all of it.
func (a *api) listConsents(c *protocol.Call) error {
	f, err := formOf(c)
	if err != nil {
		return err
	}
	filters := []string{"project", "purpose", "state"}
	if f != nil {
		q := query(c, filters...)
		filter := consentFilter(q)
		if q.Err != nil {
			return q.Err
		}
		return inQueryOf(a.exportConsents(c, f, filter))
	}
	q := query(c, append(filters, limitParameter, cursorParameter)...)
	filter := consentFilter(q)
	p, err := a.page(c, q)
	if err != nil {
		return err
	}
	found, last, more, err := a.svc.Consents(c.Request.Context(), c.Actor, filter, consentPlace(p.after), p.limit)
	if err != nil {
		return inQueryOf(err)
	}
	next := ""
	if more {
		if next, err = a.nextCursor(c, placeOf(last)); err != nil {
			return err
		}
	}
	return sendJSON(c, consentsAnswer(found, next))
}

// consentsAnswer writes a page of consents by the same columns as an export.
func consentsAnswer(found []consent.StandingConsent, next string) []byte {
	b := append(make([]byte, 0, 64+400*len(found)), `{"items":[`...)
	cells, row := make([]cell, len(consentColumns)), newObjects(consentColumns)
	for i := range found {
		if i > 0 {
			b = append(b, ',')
		}
		fillConsent(cells, &found[i])
		b = row.append(b, cells)
	}
	b = append(b, ']')
	if next != "" {
		b = protocol.AppendString(append(b, `,"nextCursor":`...), next)
	}
	return append(b, '}')
}

// placeOf writes a place in the order of consents for a cursor.
func placeOf(k consent.ConsentKey) []byte {
	b := append(make([]byte, 0, 24), k.Subject[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(k.Project))
	return binary.BigEndian.AppendUint32(b, uint32(k.Purpose))
}

// consentPlace reads it back; of nothing it is the beginning.
func consentPlace(b []byte) (k consent.ConsentKey) {
	if len(b) == 24 {
		k.Subject = consent.ID(b[:16])
		k.Project, k.Purpose = int(binary.BigEndian.Uint32(b[16:])), int(binary.BigEndian.Uint32(b[20:]))
	}
	return k
}

// exportConsents answers GET {org}/consents in a form that has all of it.
func (a *api) exportConsents(c *protocol.Call, f *form, filter consent.ConsentFilter) error {
	return f.export(c, "consents", consentColumns, func(ctx context.Context, to *export) error {
		return a.svc.ExportConsents(ctx, c.Actor, filter, func(part []consent.StandingConsent) error {
			for i := range part {
				fillConsent(to.cells, &part[i])
				if err := to.row(to.cells); err != nil {
					return err
				}
			}
			return to.flush()
		})
	})
}
