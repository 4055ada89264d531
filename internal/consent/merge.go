package consent

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// timeline puts the steps of one person and purpose in order, with what merges add: where one of the two said no and
// the other yes, the person says no until they decide again, whatever the dates. The merges are all that stand and led
// to the person. The steps may come in any order, and are changed. It goes through the ledger once: somebody may have
// been merged very often.
func timeline(steps []Step, merges []SubjectMerge) []Step {
	if len(merges) == 0 || len(steps) == 0 {
		slices.SortFunc(steps, before)
		return steps
	}
	merges = slices.Clone(merges)
	slices.SortFunc(merges, func(a, b SubjectMerge) int {
		return cmp.Or(cmp.Compare(a.After, b.After), cmp.Compare(a.Number, b.Number), a.MergedAt.Compare(b.MergedAt))
	})
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.Sequence, b.Sequence) })
	last := slices.MaxFunc(steps, func(a, b Step) int { return a.OccurredAt.Compare(b.OccurredAt) }).OccurredAt
	of, next := map[ID]*partialTimeline{}, 0
	until := func(sequence int64) {
		for ; next < len(steps) && steps[next].Sequence <= sequence; next++ {
			partOf(of, steps[next].Subject).add(steps[next], last)
		}
	}
	for _, m := range merges {
		until(m.After)
		into, from := partOf(of, m.Into), partOf(of, m.From)
		no, stands := noAtMerge(into.current(), from.current(), m.MergedAt)
		for _, s := range from.steps {
			into.add(s, last)
		}
		if stands {
			no.Subject, no.Sequence = m.Into, m.After
			into.add(no, last)
		}
		delete(of, m.From)
	}
	until(math.MaxInt64)
	steps = make([]Step, 0, len(steps)+len(merges))
	for _, each := range of {
		steps = append(steps, each.steps...)
	}
	slices.SortFunc(steps, before)
	return steps
}

// partialTimeline is what one of those who merge had decided by some time, in order, and the consent that it makes.
type partialTimeline struct {
	steps   []Step
	consent Consent
	stale   bool
}

func partOf(of map[ID]*partialTimeline, subject ID) *partialTimeline {
	if of[subject] == nil {
		of[subject] = &partialTimeline{}
	}
	return of[subject]
}

// add adds a step, where none is later than the last.
func (l *partialTimeline) add(s Step, last time.Time) {
	at, _ := slices.BinarySearchFunc(l.steps, s, before)
	l.steps = slices.Insert(l.steps, at, s)
	if n, sure := l.consent.next(&s, last.Add(-skew)); sure && !l.stale {
		l.consent = n
	} else {
		l.stale = true
	}
}

// current gives the consent; zero where nothing was decided.
func (l *partialTimeline) current() Consent {
	if l.stale {
		l.consent, l.stale = latest(l.steps), false
	}
	return l.consent
}

// SaysNo tells whether a person says no at an instant: declined or withdrawn, which has not expired.
func (c *Consent) SaysNo(at time.Time) bool { return c.State.No() && !c.Expired(at) }

// noAtMerge gives the step by which a no stands that one of two says and the other does not, who turn out to be one at
// that time: the no, moved behind what the other said, and to that time. What is decided from then on is decided again.
func noAtMerge(a, b Consent, at time.Time) (no Step, ok bool) {
	says := func(c, other *Consent) bool { // also where the merge is of long ago
		if other.OccurredAt.After(at) {
			return c.SaysNo(other.OccurredAt)
		}
		return c.SaysNo(at)
	}
	if !says(&a, &b) {
		a, b = b, a
	}
	if !says(&a, &b) || says(&b, &a) || !b.Active {
		return Step{}, false
	}
	const moment = time.Microsecond
	no = a.step()
	for _, t := range []time.Time{b.OccurredAt.Add(moment), at.Add(-moment)} {
		if t.After(no.OccurredAt) {
			no.OccurredAt = t
		}
	}
	return no, true
}

// combine gives one consent for two people who are asked about as one, by what they share: a no of either is a no,
// else what was said and holds goes before what does not, and the later before the earlier.
func combine(a, b Consent, at time.Time) Consent {
	active := a.Active || b.Active
	holds := func(c *Consent) int {
		switch {
		case c.SaysNo(at):
			return 2
		case c.Weight >= WeightUndated && !c.Expired(at):
			return 1
		}
		return 0
	}
	if cmp.Or(holds(&a)-holds(&b), before(a.step(), b.step())) < 0 {
		a = b
	}
	a.Active = active
	return a
}
