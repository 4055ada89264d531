package consent

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// Weight tells how much an event counts in the fold (contracts, "States, and which event decides").
type Weight uint8

const (
	WeightViewed  Weight = iota + 1 // a notice was seen: counts where nothing else is on record
	WeightPassive                   // nobody said anything: counts where nothing active decides
	WeightUndated                   // a yes imported without a date: counts where nothing active was on record
	WeightActive                    // the person said it
)

// weigh tells how much a decision counts; undated, that it is an import of which nobody knows the date.
func weigh(state State, action Action, undated bool) Weight {
	switch {
	case state == Viewed:
		return WeightViewed
	case state == Implied, state == Accepted && action == ImpliedAction:
		return WeightPassive
	case state == Accepted && undated:
		return WeightUndated
	}
	return WeightActive
}

// grants tells whether a decision allows what it is about: a yes that was said, or one that was implied where the
// regime is opt-out.
func grants(state State, action Action, regime Regime) bool {
	if weigh(state, action, false) == WeightPassive {
		return regime == OptOut
	}
	return state == Accepted
}

// No tells whether a state is a refusal: declined or withdrawn.
func (s State) No() bool { return s == Declined || s == Withdrawn }

// Step is what the fold needs of an event, and no more: somebody's timeline may have very many.
type Step struct {
	Event  ID
	State  State
	Weight Weight
	Grants bool
	// OccurredAt is when the event occurred, but never later than when it was recorded: a clock that runs ahead must not
	// make a later no lose.
	OccurredAt time.Time
	RecordedAt time.Time
	ExpiresAt  time.Time // zero: never
	// PurposeVersion is the version of the purpose that was decided on.
	PurposeVersion int
	Subject        ID    // of the event, as it was recorded
	Sequence       int64 // of the event: what merges had happened when it was recorded
	// Of a timeline as it is on record: whether the event was recorded last, and whether none was recorded before it. A
	// timeline has as many of either, one of each for every person that was merged; fewer first ones where retention has
	// dropped some.
	Last, First bool
}

// Step gives what the fold needs of the event; of Last and First it knows nothing.
func (e *Event) Step() Step { return e.step() }

func (e *Event) step() Step {
	return Step{Event: e.ID, State: e.State, Weight: e.Weight, Grants: e.Grants, OccurredAt: Effective(e.OccurredAt,
		e.RecordedAt),
		RecordedAt: e.RecordedAt, ExpiresAt: e.ExpiresAt, PurposeVersion: e.PurposeVersion, Subject: e.Subject,
		Sequence: e.Sequence}
}

// Effective gives the time by which an event takes its place in the order: when it occurred, but never later than
// when it was recorded.
func Effective(occurredAt, recordedAt time.Time) time.Time {
	if occurredAt.After(recordedAt) {
		return recordedAt
	}
	return occurredAt
}

func (s *Step) expired(at time.Time) bool { return !s.ExpiresAt.IsZero() && !at.Before(s.ExpiresAt) }

// before orders steps: by time; of one time what counts more is the later one, and a no is later than a yes; then by
// id.
func before(a, b Step) int {
	return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), a.rank()-b.rank(), bytes.Compare(a.Event[:], b.Event[:]))
}

func (s *Step) rank() int {
	if s.Weight == WeightActive && s.State.No() {
		return int(WeightActive) + 1
	}
	return int(s.Weight)
}

// fold gives the current consent that the events of one subject and purpose make, in whatever order they are given,
// with the merges that made one person of their subjects. There must be at least one. Whose and on what it is, and
// Last, are left zero.
func fold(events []Event, merges []SubjectMerge) Consent {
	steps := make([]Step, len(events))
	for i := range events {
		steps[i] = events[i].step()
	}
	return latest(timeline(steps, merges))
}

// run is steps that follow each other, with how long the last of them is granted without a break.
type run struct {
	last  *Step
	since time.Time
}

func (r *run) add(s *Step) {
	switch {
	case !s.Grants:
		r.since = time.Time{}
	case r.last == nil || !r.last.Grants || r.last.expired(s.OccurredAt):
		r.since = s.OccurredAt
	}
	r.last = s
}

