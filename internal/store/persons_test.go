package store

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// somebody puts a person on record who has a consent in a state.
func somebody(t *testing.T, s *Store, name consent.OwnedName, subject consent.ID, state consent.State) {
	t.Helper()
	c := consent.Changes{Identifiers: []consent.OwnedIdentifier{{OwnedName: name, Subject: subject}},
		Consents: []consent.Consent{{Organization: name.Organization, Subject: subject, Project: 1, Purpose: 1, Event: consent.ID{15: 9}, Last: consent.ID{15: 9},
			State: state, OccurredAt: time.Unix(1, 0)}}}
	err := s.Update(context.Background(), name.Organization, func(tx service.Tx) error { return tx.Append(context.Background(), &c) })
	if err != nil {
		t.Fatal(err)
	}
}

func userNamed(name string) consent.OwnedName {
	return consent.OwnedName{Organization: consent.ID{15: 1}, Identifier: consent.Identifier{Kind: consent.UserID, Value: name}}
}

func stateOf(t *testing.T, s *Store, name consent.OwnedName) consent.State {
	t.Helper()
	who, err := s.Person(context.Background(), name, 1)
	if err != nil || len(who.Consents) != 1 {
		t.Fatalf("%v, %v", who.Consents, err)
	}
	return who.Consents[0].State
}

// TestPersonFromMemory: who was asked for lately is answered without a query, and anew when the person changed, or
// another process changed anything.
func TestPersonFromMemory(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	name, bob := userNamed("ada"), userNamed("bob")
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

	other := openStore(t, dir)
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

// TestOldSnapshotAfterAnother: what is read from a snapshot of before another process's commit is not remembered as newer than it.
func TestOldSnapshotAfterAnother(t *testing.T) {
	dir := t.TempDir()
	s, other := openStore(t, dir), openStore(t, dir)
	ada, nobody := userNamed("ada"), userNamed("nobody")
	somebody(t, s, ada, consent.ID{14: 1}, consent.Accepted)
	e := s.engine.(*sqliteEngine)
	for round := range 20 {
		want := []consent.State{consent.Withdrawn, consent.Accepted}[round%2]
		for range sqliteReaders { // each takes a snapshot
			if _, err := s.Person(context.Background(), nobody, 1); err != nil {
				t.Fatal(err)
			}
		}
		somebody(t, other, ada, consent.ID{14: 1}, want)
		e.lookAtOthers()
		for range sqliteReaders {
			stateOf(t, s, ada)
		}
		time.Sleep(snapshotAge + 20*time.Millisecond)
		if got := stateOf(t, s, ada); got != want {
			t.Fatalf("round %d: %v long after another process wrote %v", round, got, want)
		}
	}
}

// TestWriterThatWaits: while the writer waits for another process's lock, and so cannot look, nobody is answered from memory.
func TestWriterThatWaits(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	ada := userNamed("ada")
	somebody(t, s, ada, consent.ID{14: 1}, consent.Accepted)
	other, err := sqlite.OpenConn(filepath.Join(dir, SQLiteFile), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	run := func(statements ...string) {
		for _, statement := range statements {
			if err := sqlitex.ExecuteTransient(other, statement, nil); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	stateOf(t, s, ada)
	run("BEGIN IMMEDIATE", fmt.Sprintf("UPDATE consents SET state = %d", consent.Withdrawn))
	written := make(chan struct{})
	go func() {
		defer close(written)
		somebody(t, s, userNamed("bob"), consent.ID{14: 2}, consent.Accepted)
	}()
	time.Sleep(50 * time.Millisecond) // it waits
	stateOf(t, s, ada)
	run("COMMIT", "BEGIN IMMEDIATE")
	time.Sleep(4 * snapshotAge)
	got := stateOf(t, s, ada)
	run("COMMIT")
	if got != consent.Withdrawn {
		t.Errorf("%v long after another process withdrew it", got)
	}
	<-written
}

// TestRememberedNamesHoldNothingElse: a name may be a part of a request of many kilobytes, which must not stay with it.
func TestRememberedNamesHoldNothingElse(t *testing.T) {
	p := newPersons()
	p.lookedAt(time.Now().Add(time.Hour))
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for round := range 3 { // from the young half, from the old one, and again
		for i := range rememberedPersons {
			request := fmt.Sprint(i) + strings.Repeat("x", 16<<10)
			q := asked{userNamed(request[:len(fmt.Sprint(i))]), 1}
			if _, at, ok := p.recall(q); !ok {
				p.remember(q, remembered{at, consent.Who{Subject: consent.ID{14: byte(i >> 8), 15: byte(i)}}})
			} else if round == 0 {
				t.Fatal("known before")
			}
		}
		for i := range rememberedPersons / 2 { // the halves change places
			q := asked{userNamed(fmt.Sprint("other ", round, " ", i)), 1}
			p.remember(q, remembered{Who: consent.Who{Subject: consent.ID{13: 1}}})
		}
		if grown := heap() - before; grown > 8<<20 {
			t.Fatalf("round %d: memory grew by %d KiB", round, grown>>10)
		}
	}
	runtime.KeepAlive(p)
}

// TestForgottenWhileRead: what was read before all were forgotten is forgotten too, though it comes later.
func TestForgottenWhileRead(t *testing.T) {
	p := newPersons()
	p.lookedAt(time.Now().Add(time.Hour))
	q := asked{consent.OwnedName{Identifier: consent.Identifier{Value: "ada"}}, 1}
	_, at, _ := p.recall(q)
	p.forget()
	p.remember(q, remembered{at, consent.Who{Subject: consent.ID{15: 1}}})
	if _, _, ok := p.recall(q); ok {
		t.Error("an answer from before is remembered")
	}
}

// TestPersonsAreBounded: whoever is asked for, memory has an end, and those who are asked for again and again stay.
func TestPersonsAreBounded(t *testing.T) {
	p := newPersons()
	p.lookedAt(time.Now().Add(time.Hour))
	ask := func(i, consents int) bool {
		q := asked{userNamed(fmt.Sprint(i)), 1}
		_, at, ok := p.recall(q)
		if !ok {
			p.remember(q, remembered{at, consent.Who{Subject: consent.ID{14: byte(i >> 8), 15: byte(i)},
				Consents: make([]consent.Consent, consents)}})
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
						held += len(one.Consents)
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
