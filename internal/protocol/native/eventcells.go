package native

import (
	"fmt"
	"strconv"

	"github.com/consentd/consentd/internal/consent"
)

// The columns of exported events: those of event in wire.go.
const (
	eventID = iota
	eventSequence
	eventSubject
	eventProject
	eventUserID
	eventProjectUserID
	eventUsername
	eventEmail
	eventPhone
	eventAnonymousID
	eventPurpose
	eventPurposeVersion
	eventState
	eventAction
	eventOccurredAt
	eventExpiresAt
	eventRecordedAt
	eventRegime
	eventText
	eventNoticeURL
	eventFormURL
	eventLocale
	eventCountry
	eventIP
	eventUserAgent
	eventDomain
	eventMetadata
	eventProtocol
	eventKey
	eventCells
)

var eventColumns = []column{
	eventID:             {name: "id"},
	eventSequence:       {name: "sequence", kind: numberCell},
	eventSubject:        {name: "subjectId"},
	eventProject:        {name: "project", few: true},
	eventUserID:         {group: "identifiers", name: "userId"},
	eventProjectUserID:  {group: "identifiers", name: "projectUserId"},
	eventUsername:       {group: "identifiers", name: "username"},
	eventEmail:          {group: "identifiers", name: "email"},
	eventPhone:          {group: "identifiers", name: "phone"},
	eventAnonymousID:    {group: "identifiers", name: "anonymousId"},
	eventPurpose:        {name: "purpose", few: true},
	eventPurposeVersion: {name: "purposeVersion", kind: numberCell},
	eventState:          {name: "state", few: true},
	eventAction:         {name: "action", few: true},
	eventOccurredAt:     {name: "occurredAt", kind: instantCell},
	eventExpiresAt:      {name: "expiresAt", kind: instantCell},
	eventRecordedAt:     {name: "recordedAt", kind: instantCell},
	eventRegime:         {name: "regime", few: true},
	eventText:           {group: "evidence", name: "displayedText", few: true},
	eventNoticeURL:      {group: "evidence", name: "noticeUrl", few: true},
	eventFormURL:        {group: "evidence", name: "formUrl", few: true},
	eventLocale:         {group: "evidence", name: "locale", few: true},
	eventCountry:        {group: "evidence", name: "country", few: true},
	eventIP:             {group: "evidence", name: "ip"},
	eventUserAgent:      {group: "evidence", name: "userAgent", few: true},
	eventDomain:         {group: "evidence", name: "domain", few: true},
	eventMetadata:       {name: "metadata", kind: jsonCell},
	eventProtocol:       {group: "source", name: "protocol", few: true},
	eventKey:            {group: "source", name: "keyId", few: true},
}

// unreadableColumn says of a row that who it is about cannot be decrypted. Forms with a fixed table have it not.
var unreadableColumn = column{name: "unreadable", kind: booleanCell}

// lineColumns are those of an event that is a line of its own.
var lineColumns = append(append([]column{}, eventColumns...), unreadableColumn)

const lineUnreadable = eventCells

// fillEvent sets the cells of an event.
func fillEvent(cells []cell, e *consent.ExportedEvent) error {
	for i := range cells {
		cells[i].set = false
	}
	cells[eventID].setID(e.ID)
	cells[eventSubject].setID(e.Subject)
	cells[eventSequence].setNumber(e.Sequence)
	cells[eventOccurredAt].setTime(e.OccurredAt)
	cells[eventRecordedAt].setTime(e.RecordedAt)
	cells[eventExpiresAt].setTime(e.ExpiresAt)
	if e.Text != "" {
		cells[eventText].setPlain(e.Text)
	}
	err := eachMember(e.BodyJSON, func(name, value []byte) {
		switch string(name) {
		case "action":
			cells[eventAction].setText(value)
		case "locale":
			cells[eventLocale].setText(value)
		case "metadata":
			cells[eventMetadata].setText(value)
		case "project":
			cells[eventProject].setText(value)
		case "purpose":
			cells[eventPurpose].setText(value)
		case "purpose_version":
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				cells[eventPurposeVersion].setNumber(n)
			}
		case "regime":
			cells[eventRegime].setText(value)
		case "state":
			cells[eventState].setText(value)
		}
	})
	if err == nil && !e.Unreadable {
		err = fillIdentity(cells, e.IdentityJSON)
	}
	if err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	return nil
}

// fillIdentity sets the cells of who was asked, and from where.
func fillIdentity(cells []cell, identity []byte) (err error) {
	nested := eachMember(identity, func(name, value []byte) {
		switch string(name) {
		case "country":
			cells[eventCountry].setText(value)
		case "country_said": // it stands behind the other
			cells[eventCountry].setText(value)
		case "domain":
			cells[eventDomain].setText(value)
		case "form_url":
			cells[eventFormURL].setText(value)
		case "identifiers":
			err = eachMember(value, func(kind, value []byte) { fillIdentifier(cells, kind, value) })
		case "ip":
			cells[eventIP].setText(value)
		case "key":
			cells[eventKey].setText(value)
		case "notice_url":
			cells[eventNoticeURL].setText(value)
		case "protocol":
			cells[eventProtocol].setText(value)
		case "user_agent":
			cells[eventUserAgent].setText(value)
		}
	})
	if nested != nil {
		return nested
	}
	return err
}

func fillIdentifier(cells []cell, kind, value []byte) {
	switch consent.IdentifierKind(kind) {
	case consent.UserID:
		cells[eventUserID].setText(value)
	case consent.ProjectUserID:
		cells[eventProjectUserID].setText(value)
	case consent.Username:
		cells[eventUsername].setText(value)
	case consent.Email:
		cells[eventEmail].setText(value)
	case consent.Phone:
		cells[eventPhone].setText(value)
	case consent.AnonymousID:
		cells[eventAnonymousID].setText(value)
	}
}
