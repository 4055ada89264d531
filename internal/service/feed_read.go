package service

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webhook"
)

// feedPart is what a webhook is to be told next, in order.
type feedPart struct {
	gone     bool  // nobody is to be told: the webhook is removed, or disabled
	idle     bool  // there is no more by now
	keep     bool  // results must be on record before more is read
	head     int64 // the last entry of the ledger when this was read
	next     time.Time
	endpoint webhook.Endpoint
	before   consent.WebhookCursor
	steps    []feedStep
}

// feedStep is what belongs to one place, and the place behind it.
type feedStep struct {
	out  []outgoing
	then consent.WebhookCursor
}

// outgoing is a message with its delivery; no message: what it was to tell of is gone.
type outgoing struct {
	consent.Delivery
	Message *consent.Message
}

// mostSilent is of how many imports it is remembered whether webhooks are told of what they brought.
const mostSilent = 1000

// expiredPart is of how long a time expiries are read at once.
const expiredPart = time.Hour

// behindAll is behind all ids.
var behindAll = consent.ID(bytes.Repeat([]byte{0xff}, 16))

// feedReader reads a part within a view.
type feedReader struct {
	*feed
	r    Reader
	now  time.Time
	w    *consent.Webhook
	d    *consent.Catalog
	part *feedPart
	at   consent.WebhookCursor // behind the last step
}

// read gives what is to be told next.
func (f *feed) read(ctx context.Context) (*feedPart, error) {
	d, err := f.s.catalog(ctx, f.key.Organization)
	if err != nil {
		return nil, err
	}
	part, err := f.readWith(ctx, d)
	if errors.Is(err, errUnknownPurpose) { // it was made just now
		if d, err = f.s.freshCatalog(ctx, f.key.Organization); err == nil {
			part, err = f.readWith(ctx, d)
		}
	}
	return part, err
}

var errUnknownPurpose = errors.New("an event is of a purpose that is not known")

func (f *feed) readWith(ctx context.Context, d *consent.Catalog) (part *feedPart, err error) {
	err = f.s.view(ctx, func(r Reader) error {
		p := &feedReader{feed: f, r: r, now: f.s.now(), d: d, part: &feedPart{}}
		part = p.part
		return p.read(ctx)
	})
	return part, err
}

