package consent

import (
	"bytes"
	"slices"
	"sync"
	"time"
)

// batch is one run of the batcher: what it loaded, what it decided, and what
// became of each request. Decisions are taken in memory, request by request
// in order, each seeing what those before it decided; a request that is
// refused drops out before it has changed anything.
type batch struct {
	service  *Service
	requests []*prepared
	outcomes []outcome
	now      time.Time
	changes  Changes

	directories map[ID]*Directory // of organizations that get a new purpose
	people      *people
	fresh       map[SubjectKey]bool // made by this batch
	answers     map[AnswerKey]*KeptAnswer
	resolved    [][]identified // by request and item

	heads     map[ID]*Head
	consents  map[ConsentKey]*standing
	standings []standing   // the memory of those that decisions need
	asked     []ConsentKey // of standings that the store may know
	planned   []planned
	late      bool // something that is planned may need a whole timeline
	dirty     []touched
}

// planned is a decision that the batch may take.
type planned struct {
	*standing
	decision *preparedDecision // nil: see replaced
	purpose  *Purpose
	item     *preparedItem
	replaced *replaced
}

// touched is a consent that the batch moved.
type touched struct {
	key ConsentKey
	*standing
}

// standing is where a subject stands on a purpose while a batch decides.
type standing struct {
	consent Consent
	history []Step // all steps in order, where whole is set
	whole   bool   // the fold cannot be taken step by step: something is late, or merged
	merges  bool   // with all that it has on record
	stale   bool   // history has more than consent shows
	changed bool

	expected Consent // where markLate is, once it was there
	foreseen bool
}

func newStanding(of ConsentKey) standing {
	return standing{consent: Consent{Organization: of.Organization, Subject: of.Subject, Project: of.Project, Purpose: of.Purpose}}
}

func (s *standing) current() *Consent {
	if s.stale {
		was := s.consent
		s.consent = latest(s.history)
		s.consent.Organization, s.consent.Subject, s.consent.Project, s.consent.Purpose = was.Organization, was.Subject, was.Project, was.Purpose
		s.consent.Last, s.stale = was.Last, false
	}
	return &s.consent
}

// add moves a consent by an event of the batch of now.
func (s *standing) add(e *Event, now time.Time) {
	step := e.step()
	next, sure := s.current().next(&step, now)
	if s.whole {
		at, _ := slices.BinarySearchFunc(s.history, step, before)
		s.history = slices.Insert(s.history, at, step)
		s.stale = !sure
	} else if !sure {
		panic("a decision was not foreseen") // so its history was not read; the batch fails
	}
	if sure {
		s.consent = next
	}
	s.consent.Last = e.ID
}

// know adds steps, in whatever order they are.
func (s *standing) know(steps []Step) {
	s.history = append(s.history, steps...)
	slices.SortFunc(s.history, before)
	s.stale = len(s.history) > 0
}

// newBatch makes a batch, of the memory of one that is done with where there is some: a crowd's batches come by the hundred a
// second.
func newBatch(s *Service, requests []*prepared) *batch {
	decisions := 0
	for _, p := range requests {
		decisions += p.decisions
	}
	b := usedBatches.Get().(*batch)
	b.service, b.requests, b.now = s, requests, s.now()
	b.outcomes, b.resolved = make([]outcome, len(requests)), make([][]identified, len(requests))
	b.directories, b.answers = map[ID]*Directory{}, map[AnswerKey]*KeptAnswer{}
	b.standings = slices.Grow(b.standings, decisions) // pointed to, so it must not grow later
	b.changes.Events, b.changes.Consents = slices.Grow(b.changes.Events, decisions), slices.Grow(b.changes.Consents, decisions)
	return b
}

var usedBatches = sync.Pool{New: func() any {
	return &batch{people: newPeople(), fresh: map[SubjectKey]bool{}, heads: map[ID]*Head{}, consents: map[ConsentKey]*standing{}}
}}

// usedAgain is for how many decisions a batch's memory may be to be used again: emptying a map takes as long as it has room.
const usedAgain = 512

// done gives the batch's memory to another. Only what it decided, outcomes, may be used from then on.
func (b *batch) done() {
	if cap(b.standings) > usedAgain || len(b.people.owners) > 8*usedAgain { // somebody may have a thousand identifiers
		return
	}
	b.people.clear()
	clear(b.fresh)
	clear(b.heads)
	clear(b.consents)
	c := &b.changes
	*b = batch{people: b.people, fresh: b.fresh, heads: b.heads, consents: b.consents,
		standings: emptied(b.standings), asked: emptied(b.asked), planned: emptied(b.planned), dirty: emptied(b.dirty),
		changes: Changes{Subjects: emptied(c.Subjects), Identifiers: emptied(c.Identifiers), Claims: emptied(c.Claims),
			Events: emptied(c.Events), Consents: emptied(c.Consents)}}
	usedBatches.Put(b)
}

