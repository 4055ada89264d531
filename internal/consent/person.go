package consent

import (
	"time"
)

// OnlyNo leaves, of what claimants decided, what they refuse: for an identifier by which an organization names one
// person and no other. Nobody else's yes counts there.
func (w Who) OnlyNo(at time.Time) Who {
	if len(w.Claimants) == 0 {
		return w
	}
	kept := make([]Consent, 0, len(w.Consents))
	for _, c := range w.Consents {
		if c.Subject == w.Subject || c.SaysNo(at) {
			kept = append(kept, c)
		}
	}
	w.Consents = kept
	return w
}

// Person gives the consents of everybody whom an identifier may mean as those of one person.
func (d *Catalog) Person(project int, who *Who, at time.Time) *Person {
	person := &Person{Subject: who.Subject, Ambiguous: len(who.Claimants) > 0, At: at, Consents: make(map[string]Consent,
		len(who.Consents))}
	if person.Subject == NoID {
		person.Subject = who.Claimants[0]
	}
	for _, c := range who.Consents {
		p := d.PurposeNumbered(project, c.Purpose)
		if p == nil {
			continue
		}
		if who.TooMany() {
			c.Grants = false
		}
		if other, several := person.Consents[p.Key]; several {
			c = combine(other, c, at)
		}
		person.Consents[p.Key] = c
	}
	return person
}
