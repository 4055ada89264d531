package consent

import (
	"slices"
	"time"
)

// Consents as they held at an instant.

// Instant asks how consents held at an instant, as far as is known of it now: from the events that had occurred by then
// and with the merges that had happened, whenever they were recorded. It is the past that is on record now: merges that
// were undone never happened, and identifiers are whose they are now. An instant to come is answered by what is known
// now.
type Instant struct {
	At time.Time // zero: now
	// AsRecorded asks for what was on record at the instant instead: events and merges that were recorded later do not
	// count.
	AsRecorded bool
}

// Past tells whether it takes whole timelines to answer; else the current consents do.
func (i Instant) Past(now time.Time) bool { return !i.At.IsZero() && i.At.Before(now) }

// or gives the instant that is asked about.
func (i Instant) or(now time.Time) time.Time {
	if i.At.IsZero() {
		return now
	}
	return i.At
}

// Check refuses what no clock shows, with Unprocessable.
func (i Instant) Check() error {
	if !i.At.IsZero() && (i.At.Year() < 1970 || i.At.Year() > 9999) {
		return Errorf(Unprocessable, "at", "must be in the years 1970 to 9999")
	}
	return nil
}

// Consent gives the consent as it held, from the current one, all events on record that led to it, in any order, and
// the merges of its subject that stand. Who turned out to be the person only later was somebody else then, of whom a no
// is heard and a yes is not: the names of both are the person's now. false: nothing had been decided. Events that
// retention has dropped count as far as the current consent shows them.
func (i Instant) Consent(current *Consent, history []Step, merges []SubjectMerge) (was Consent, ok bool) {
	if !complete(history) {
		known := timeline(slices.Clone(history), merges)
		history = append(slices.Clip(history), current.missingSteps(known)...)
	}
	person := map[ID]ID{NoID: current.Subject} // who each subject was then; missing steps are nobody's
	for _, m := range merges {
		if i.hadMerged(&m) {
			person[m.From] = m.Into
		}
	}
	steps := map[ID][]Step{}
	for _, s := range history {
		if i.hadOccurred(&s) {
			of := endOf(person, s.Subject)
			steps[of] = append(steps[of], s)
		}
	}
	for of, theirs := range steps {
		happened := slices.DeleteFunc(slices.Clone(merges), func(m SubjectMerge) bool {
			return !i.hadMerged(&m) || endOf(person, m.Into) != of
		})
		c := latest(timeline(theirs, happened))
		switch {
		case of != current.Subject && !c.SaysNo(i.At):
		case !ok:
			was, ok = c, true
		default:
			was = combine(was, c, i.At)
		}
	}
	was.Organization, was.Subject, was.Project, was.Purpose = current.Organization, current.Subject, current.Project,
		current.Purpose
	return was, ok
}

// endOf follows merges to their end.
func endOf(person map[ID]ID, subject ID) ID {
	for into, ok := person[subject]; ok; into, ok = person[subject] {
		subject = into
	}
	return subject
}

func (i Instant) hadMerged(m *SubjectMerge) bool {
	if i.AsRecorded {
		return !m.RecordedAt.After(i.At)
	}
	return !m.MergedAt.After(i.At)
}

func (i Instant) hadOccurred(s *Step) bool {
	at := s.OccurredAt
	if i.AsRecorded && !s.RecordedAt.IsZero() { // of what is missing it is not known when it was recorded
		at = s.RecordedAt
	}
	return !at.After(i.At)
}

// purposeOf gives a purpose as it was at the instant.
func (i Instant) purposeOf(p *Purpose, now time.Time) *Purpose {
	if !i.Past(now) {
		return p
	}
	then := p.AsOf(i.At)
	return &then
}

// SubjectConsents are somebody's consents, of all projects or of one.
type SubjectConsents struct {
	Subject ID
	At      time.Time
	Items   []SubjectConsent // of purposes on which something is on record, by project and purpose
}

// SubjectConsent tells how a consent of a project stands.
type SubjectConsent struct {
	Project ID
	CheckResult
}

// ConsentsOf tells how somebody's consents stand. project: its number; 0: of all.
func (d *Catalog) ConsentsOf(of *Subject, consents []Consent, project int, at Instant, now time.Time) *SubjectConsents {
	out := &SubjectConsents{Subject: of.ID, At: at.or(now)}
	for i := range d.Purposes {
		if project != 0 && d.Purposes[i].Project != project {
			continue
		}
		p := at.purposeOf(&d.Purposes[i], now)
		for n := range consents {
			if c := consents[n]; c.Project == p.Project && c.Purpose == p.Number {
				if p.objectedBy(&c) {
					c.ExpiresAt = time.Time{} // see Meant.consent
				}
				item := SubjectConsent{d.ProjectNumbered(p.Project).ID, p.result(&c, at, now, false)}
				if of.Restriction.holds(out.At) {
					item.refuse(ReasonRestricted)
				}
				out.Items = append(out.Items, item)
			}
		}
	}
	return out
}
