package consent

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// State is what a decision says.
type State uint8

const (
	Accepted  State = iota + 1 // an active yes
	Declined                   // an active no
	Withdrawn                  // was accepted, taken back (GDPR Art. 7(3))
	Implied                    // no active choice; holds where the regime is opt-out
	Viewed                     // a notice was seen
)

var stateNames = [...]string{"", "accepted", "declined", "withdrawn", "implied", "viewed"}

func (s State) String() string { return name(stateNames[:], uint8(s)) }

// ParseState reads a state's name.
func ParseState(s string) (State, bool) {
	n, ok := number(stateNames[:], s)
	return State(n), ok
}

// Action is how a decision came about.
type Action uint8

const (
	UserClick     Action = iota + 1 // the person did something
	ImpliedAction                   // the person did something else, and it was taken as an answer
	Import                          // brought in from another system
	System                          // consentd itself, by a rule
)

var actionNames = [...]string{"", "user_click", "implied", "import", "system"}

func (a Action) String() string { return name(actionNames[:], uint8(a)) }

// ParseAction reads an action's name.
func ParseAction(s string) (Action, bool) {
	n, ok := number(actionNames[:], s)
	return Action(n), ok
}

func name(names []string, n uint8) string {
	if int(n) < len(names) && n > 0 {
		return names[n]
	}
	return fmt.Sprintf("unknown(%d)", n)
}

func number(names []string, s string) (uint8, bool) {
	for i, n := range names {
		if i > 0 && n == s {
			return uint8(i), true
		}
	}
	return 0, false
}

// Event is one immutable decision in the ledger.
type Event struct {
	Organization ID
	ID           ID    // UUIDv7, strictly increasing within the organization
	Sequence     int64 // 1, 2, 3, … within the organization, without gaps
	Subject      ID    // the person as known when it was recorded; a merge does not rewrite it
	Project      int   // number within the organization
	Purpose      int   // number within the project
	// PurposeVersion is the version of the purpose that was decided on; 0: none held yet, see Purpose.versionAt.
	PurposeVersion int
	State          State
	Action         Action
	Weight         Weight
	Grants         bool      // see grants
	OccurredAt     time.Time // as was said; microseconds, UTC, like all times here. See Effective
	RecordedAt     time.Time
	ExpiresAt      time.Time // zero: never
	Previous       ID        // the event recorded before it for the same subject and purpose; zero: none
	Key            ID        // the API key that submitted it
	Domain         string    // the site, as a host name; may be empty
	Country        string    // where the person was, as Places names it
	Protocol       string    // by which it came; may be empty

	// Body and Identity are canonical JSON (RFC 8785), kept byte for byte:
	// what was decided, and who and from where.
	BodyJSON, IdentityJSON []byte
	// Unreadable tells that IdentityJSON is empty since it cannot be decrypted.
	Unreadable bool
}

// Origin is where a write came from: the request, not the person's words.
type Origin struct {
	Protocol  string     // the adapter's name
	Address   netip.Addr // the client, after trusted proxies only
	UserAgent string
	Domain    string // host of Origin or Referer
	Country   string // set by an adapter that was told the place; else by Places from Address
}

// Evidence is where a person was asked, in which language, and from where the person answered. All members may be
// empty. Those of the last four that are given stand instead of what the Origin says, for a caller who is not the
// person's own browser.
type Evidence struct {
	FormURL   string
	NoticeURL string // the notice or policy that was shown
	Locale    string
	Country   string // a code that CountryCode reads; empty: that of Address
	Address   netip.Addr
	UserAgent string
	Domain    string
}

// Body is the decoded Event.Body.
type Body struct {
	Action         string   `json:"action"`
	DisplayedText  string   `json:"displayed_text,omitempty"` // "sha256:<hex>" of the text
	ExpiresAt      string   `json:"expires_at,omitempty"`
	Locale         string   `json:"locale,omitempty"`
	Metadata       Metadata `json:"metadata,omitempty"`
	OccurredAt     string   `json:"occurred_at"`
	Project        string   `json:"project"`
	Purpose        string   `json:"purpose"`
	PurposeVersion int      `json:"purpose_version"`
	Regime         Regime   `json:"regime"`
	State          string   `json:"state"`
	Undated        bool     `json:"undated,omitempty"` // an import that did not say when
}

// canonical gives the body's canonical JSON.
func (b *Body) canonical() []byte {
	out := make([]byte, 1, 384)
	out[0] = '{'
	out = appendMember(out, "action", b.Action)
	out = appendMember(out, "displayed_text", b.DisplayedText)
	out = appendMember(out, "expires_at", b.ExpiresAt)
	out = appendMember(out, "locale", b.Locale)
	if len(b.Metadata) > 0 {
		out = b.Metadata.append(appendName(out, "metadata"))
	}
	out = appendMember(out, "occurred_at", b.OccurredAt)
	out = appendMember(out, "project", b.Project)
	out = appendMember(out, "purpose", b.Purpose)
	out = appendName(out, "purpose_version")
	out = strconv.AppendInt(out, int64(b.PurposeVersion), 10)
	out = appendMember(out, "regime", string(b.Regime))
	out = appendMember(out, "state", b.State)
	if b.Undated {
		out = append(appendName(out, "undated"), "true"...)
	}
	return append(out, '}')
}

// Identity is the decoded Event.Identity.
type Identity struct {
	AnonymousID string            `json:"anonymous_id"` // the id by which the person is known to a browser
	Country     string            `json:"country"`
	CountrySaid string            `json:"country_said,omitempty"` // as the caller wrote it, where that is not Country
	Domain      string            `json:"domain,omitempty"`
	FormURL     string            `json:"form_url,omitempty"`
	Identifiers map[string]string `json:"identifiers"`      // kind to value, as given in this write
	Import      string            `json:"import,omitempty"` // the import that brought it
	IP          string            `json:"ip,omitempty"`
	Key         string            `json:"key"`
	NoticeURL   string            `json:"notice_url,omitempty"`
	Protocol    string            `json:"protocol"`
	Session     string            `json:"session"` // one id a request
	UserAgent   string            `json:"user_agent,omitempty"`
}

// Show adds to an event what is needed to show it. The error says that a blob is damaged.
func (d *Catalog) Show(e *Event) (EventView, error) {
	v := EventView{Event: *e, PurposeOf: d.PurposeNumbered(e.Project, e.Purpose)}
	if err := v.Body.decode(e.BodyJSON); err != nil {
		return EventView{}, fmt.Errorf("body of event %s: %w", e.ID, err)
	}
	if e.Unreadable {
		v.Identity = Identity{}
	} else if err := v.Identity.decode(e.IdentityJSON); err != nil {
		return EventView{}, fmt.Errorf("ident of event %s: %w", e.ID, err)
	}
	if p := d.ProjectNumbered(e.Project); p != nil {
		v.ProjectID = p.ID
	}
	return v, nil
}

// ShowAll adds what is needed to show events.
func (d *Catalog) ShowAll(events []Event) (views []EventView, err error) {
	views = make([]EventView, len(events))
	for i := range events {
		if views[i], err = d.Show(&events[i]); err != nil {
			return nil, err
		}
	}
	return views, nil
}