func (p *feedReader) read(ctx context.Context) (err error) {
	if p.w, err = p.r.Webhook(ctx, p.key); err != nil {
		return err
	}
	if p.w == nil || !p.w.Active() {
		p.part.gone = true
		return nil
	}
	if p.part.endpoint, err = endpointOf(p.w, p.now); err != nil {
		return err
	}
	p.at = p.w.WebhookCursor
	if p.started {
		p.at = p.at.Later(p.feed.at)
	}
	p.part.before, p.part.idle = p.at, true
	for _, step := range []func(context.Context) error{p.retries, p.expiries, p.entries} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// endpointOf gives where a webhook's messages go, and with what they are signed.
func endpointOf(w *consent.Webhook, now time.Time) (e webhook.Endpoint, err error) {
	e.URL = w.URL
	for _, key := range w.Secrets(now) {
		secret, err := webhook.SecretOf(key)
		if err != nil {
			return e, errors.New("the webhook's secret cannot be read, since what is stored of it was changed; rotate it")
		}
		e.Secrets = append(e.Secrets, secret)
	}
	return e, nil
}

// step adds what belongs to one place.
func (p *feedReader) step(out ...outgoing) {
	p.part.steps = append(p.part.steps, feedStep{out, p.at})
}

// outgoing makes the delivery of a message.
func (p *feedReader) outgoing(m *consent.Message) outgoing {
	return outgoing{consent.Delivery{WebhookKey: p.key, ID: DeliveryID(p.key.Webhook, m.Entry, m.Type, m.At), Type: m.Type,
		Entry: m.Entry, Sequence: m.Sequence, CreatedAt: p.now}, m}
}

// retries adds the deliveries that are to be tried now.
func (p *feedReader) retries(ctx context.Context) error {
	due, err := p.r.DueDeliveries(ctx, p.key, p.now, feedAtOnce)
	if err != nil {
		return err
	}
	for _, d := range due {
		m, err := p.messageOf(ctx, &d)
		if err != nil {
			return err
		}
		p.step(outgoing{d, m})
	}
	p.part.keep = len(due) > 0
	if len(due) == feedAtOnce {
		p.part.idle = false
	}
	return nil
}

// messageOf makes the message of a delivery anew; nil: what it was to tell of is gone, or not wanted any more.
func (p *feedReader) messageOf(ctx context.Context, d *consent.Delivery) (*consent.Message, error) {
	m := &consent.Message{Notice: consent.Notice{Type: d.Type, At: d.CreatedAt, Webhook: p.key.Webhook}}
	if d.Type == consent.WebhookPing {
		return m, nil
	}
	if !p.w.Wants(d.Type) {
		return nil, nil //nolint:nilnil // said above
	}
	if d.Type.OfConsent() {
		e, err := p.r.Event(ctx, p.key.Organization, d.Entry)
		if err != nil || e == nil {
			return nil, err
		}
		view, err := p.show(e)
		if err != nil {
			return nil, err
		}
		*m = consent.MessagesOf(view)[0]
		if m.Type = d.Type; d.Type == consent.ConsentExpired {
			m.At = e.ExpiresAt
		}
		return m, nil
	}
	e, err := p.r.LedgerEntry(ctx, p.key.Organization, d.Entry)
	if err != nil || e == nil || e.Kind == consent.ErasedEntry {
		return nil, err
	}
	*m, err = e.Exported().Message()
	return m, err
}

// show adds to a decision what is needed to tell of it.
func (p *feedReader) show(e *consent.Event) (*consent.EventView, error) {
	view, err := p.d.Show(e)
	if err == nil && view.PurposeOf == nil {
		err = errUnknownPurpose
	}
	return &view, err
}

// expiries adds the consents whose time is over by now.
func (p *feedReader) expiries(ctx context.Context) error {
	if !p.w.Wants(consent.ConsentExpired) {
		return nil
	}
	if !p.at.NextExpiry.IsZero() && !p.at.NextExpiry.After(p.now) {
		upTo := p.now // not all at once that came in a long time: PostgreSQL sorts it for each part
		if part := p.at.ExpiredAt.Add(expiredPart); part.Before(upTo) {
			upTo, p.part.idle = part, false
		}
		found, err := p.r.Expiries(ctx, p.key.Organization, consent.Expiry{At: p.at.ExpiredAt, Event: p.at.ExpiredEvent},
			upTo, feedAtOnce)
		if err != nil {
			return err
		}
		if err := p.addExpired(ctx, found); err != nil {
			return err
		}
		if len(found) == feedAtOnce {
			p.part.idle = false
			return nil
		}
		if p.at.ExpiredAt, p.at.ExpiredEvent = upTo, behindAll; upTo.Before(p.now) {
			p.step()
			return nil
		}
	}
	next, err := p.nextExpiry(ctx)
	p.at.NextExpiry, p.part.next = next, next
	p.step()
	return err
}

// nextExpiry gives when to look for expiries again: when the next one may be, as far as that is known.
func (p *feedReader) nextExpiry(ctx context.Context) (time.Time, error) {
	from := time.Second
	for _, within := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute, idleFor} {
		any, err := p.r.AnyExpiry(ctx, p.key.Organization, p.at.ExpiredAt, p.now.Add(within))
		if err != nil || any {
			return p.now.Add(from), err
		}
		from = within
	}
	return p.now.Add(from), nil
}

// addExpired adds those of some decisions that ended a consent.
func (p *feedReader) addExpired(ctx context.Context, found []consent.Expiry) error {
	ended, err := endedBy(ctx, p.r, found)
	if err != nil {
		return err
	}
	for i := range found {
		e := &found[i]
		p.at.ExpiredAt, p.at.ExpiredEvent = e.At, e.Event
		if !ended[i] {
			continue
		}
		out, err := p.expired(ctx, e)
		if err != nil {
			return err
		}
		p.step(out...)
	}
	return nil
}

// expired gives the message that a decision's time is over.
func (p *feedReader) expired(ctx context.Context, e *consent.Expiry) ([]outgoing, error) {
	event, err := p.r.Event(ctx, p.key.Organization, e.Event)
	if err != nil || event == nil {
		return nil, err
	}
	view, err := p.show(event)
	if err != nil {
		return nil, err
	}
	return []outgoing{p.outgoing(&consent.Message{Notice: consent.Notice{Type: consent.ConsentExpired, At: e.At,
		Sequence: e.Sequence, Event: view}, Entry: e.Event})}, nil
}

// endedBy tells which of some decisions ended a consent when their time was over, by index of them.
func endedBy(ctx context.Context, r Reader, found []consent.Expiry) ([]bool, error) {
	keys := make([]consent.ConsentKey, len(found))
	for i := range found {
		keys[i] = found[i].Consent
	}
	consents, err := r.Consents(ctx, keys)
	if err != nil {
		return nil, err
	}
	ended := make([]bool, len(found))
	for i := range found {
		for consents[i].Event == consent.NoID { // that person may be another by now
			into, err := r.MergedInto(ctx, consent.SubjectKey{Organization: keys[i].Organization, Subject: keys[i].Subject})
			if err != nil {
				return nil, err
			}
			if into == consent.NoID {
				break
			}
			keys[i].Subject = into
			one, err := r.Consents(ctx, keys[i:i+1])
			if err != nil {
				return nil, err
			}
			consents[i] = one[0]
		}
		ended[i] = found[i].Ends(&consents[i])
	}
	return ended, nil
}

