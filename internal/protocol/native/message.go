package native

import (
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// message is the body of a message to a webhook (Standard Webhooks, section "Payload structure").
type message struct {
	Type      consent.EventType `json:"type"`
	Timestamp instant           `json:"timestamp"`
	Data      any               `json:"data"`
}

// Message renders what a message to a webhook tells. It may be called at once from many goroutines. Errors: there is no
// such type, or it lacks its event.
func Message(n *consent.Notice) ([]byte, error) {
	data, err := dataOf(n)
	if err != nil {
		return nil, err
	}
	answer, err := protocol.JSON(http.StatusOK, message{n.Type, instant(n.At), data})
	return answer.Body, err
}

func dataOf(n *consent.Notice) (any, error) {
	switch n.Type {
	case consent.ConsentRecorded, consent.ConsentWithdrawn, consent.ConsentExpired:
		if n.Event == nil {
			return nil, fmt.Errorf("render a message of type %s: it has no event", n.Type)
		}
		return toldEventOf(n.Event), nil
	case consent.SubjectMerged, consent.SubjectUnmerged:
		return toldMerge{n.Subject.String(), n.Merged.String(), n.Sequence, instant(n.At)}, nil
	case consent.SubjectErased:
		return toldErasure{n.Subject.String(), n.Sequence, instant(n.At)}, nil
	case consent.PurposeVersioned:
		return toldVersion{n.Project.String(), n.Purpose, n.Version, n.Sequence, instant(n.At)}, nil
	case consent.WebhookPing:
		return toldPing{n.Webhook.String()}, nil
	}
	return nil, fmt.Errorf("render a message of type %q: there is none", n.Type)
}

// toldEvent is an event without its evidence.
type toldEvent struct {
	ID             string         `json:"id"`
	Sequence       int64          `json:"sequence"`
	SubjectID      string         `json:"subjectId"`
	Project        string         `json:"project"`
	Identifiers    givenNames     `json:"identifiers"`
	Purpose        string         `json:"purpose"`
	PurposeVersion int            `json:"purposeVersion"`
	State          string         `json:"state"`
	Action         string         `json:"action"`
	OccurredAt     instant        `json:"occurredAt"`
	ExpiresAt      instant        `json:"expiresAt,omitzero"`
	RecordedAt     instant        `json:"recordedAt"`
	Regime         consent.Regime `json:"regime"`
	Metadata       jsontext.Value `json:"metadata,omitzero"`
	Source         source         `json:"source"`
	Unreadable     bool           `json:"unreadable,omitzero"`
}

func toldEventOf(v *consent.EventView) toldEvent {
	e := eventOf(v)
	return toldEvent{e.ID, e.Sequence, e.SubjectID, e.Project, e.Identifiers, e.Purpose, e.PurposeVersion, e.State,
		e.Action, e.OccurredAt, e.ExpiresAt, e.RecordedAt, e.Regime, e.Metadata, e.Source, e.Unreadable}
}

type toldMerge struct {
	SubjectID       string  `json:"subjectId"`
	MergedSubjectID string  `json:"mergedSubjectId"`
	Sequence        int64   `json:"sequence"`
	At              instant `json:"at"`
}

type toldErasure struct {
	SubjectID string  `json:"subjectId"`
	Sequence  int64   `json:"sequence"`
	At        instant `json:"at"`
}

type toldVersion struct {
	Project  string  `json:"project"`
	Purpose  string  `json:"purpose"`
	Version  int     `json:"version"`
	Sequence int64   `json:"sequence"`
	At       instant `json:"at"`
}

type toldPing struct {
	WebhookID string `json:"webhookId"`
}
