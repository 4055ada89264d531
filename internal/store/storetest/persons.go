package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// personModel is what testChangingPersons believes.
type personModel struct {
	names    []consent.Identifier
	owner    map[consent.Identifier]consent.ID
	consents map[consent.ID]map[[2]int]consent.Consent // by project and purpose
	own      map[consent.ID]consent.ID                 // whom the own id of each subject means; NoID: removed
}

func newPersonModel() *personModel {
	return &personModel{owner: map[consent.Identifier]consent.ID{}, consents: map[consent.ID]map[[2]int]consent.Consent{},
		own: map[consent.ID]consent.ID{}}
}

// testChangingPersons changes people at random in every way that changes their consents, and asks for all of them again
// and again: no answer may be from before a change, whoever was asked for in between.
func testChangingPersons(f *fixture) {
	o, random := f.organization(), rand.New(rand.NewPCG(7, 7))
	c := newPersonModel()
	for i := range 6 {
		c.names = append(c.names, named(consent.UserID, fmt.Sprint("person ", i)),
			named(consent.Email, fmt.Sprint(i, "@shop.example")))
	}
	for step := range 250 {
		f.append(c.change(f, o, random))
		if random.IntN(8) == 0 { // what is not done changes nothing
			changes := c.clone().change(f, o, random)
			_ = f.store.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
				_ = tx.Append(context.Background(), &changes)
				return fmt.Errorf("not to be done")
			})
		}
		asked := map[consent.Identifier]consent.ID{} // and whom it names
		for _, at := range random.Perm(len(c.names))[:8] {
			asked[c.names[at]] = c.owner[c.names[at]]
		}
		for subject, into := range c.own {
			if asked[ownID(subject)] = into; len(asked) > 20 {
				break
			}
		}
		for name, want := range asked {
			project := 1 + random.IntN(2)
			subject, got := f.person(o, name, project)
			if subject != want {
				f.Fatalf("step %d: %v is %s, want %s", step, name, subject, want)
			}
			same(f, fmt.Sprint("step ", step), got, c.consentsOf(subject, project))
		}
		if f.Failed() {
			return
		}
	}
}

func (c *personModel) clone() *personModel {
	other := newPersonModel()
	other.names = c.names
	maps.Copy(other.owner, c.owner)
	maps.Copy(other.own, c.own)
	return other
}

