package consent

import (
	"context"
	"time"
)

// load reads what the batch touches and settles who is who.
func (b *batch) load(ctx context.Context, tx Tx) error {
	wait, err := b.loadAhead(ctx, tx)
	if err != nil {
		return err
	}
	if err := b.loadPurposes(ctx, tx); err != nil {
		return err
	}
	if err := b.loadPeople(ctx, tx); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	for i := range b.requests {
		if b.refusedBefore(i) {
			continue
		}
		b.identify(i)
	}
	return b.loadConsents(ctx, tx)
}

// loadAhead reads the heads of the ledgers and the kept answers, on an engine with round trips together with who is who.
func (b *batch) loadAhead(ctx context.Context, tx Tx) (wait func() error, err error) {
	var organizations []ID
	var keys []AnswerKey
	for _, p := range b.requests {
		if o := p.actor.Organization; b.heads[o] == nil {
			b.heads[o] = &Head{Organization: o}
			organizations = append(organizations, o)
		}
		if p.once.Key != "" {
			keys = append(keys, p.once.answerKey(p.actor))
		}
	}
	var heads map[ID]Head
	var kept []*KeptAnswer
	come, err := tx.Ahead(func(r Reader) (err error) {
		if heads, err = r.Heads(ctx, organizations); err != nil || len(keys) == 0 {
			return err
		}
		kept, err = r.Answers(ctx, keys)
		return err
	})
	return func() error {
		if err := come(); err != nil {
			return err
		}
		for o, head := range heads {
			b.heads[o] = &head
		}
		for i := range kept {
			b.answers[keys[i]] = kept[i]
		}
		return nil
	}, err
}

// loadPurposes reads the directories anew where a request may make a purpose.
func (b *batch) loadPurposes(ctx context.Context, tx Tx) error {
	for _, p := range b.requests {
		for i := range p.items {
			for _, d := range p.items[i].decisions {
				o := p.actor.Organization
				if d.purpose != nil || b.directories[o] != nil {
					continue
				}
				directory, err := directoryOf(ctx, tx, o)
				if err != nil {
					return err
				}
				b.directories[o] = directory
			}
		}
	}
	return nil
}

func (b *batch) loadPeople(ctx context.Context, tx Tx) error {
	var names []OwnedName
	var several []bool // the item gives more than one identifier
	for _, p := range b.requests {
		for i := range p.items {
			given := p.items[i].given
			for _, id := range given {
				names = append(names, OwnedName{p.actor.Organization, id})
				several = append(several, len(given) > 1 && !p.items[i].known)
			}
		}
	}
	return b.people.load(ctx, tx, names, func(i int) bool { return several[i] })
}

// refusedBefore settles what ends a request before it changes anything.
func (b *batch) refusedBefore(i int) bool {
	p := b.requests[i]
	err := p.once.replayOf(p.actor, b.answers, b.now)
	for n := range p.items {
		item := &p.items[n]
		if err == nil && item.known && b.people.owner(p.actor.Organization, item.given[0]) == NoID {
			err = errNoSubject
		}
	}
	if err == nil {
		err = b.makePurposes(p)
	}
	b.outcomes[i].err = err
	return err != nil
}

func (o Once) replayOf(a Actor, answers map[AnswerKey]*KeptAnswer, now time.Time) error {
	if o.Key == "" {
		return nil
	}
	return o.replay(a, answers[o.answerKey(a)], now)
}

// makePurposes makes the purposes that a request names by new keys, if there is room for all of them.
func (b *batch) makePurposes(p *prepared) error {
	organization, project := p.actor.Organization, p.project.Number
	before, d := b.directories[organization], b.directories[organization]
	var made []Purpose
	for i := range p.items {
		for _, decision := range p.items[i].decisions {
			if decision.purpose != nil || d.PurposeByKey(project, decision.ref.Key) != nil {
				continue
			}
			wish := NewPurpose{Key: decision.ref.Key, Name: decision.ref.Key, Taxonomy: d.freeTaxonomy(project, decision.ref.Key)}
			if err := d.admits(project, wish); err != nil {
				b.directories[organization] = before
				return err
			}
			purpose := d.newPurpose(project, b.service.newID(), b.now, wish)
			made = append(made, purpose)
			d = d.with(purpose)
		}
	}
	if len(made) > 0 {
		b.directories[organization] = d
		b.changes.Purposes = append(b.changes.Purposes, made...)
	}
	return nil
}

