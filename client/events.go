package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Identifiers name a person. At least one is needed; the more are known, the better.
type Identifiers struct {
	UserID        string `json:"userId,omitempty"`
	ProjectUserID string `json:"projectUserId,omitempty"` // of one project
	Email         string `json:"email,omitempty"`
	Phone         string `json:"phone,omitempty"`
	AnonymousID   string `json:"anonymousId,omitempty"` // a browser's
	Username      string `json:"username,omitempty"`    // only in events that came through another protocol
}

// The states that a decision may have.
const (
	Accepted  = "accepted"  // an active yes
	Declined  = "declined"  // an active no
	Withdrawn = "withdrawn" // it was accepted, and is taken back
	Implied   = "implied"   // nobody chose; holds where the law lets one wait for a no
	Viewed    = "viewed"    // a notice was seen
)

// Decision is what somebody decided about a purpose. Who is said by Identifiers or SubjectID.
type Decision struct {
	Identifiers Identifiers `json:"identifiers,omitzero"`
	SubjectID   string      `json:"subjectId,omitempty"`
	Purpose     string      `json:"purpose"` // its key
	State       string      `json:"state"`
	// Action is user_click, implied, import or system; empty: user_click.
	Action     string    `json:"action,omitempty"`
	OccurredAt time.Time `json:"occurredAt,omitzero"` // zero: now
	ExpiresAt  time.Time `json:"expiresAt,omitzero"`  // zero: after the purpose's duration
	// PurposeVersion is the version of the purpose that was shown; 0: the one that held then.
	PurposeVersion int      `json:"purposeVersion,omitempty"`
	Evidence       Evidence `json:"evidence,omitzero"`
	// Metadata has strings, numbers and booleans: 20 members at most, of 256 bytes each.
	Metadata map[string]any `json:"metadata,omitempty"`
}

// Evidence is what was shown, and where from the person decided. Nothing is taken from the request, which comes from
// your server and not from the person: pass on what your server knows of the person's own. Country, or else that of IP,
// decides the regime; without either it is the stricter one.
type Evidence struct {
	DisplayedText string `json:"displayedText,omitempty"`
	NoticeURL     string `json:"noticeUrl,omitempty"`
	FormURL       string `json:"formUrl,omitempty"`
	Locale        string `json:"locale,omitempty"`
	Country       string `json:"country,omitempty"`
	IP            string `json:"ip,omitempty"` // kept shortened, unless the project asks for the whole
	UserAgent     string `json:"userAgent,omitempty"`
	Domain        string `json:"domain,omitempty"`
}

// Event is a decision as it was recorded; it never changes.
type Event struct {
	Decision
	ID         string    `json:"id"`
	Sequence   int64     `json:"sequence"` // by which the events of an organization are ordered
	Project    string    `json:"project"`
	RecordedAt time.Time `json:"recordedAt"`
	Regime     string    `json:"regime"`
	Source     Source    `json:"source"`
}

// Source is through what an event came.
type Source struct {
	Protocol string `json:"protocol"`
	KeyID    string `json:"keyId"`
}

// Record records 1 to 1,000 decisions in the client's project, all or none, and gives their events in the same order.
func (c *Client) Record(ctx context.Context, decisions ...Decision) ([]Event, error) {
	return c.RecordOnce(ctx, "", decisions...)
}

// RecordOnce is Record with an Idempotency-Key of the caller's, of 1 to 255 printable ASCII characters: within 24 hours
// the same decisions with the same key are recorded once, whoever repeats the call. With other decisions the key is
// refused (IsInvalid). An empty key: the client makes one.
func (c *Client) RecordOnce(ctx context.Context, key string, decisions ...Decision) ([]Event, error) {
	body := struct {
		Items []Decision `json:"items"`
	}{decisions}
	var made struct {
		Items []Event `json:"items"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: c.ofProject("/events"), body: body, once: true, key: key}, &made)
	return made.Items, err
}

// Event gives one event.
func (c *Client) Event(ctx context.Context, id string) (Event, error) {
	var e Event
	err := c.do(ctx, call{method: http.MethodGet, path: "/events/" + url.PathEscape(id)}, &e)
	return e, err
}

// EventFilter chooses events of the organization. What is empty or zero does not narrow.
type EventFilter struct {
	Subject      string // id
	Purpose      string // key
	Project      string // id or slug
	State        string
	Action       string
	Protocol     string
	From         time.Time // by when they occurred; From is included, To is not
	To           time.Time
	RecordedFrom time.Time
	RecordedTo   time.Time
	Newest       bool // the newest first
}

func (f EventFilter) query() url.Values {
	order := ""
	if f.Newest {
		order = "desc"
	}
	return query("subject", f.Subject, "purpose", f.Purpose, "project", f.Project, "state", f.State, "action", f.Action,
		"protocol", f.Protocol, "from", instant(f.From), "to", instant(f.To), "recordedFrom", instant(f.RecordedFrom),
		"recordedTo", instant(f.RecordedTo), "order", order)
}

// Events goes through the events of the organization page by page, in the order in which they were recorded.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return list[Event](ctx, c, "/events", f.query())
}

// ExportEvents goes through them in one answer, which is quicker for many, and ends with ErrCutOff unless all of them
// came. It is not tried again once it has begun.
func (c *Client) ExportEvents(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return stream[Event](ctx, c, "/events", f.query())
}
