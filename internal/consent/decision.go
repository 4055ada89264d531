package consent

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Rules about one decision, from how much it counts to the event that it makes.

// weight tells how much the decision counts.
func (d *PreparedDecision) weight() Weight { return weigh(d.State, d.Action, d.undated()) }

// undated tells whether it is an import of which nobody knows the date.
func (d *PreparedDecision) undated() bool { return d.Action == Import && d.OccurredAt.IsZero() }

// dates gives when a decision about somebody with a current consent occurred, and when it is recorded. One without a
// date is later than all on record, also where a clock ran ahead; but not a yes that is imported, which says nothing
// of when.
func (d *PreparedDecision) dates(current *Consent, now time.Time) (occurredAt, recordedAt time.Time) {
	switch {
	case d.OccurredAt.After(now) && !now.After(current.OccurredAt): // it is recorded later too
		return d.OccurredAt, current.OccurredAt.Add(time.Microsecond)
	case !d.OccurredAt.IsZero():
		return d.OccurredAt, now
	case d.weight() != WeightUndated && !now.After(current.OccurredAt):
		now = current.OccurredAt.Add(time.Microsecond)
	}
	return now, now
}

func (d *PreparedDecision) expiry(purpose *Purpose, occurredAt time.Time) time.Time {
	if d.ExpiresAt.IsZero() {
		return purpose.Duration.After(occurredAt)
	}
	return d.ExpiresAt
}

// version gives the version of a purpose's text to which the decision is: the one that it names or the one of now, but
// none that was made only later.
func (d *PreparedDecision) version(purpose *Purpose) int {
	held := purpose.versionAt(d.OccurredAt)
	if d.PurposeVersion == 0 {
		return held
	}
	return min(held, d.PurposeVersion)
}

// newest stands for the id of an event that is yet to be made: it is greater than all on record.
var newest = ID(bytes.Repeat([]byte{0xff}, len(NoID)))

// step gives what the fold needs of the decision, before its event is made.
func (d *PreparedDecision) step(purpose *Purpose, current *Consent, now time.Time) Step {
	occurredAt, recordedAt := d.dates(current, now)
	return Step{Event: newest, State: d.State, Weight: d.weight(), Grants: grants(d.State, d.Action, d.Regime),
		OccurredAt: Effective(occurredAt, recordedAt), ExpiresAt: d.expiry(purpose, occurredAt),
		PurposeVersion: d.version(purpose)}
}

// Records tells whether the decision makes an event about somebody with a current consent. A replacement takes back
// only what is in force.
func (d *PreparedDecision) Records(current *Consent, now time.Time) bool {
	return !d.Replaces || d.State == Accepted || current.InForce(now)
}

// MayBeLate tells whether the decision may need the whole timeline. One without a date that holds for long never does,
// see Consent.next.
func (d *PreparedDecision) MayBeLate(purpose *Purpose, now time.Time) bool {
	return !d.OccurredAt.IsZero() || d.undated() || !d.expiry(purpose, now).After(now.Add(skew))
}

// textPrefix stands in Body.DisplayedText before the hash of the text.
const textPrefix = "sha256:"

// TextHash gives the SHA-256 of the text that Body.DisplayedText names.
func TextHash(name string) ([]byte, error) {
	digits, ok := strings.CutPrefix(name, textPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil {
		return nil, fmt.Errorf("%q is not the hash of a text", name)
	}
	return hash, nil
}

// Recording says as what, and about whom, a decision is recorded.
type Recording struct {
	ID           ID
	Sequence     int64
	Subject      ID
	Purpose      *Purpose
	Current      *Consent // of the subject for the purpose
	Identity     *Identity
	IdentityJSON []byte // Identity as canonical JSON
	Now          time.Time
}

// Event makes the event of a decision.
func (p *Prepared) Event(item *PreparedItem, d *PreparedDecision, r *Recording) EventView {
	occurredAt, recordedAt := d.dates(r.Current, r.Now)
	e := Event{Organization: p.Actor.Organization, ID: r.ID, Sequence: r.Sequence, Subject: r.Subject,
		Project: p.Project.Number, Purpose: r.Purpose.Number,
		PurposeVersion: d.version(r.Purpose), State: d.State, Action: d.Action, Weight: d.weight(),
		Grants: grants(d.State, d.Action, d.Regime), OccurredAt: occurredAt, RecordedAt: recordedAt,
		ExpiresAt: d.expiry(r.Purpose, occurredAt), Previous: r.Current.Last, Key: p.Actor.Key,
		Domain: r.Identity.Domain, Country: r.Identity.Country, Protocol: r.Identity.Protocol, IdentityJSON: r.IdentityJSON}
	body := Body{Action: d.Action.String(), Locale: item.Locale, Metadata: item.Metadata,
		Project: p.Project.ID.String(), Purpose: r.Purpose.Key,
		PurposeVersion: e.PurposeVersion, Regime: d.Regime, State: d.State.String(), Undated: d.undated(),
		OccurredAt: formatInstant(e.OccurredAt), ExpiresAt: formatInstant(e.ExpiresAt)}
	if d.Text != nil {
		body.DisplayedText = textPrefix + hex.EncodeToString(d.Text.Hash)
	}
	e.BodyJSON = body.canonical()
	view := EventView{Event: e, ProjectID: p.Project.ID, PurposeOf: r.Purpose, Body: body, Identity: *r.Identity}
	if d.Text != nil {
		view.Text = d.Text.Text
	}
	return view
}
