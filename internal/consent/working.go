package consent

import (
	"slices"
	"time"
)

// WorkingConsent is a current consent while decisions are taken about it, one after the other. One step of the fold is
// enough for nearly all of them; those that are late, or of somebody who is merged, need the whole timeline, which
// Expect finds out beforehand. For one goroutine.
type WorkingConsent struct {
	consent Consent
	history []Step // all steps in order, where whole is set
	whole   bool   // the fold cannot be taken step by step
	merging bool   // the timeline is needed with all that it has
	stale   bool   // history has more than consent shows
	// Changed is set by who moves it.
	Changed bool

	expected   *Consent    // where Expect is; nil: at consent
	occurrence []time.Time // where the decisions that say when they were taken will stand in the order
}

// NewWorkingConsent makes an empty one.
func NewWorkingConsent(of ConsentKey) *WorkingConsent {
	return &WorkingConsent{consent: Consent{Organization: of.Organization, Subject: of.Subject, Project: of.Project,
		Purpose: of.Purpose}}
}

// Load sets it to what is on record.
func (w *WorkingConsent) Load(c Consent) { w.consent = c }

// Current gives the consent as it is now; an Event of NoID: nothing is on record.
func (w *WorkingConsent) Current() *Consent {
	if w.stale {
		was := w.consent
		w.consent = latest(w.history)
		w.consent.Organization, w.consent.Subject = was.Organization, was.Subject
		w.consent.Project, w.consent.Purpose = was.Project, was.Purpose
		w.consent.Last, w.stale = was.Last, false
	}
	return &w.consent
}

// Expect takes a decision beforehand, to find out whether it needs the whole timeline: for what was decided before
// something on record, mostly. Decisions are expected in the order in which Add takes them.
func (w *WorkingConsent) Expect(d *PreparedDecision, purpose *Purpose, now time.Time) {
	if !d.OccurredAt.IsZero() && !d.Replaces {
		w.occurrence = append(w.occurrence, Effective(d.OccurredAt, now))
	}
	if w.whole {
		return
	}
	expected := w.consent
	if w.expected != nil {
		expected = *w.expected
	}
	if !d.Records(&expected, now) {
		return
	}
	step := d.step(purpose, &expected, now)
	next, sure := expected.next(&step, now)
	w.expected, w.whole = &next, !sure
}

// ExpectMerge says that a merge brings it together with another one, which needs all of its timeline.
func (w *WorkingConsent) ExpectMerge() { w.whole, w.merging = true, true }

// NeedsTimeline tells whether the timeline has to be read before decisions are added.
func (w *WorkingConsent) NeedsTimeline() bool { return w.whole && w.consent.Event != NoID }

// LoadTimeline takes all events on record that led to the consent, in any order, and the merges of its subject. It
// keeps of them what the expected decisions can meet: somebody may have taken very many.
func (w *WorkingConsent) LoadTimeline(history []Step, merges []SubjectMerge) {
	history = timeline(history, merges)
	w.know(append(history, w.consent.missingSteps(history)...))
	if !w.merging {
		w.history = compactHistory(w.history, w.occurrence)
	}
}

// know adds steps, in whatever order they are.
func (w *WorkingConsent) know(steps []Step) {
	w.history = append(w.history, steps...)
	slices.SortFunc(w.history, before)
	w.stale = len(w.history) > 0
}

// Add moves it by an event that is recorded now.
func (w *WorkingConsent) Add(e *Event, now time.Time) {
	step := e.step()
	next, sure := w.Current().next(&step, now)
	if w.whole {
		at, _ := slices.BinarySearchFunc(w.history, step, before)
		w.history = slices.Insert(w.history, at, step)
		w.stale = !sure
	} else if !sure {
		panic("a decision was not expected") // so its history was not read; the batch fails
	}
	if sure {
		w.consent = next
	}
	w.consent.Last = e.ID
}

// Merge lets the events of an anonymous subject count for a person from an instant on. It tells whether there were
// any. The anonymous subject's own consent stays as it is: it is the head of its events' chain.
func (w *WorkingConsent) Merge(from *WorkingConsent, at time.Time) bool {
	if len(from.history) == 0 {
		return false
	}
	w.whole = true
	no, stands := noAtMerge(*w.Current(), *from.Current(), at)
	w.know(from.history)
	if stands {
		w.know([]Step{no})
	}
	return true
}