// emptied keeps the memory of a list, and nothing of what was in it.
func emptied[T any](list []T) []T {
	clear(list)
	return list[:0]
}

// decide makes the events of every request that was not refused, and what follows from them.
func (b *batch) decide() error {
	for i, p := range b.requests {
		if b.outcomes[i].err != nil {
			continue
		}
		recorded := &Recorded{Session: p.session, Items: make([]RecordedItem, len(p.items))}
		for n := range p.items {
			b.decideItem(p, &p.items[n], b.resolved[i][n], &recorded.Items[n])
		}
		b.outcomes[i].recorded = recorded
		if p.once.Key != "" {
			answer, err := p.once.keep(p.actor, recorded, b.now)
			if err != nil {
				return err
			}
			b.changes.Answers = append(b.changes.Answers, answer)
		}
	}
	b.close()
	return nil
}

func (b *batch) decideItem(p *prepared, item *preparedItem, who identified, out *RecordedItem) {
	out.Subject = who.subject
	out.AnonymousID = who.anonymousID
	for _, m := range who.merge {
		merge := &b.changes.Merges[m.record]
		merge.After = b.heads[p.actor.Organization].Sequence
		from, into := SubjectKey{merge.Organization, merge.From}, SubjectKey{merge.Organization, merge.Into}
		b.mergeConsents(from, into, merge.MergedAt)
	}
	identity := item.identity
	identity.AnonymousID = out.AnonymousID
	w := eventWriter{batch: b, request: p, item: item, identity: &identity, ident: joinIdent(out.AnonymousID, item.ident),
		key: ConsentKey{p.actor.Organization, who.subject, p.project.Number, 0}}
	out.Events = make([]Event, 0, len(item.decisions)+len(item.replace))
	for d := range item.decisions {
		decision := item.decisions[d]
		decision.purpose = b.purposeOf(p, &decision)
		out.Events = append(out.Events, w.record(&decision))
	}
	for _, r := range item.replace {
		if decision := b.replacement(item, &r, b.consents[w.at(r.purpose)].current()); decision != nil {
			out.Events = append(out.Events, w.record(decision))
		}
	}
	for _, r := range item.replace {
		if c := b.consents[w.at(r.purpose)].current(); c.Event != NoID {
			out.Consents = append(out.Consents, *c)
		}
	}
}

// replacement gives what an overwrite has to record for one purpose; nil: nothing. A yes that stays is renewed.
func (b *batch) replacement(item *preparedItem, r *replaced, c *Consent) *preparedDecision {
	state := Accepted
	if !r.granted {
		if state = Withdrawn; !c.InForce(b.now) {
			return nil
		}
	}
	return &preparedDecision{purpose: r.purpose, state: state, action: item.action,
		regime: b.service.places.Regime(item.country)}
}

// mergeConsents lets the events of an anonymous subject count for the person from now on. The
// anonymous subject's own rows stay as they are: they are the heads of its events' chains.
func (b *batch) mergeConsents(from, into SubjectKey, at time.Time) {
	for key, s := range b.consents {
		if key.Organization != from.Organization || key.Subject != from.Subject || len(s.history) == 0 {
			continue
		}
		theirs := ConsentKey{into.Organization, into.Subject, key.Project, key.Purpose}
		target := b.consents[theirs]
		if target == nil {
			empty := newStanding(theirs)
			empty.whole, target = true, &empty
			b.consents[theirs] = target
		}
		no, stands := kept(*target.current(), *s.current(), at)
		target.know(s.history)
		if stands {
			target.know([]Step{no})
		}
		b.touch(theirs, target)
	}
}

func (b *batch) touch(key ConsentKey, s *standing) {
	if !s.changed {
		s.changed = true
		b.dirty = append(b.dirty, touched{key, s})
	}
}

// eventWriter makes the events of one item.
type eventWriter struct {
	batch    *batch
	request  *prepared
	item     *preparedItem
	identity *Ident
	ident    []byte
	key      ConsentKey
}

func (w *eventWriter) at(p *Purpose) ConsentKey {
	key := w.key
	key.Purpose = p.Number
	return key
}

// weight tells how much the decision counts.
func (d *preparedDecision) weight() Weight { return weigh(d.state, d.action, d.undated()) }

// undated tells whether it is an import of which nobody knows the date.
func (d *preparedDecision) undated() bool { return d.action == Import && d.occurredAt.IsZero() }