// entries adds what is new in the ledger.
func (p *feedReader) entries(ctx context.Context) error {
	head, err := headOf(ctx, p.r, p.key.Organization)
	p.part.head = head.Sequence
	if err != nil || head.Sequence <= p.at.Sequence {
		return err
	}
	span := consent.EventSpan{After: p.at.LastID, To: head.LastID}
	others, to, err := p.r.OtherEntries(ctx, p.key.Organization, span, feedAtOnce)
	if err != nil {
		return err
	}
	span.To = to
	decisions, last, err := p.r.EventsAfter(ctx, &consent.EventQuery{Organization: p.key.Organization, Ascending: true,
		Limit: feedAtOnce}, span)
	if err != nil {
		return err
	}
	for len(decisions)+len(others) > 0 {
		if len(others) == 0 || len(decisions) > 0 && bytes.Compare(decisions[0].ID[:], others[0].ID[:]) < 0 {
			err = p.decision(ctx, &decisions[0])
			decisions = decisions[1:]
		} else if bytes.Compare(others[0].ID[:], last[:]) > 0 {
			others = nil
		} else {
			err = p.entry(ctx, &others[0])
			others = others[1:]
		}
		if err != nil {
			return err
		}
	}
	if last == head.LastID {
		p.at.Sequence = head.Sequence
	} else {
		p.part.idle = false
	}
	p.at.LastID = last
	p.step()
	return nil
}

// decision adds what is told of a decision.
func (p *feedReader) decision(ctx context.Context, e *consent.Event) error {
	p.at.Sequence, p.at.LastID = e.Sequence, e.ID
	view, err := p.show(e)
	if err != nil {
		return err
	}
	messages := consent.MessagesOf(view)
	silent, err := p.isSilent(ctx, view.Identity.Import)
	if err != nil {
		return err
	}
	if silent {
		messages = nil
	}
	messages = slices.DeleteFunc(messages, func(m consent.Message) bool { return !p.w.Wants(m.Type) })
	out := make([]outgoing, 0, len(messages))
	for i := range messages {
		out = append(out, p.outgoing(&messages[i]))
	}
	if late := p.w.Wants(consent.ConsentExpired) && !e.ExpiresAt.IsZero() && e.RecordedAt.Before(e.ExpiresAt) &&
		!e.ExpiresAt.After(p.part.before.ExpiredAt); late { // it was not to be seen when expiries were read up to there
		x := consent.Expiry{At: e.ExpiresAt, Event: e.ID, Sequence: e.Sequence, Consent: consent.ConsentKey{
			Organization: e.Organization, Subject: e.Subject, Project: e.Project, Purpose: e.Purpose}}
		ended, err := endedBy(ctx, p.r, []consent.Expiry{x})
		if err != nil {
			return err
		}
		if ended[0] {
			out = append(out, p.outgoing(&consent.Message{Notice: consent.Notice{Type: consent.ConsentExpired,
				At: x.At, Sequence: e.Sequence, Event: view}, Entry: e.ID}))
		}
	}
	if len(out) > 0 {
		p.step(out...)
	}
	return nil
}

// isSilent tells whether nobody is told of what an import brings; empty: it was no import.
func (p *feedReader) isSilent(ctx context.Context, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	if silent, known := p.silent[id]; known {
		return silent, nil
	}
	of, ok := consent.ParseID(id)
	if !ok {
		return false, nil
	}
	runs, err := p.r.Imports(ctx, []consent.ImportKey{{Organization: p.key.Organization, Import: of}})
	if err != nil {
		return false, err
	}
	if len(p.silent) >= mostSilent {
		clear(p.silent)
	}
	p.silent[id] = runs[0] != nil && !runs[0].Notify
	return p.silent[id], nil
}

// entry adds what is told of an entry that is no decision.
func (p *feedReader) entry(ctx context.Context, e *consent.ExportedEvent) error {
	p.at.Sequence, p.at.LastID = e.Sequence, e.ID
	m, err := e.Message()
	if err != nil {
		return err
	}
	if m.Type == "" || !p.w.Wants(m.Type) {
		return nil
	}
	if m.Type == consent.PurposeVersioned {
		if known, err := p.knownVersion(ctx, &m); err != nil || known {
			return err
		}
	}
	p.step(p.outgoing(&m))
	return nil
}

// knownVersion tells whether an entry before was about the same version of a purpose: then this one is about another
// change. It looks at the last few alone, since both would be within a minute.
func (p *feedReader) knownVersion(ctx context.Context, m *consent.Message) (bool, error) {
	const few = 100
	before, err := p.r.OwnEntries(ctx, p.key.Organization, consent.PurposeEntry, m.Sequence-1, few)
	return slices.ContainsFunc(before, func(e consent.ExportedEvent) bool {
		of, err := consent.ReadPurpose(e.BodyJSON)
		return err == nil && of == consent.PurposeName{Project: m.Project.String(), Purpose: m.Purpose, Version: m.Version}
	}), err
}
