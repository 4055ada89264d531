package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// somebody puts a person on record who has a consent in a state.
func somebody(t *testing.T, s *Store, name consent.OwnedName, subject consent.ID, state consent.State) {
	t.Helper()
	c := consent.Changes{Identifiers: []consent.OwnedIdentifier{{OwnedName: name, Subject: subject}},
		Consents: []consent.Consent{{Organization: name.Organization, Subject: subject, Project: 1, Purpose: 1, Event: consent.ID{15: 9}, Last: consent.ID{15: 9},
			State: state, OccurredAt: time.Unix(1, 0)}}}
	err := s.Update(context.Background(), name.Organization, func(tx consent.Tx) error { return tx.Append(context.Background(), &c) })
	if err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, s *Store, name consent.OwnedName) consent.State {
	t.Helper()
	_, consents, err := s.Person(context.Background(), name, 1)
	if err != nil || len(consents) != 1 {
		t.Fatalf("%v, %v", consents, err)
	}
	return consents[0].State
}

// TestPersonFromMemory: who was asked for lately is answered without a query, and anew when the person changed, or
// another process changed anything.
func TestPersonFromMemory(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSQLite(context.Background(), dir, SQLiteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name := consent.OwnedName{Organization: consent.ID{15: 1}, Identifier: consent.Identifier{Kind: consent.UserID, Value: "ada"}}
	bob := consent.OwnedName{Organization: consent.ID{15: 1}, Identifier: consent.Identifier{Kind: consent.UserID, Value: "bob"}}
	somebody(t, s, name, consent.ID{14: 1}, consent.Accepted)
	stateOf(t, s, name)
	e := s.engine.(*sqliteEngine)
	withoutReaders := func(ask func()) {
		held := make([]*reader, sqliteReaders)
		for i := range held {
			held[i] = <-e.readers
		}
		ask()
		for _, r := range held {
			e.readers <- r
		}
	}
	withoutReaders(func() {
		if state := stateOf(t, s, name); state != consent.Accepted {
			t.Errorf("remembered as %v", state)
		}
	})
	somebody(t, s, bob, consent.ID{14: 2}, consent.Accepted) // another's change forgets nobody else
	withoutReaders(func() { stateOf(t, s, name) })
	somebody(t, s, name, consent.ID{14: 1}, consent.Withdrawn)
	if state := stateOf(t, s, name); state != consent.Withdrawn {
		t.Errorf("after a withdrawal: %v", state)
	}
	time.Sleep(3 * snapshotAge)
	for len(e.dirty) > 0 { // a checkpoint is no change
		time.Sleep(checkpointEvery)
	}
	stateOf(t, s, name)
	time.Sleep(2 * snapshotAge)
	withoutReaders(func() { stateOf(t, s, name) })

	other, err := OpenSQLite(context.Background(), dir, SQLiteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	somebody(t, other, name, consent.ID{14: 1}, consent.Declined)
	for end := time.Now().Add(5 * time.Second); stateOf(t, s, name) != consent.Declined; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what another process wrote is not seen")
		}
	}
	somebody(t, other, name, consent.ID{14: 1}, consent.Accepted)
	somebody(t, s, bob, consent.ID{14: 2}, consent.Declined) // who writes learns at once that another wrote too
	if state := stateOf(t, s, name); state != consent.Accepted {
		t.Errorf("after a write behind another process's: %v", state)
	}
}

// TestForgottenWhileRead: what was read before all were forgotten is forgotten too, though it comes later.
func TestForgottenWhileRead(t *testing.T) {
	p := newPersons()
	q := asked{consent.OwnedName{Identifier: consent.Identifier{Value: "ada"}}, 1}
	_, at, _ := p.recall(q)
	p.forget()
	p.remember(q, remembered{at: at, subject: consent.ID{15: 1}})
	if _, _, ok := p.recall(q); ok {
		t.Error("an answer from before is remembered")
	}
}

// TestPersonsAreBounded: whoever is asked for, memory has an end, and those who are asked for again and again stay.
func TestPersonsAreBounded(t *testing.T) {
	p := newPersons()
	ask := func(i, consents int) bool {
		q := asked{consent.OwnedName{Organization: consent.ID{15: 1}, Identifier: consent.Identifier{Kind: consent.UserID, Value: fmt.Sprint(i)}}, 1}
		_, at, ok := p.recall(q)
		if !ok {
			p.remember(q, remembered{at: at, subject: consent.ID{14: byte(i >> 8), 15: byte(i)}, consents: make([]consent.Consent, consents)})
		}
		return ok
	}
	for _, consents := range []int{0, 1, 4, 30, manyConsents} {
		known := 0
		for i := range 5 * rememberedPersons {
			ask(i, consents)
			if i%64 == 0 && ask(-1, 1) {
				known++
			}
			held := 0
			if i%1024 == 0 {
				for _, half := range []map[asked]remembered{p.young, p.old} {
					for _, one := range half {
						held += len(one.consents)
					}
				}
			}
			if len(p.young)+len(p.old) > 2*rememberedPersons || held > 2*rememberedConsents {
				t.Fatalf("%d persons, %d consents are remembered", len(p.young)+len(p.old), held)
			}
		}
		if most := 5 * rememberedPersons / 64; known < most-2 {
			t.Errorf("%d consents each: who was asked for all the time was known %d times of %d", consents, known, most)
		}
	}
	if ask(-2, manyConsents+1); ask(-2, 0) {
		t.Error("a person with very many consents is remembered")
	}
}
