package consent

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// EventType says what a message to a webhook tells of.
type EventType string

// The types of messages.
const (
	ConsentRecorded  EventType = "consent.recorded"
	ConsentWithdrawn EventType = "consent.withdrawn" // beside ConsentRecorded
	ConsentExpired   EventType = "consent.expired"
	SubjectMerged    EventType = "subject.merged"
	SubjectUnmerged  EventType = "subject.unmerged"
	SubjectErased    EventType = "subject.erased"
	PurposeVersioned EventType = "purpose.version"
	WebhookPing      EventType = "webhook.ping" // goes to whom it is asked for, whatever that one subscribes to
)

// EventTypes are those that a webhook can subscribe to.
var EventTypes = []EventType{ConsentRecorded, ConsentWithdrawn, ConsentExpired, SubjectMerged, SubjectUnmerged,
	SubjectErased, PurposeVersioned}

// patterns are what a webhook may subscribe to beside one type: all of a noun, and all.
var patterns = []string{"*", "consent.*", "subject.*", "purpose.*"}

// OfConsent tells whether messages of the type are about a decision.
func (t EventType) OfConsent() bool { return strings.HasPrefix(string(t), "consent.") }

// Bounds of webhooks.
const (
	// MaxWebhooks is how many an organization may have: each reads the ledger for itself.
	MaxWebhooks           = 100
	maxWebhookURL         = 2048 // bytes
	maxWebhookEvents      = 20
	maxWebhookDescription = 256 // characters
)

// WebhookKey names a webhook.
type WebhookKey struct{ Organization, Webhook ID }

// Webhook is an address that is told of what happens. The ledger itself is the queue: a webhook knows how far of it was
// told.
type Webhook struct {
	WebhookKey
	URL         string
	Events      []string // types, or patterns of them
	Description string
	Disabled    DisabledReason // empty: it is active
	// Secret is what messages are signed with, and Previous what they are signed with too until an instant; both are
	// encrypted in a store. Secret is empty in lists, and where what is stored of it was changed.
	Secret, Previous     []byte
	PreviousUntil        time.Time
	CreatedAt, UpdatedAt time.Time
	Revision             int
	WebhookCursor
}

// WebhookCursor is how far a webhook has come.
type WebhookCursor struct {
	Sequence int64 // of the ledger, up to which it was told, or was tried to be
	LastID   ID    // of the entry of that sequence; NoID: it has been told of none
	// ExpiredAt and ExpiredEvent are up to where expiries were told: an instant, and at it an event. NextExpiry is when
	// there may be more; zero: none is known of.
	ExpiredAt    time.Time
	ExpiredEvent ID
	NextExpiry   time.Time
	FailingSince time.Time // since when nothing got through; zero: the last try did
}

// Later gives how far a webhook has come that has come as far as to. It never goes back to expiries that were passed
// over, as where a change of the webhook did so meanwhile.
func (c WebhookCursor) Later(to WebhookCursor) WebhookCursor {
	if c.ExpiredAt.After(to.ExpiredAt) {
		to.ExpiredAt, to.ExpiredEvent, to.NextExpiry = c.ExpiredAt, c.ExpiredEvent, c.NextExpiry
	}
	return to
}

// MovedWebhook is how far a webhook has come now. It changes nothing else of it, and nothing where it is gone.
type MovedWebhook struct {
	WebhookKey
	WebhookCursor
}

// DisabledReason is why a webhook is told nothing.
type DisabledReason string

// Why a webhook is disabled.
const (
	DisabledByRequest DisabledReason = "requested"
	DisabledGone      DisabledReason = "gone"    // the receiver answered 410
	DisabledFailing   DisabledReason = "failing" // nothing got through for days
)

// Active tells whether it is told of anything.
func (w *Webhook) Active() bool { return w.Disabled == "" }

// Wants tells whether it subscribes to a type.
func (w *Webhook) Wants(t EventType) bool { return wants(w.Events, t) }

func wants(events []string, t EventType) bool {
	return t == WebhookPing || slices.ContainsFunc(events, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == string(t) || open && strings.HasPrefix(string(t), prefix)
	})
}

// NewWebhook asks for a webhook.
type NewWebhook struct {
	URL         string
	Events      []string
	Description string
}

// WebhookChange says what to change of a webhook. A member that is nil stays as it is.
type WebhookChange struct {
	URL         *string
	Events      *[]string
	Description *string
	Active      *bool // true: also of one that was disabled
}

// UpdateWebhook asks to change a webhook.
type UpdateWebhook struct {
	Webhook     ID
	Change      WebhookChange
	If          IfMatch // on the webhook's revision
	Idempotency Idempotency
}

// RemoveWebhook asks to remove a webhook.
type RemoveWebhook struct {
	Webhook     ID
	If          IfMatch // on the webhook's revision
	Idempotency Idempotency
}