// identify settles the person of each item of a request.
func (b *batch) identify(i int) {
	p := b.requests[i]
	o := p.actor.Organization
	b.resolved[i] = make([]identified, len(p.items))
	for n := range p.items {
		item := &p.items[n]
		if item.known {
			subject := b.people.owner(o, item.given[0])
			b.resolved[i][n] = identified{subject: subject, anonymousID: b.people.anonymousID(o, subject, item.given)}
			continue
		}
		found := b.people.identify(o, item.given, b.service.newID)
		b.resolved[i][n] = found
		key := SubjectKey{o, found.subject}
		subject := Subject{Organization: o, ID: found.subject}
		if found.created {
			subject = b.service.newSubject(p.actor, DefaultSubjectType)
			subject.ID = found.subject
			b.fresh[key] = true
			b.changes.Subjects = append(b.changes.Subjects, subject)
		}
		for _, id := range found.attach {
			b.changes.name(id, &subject)
		}
		b.changes.claim(o, found)
		for at := range found.merge {
			m := &found.merge[at]
			for _, id := range m.identifiers {
				b.changes.Identifiers = append(b.changes.Identifiers, OwnedIdentifier{OwnedName{o, id}, found.subject})
			}
			m.record = len(b.changes.Merges) // After is known when the item is decided
			b.changes.Merges = append(b.changes.Merges, SubjectMerge{Organization: o, Into: found.subject,
				From: m.subject, MergedAt: item.decidedAt(b.now)})
		}
	}
}

// decidedAt gives when the first of an item's decisions was taken: whoever it names were one person by then.
func (item *preparedItem) decidedAt(now time.Time) time.Time {
	at := now
	for i := range item.decisions {
		if d := item.decisions[i].occurredAt; !d.IsZero() && d.Before(at) {
			at = d
		}
	}
	return at
}

// loadConsents reads where the people stand on what they decide now, with the whole history where
// one step of the fold is not enough.
func (b *batch) loadConsents(ctx context.Context, tx Tx) error {
	b.plan()
	if len(b.asked) > 0 {
		found, err := tx.Consents(ctx, b.asked)
		if err != nil {
			return err
		}
		for i, key := range b.asked {
			if found[i].Event != NoID {
				b.consents[key].consent = found[i]
			}
		}
	}
	if err := b.loadMerged(ctx, tx); err != nil {
		return err
	}
	b.markLate()
	return b.loadHistories(ctx, tx)
}

// plan lists every decision that the batch may take, in order, with the standing that it may move.
func (b *batch) plan() {
	for i, p := range b.requests {
		for n := range b.resolved[i] {
			key := ConsentKey{p.actor.Organization, b.resolved[i][n].subject, p.project.Number, 0}
			for d := range p.items[n].decisions {
				decision := &p.items[n].decisions[d]
				purpose := b.purposeOf(p, decision)
				key.Purpose = purpose.Number
				b.planned = append(b.planned, planned{standing: b.standingOf(key), decision: decision, purpose: purpose})
				b.late = b.late || decision.mayBeLate(purpose, b.now)
			}
			for r := range p.items[n].replace {
				replaced := &p.items[n].replace[r]
				key.Purpose = replaced.purpose.Number
				b.planned = append(b.planned, planned{b.standingOf(key), nil, replaced.purpose, &p.items[n], replaced})
				b.late = b.late || (&preparedDecision{state: Accepted, action: p.items[n].action}).mayBeLate(replaced.purpose,
					b.now)
			}
		}
	}
}

// standingOf gives the standing of a key, which is empty until it is loaded; of who was made just now there is nothing to load.
func (b *batch) standingOf(key ConsentKey) *standing {
	s := b.consents[key]
	if s == nil {
		b.standings = append(b.standings, newStanding(key)) // there is room, see newBatch
		s = &b.standings[len(b.standings)-1]
		b.consents[key] = s
		if !b.fresh[SubjectKey{key.Organization, key.Subject}] {
			b.asked = append(b.asked, key)
		}
	}
	return s
}

func (b *batch) purposeOf(p *prepared, d *preparedDecision) *Purpose {
	if d.purpose != nil {
		return d.purpose
	}
	return b.directories[p.actor.Organization].PurposeByKey(p.project.Number, d.ref.Key)
}