func (c *personModel) consentsOf(subject consent.ID, project int) (list []consent.Consent) {
	for key, one := range c.consents[subject] {
		if key[0] == project {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(x, y consent.Consent) int { return x.Purpose - y.Purpose })
	return withoutLast(list)
}

// change makes up one change and believes it.
func (c *personModel) change(f *fixture, o consent.ID, random *rand.Rand) consent.Changes {
	name := c.names[random.IntN(len(c.names))]
	subject, known := c.owner[name]
	switch way := random.IntN(10); {
	case !known: // somebody new
		s := f.newSubject(o)
		c.owner[name], c.own[s.ID] = s.ID, s.ID
		return consent.Changes{Subjects: []consent.Subject{s}, Identifiers: []consent.OwnedIdentifier{owned(o, name, s.ID)}}
	case way == 0: // the name goes
		delete(c.owner, name)
		return consent.Changes{RemovedIdentifiers: []consent.OwnedName{{Organization: o, Identifier: name}}}
	case way == 1: // the person goes, with all names
		changes := consent.Changes{RemovedSubjects: []consent.SubjectKey{{Organization: o, Subject: subject}}}
		for _, other := range c.names {
			if c.owner[other] == subject {
				delete(c.owner, other)
				changes.RemovedIdentifiers = append(changes.RemovedIdentifiers,
					consent.OwnedName{Organization: o, Identifier: other})
			}
		}
		for id, into := range c.own {
			if into == subject {
				c.own[id] = consent.NoID
			}
		}
		return changes
	case way == 2: // the person turns out to be another
		into := c.owner[c.names[random.IntN(len(c.names))]]
		if into == consent.NoID || into == subject {
			return consent.Changes{}
		}
		changes := consent.Changes{Merges: []consent.SubjectMerge{{Organization: o, Into: into, From: subject,
			MergedAt: noon}}}
		for _, other := range c.names {
			if c.owner[other] == subject {
				c.owner[other] = into
				changes.Identifiers = append(changes.Identifiers, owned(o, other, into))
			}
		}
		for from, was := range c.own {
			if was == subject {
				c.own[from] = into
				if from != subject {
					changes.Merges = append(changes.Merges, consent.SubjectMerge{Organization: o, Into: into, From: from,
						MergedAt: noon})
				}
			}
		}
		return changes
	case way <= 4: // the name becomes another's
		other := c.owner[c.names[random.IntN(len(c.names))]]
		if other == consent.NoID {
			other = subject
		}
		c.owner[name] = other
		return consent.Changes{Identifiers: []consent.OwnedIdentifier{owned(o, name, other)}}
	}
	e := f.event(o, subject, 1+random.IntN(2), 1+random.IntN(3), func(e *consent.Event) {
		e.State = []consent.State{consent.Accepted, consent.Declined, consent.Withdrawn}[random.IntN(3)]
	})
	stand := consentOf(e)
	if c.consents[subject] == nil {
		c.consents[subject] = map[[2]int]consent.Consent{}
	}
	c.consents[subject][[2]int{e.Project, e.Purpose}] = stand
	return consent.Changes{Events: []consent.Event{e}, Consents: []consent.Consent{stand}}
}

// testPersonsMeanwhile asks while others write: no answer is older than what was acknowledged before the question, nor
// than an answer that was given before it.
func testPersonsMeanwhile(f *fixture) {
	const persons, writers, askers = 4, 3, 6
	o := f.organization()
	var acknowledged [persons]atomic.Int64
	var subjects [persons]consent.ID
	for i := range subjects {
		subjects[i] = f.subject(o, named(consent.UserID, fmt.Sprint(i)), named(consent.Email, fmt.Sprint(i, "@shop.example")))
	}
	end := time.Now().Add(700 * time.Millisecond)
	var running sync.WaitGroup
	var writing [persons]sync.Mutex // one write about a person at a time
	var next [persons]int64
	for w := range writers {
		random := rand.New(rand.NewPCG(uint64(w), 1))
		running.Go(func() {
			for time.Now().Before(end) {
				i := random.IntN(persons)
				writing[i].Lock()
				next[i]++
				n := next[i]
				stand := consent.Consent{Organization: o, Subject: subjects[i], Project: 1, Purpose: 1, Event: consent.ID{15: 1},
					Last: consent.ID{15: 1}, State: consent.Accepted, OccurredAt: noon.Add(time.Duration(n) * time.Second)}
				err := f.store.Update(context.Background(), o, func(tx service.Tx) error {
					return tx.Append(context.Background(), &consent.Changes{Consents: []consent.Consent{stand}})
				})
				if err != nil {
					f.Errorf("write: %v", err)
				}
				acknowledged[i].Store(n)
				writing[i].Unlock()
			}
		})
	}
	var answers atomic.Int64
	var seen [persons]atomic.Int64 // the newest that somebody was given
	for a := range askers {
		random := rand.New(rand.NewPCG(uint64(a), 2))
		running.Go(func() {
			for time.Now().Before(end) && !f.Failed() {
				i := random.IntN(persons)
				name := []consent.Identifier{named(consent.UserID, fmt.Sprint(i)),
					named(consent.Email, fmt.Sprint(i, "@shop.example"))}[random.IntN(2)]
				least := max(acknowledged[i].Load(), seen[i].Load())
				who, err := f.store.Person(context.Background(), askedName(o, name), 1, nil)
				if err != nil {
					f.Errorf("ask: %v", err)
					return
				}
				given := int64(0)
				if len(who.Consents) > 0 {
					given = int64(who.Consents[0].OccurredAt.Sub(noon) / time.Second)
				}
				if given < least {
					f.Errorf("person %d: given of write %d, when %d was acknowledged or given already", i, given, least)
				}
				for before := seen[i].Load(); given > before && !seen[i].CompareAndSwap(before, given); before = seen[i].Load() {
				}
				answers.Add(1)
			}
		})
	}
	running.Wait()
	if answers.Load() < 100 {
		f.Errorf("only %d answers", answers.Load())
	}
}
