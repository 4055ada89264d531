package consent

import (
	"bytes"
	"slices"
	"time"
)

// before orders events: by when they occurred, then by id.
func before(a, b *Event) int {
	if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
		return c
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// fold gives the current consent that the events of one subject and purpose
// make, in whatever order they are given. There must be at least one. Last is left zero.
func fold(events []Event) Consent {
	sorted := make([]*Event, len(events))
	for i := range events {
		sorted[i] = &events[i]
	}
	slices.SortFunc(sorted, before)
	return latest(sorted)
}

// latest is fold of events that are in order: the last one decides, and the unbroken run before it says since when.
func latest(sorted []*Event) Consent {
	n := len(sorted) - 1
	c := Consent{}.next(sorted[n])
	for i := n; c.Grants && i > 0 && sorted[i-1].Grants && !sorted[i-1].expired(sorted[i].OccurredAt); i-- {
		c.Since = sorted[i-1].OccurredAt
	}
	return c
}

// remembered stands in for events that led to the consent and are no longer on record, since their time of retention
// is over: the one that decides, and the grant with which an unbroken run began.
func (c *Consent) remembered(history []*Event) (missing []*Event) {
	there := func(is func(*Event) bool) bool { return slices.ContainsFunc(history, is) }
	stands := Event{Organization: c.Organization, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose, State: c.State, Grants: c.Grants}
	if !there(func(e *Event) bool { return e.ID == c.Event }) {
		decides := stands
		decides.ID, decides.OccurredAt, decides.ExpiresAt = c.Event, c.OccurredAt, c.ExpiresAt
		missing = append(missing, &decides)
	}
	if c.Grants && c.Since.Before(c.OccurredAt) && !there(func(e *Event) bool { return e.Grants && e.OccurredAt.Equal(c.Since) }) {
		began := stands
		began.OccurredAt = c.Since // it did not expire before it was renewed: else the run would be broken
		missing = append(missing, &began)
	}
	return missing
}

func (e *Event) expired(at time.Time) bool { return !e.ExpiresAt.IsZero() && !at.Before(e.ExpiresAt) }

// next gives the consent after an event that is not before the one that decides now.
func (c Consent) next(e *Event) Consent {
	n := Consent{Organization: e.Organization, Subject: e.Subject, Project: e.Project, Purpose: e.Purpose,
		Event: e.ID, Last: c.Last, State: e.State, Grants: e.Grants, OccurredAt: e.OccurredAt, ExpiresAt: e.ExpiresAt}
	if e.Grants {
		n.Since = e.OccurredAt
		if c.Grants && !c.Expired(e.OccurredAt) {
			n.Since = c.Since
		}
	}
	return n
}
