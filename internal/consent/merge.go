package consent

import (
	"cmp"
	"slices"
	"time"
)

// timeline puts the steps of one person and purpose in order, with what merges add: where one of the two said no and
// the other yes, the person says no until they decide again, whatever the dates. The steps may come in any order, and
// are changed.
func timeline(steps []Step, merges []SubjectMerge) []Step {
	if len(merges) == 0 || len(steps) == 0 {
		slices.SortFunc(steps, before)
		return steps
	}
	of := map[ID][]Step{}
	for _, s := range steps {
		of[s.Subject] = append(of[s.Subject], s)
	}
	merges = slices.Clone(merges)
	slices.SortFunc(merges, func(a, b SubjectMerge) int {
		return cmp.Or(cmp.Compare(a.After, b.After), a.MergedAt.Compare(b.MergedAt))
	})
	for _, m := range merges {
		into, from := foldUntil(of[m.Into], m.After), foldUntil(of[m.From], m.After)
		if no, ok := kept(into, from, m.MergedAt); ok {
			no.Subject, no.Sequence = m.Into, m.After
			of[m.Into] = append(of[m.Into], no)
		}
		of[m.Into] = append(of[m.Into], of[m.From]...)
		delete(of, m.From)
	}
	steps = steps[:0]
	for _, each := range of {
		steps = append(steps, each...)
	}
	slices.SortFunc(steps, before)
	return steps
}

// foldUntil gives the consent that steps made when the ledger had come so far; zero where there were none.
func foldUntil(steps []Step, sequence int64) Consent {
	var until []Step
	for _, s := range steps {
		if s.Sequence <= sequence {
			until = append(until, s)
		}
	}
	if len(until) == 0 {
		return Consent{}
	}
	slices.SortFunc(until, before)
	return latest(until)
}

// SaysNo tells whether a person says no at an instant: declined or withdrawn, which has not expired.
func (c *Consent) SaysNo(at time.Time) bool { return c.State.No() && !c.Expired(at) }

// kept gives the step by which a no stands that one of two says and the other does not, who turn out to be one at that
// time: the no, moved behind what the other said, and to that time. What is decided from then on is decided again.
func kept(a, b Consent, at time.Time) (no Step, ok bool) {
	if !a.SaysNo(at) {
		a, b = b, a
	}
	if !a.SaysNo(at) || b.SaysNo(at) || !b.Active || b.OccurredAt.Before(a.OccurredAt) {
		return Step{}, false
	}
	const moment = time.Microsecond
	no = a.step()
	if no.OccurredAt = b.OccurredAt.Add(moment); no.OccurredAt.Before(at.Add(-moment)) {
		no.OccurredAt = at.Add(-moment)
	}
	return no, true
}

// joint gives where several people stand who are asked about as one, by what they share: a no of any of them is a no,
// else what was said and holds goes before what does not, and the later before the earlier.
func joint(a, b Consent, at time.Time) Consent {
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
