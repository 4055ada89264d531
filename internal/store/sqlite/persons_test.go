package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// openCached opens a data folder until the test ends, with persons cached.
func openCached(t *testing.T, dir string) (service.Store, *Engine) {
	t.Helper()
	s, e := openStore(t, dir)
	return store.CachePersons(s, e), e
}

// somebody puts a person on record who has a consent in a state.
func somebody(t *testing.T, s service.Store, name consent.OwnedName, subject consent.ID, state consent.State) {
	t.Helper()
	c := consent.Changes{Identifiers: []consent.OwnedIdentifier{{OwnedName: name, Subject: subject}},
		Consents: []consent.Consent{{Organization: name.Organization, Subject: subject, Project: 1, Purpose: 1,
			Event: consent.ID{15: 9}, Last: consent.ID{15: 9}, State: state, OccurredAt: time.Unix(1, 0)}}}
	err := s.Update(context.Background(), name.Organization,
		func(tx service.Tx) error { return tx.Append(context.Background(), &c) })
	if err != nil {
		t.Fatal(err)
	}
}

func userNamed(name string) consent.OwnedName {
	return consent.OwnedName{Organization: consent.ID{15: 1}, Identifier: consent.Identifier{Kind: consent.UserID,
		Value: name}}
}

func stateOf(t *testing.T, s service.Store, name consent.OwnedName) consent.State {
	t.Helper()
	who, err := s.Person(context.Background(), name, 1, nil)
	if err != nil || len(who.Consents) != 1 {
		t.Fatalf("%v, %v", who.Consents, err)
	}
	return who.Consents[0].State
}

// TestPersonFromMemory: who was asked for lately is answered without a query, and anew when the person changed, or
// another process changed anything.
func TestPersonFromMemory(t *testing.T) {
	dir := t.TempDir()
	s, e := openCached(t, dir)
	name, bob := userNamed("ada"), userNamed("bob")
	somebody(t, s, name, consent.ID{14: 1}, consent.Accepted)
	stateOf(t, s, name)
	// fromMemory asks while no reader is to be had. Where the last look at other processes is too long ago, because the
	// machine is busy, nothing is answered from memory until the next look: then it asks again.
	fromMemory := func() consent.State {
		t.Helper()
		for range readerCount {
			defer func(r *reader) { e.readers <- r }(<-e.readers)
		}
		for end := time.Now().Add(20 * time.Second); ; {
			within, cancel := context.WithTimeout(context.Background(), snapshotAge/2)
			who, err := s.Person(within, name, 1, nil)
			cancel()
			if err == nil && len(who.Consents) == 1 {
				return who.Consents[0].State
			}
			if time.Now().After(end) {
				t.Fatalf("no answer from memory: %v, %v", who.Consents, err)
			}
		}
	}
	if state := fromMemory(); state != consent.Accepted {
		t.Errorf("cached as %v", state)
	}
	somebody(t, s, bob, consent.ID{14: 2}, consent.Accepted) // another's change forgets nobody else
	fromMemory()
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
	fromMemory()

	other, _ := openStore(t, dir)
	somebody(t, other, name, consent.ID{14: 1}, consent.Declined)
	for end := time.Now().Add(5 * time.Second); stateOf(t, s,
		name) != consent.Declined; time.Sleep(10 * time.Millisecond) {
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

// TestOldSnapshotAfterAnother: what is read from a snapshot of before another process's commit is not cached as newer
// than it.
func TestOldSnapshotAfterAnother(t *testing.T) {
	dir := t.TempDir()
	s, e := openCached(t, dir)
	other, _ := openStore(t, dir)
	ada, nobody := userNamed("ada"), userNamed("nobody")
	somebody(t, s, ada, consent.ID{14: 1}, consent.Accepted)
	for round := range 20 {
		want := []consent.State{consent.Withdrawn, consent.Accepted}[round%2]
		for range readerCount { // each takes a snapshot
			if _, err := s.Person(context.Background(), nobody, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		somebody(t, other, ada, consent.ID{14: 1}, want)
		e.checkDataVersionIdle()
		for range readerCount {
			stateOf(t, s, ada)
		}
		time.Sleep(snapshotAge + 20*time.Millisecond)
		if got := stateOf(t, s, ada); got != want {
			t.Fatalf("round %d: %v long after another process wrote %v", round, got, want)
		}
	}
}

// TestWriterThatWaits: while the writer waits for another process's lock, and so cannot look, nobody is answered from
// memory.
func TestWriterThatWaits(t *testing.T) {
	dir := t.TempDir()
	s, _ := openCached(t, dir)
	ada := userNamed("ada")
	somebody(t, s, ada, consent.ID{14: 1}, consent.Accepted)
	other, err := sqlite.OpenConn(filepath.Join(dir, FileName), sqlite.OpenReadWrite)
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
