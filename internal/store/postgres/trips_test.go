package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// TestRoundTripsOfAWrite counts what writes cost on their way to the database: round trips, and statements, each of
// which is a round trip of its own from Citus' coordinator to a worker.
func TestRoundTripsOfAWrite(t *testing.T) {
	r := &recorder{sent: map[string]bool{}}
	s := store.New(open(t, Options{URL: r.through(t, postgresURL(t)), MaxConns: 1}))
	svc, a := serviceOver(t, s)
	ada := []consent.Identifier{{Kind: consent.UserID, Value: "ada"}}
	several := append([]consent.Identifier{{Kind: consent.Email, Value: "ada@example.com"}}, ada...)
	write := func(given []consent.Identifier, purposes ...string) func() error {
		return func() error {
			w := consent.Write{Items: []consent.Item{{Identifiers: given}}, Origin: consent.Origin{Protocol: "test"}}
			for _, purpose := range purposes {
				w.Items[0].Decisions = append(w.Items[0].Decisions, consent.Decision{
					Purpose: consent.PurposeRef{Key: purpose}, State: consent.Accepted, Action: consent.UserClick})
			}
			_, err := svc.Record(context.Background(), a, w)
			return err
		}
	}
	// By what the organization's identifiers are found is read once.
	if _, err := svc.LookUpSubject(context.Background(), a, consent.NoID, ada); !consent.IsKind(err, consent.NotFound) {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name              string
		do                func() error
		trips, statements int
	}{
		// begin, lock, person; subject, identifier, event, consent, secret, head, count, commit
		{"the first of a person", write(ada, consent.Analytics), 2, 11},
		// begin, lock, person; event, consent, head, count, commit
		{"the next", write(ada, consent.Analytics), 2, 8},
		{"of several purposes", write(ada, consent.Analytics, consent.Marketing, consent.Functional), 2, 8},
		// begin, lock, owners, and what they are called; secret, the consent; identifier, event, consent, head, count, commit
		{"by several identifiers", write(several, consent.Analytics), 4, 12},
	} {
		r.mu.Lock()
		r.trips, r.executed = 0, 0
		r.mu.Unlock()
		err := tc.do()
		r.mu.Lock()
		if err != nil || r.trips != tc.trips || r.executed != tc.statements {
			t.Errorf("%s: %d statements in %d round trips, want %d in %d: %v", tc.name, r.executed, r.trips, tc.statements,
				tc.trips, err)
		}
		r.mu.Unlock()
	}
}

// serviceOver gives the core over a store, and somebody who may do everything in an organization that is known to it.
func serviceOver(t *testing.T, s *store.Store) (*service.Service, consent.Actor) {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	svc := service.New(service.Options{Store: s, Keys: sealingtest.Ring(), Places: places,
		Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(svc.Close)
	const rootKey = "root-key-for-tests-0123456789-abcdefgh"
	svc.UseRootKey(rootKey)
	ctx := context.Background()
	root, err := svc.Authenticate(ctx, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := svc.CreateOrganization(ctx, root, consent.NewOrganization{Name: "Test Shop", Slug: "shop"},
		consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := root.In(made.ID)
	if err == nil {
		_, err = svc.Organization(ctx, a)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("the organization that was made: %w", err))
	}
	return svc, a
}