// latest is fold of steps that are in order. What was said decides over what was not, until it has expired; of either
// the latest.
func latest(sorted []Step) Consent {
	var said, passive run
	var viewed *Step
	for i := range sorted {
		s := &sorted[i]
		switch s.Weight {
		case WeightViewed:
			viewed = s
		case WeightPassive:
			passive.add(s)
		case WeightUndated: // it counts, but behind nothing that was said
			if said.last == nil {
				said.add(s)
			}
		default:
			said.add(s)
		}
	}
	c := Consent{Active: said.last != nil}
	switch {
	case said.last != nil && (passive.last == nil || !said.last.expired(passive.last.OccurredAt)):
		return c.by(said.last, said.since)
	case passive.last != nil && c.Active:
		return c.by(passive.last, passive.last.OccurredAt)
	case passive.last != nil:
		return c.by(passive.last, passive.since)
	}
	return c.by(viewed, time.Time{})
}

// by gives the consent when a step decides.
func (c Consent) by(s *Step, since time.Time) Consent {
	c.Event, c.State, c.Weight, c.Grants, c.OccurredAt, c.ExpiresAt = s.Event, s.State, s.Weight, s.Grants, s.OccurredAt,
		s.ExpiresAt
	c.PurposeVersion = s.PurposeVersion
	c.Active = c.Active || s.Weight >= WeightUndated
	if c.Since = since; !s.Grants {
		c.Since = time.Time{}
	}
	return c
}

// step gives the step that decides.
func (c *Consent) step() Step {
	return Step{Event: c.Event, State: c.State, Weight: c.Weight, Grants: c.Grants, OccurredAt: c.OccurredAt,
		ExpiresAt: c.ExpiresAt, PurposeVersion: c.PurposeVersion}
}

// unbroken tells since when a step is granted that follows the one that decides.
func (c *Consent) unbroken(s *Step) time.Time {
	if c.Grants && !c.Expired(s.OccurredAt) {
		return c.Since
	}
	return s.OccurredAt
}

// skew is how far apart the clocks of servers over one database may be.
const skew = 24 * time.Hour

// next gives the consent with one more step, which is recorded now. Not sure: that takes the whole timeline, since a
// consent shows nothing of the steps that do not decide now.
func (c Consent) next(s *Step, now time.Time) (n Consent, sure bool) {
	late := before(*s, c.step()) < 0
	switch {
	case c.Event == NoID, c.Weight == WeightViewed && s.Weight > WeightViewed:
		return c.by(s, s.OccurredAt), true
	case s.Weight == WeightViewed:
		if c.Weight == WeightViewed && !late {
			return c.by(s, time.Time{}), true
		}
		return c, true
	case s.Weight == WeightPassive:
		return c.nextPassive(s, late)
	case s.Weight == WeightUndated:
		if !late && !c.Active {
			return c.by(s, s.OccurredAt), true
		}
		return c, !late
	}
	return c.nextActive(s, late, now)
}

func (c Consent) nextPassive(s *Step, late bool) (n Consent, sure bool) {
	switch {
	case c.Weight >= WeightUndated && c.Expired(s.OccurredAt):
		return c.by(s, s.OccurredAt), true
	case c.Weight >= WeightUndated:
		return c, true
	case late:
		return c, c.Active || c.unaffectedBy(s)
	case c.Active:
		return c.by(s, s.OccurredAt), true
	}
	return c.by(s, c.unbroken(s)), true
}

func (c Consent) nextActive(s *Step, late bool, now time.Time) (n Consent, sure bool) {
	// Something passive that was passed over may count once this has expired. Nothing on record is dated after now.
	short := s.expired(now.Add(skew))
	switch {
	case c.Weight == WeightActive && late:
		return c, c.unaffectedBy(s)
	case c.Weight == WeightUndated && late: // it was not the first that was said
		return c.by(s, s.OccurredAt), !short
	case c.Weight >= WeightUndated:
		return c.by(s, c.unbroken(s)), !short
	case !late:
		return c.by(s, s.OccurredAt), true
	case c.Active:
		return c, false
	case s.expired(c.OccurredAt):
		decides := c.step()
		c.Active = true
		return c.by(&decides, c.OccurredAt), true
	}
	return c.by(s, s.OccurredAt), true
}

// unaffectedBy tells whether a step of the same sort that is before the one that decides leaves the consent as it is,
// whatever else is on record. What decides stays, so the step can only move since when it is granted: not at all
// where it is not; else, where the step falls into the unbroken run, unless it breaks it; and where it falls before a
// run of one, unless it might lengthen it. (The run ended there for a reason, which stays the one before it, or else
// the step becomes it. A longer run may begin with an undated yes, which then counts no more.)
func (c *Consent) unaffectedBy(s *Step) bool {
	switch {
	case !c.Grants:
		return true
	case !s.OccurredAt.Before(c.Since):
		return s.Grants && !s.expired(c.OccurredAt)
	default:
		return c.Since.Equal(c.OccurredAt) && (!s.Grants || s.expired(c.Since))
	}
}