// dates gives when a decision about somebody who stands somewhere occurred, and when it is recorded. One without a
// date is later than all on record, also where a clock ran ahead; but not a yes that is imported, which says nothing
// of when.
func (d *preparedDecision) dates(stands *Consent, now time.Time) (occurredAt, recordedAt time.Time) {
	switch {
	case d.occurredAt.After(now) && !now.After(stands.OccurredAt): // it is recorded later too
		return d.occurredAt, stands.OccurredAt.Add(time.Microsecond)
	case !d.occurredAt.IsZero():
		return d.occurredAt, now
	case d.weight() != WeightUndated && !now.After(stands.OccurredAt):
		now = stands.OccurredAt.Add(time.Microsecond)
	}
	return now, now
}

// newest stands for the id of an event that is yet to be made: it is greater than all on record.
var newest = ID(bytes.Repeat([]byte{0xff}, len(NoID)))

// step gives what the fold needs of a decision about somebody who stands somewhere, before its event is made.
func (d *preparedDecision) step(purpose *Purpose, stands *Consent, now time.Time) Step {
	occurredAt, recordedAt := d.dates(stands, now)
	return Step{Event: newest, State: d.state, Weight: d.weight(), Grants: grants(d.state, d.action, d.regime),
		OccurredAt: Effective(occurredAt, recordedAt), ExpiresAt: d.expiry(purpose, occurredAt)}
}

func (d *preparedDecision) expiry(purpose *Purpose, occurredAt time.Time) time.Time {
	if d.expiresAt.IsZero() {
		return purpose.Duration.After(occurredAt)
	}
	return d.expiresAt
}

// record makes the event of a decision and moves the consent.
func (w *eventWriter) record(d *preparedDecision) Event {
	b, key := w.batch, w.at(d.purpose)
	s := b.consents[key]
	occurredAt, recordedAt := d.dates(s.current(), b.now)
	head := b.heads[key.Organization]
	var random [10]byte
	b.service.read(random[:])
	head.LastID = nextID(head.LastID, b.now, random)
	head.Sequence++
	e := Event{Organization: key.Organization, ID: head.LastID, Sequence: head.Sequence, Subject: key.Subject,
		Project: key.Project, Purpose: key.Purpose, State: d.state, Action: d.action, Weight: d.weight(),
		Grants: grants(d.state, d.action, d.regime), OccurredAt: occurredAt, RecordedAt: recordedAt,
		ExpiresAt: d.expiry(d.purpose, occurredAt), Previous: s.consent.Last,
		Key: w.request.actor.Key, Domain: w.request.origin.Domain, Country: w.item.country,
		Ident: w.ident, identity: w.identity}
	e.decided = w.body(d, &e)
	e.Body = e.decided.canonical()
	if d.text != nil {
		b.changes.Texts = append(b.changes.Texts, *d.text)
	}
	s.add(&e, b.now)
	b.touch(key, s)
	b.changes.Events = append(b.changes.Events, e)
	return e
}

func (w *eventWriter) body(d *preparedDecision, e *Event) *Body {
	body := &Body{Action: d.action.String(), Locale: w.item.locale, Project: w.request.project.ID.String(), Purpose: d.purpose.Key,
		PurposeVersion: d.purpose.versionAt(d.occurredAt), Regime: d.regime, State: d.state.String(), Undated: d.undated()}
	if d.text != nil {
		body.DisplayedText = "sha256:" + hexHash(d.text.Hash)
	}
	body.OccurredAt, body.ExpiresAt = formatInstant(e.OccurredAt), formatInstant(e.ExpiresAt)
	return body
}

// close writes down where everything ended.
func (b *batch) close() {
	for _, moved := range b.dirty {
		c, key := *moved.current(), moved.key
		c.Organization, c.Subject, c.Project, c.Purpose = key.Organization, key.Subject, key.Project, key.Purpose
		b.changes.Consents = append(b.changes.Consents, c)
	}
	type counted struct {
		organization ID
		project      int
	}
	counts := map[counted]int64{}
	for i := range b.changes.Events {
		e := &b.changes.Events[i]
		counts[counted{e.Organization, e.Project}]++
	}
	moved := map[ID]bool{}
	for c, n := range counts {
		b.changes.Counts = append(b.changes.Counts, Count{c.organization, EventCount(c.project), n})
		if !moved[c.organization] {
			moved[c.organization] = true
			b.changes.Heads = append(b.changes.Heads, *b.heads[c.organization])
		}
	}
}

func joinIdent(anonymousID string, rest []byte) []byte {
	b := make([]byte, 0, len(rest)+len(anonymousID)+24)
	b = append(b, `{"anonymous_id":`...)
	b = appendString(b, anonymousID)
	b = append(b, ',')
	return append(b, bytes.TrimPrefix(rest, []byte("{"))...)
}
