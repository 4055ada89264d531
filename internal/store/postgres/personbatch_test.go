package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/storetest"
)

// TestBatchedPersons asks many questions at once: each has its own answer, one that the database refuses harms no
// other, and who gives up waits no longer.
func TestBatchedPersons(t *testing.T) {
	plain, e := openPostgres(t)
	s := store.BatchPersons(plain)
	o := storetest.Fill(t, plain, 50).Organizations[0]
	name := func(value string) consent.OwnedName {
		return consent.OwnedName{Organization: o, Identifier: consent.Identifier{Kind: consent.Email, Value: value}}
	}
	subjects := make([]consent.ID, 40)
	err := plain.Update(context.Background(), o, func(tx service.Tx) error {
		var c consent.Changes
		for i := range subjects {
			subjects[i] = consent.ID{7: 7, 15: byte(i + 1)}
			c.Subjects = append(c.Subjects, consent.Subject{Organization: o, ID: subjects[i], CreatedAt: storetest.FirstEvent,
				Record: consent.Record{Version: 1, ChangedAt: storetest.FirstEvent}})
			c.Identifiers = append(c.Identifiers, consent.OwnedIdentifier{OwnedName: name(fmt.Sprint(i, "@shop.example")),
				Subject: subjects[i]})
		}
		return tx.Append(context.Background(), &c)
	})
	if err != nil {
		t.Fatal(err)
	}
	held := make([]func(), 0, e.o.MaxConns) // all connections, so that questions have to wait
	for range cap(held) {
		c, err := e.pool.Load().Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c.Release)
	}
	gone, leave := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	for i := range 400 {
		asking.Go(func() {
			ctx, asked := context.Background(), name(fmt.Sprint(i%50, "@shop.example")) // some are nobody's
			switch i % 100 {
			case 98:
				asked.Kind = "NUL \x00"
			case 99:
				ctx = gone
			}
			who, err := s.Person(ctx, asked, 1, nil)
			switch {
			case i%100 == 98:
				if err == nil {
					t.Error("PostgreSQL took a NUL")
				}
			case i%100 == 99:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("question %d, which was given up: %v", i, err)
				}
			case err != nil:
				t.Errorf("question %d: %v", i, err)
			case i%50 < len(subjects) && who.Subject != subjects[i%50], i%50 >= len(subjects) && who.Known():
				t.Errorf("question %d: %+v", i, who)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	leave()
	for _, release := range held {
		release()
	}
	asking.Wait()
}

// panicking is a store that panics when it is asked about persons by others than the first askers, who go at once.
type panicking struct {
	service.Store
	release chan struct{}
}

func (p *panicking) Person(context.Context, consent.OwnedName, int, []byte) (consent.Who, error) {
	<-p.release
	return consent.Who{}, nil
}

func (p *panicking) ViewOnce(context.Context, func(service.Reader) error) error { panic("by the test") }

// TestBatchThatPanics: whoever waits for a batch that panics is answered, and the process lives on.
func TestBatchThatPanics(t *testing.T) {
	p := &panicking{release: make(chan struct{})}
	s := store.BatchPersons(p)
	errs := make(chan error, 50)
	for i := range cap(errs) {
		go func() {
			_, err := s.Person(context.Background(), consent.OwnedName{Identifier: consent.Identifier{Value: fmt.Sprint(i)}}, 1, nil)
			errs <- err
		}()
	}
	time.Sleep(50 * time.Millisecond) // two hold their places, the others wait
	close(p.release)
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("where the batch panics each is asked about alone: %v", err)
		}
	}
}
