package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// step is what a client did to one person and purpose: a decision, or, where state is zero, a question.
type step struct {
	person   int
	purpose  string
	state    consent.State
	takeBack bool // a no that is recorded only where it takes a yes back
	by       string
}

// register is what is known of one person and one purpose: the state that was said last.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[string][]porcupine.Operation{}
		for _, o := range history {
			key := fmt.Sprint(o.Input.(step).person, o.Input.(step).purpose)
			parts[key] = append(parts[key], o)
		}
		var all [][]porcupine.Operation
		for _, part := range parts {
			all = append(all, part)
		}
		return all
	},
	Init: func() any { return never },
	Step: func(state, input, output any) (bool, any) {
		switch s := input.(step); {
		case s.state == 0:
			return says(output.(string), state.(string)), state
		case s.takeBack && state != yes:
			return true, state
		case s.takeBack:
			return true, consent.Withdrawn.String()
		default:
			return true, s.state.String()
		}
	},
}

// TestLinearizable proves by porcupine that the state of each person and purpose is linearizable: what clients write
// and read at once, through whichever protocol, there is one order of it all that explains each answer, and in which
// nothing comes before what was answered before it was asked.
func TestLinearizable(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) { linearizable(t, newHarness(t, e)) })
}

// TestThreeServersLinearizable is TestLinearizable on three servers whose clocks differ.
func TestThreeServersLinearizable(t *testing.T) { onThree(t, linearizable) }

func linearizable(t *testing.T, w *harness) {
	steps := 40
	if testing.Short() {
		steps = 15
	}
	history := w.manySteps(4, 12, steps)
	for _, part := range register.Partition(history) {
		if got := porcupine.CheckOperationsTimeout(register, part, time.Minute); got != porcupine.Ok {
			t.Errorf("%s, no order explains this history:\n%s", got, shown(part))
		}
	}
	w.audit()
}

// TestStaleIsNotLinearizable proves that TestLinearizable would notice: with a cache of one second it fails.
func TestStaleIsNotLinearizable(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		seeded := newHarness(t, e)
		seeded.must(seeded.end())
		w := openHarness(t, staleDatabase{seeded.database})
		w.mine = seeded.mine
		history := w.manySteps(1, 3, 50)
		if got := porcupine.CheckOperationsTimeout(register, history, time.Minute); got != porcupine.Illegal {
			t.Errorf("a store that answers what was right a second ago: %s", got)
		}
	})
}

// manySteps has clients decide and ask about a few people, and tells what they did and when.
func (w *harness) manySteps(persons, clients, steps int) (history []porcupine.Operation) {
	w.Helper()
	people := make([]vars, persons)
	for i := range people {
		people[i] = w.newPerson()
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	for client := range clients {
		all.Go(func() {
			for range steps {
				person := rand.IntN(persons)
				o := porcupine.Operation{ClientId: client, Call: int64(time.Since(begin))}
				o.Input, o.Output = w.oneStep(person, people[person])
				o.Return = int64(time.Since(begin))
				mu.Lock()
				history = append(history, o)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return history
}

// oneStep decides or asks, by any call and any server.
func (w *harness) oneStep(person int, v vars) (did step, said string) {
	w.Helper()
	did = step{person: person, purpose: anyOf(bothPurposes)}
	server := rand.IntN(len(w.urls))
	if rand.IntN(2) == 0 {
		reader := anyOf(readersOf(did.purpose))
		did.by = reader.name
		return did, reader.ask(w, server, v, did.purpose)
	}
	writer := anyOf(writersOf(did.purpose, consent.Declined))
	did.state = anyOf(writer.states)
	did.by, did.takeBack = writer.name, writer.overwrites && did.state.No()
	writer.decide(w, server, v, did.purpose, did.state)
	return did, ""
}

// shown lists a history in order of its questions.
func shown(history []porcupine.Operation) string {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var out strings.Builder
	for _, o := range history {
		s := o.Input.(step)
		fmt.Fprintf(&out, "%8d-%-8dµs client %2d, %s: ", o.Call/1000, o.Return/1000, o.ClientId, s.by)
		if s.state == 0 {
			fmt.Fprintf(&out, "reads %s\n", o.Output)
			continue
		}
		fmt.Fprintf(&out, "writes %s\n", s.state)
	}
	return out.String()
}

// staleDatabase opens stores that answer what was right a second ago.
type staleDatabase struct{ database }

func (g staleDatabase) open() (service.Store, error) {
	s, err := g.database.open()
	return &staleStore{Store: s, read: map[staleKey]stalePerson{}}, err
}

// staleStore is a real store behind a cache that nobody tells of changes.
type staleStore struct {
	service.Store
	mu   sync.Mutex
	read map[staleKey]stalePerson
}

type staleKey struct {
	name    consent.OwnedName
	project int
}

type stalePerson struct {
	consent.Who
	at time.Time
}

// Person implements service.Store, and not as it says.
func (s *staleStore) Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (consent.Who, error) {
	key := staleKey{name, project}
	s.mu.Lock()
	old := s.read[key]
	s.mu.Unlock()
	if time.Since(old.at) < time.Second {
		return old.Who, nil
	}
	who, err := s.Store.Person(ctx, name, project, hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[key] = stalePerson{who, time.Now()}
	return who, err
}
