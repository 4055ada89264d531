package native

import (
	"cmp"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// event is a decision as it is shown.
type event struct {
	ID             string         `json:"id"`
	Sequence       int64          `json:"sequence"`
	SubjectID      string         `json:"subjectId"`
	Project        string         `json:"project"` // its id
	Identifiers    givenNames     `json:"identifiers"`
	Purpose        string         `json:"purpose"`
	PurposeVersion int            `json:"purposeVersion"`
	State          string         `json:"state"`
	Action         string         `json:"action"`
	OccurredAt     instant        `json:"occurredAt"`
	ExpiresAt      instant        `json:"expiresAt,omitzero"`
	RecordedAt     instant        `json:"recordedAt"`
	Regime         consent.Regime `json:"regime"`
	Evidence       evidence       `json:"evidence"`
	Metadata       jsontext.Value `json:"metadata,omitzero"`
	Source         source         `json:"source"`
	Unreadable     bool           `json:"unreadable,omitzero"` // who it is about cannot be decrypted
}

// givenNames are those by which the write named its person.
type givenNames struct {
	UserID        string `json:"userId,omitzero"`
	ProjectUserID string `json:"projectUserId,omitzero"`
	Username      string `json:"username,omitzero"` // of another protocol
	Email         string `json:"email,omitzero"`
	Phone         string `json:"phone,omitzero"`
	AnonymousID   string `json:"anonymousId,omitzero"`
}

type evidence struct {
	DisplayedText string `json:"displayedText,omitzero"`
	NoticeURL     string `json:"noticeUrl,omitzero"`
	FormURL       string `json:"formUrl,omitzero"`
	Locale        string `json:"locale,omitzero"`
	Country       string `json:"country,omitzero"` // as it was said, else as it was found
	IP            string `json:"ip,omitzero"`
	UserAgent     string `json:"userAgent,omitzero"`
	Domain        string `json:"domain,omitzero"`
}

// source is how a decision came in.
type source struct {
	Protocol string `json:"protocol"`
	KeyID    string `json:"keyId"`
}

// eventList is a page of events; NextCursor is absent on the last one.
type eventList struct {
	Items      []event `json:"items"`
	NextCursor string  `json:"nextCursor,omitzero"`
}

func eventOf(v *consent.EventView) event {
	given := func(kind consent.IdentifierKind) string { return v.Identity.Identifiers[string(kind)] }
	i := &v.Identity
	return event{
		ID:        v.ID.String(),
		Sequence:  v.Sequence,
		SubjectID: v.Subject.String(),
		Project:   v.ProjectID.String(),
		Identifiers: givenNames{UserID: given(consent.UserID), ProjectUserID: given(consent.ProjectUserID),
			Username: given(consent.Username), Email: given(consent.Email), Phone: given(consent.Phone),
			AnonymousID: given(consent.AnonymousID)},
		Purpose:        v.Body.Purpose,
		PurposeVersion: v.PurposeVersion,
		State:          v.State.String(),
		Action:         v.Action.String(),
		OccurredAt:     instant(v.OccurredAt),
		ExpiresAt:      instant(v.ExpiresAt),
		RecordedAt:     instant(v.RecordedAt),
		Regime:         v.Body.Regime,
		Evidence: evidence{DisplayedText: v.Text, NoticeURL: i.NoticeURL, FormURL: i.FormURL, Locale: v.Body.Locale,
			Country: cmp.Or(i.CountrySaid, i.Country), IP: i.IP, UserAgent: i.UserAgent, Domain: i.Domain},
		Metadata: v.Body.Metadata.JSON(),
		Source:   source{Protocol: v.Protocol, KeyID: v.Key.String()},

		Unreadable: v.Unreadable,
	}
}
