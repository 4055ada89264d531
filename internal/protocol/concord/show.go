package concord

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// eventSize is about how many bytes an event takes.
const eventSize = 1100

// event is a consent event as it is shown.
type event struct{ *consent.EventView }

// MarshalJSONTo writes the event.
func (e event) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(appendEvent(enc.AvailableBuffer(), e.EventView))
}

// appendEvent appends an event's JSON, the vendor's members in the vendor's order. It is
// written out, since events are shown by the thousand. Where another process made the
// event's type a moment ago, the view has none yet, and the type's words are empty.
func appendEvent(b []byte, v *consent.EventView) []byte {
	var buffer [32]byte
	recorded := appendInstant(buffer[:0], v.RecordedAt)
	purpose := v.PurposeOf
	if purpose == nil {
		purpose = &consent.Purpose{}
	}
	b = append(append(b, `{"createdAt":`...), recorded...)
	b = append(append(b, `,"updatedAt":`...), recorded...)
	b = appendID(append(b, `,"id":`...), v.ID)
	b = appendString(append(b, `,"concordId":`...), v.Identity.AnonymousID)
	b = appendString(append(b, `,"consentAction":`...), showAction(v.Action))
	b = appendInstant(append(b, `,"consentDate":`...), v.OccurredAt)
	b = appendString(append(b, `,"consentState":`...), showState(v.State))
	b = append(append(b, `,"dateCreated":`...), recorded...)
	b = append(append(b, `,"dateUpdated":`...), recorded...)
	b = appendID(append(b, `,"consentType":`...), purpose.ID)
	if !v.ExpiresAt.IsZero() {
		b = appendInstant(append(b, `,"expirationDate":`...), v.ExpiresAt)
	}
	b = appendID(append(b, `,"organization":`...), v.Organization)
	b = appendID(append(b, `,"project":`...), v.ProjectID)
	b = appendSession(append(b, `,"session":`...), &v.Identity)
	b = appendID(append(b, `,"submitter":`...), v.Key)
	b = appendString(append(b, `,"category":`...), purpose.Taxonomy.Category)
	b = appendString(append(b, `,"subcategory":`...), purpose.Taxonomy.Subcategory)
	b = appendString(append(b, `,"label":`...), purpose.Taxonomy.Label)
	b = strconv.AppendInt(append(b, `,"version":`...), int64(v.Body.PurposeVersion), 10)
	return append(b, '}')
}

// appendSession appends what is known of the request that recorded an event.
func appendSession(b []byte, i *consent.Identity) []byte {
	b = appendString(append(b, `{"id":`...), i.Session)
	if i.IP != "" {
		b = appendString(append(b, `,"ipAddress":`...), i.IP)
	}
	if i.Domain != "" {
		b = appendString(append(b, `,"domain":`...), i.Domain)
	}
	b = appendString(append(b, `,"geography":`...), i.Country)
	if i.UserAgent != "" {
		b = appendString(append(b, `,"userAgent":`...), i.UserAgent)
	}
	return append(b, '}')
}

// appendString appends a JSON string. Invalid UTF-8, which is nowhere kept, is replaced.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