// complete tells whether a timeline is on record from its beginning.
func complete(history []Step) bool {
	missing := 0
	for i := range history {
		if history[i].Last {
			missing++
		}
		if history[i].First {
			missing--
		}
	}
	return missing == 0 && len(history) > 0
}

// missingSteps stands in for events that led to the consent and are no longer on record, since their time of retention
// is over: the one that decides, what was said before it and had expired, and the grant with which an unbroken run
// began. What was before the run is not known then, so nothing that comes later may lengthen it: there may have been
// a no.
func (c *Consent) missingSteps(history []Step) (missing []Step) {
	there := func(is func(*Step) bool) bool {
		return slices.ContainsFunc(history, func(s Step) bool { return is(&s) })
	}
	const moment = time.Microsecond
	if !there(func(s *Step) bool { return s.Event == c.Event && s.OccurredAt.Equal(c.OccurredAt) }) {
		missing = append(missing, c.step())
	}
	if c.Active && !c.Said() && !complete(history) {
		missing = append(missing, Step{State: Declined, Weight: WeightActive, OccurredAt: c.OccurredAt.Add(-moment),
			ExpiresAt: c.OccurredAt})
	}
	if !c.Grants {
		return missing
	}
	sort, broke := WeightActive, Declined
	if !c.Said() {
		sort, broke = WeightPassive, Implied
	}
	began := func(s *Step) bool {
		return s.Grants && s.OccurredAt.Equal(c.Since) && (s.Weight == WeightPassive) != c.Said()
	}
	if c.Since.Before(c.OccurredAt) && !there(began) {
		// It did not expire before it was renewed: else the run would be broken. Whether it was an undated yes, which would
		// count no more behind another one that comes late, is not known.
		missing = append(missing, Step{State: c.State, Weight: sort, Grants: true, OccurredAt: c.Since})
	}
	undated := there(func(s *Step) bool { return s.Weight == WeightUndated && began(s) })
	if !undated && c.Weight != WeightUndated && (len(missing) > 0 || !complete(history)) {
		missing = append(missing, Step{State: broke, Weight: sort, OccurredAt: c.Since.Add(-moment)})
	}
	return missing
}

// part gathers of steps of one sort what later steps outside can meet: the last one, the one with which the unbroken
// run before it began, and the one that broke it.
type part struct{ broke, first, last *Step }

func (p *part) add(s *Step) {
	if p.last == nil || !p.last.Grants || !s.Grants || p.last.expired(s.OccurredAt) {
		p.broke, p.first = p.last, s
	}
	p.last = s
}

// appendTo appends them to a list, and begins anew.
func (p *part) appendTo(kept []Step) []Step {
	if p.last == nil {
		return kept
	}
	if p.broke != nil && p.last.Grants {
		kept = append(kept, *p.broke)
	}
	if p.first != p.last {
		first := *p.first
		first.ExpiresAt = time.Time{} // it was renewed in time
		kept = append(kept, first)
	}
	kept = append(kept, *p.last)
	*p = part{}
	return kept
}

// compactHistory gives what later steps can meet of steps that are in order, where it is known when those will have
// occurred: between two of them a few steps of each sort, and of all the first that was said, the first undated yes
// and the last view.
func compactHistory(sorted []Step, later []time.Time) (kept []Step) {
	var said, passive part
	var firstSaid, undated, viewed *Step
	slices.SortFunc(later, time.Time.Compare)
	passed, same := 0, false // of the dates: how many lie before the step, and whether it is of the next one
	for i := range sorted {
		s := &sorted[i]
		n := passed
		for n < len(later) && later[n].Before(s.OccurredAt) {
			n++
		}
		// Steps of the same time as a later one are a part of their own: it may come before some of them and after others.
		if is := n < len(later) && later[n].Equal(s.OccurredAt); n != passed || is != same {
			kept = passive.appendTo(said.appendTo(kept))
			passed, same = n, is
		}
		switch s.Weight {
		case WeightViewed:
			viewed = s
		case WeightPassive:
			passive.add(s)
		case WeightUndated:
			undated = cmp.Or(undated, s)
		default:
			firstSaid = cmp.Or(firstSaid, s)
			said.add(s)
		}
	}
	kept = passive.appendTo(said.appendTo(kept))
	for _, s := range []*Step{firstSaid, undated, viewed} {
		if s != nil && !slices.ContainsFunc(kept, func(k Step) bool { return before(k, *s) == 0 }) {
			kept = append(kept, *s)
		}
	}
	slices.SortFunc(kept, before)
	return kept
}
