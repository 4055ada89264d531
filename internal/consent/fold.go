package consent

import (
	"bytes"
	"slices"
	"time"
)

// Step is what the fold needs of an event, and no more: somebody's timeline may have very many.
type Step struct {
	Event      ID
	State      State
	Grants     bool
	OccurredAt time.Time
	ExpiresAt  time.Time // zero: never
	// Of a timeline as it is on record: whether the event was recorded last, and whether none was recorded before it. A timeline has as many
	// of either, one of each for every person that was merged; fewer first ones where retention has dropped some.
	Last, First bool
}

func (e *Event) step() Step {
	return Step{Event: e.ID, State: e.State, Grants: e.Grants, OccurredAt: e.OccurredAt, ExpiresAt: e.ExpiresAt}
}

func (s *Step) expired(at time.Time) bool { return !s.ExpiresAt.IsZero() && !at.Before(s.ExpiresAt) }

// before orders steps: by when the events occurred, then by id.
func before(a, b Step) int {
	if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
		return c
	}
	return bytes.Compare(a.Event[:], b.Event[:])
}

// fold gives the current consent that the events of one subject and purpose make, in whatever order they are given. There
// must be at least one. Whose and on what it is, and Last, are left zero.
func fold(events []Event) Consent {
	steps := make([]Step, len(events))
	for i := range events {
		steps[i] = events[i].step()
	}
	slices.SortFunc(steps, before)
	return latest(steps)
}

// latest is fold of steps that are in order: the last one decides, and the unbroken run before it says since when.
func latest(sorted []Step) Consent {
	n := len(sorted) - 1
	c := Consent{}.next(&sorted[n])
	for i := n; c.Grants && i > 0 && sorted[i-1].Grants && !sorted[i-1].expired(sorted[i].OccurredAt); i-- {
		c.Since = sorted[i-1].OccurredAt
	}
	return c
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

// remembered stands in for events that led to the consent and are no longer on record, since their time of retention
// is over: the one that decides, and the grant with which an unbroken run began. What was before the run is not known then, so
// nothing that comes later may lengthen it: there may have been a no.
func (c *Consent) remembered(history []Step) (missing []Step) {
	there := func(is func(Step) bool) bool { return slices.ContainsFunc(history, is) }
	if !there(func(s Step) bool { return s.Event == c.Event }) {
		missing = append(missing, Step{Event: c.Event, State: c.State, Grants: c.Grants, OccurredAt: c.OccurredAt, ExpiresAt: c.ExpiresAt})
	}
	if !c.Grants {
		return missing
	}
	if c.Since.Before(c.OccurredAt) && !there(func(s Step) bool { return s.Grants && s.OccurredAt.Equal(c.Since) }) {
		// It did not expire before it was renewed: else the run would be broken.
		missing = append(missing, Step{State: c.State, Grants: c.Grants, OccurredAt: c.Since})
	}
	if len(missing) > 0 || !complete(history) {
		missing = append(missing, Step{OccurredAt: c.Since.Add(-time.Microsecond)})
	}
	return missing
}

// abridged gives what later steps can meet of steps that are in order, where it is known when those will have occurred: the steps between two of them
// are as good as their last one, the one with which the unbroken run before it began, and the one that broke it.
func abridged(sorted []Step, later []time.Time) (kept []Step) {
	slices.SortFunc(later, time.Time.Compare)
	for _, at := range later {
		to, _ := slices.BinarySearchFunc(sorted, at, func(s Step, at time.Time) int {
			if s.OccurredAt.After(at) {
				return 1
			}
			return -1 // a later step of the same instant has a greater id
		})
		kept = appendRun(kept, sorted[:to])
		sorted = sorted[to:]
	}
	return appendRun(kept, sorted)
}

func appendRun(kept, steps []Step) []Step {
	n := len(steps)
	if n == 0 {
		return kept
	}
	last, i := steps[n-1], n-1
	for last.Grants && i > 0 && steps[i-1].Grants && !steps[i-1].expired(steps[i].OccurredAt) {
		i--
	}
	if last.Grants && i > 0 {
		kept = append(kept, steps[i-1])
	}
	if i < n-1 {
		first := steps[i]
		first.ExpiresAt = time.Time{} // it was renewed in time
		kept = append(kept, first)
	}
	return append(kept, last)
}

// next gives the consent after a step that is not before the one that decides now.
func (c Consent) next(s *Step) Consent {
	n := Consent{Organization: c.Organization, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose,
		Event: s.Event, Last: c.Last, State: s.State, Grants: s.Grants, OccurredAt: s.OccurredAt, ExpiresAt: s.ExpiresAt}
	if s.Grants {
		n.Since = s.OccurredAt
		if c.Grants && !c.Expired(s.OccurredAt) {
			n.Since = c.Since
		}
	}
	return n
}

// unmovedBy tells whether a step that is before the one that decides leaves the consent as it is, whatever else is on record. What decides
// stays, so the step can only move since when it is granted: not at all where it is not; else, where the step falls into
// the unbroken run, unless it breaks it; and where it falls before it, unless it might lengthen it. (The run ended there for a reason, which
// stays the one before its first grant, or else the step becomes it.)
func (c *Consent) unmovedBy(s *Step) bool {
	switch {
	case !c.Grants:
		return true
	case !s.OccurredAt.Before(c.Since):
		return s.Grants && !s.expired(c.OccurredAt)
	default:
		return !s.Grants || s.expired(c.Since)
	}
}
