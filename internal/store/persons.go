package store

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

const (
	// rememberedPersons and rememberedConsents bound one of the two halves of persons: a few MiB in all.
	rememberedPersons  = 4096
	rememberedConsents = 4 * rememberedPersons
	manyConsents       = 64 // who has more is not remembered
	// lookAge is how long after the last look at other processes' changes answers come from memory.
	lookAge = 2 * snapshotAge
	// personMarks is how many marks persons keep. People who share a mark by chance are forgotten together.
	personMarks = 1 << 13
)

// persons remembers where people stand who were asked for lately, so that asking for them again costs no query. It is of
// an engine that makes all changes itself, and looks again and again whether another process made one after all: what is
// shown is what a query would find that begins now. What a transaction changes is not answered from memory from before its
// commit until after it; and what was read before a commit is never taken for newer than it. All that it keeps is in memory, and
// bounded. For use at once from many goroutines.
type persons struct {
	seed maphash.Seed

	mu         sync.Mutex
	now        uint64               // goes up whenever a transaction ends that changed somebody
	since      uint64               // what was read before is forgotten
	looked     time.Time            // when it was known last that no change is unheard of
	marks      [personMarks]mark    // of people and of identifiers, by their hash
	young, old map[asked]remembered // when the young half is full, it becomes the old one
	kept       int                  // consents in the young half
}

// mark tells of the people, or the identifiers, with one hash.
type mark struct {
	changed  uint64 // when one of them was changed last
	changing int    // transactions that are about to change one
}

// asked is what somebody asked.
type asked struct {
	name    consent.OwnedName
	project int
}

// remembered is what was answered.
type remembered struct {
	at uint64 // it shows everything that had ended then
	consent.Who
}

func newPersons() *persons {
	return &persons{seed: maphash.MakeSeed(), young: map[asked]remembered{}}
}

// recall gives what is remembered; else when the answer was looked for, which remember wants to know.
func (p *persons) recall(q asked) (found remembered, at uint64, ok bool) {
	name := p.nameMark(q.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	found, young := p.young[q]
	if !young {
		found, ok = p.old[q]
	}
	ok = (young || ok) && time.Since(p.looked) < lookAge && p.unchanged(found.at, name) && p.unchanged(found.at,
		subjectMark(q.name.Organization, found.Subject))
	for i := 0; ok && i < len(found.Claimants); i++ {
		ok = p.unchanged(found.at, subjectMark(q.name.Organization, found.Claimants[i]))
	}
	if ok && !young {
		p.put(q, found) // asked for again: it stays
	}
	return found, p.now, ok
}

// unchanged tells whether what was read at some time still shows what has a mark.
func (p *persons) unchanged(at uint64, m int) bool {
	return at >= p.since && at >= p.marks[m].changed && p.marks[m].changing == 0
}

// remember keeps what was read after recall gave at.
func (p *persons) remember(q asked, read remembered) {
	if len(read.Consents)+len(read.Claimants) > manyConsents {
		return
	}
	read.Consents = append(make([]consent.Consent, 0, len(read.Consents)), read.Consents...) // exactly as long
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(q, read)
}

func (p *persons) put(q asked, read remembered) {
	q.name.Value = strings.Clone(q.name.Value) // it may be a part of a long request, all of which would stay
	if len(p.young) >= rememberedPersons || p.kept+len(read.Consents) > rememberedConsents {
		p.young, p.old, p.kept = map[asked]remembered{}, p.young, 0
	}
	p.kept += len(read.Consents) - len(p.young[q].Consents)
	p.young[q] = read
}

// forget forgets everybody.
func (p *persons) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.since = p.now
	clear(p.young)
	p.old, p.kept = nil, 0
}

// lookedAt tells that at that time no change was unheard of.
func (p *persons) lookedAt(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = at
}

// touched is what a transaction changes; nil where nobody is remembered.
type touched struct {
	of    *persons
	marks []int
}

// begin notes changes that are about to be committed.
func (t *touched) begin(c *consent.Changes) {
	if t == nil {
		return
	}
	from := len(t.marks)
	for i := range c.Identifiers {
		t.marks = append(t.marks, t.of.nameMark(c.Identifiers[i].OwnedName))
	}
	for _, name := range c.RemovedIdentifiers {
		t.marks = append(t.marks, t.of.nameMark(name))
	}
	for i := range c.Claims {
		t.marks = append(t.marks, t.of.nameMark(c.Claims[i].OwnedName))
	}
	for i := range c.Consents {
		t.marks = append(t.marks, subjectMark(c.Consents[i].Organization, c.Consents[i].Subject))
	}
	for _, m := range c.Merges {
		t.marks = append(t.marks, subjectMark(m.Organization, m.Into), subjectMark(m.Organization, m.From))
	}
	for _, k := range c.RemovedSubjects {
		t.marks = append(t.marks, subjectMark(k.Organization, k.Subject))
	}
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	for _, m := range t.marks[from:] {
		t.of.marks[m].changing++
	}
}

// end tells that the transaction is committed, or is not to be.
func (t *touched) end() {
	if t == nil || len(t.marks) == 0 {
		return
	}
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.now++
	for _, m := range t.marks {
		t.of.marks[m].changing--
		t.of.marks[m].changed = t.of.now
	}
}

func (p *persons) nameMark(n consent.OwnedName) int {
	return int(maphash.Comparable(p.seed, n) % personMarks)
}

// subjectMark takes the end of the ids, which is random.
func subjectMark(organization, subject consent.ID) int {
	n := len(subject)
	return (int(organization[n-1]^subject[n-1]) | int(organization[n-2]^subject[n-2])<<8) % personMarks
}