// ToldSecret is a webhook with its secret as receivers are given it, which is told once.
type ToldSecret struct {
	Webhook
	Text string
}

// Create gives the webhook that is asked for, which is told of what comes behind the head of the ledger and expires
// after an instant. Key and secret are yet to be set. Errors: Invalid.
func (n *NewWebhook) Create(head Head, at time.Time) (Webhook, error) {
	w := Webhook{URL: n.URL, Events: n.Events, Description: n.Description, CreatedAt: at, UpdatedAt: at, Revision: 1,
		WebhookCursor: WebhookCursor{Sequence: head.Sequence, LastID: head.LastID, ExpiredAt: at, NextExpiry: at}}
	return w, w.check()
}

// Change gives the webhook as a change makes it at an instant; changed is false where nothing is other than before. One
// that is active again begins where it stopped. One that subscribes to expiries for the first time is told of those
// from the instant on. Errors: Invalid.
func (w *Webhook) Change(c *WebhookChange, at time.Time) (to Webhook, changed bool, err error) {
	to = *w
	set(&to.URL, c.URL)
	set(&to.Events, c.Events)
	set(&to.Description, c.Description)
	if c.Active != nil && *c.Active != w.Active() {
		to.Disabled, to.FailingSince = DisabledByRequest, time.Time{}
		if *c.Active {
			to.Disabled = ""
		}
	}
	if err := to.check(); err != nil {
		return to, false, err
	}
	if to.Wants(ConsentExpired) && !w.Wants(ConsentExpired) {
		to.ExpiredAt, to.ExpiredEvent, to.NextExpiry = at, NoID, at
	}
	changed = to.URL != w.URL || !slices.Equal(to.Events, w.Events) || to.Description != w.Description ||
		to.Disabled != w.Disabled
	if changed {
		to.touch(at)
	}
	return to, changed, nil
}

func (w *Webhook) touch(at time.Time) { w.Revision, w.UpdatedAt = w.Revision+1, at }

// Rotate has messages signed by a new secret, and until an instant by the one before too.
func (w *Webhook) Rotate(secret []byte, at, until time.Time) {
	w.Previous, w.PreviousUntil = w.Secret, until
	if len(w.Previous) == 0 { // what was stored of it was changed
		w.Previous, w.PreviousUntil = nil, time.Time{}
	}
	w.Secret = secret
	w.touch(at)
}

// Secrets are what a message is signed with at an instant, the newest first.
func (w *Webhook) Secrets(at time.Time) [][]byte {
	if len(w.Previous) > 0 && at.Before(w.PreviousUntil) {
		return [][]byte{w.Secret, w.Previous}
	}
	return [][]byte{w.Secret}
}

// check refuses what a webhook cannot be, with all mistakes.
func (w *Webhook) check() error {
	found := mistakes{all: true}
	if err := checkWebhookURL(w.URL); err != nil {
		found.add(err, nil)
	}
	if n := len(w.Events); n < 1 || n > maxWebhookEvents {
		found.add(Errorf(Invalid, "events", "must name 1 to %d types of events", maxWebhookEvents), nil)
	}
	for i, pattern := range w.Events {
		field := fmt.Sprintf("events[%d]", i)
		switch {
		case found.enough():
		case !slices.Contains(patterns, pattern) && !slices.Contains(EventTypes, EventType(pattern)):
			found.add(Errorf(Invalid, field, "is not a type of events; known are %s, and %s", Listed(EventTypes),
				Listed(patterns)), nil)
		case slices.Contains(w.Events[:i], pattern):
			found.add(Errorf(Invalid, field, "is there already"), nil)
		}
	}
	if utf8.RuneCountInString(w.Description) > maxWebhookDescription {
		found.add(Errorf(Invalid, "description", "must have %d characters at most", maxWebhookDescription), nil)
	}
	return found.err()
}

// checkWebhookURL refuses what is no URL of a receiver in any case; whoever sends to it says more.
func checkWebhookURL(url string) error {
	rest, secure := strings.CutPrefix(url, "https://")
	plain := false
	if !secure {
		rest, plain = strings.CutPrefix(url, "http://")
	}
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	switch {
	case len(url) > maxWebhookURL:
		return Errorf(Invalid, "url", "must have %d bytes at most", maxWebhookURL)
	case !secure && !plain:
		return Errorf(Invalid, "url", "must begin with https://")
	case strings.Contains(url, "#"):
		return Errorf(Invalid, "url", "must have no fragment")
	case strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		return Errorf(Invalid, "url", "must be ASCII, with other characters and spaces as %%XX")
	case strings.Contains(host, "@"):
		return Errorf(Invalid, "url", "must have neither user nor password, since URLs are shown")
	case host == "" || host[0] == ':':
		return Errorf(Invalid, "url", "must name a host")
	}
	return nil
}