// loadMerged reads all consents of subjects that merge, and marks them as needing their whole history.
func (b *batch) loadMerged(ctx context.Context, tx Tx) error {
	merging := map[SubjectKey]bool{}
	var known []SubjectKey
	for _, m := range b.changes.Merges {
		for _, id := range []ID{m.From, m.Into} {
			key := SubjectKey{m.Organization, id}
			if !merging[key] && !b.fresh[key] {
				known = append(known, key)
			}
			merging[key] = true
		}
	}
	if len(merging) == 0 {
		return nil
	}
	all, err := tx.ConsentsOf(ctx, known)
	if err != nil {
		return err
	}
	for _, consents := range all {
		for _, c := range consents {
			key := ConsentKey{c.Organization, c.Subject, c.Project, c.Purpose}
			if b.consents[key] == nil {
				b.consents[key] = &standing{consent: c}
			}
		}
	}
	for at := range b.meeting() {
		if s := b.consents[at]; s != nil {
			s.whole, s.merges = true, true
		}
	}
	return nil
}

// meeting gives the consents that merges bring together: those of whoever is merged, and the person's on the same
// purposes. One that meets nothing stays what it is, and needs no history.
func (b *batch) meeting() map[ConsentKey]bool {
	met := map[ConsentKey]bool{}
	for _, m := range b.changes.Merges { // who is merged now may have got consents from one before
		for key := range b.consents {
			if key.Organization == m.Organization && key.Subject == m.From {
				met[key], met[ConsentKey{m.Organization, m.Into, key.Project, key.Purpose}] = true, true
			}
		}
		for key := range met {
			if key.Organization == m.Organization && key.Subject == m.From {
				met[ConsentKey{m.Organization, m.Into, key.Project, key.Purpose}] = true
			}
		}
	}
	return met
}

// mayBeLate tells whether a decision may need the whole timeline. One without a date that holds for long never does,
// see Consent.next.
func (d *preparedDecision) mayBeLate(purpose *Purpose, now time.Time) bool {
	return !d.occurredAt.IsZero() || d.undated() || !d.expiry(purpose, now).After(now.Add(skew))
}

// markLate takes all decisions beforehand, and marks those who need their whole timeline for that: for what was
// decided before something on record, mostly.
func (b *batch) markLate() {
	if !b.late {
		return
	}
	for i := range b.planned {
		p := &b.planned[i]
		if p.whole {
			continue
		}
		if !p.foreseen {
			p.expected, p.foreseen = p.consent, true
		}
		decision := p.decision
		if decision == nil {
			decision = b.replacement(p.item, p.replaced, &p.expected)
		}
		if decision == nil {
			continue
		}
		step := decision.step(p.purpose, &p.expected, b.now)
		next, sure := p.expected.next(&step, b.now)
		p.expected, p.whole = next, !sure
	}
}

// historiesAtOnce is how many timelines are held whole at the same time.
const historiesAtOnce = 16

// longHistory is from how many steps on the next timelines are read one by one.
const longHistory = 1000

// loadHistories reads the timelines that are needed whole, and keeps of each what the batch can meet of it: somebody may have taken very many decisions,
// and a batch may be about very many such people.
func (b *batch) loadHistories(ctx context.Context, tx Tx) error {
	var keys []ConsentKey
	for key, s := range b.consents {
		if s.whole && s.consent.Event != NoID {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	merges, err := b.loadMerges(ctx, tx, keys)
	if err != nil {
		return err
	}
	dates := b.dates()
	for n := 1; len(keys) > 0; {
		some := keys[:min(n, len(keys))]
		histories, err := tx.History(ctx, some)
		if err != nil {
			return err
		}
		n = historiesAtOnce
		for _, key := range some {
			s, history := b.consents[key], histories[key]
			history = timeline(history, merges[SubjectKey{key.Organization, key.Subject}])
			s.know(append(history, s.consent.remembered(history)...))
			if !s.merges {
				s.history = abridged(s.history, dates[s])
			}
			if len(history) > longHistory {
				n = 1
			}
		}
		keys = keys[len(some):]
	}
	return nil
}

// loadMerges reads what merges led to the people of keys.
func (b *batch) loadMerges(ctx context.Context, tx Tx, keys []ConsentKey) (map[SubjectKey][]SubjectMerge, error) {
	var subjects []SubjectKey
	seen := map[SubjectKey]bool{}
	for _, k := range keys {
		if s := (SubjectKey{k.Organization, k.Subject}); !seen[s] {
			seen[s] = true
			subjects = append(subjects, s)
		}
	}
	return tx.Merges(ctx, subjects)
}

// dates gives where the decisions that say when they were taken will stand in the order, of those that need a whole
// timeline.
func (b *batch) dates() map[*standing][]time.Time {
	dates := map[*standing][]time.Time{}
	for i := range b.planned {
		if p := &b.planned[i]; p.whole && p.decision != nil && !p.decision.occurredAt.IsZero() {
			dates[p.standing] = append(dates[p.standing], Effective(p.decision.occurredAt, b.now))
		}
	}
	return dates
}
