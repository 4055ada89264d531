package native

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// newEvents is the body of POST {org}/projects/{p}/events. Items are read one by one, so that all mistakes are told.
type newEvents struct {
	Items []jsontext.Value `json:"items"`
}

// newEvent is one decision; null counts as absent.
type newEvent struct {
	Identifiers    identifiers    `json:"identifiers"`
	SubjectID      *string        `json:"subjectId"`
	Purpose        string         `json:"purpose"`
	PurposeVersion *int           `json:"purposeVersion"`
	State          string         `json:"state"`
	Action         *string        `json:"action"`
	OccurredAt     *string        `json:"occurredAt"`
	ExpiresAt      *string        `json:"expiresAt"`
	Evidence       newEvidence    `json:"evidence"`
	Metadata       jsontext.Value `json:"metadata"`
}

type newEvidence struct {
	DisplayedText string  `json:"displayedText"`
	NoticeURL     string  `json:"noticeUrl"`
	FormURL       string  `json:"formUrl"`
	Locale        string  `json:"locale"`
	Country       string  `json:"country"`
	IP            *string `json:"ip"`
	UserAgent     string  `json:"userAgent"`
	Domain        string  `json:"domain"`
}

// eventFields are the places of the core's nouns in an item.
var eventFields = protocol.Names{
	"user_id": "identifiers.userId", "project_user_id": "identifiers.projectUserId", "email": "identifiers.email",
	"phone": "identifiers.phone", "anonymous_id": "identifiers.anonymousId", "subject_id": "subjectId",
	"external_id":     "externalId",
	"purpose_version": "purposeVersion", "occurred_at": "occurredAt", "expires_at": "expiresAt",
	"displayed_text": "evidence.displayedText", "notice_url": "evidence.noticeUrl", "form_url": "evidence.formUrl",
	"locale": "evidence.locale", "country": "evidence.country", "domain": "evidence.domain",
}

// The words for states and actions.
const (
	stateWords  = "accepted, declined, withdrawn, implied, viewed"
	actionWords = "user_click, implied, import, system"
)

func inItem(i int, noun string) string {
	field := fmt.Sprintf("items[%d]", i)
	if noun = eventFields.Of(noun); noun != "" {
		field += "." + noun
	}
	return field
}

// write makes the core's batch. Errors: Unprocessable, with all mistakes that can be seen without the ledger; Invalid
// where there are too many items.
func (b *newEvents) write() (consent.Write, error) {
	w := consent.Write{AllMistakes: true, Field: inItem, Items: make([]consent.Item, len(b.Items))}
	switch n := len(b.Items); {
	case n == 0:
		return w, consent.Errorf(consent.Unprocessable, "items", "must have 1 to %d items", consent.MaxItems)
	case n > consent.MaxItems: // contracts, "Limits"
		return w, consent.Errorf(consent.Invalid, "items", "must have 1 to %d items", consent.MaxItems)
	}
	var found faultList
	for i, raw := range b.Items {
		var in *newEvent
		err := protocol.UnmarshalStrict(raw, &in)
		switch {
		case err != nil && consent.AsError(err).Field != "":
			found.add(i, err)
		case err != nil, in == nil:
			found.add(i, consent.Errorf(consent.Unprocessable, "", "must be an object"))
		default:
			w.Items[i] = in.item(i, &found)
		}
		if len(found) >= maxFaults {
			break
		}
	}
	return w, found.err()
}

// item makes the core's item, and notes what is wrong.
func (e *newEvent) item(i int, found *faultList) consent.Item {
	note := func(field, format string, args ...any) {
		found.add(i, consent.Errorf(consent.Unprocessable, field, format, args...))
	}
	d := consent.Decision{Purpose: consent.PurposeRef{Key: e.Purpose}, Action: consent.UserClick,
		OccurredAt: e.instant(i, "occurredAt", e.OccurredAt, found),
		ExpiresAt:  e.instant(i, "expiresAt", e.ExpiresAt, found), DisplayedText: e.Evidence.DisplayedText}
	if e.Purpose == "" {
		note("purpose", "is required")
	}
	var ok bool
	if d.State, ok = consent.ParseState(e.State); !ok {
		note("state", "must be one of %s", stateWords)
	}
	if e.Action != nil {
		if d.Action, ok = consent.ParseAction(*e.Action); !ok {
			note("action", "must be one of %s", actionWords)
		}
	}
	if e.PurposeVersion != nil {
		if d.PurposeVersion = *e.PurposeVersion; d.PurposeVersion < 1 {
			note("purposeVersion", "must be 1 or more")
		}
	}
	it := consent.Item{Identifiers: e.Identifiers.list(), Decisions: []consent.Decision{d},
		Evidence: consent.Evidence{FormURL: e.Evidence.FormURL, NoticeURL: e.Evidence.NoticeURL, Locale: e.Evidence.Locale,
			Country: e.Evidence.Country, UserAgent: e.Evidence.UserAgent, Domain: e.Evidence.Domain}}
	if e.SubjectID != nil {
		if it.Subject, ok = consent.ParseID(*e.SubjectID); !ok || it.Subject == consent.NoID {
			note("subjectId", "must be the id of a subject")
		}
	}
	if e.Evidence.IP != nil {
		var err error
		if it.Evidence.Address, err = netip.ParseAddr(*e.Evidence.IP); err != nil {
			note("evidence.ip", "must be an IP address")
		}
	}
	var err error
	if it.Metadata, err = metadataOf(e.Metadata); err != nil {
		found.add(i, protocol.At("metadata", err))
	}
	return it
}

// instant reads a time; zero where it is absent.
func (e *newEvent) instant(i int, field string, given *string, found *faultList) time.Time {
	if given == nil {
		return time.Time{}
	}
	at, err := consent.ParseInstant(*given)
	if err == nil && at.IsZero() { // which the core reads as absent
		err = consent.Errorf(consent.Invalid, "", "must be in the years 1970 to 9999")
	}
	if err != nil {
		found.add(i, protocol.At(field, err))
	}
	return at
}

// metadataOf reads an object of scalars; nil where it is absent. The core checks its limits.
func metadataOf(raw jsontext.Value) (consent.Metadata, error) {
	if len(raw) == 0 || raw.Kind() == 'n' {
		return nil, nil
	}
	var members map[string]jsontext.Value
	if err := protocol.UnmarshalStrict(raw, &members); err != nil {
		return nil, consent.Errorf(consent.Unprocessable, "", "must be an object")
	}
	m := make(consent.Metadata, len(members))
	for name, value := range members {
		scalar, err := scalarOf(value)
		if err != nil {
			return nil, err
		}
		m[name] = scalar
	}
	return m, nil
}

// scalarOf reads a string, a number, true or false.
func scalarOf(value jsontext.Value) (any, error) {
	switch value.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err
	case '0':
		return consent.ParseNumber(string(value))
	case 't', 'f':
		return value.Kind() == 't', nil
	}
	return nil, consent.Errorf(consent.Unprocessable, "", "must be flat: its values are strings, numbers, true and false")
}

// faultList gathers the mistakes of a body's items.
type faultList []*consent.Error

// add notes a mistake of an item.
func (l *faultList) add(i int, err error) {
	e := *consent.AsError(err)
	e.Kind, e.Field = consent.Unprocessable, inItem(i, e.Field)
	*l = append(*l, &e)
}

// err gives the first with all others; nil where there is none.
func (l faultList) err() error {
	if len(l) == 0 {
		return nil
	}
	first := *l[0]
	first.More = l[1:min(len(l), maxFaults)]
	return &first
}
