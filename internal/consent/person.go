package consent

import (
	"time"
)

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
