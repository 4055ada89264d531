package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// TestRowsOfNoOrganization: rows that are written together are joined to their organization, and where that is not
// there, nothing may look written that is not. Red where a transaction of the instance commits before it looks.
func TestRowsOfNoOrganization(t *testing.T) {
	s, e := openPostgres(t)
	ctx := context.Background()
	nobody := consent.ID{9}
	counts := &consent.Changes{Counts: []consent.Count{{Organization: nobody, Name: "a", Add: 1},
		{Organization: nobody, Name: "b", Add: 1}}}
	update := func(of consent.ID) error {
		return s.Update(ctx, of, func(tx service.Tx) error { return tx.Append(ctx, counts) })
	}
	if err := update(consent.NoID); !errors.Is(err, errMissingRows) || errors.Is(err, consent.ErrUnknown) {
		t.Errorf("the instance writes for an organization that is not there: %v", err)
	}
	c := admin(t, e)
	if left := textsOf(t, c, "SELECT name FROM counts"); len(left) > 0 {
		t.Errorf("what was refused left %q", left)
	}
	if err := update(nobody); err != nil { // nothing was locked, so its rows are written one by one
		t.Errorf("a transaction of the organization itself: %v", err)
	}
	if left := textsOf(t, c, "SELECT name FROM counts ORDER BY name"); len(left) != 2 {
		t.Errorf("it wrote %q", left)
	}
}

// TestHeadIsLocked: the head that a transaction asks for first is the row that it locks, as the one before it left it.
// Red where it is read without waiting.
func TestHeadIsLocked(t *testing.T) {
	s, e := openPostgres(t)
	ctx := context.Background()
	o := consent.ID{1}
	makeOrganization(t, s, o)
	read, answered := make(chan struct{}), make(chan error, 1)
	err := s.Update(ctx, o, func(tx service.Tx) error {
		heads, err := tx.Heads(ctx, []consent.ID{o})
		if err != nil || heads[o].Sequence != 0 {
			t.Errorf("the first reads %+v: %v", heads, err)
		}
		go func() {
			answered <- s.Update(ctx, o, func(tx service.Tx) error {
				heads, err := tx.Heads(ctx, []consent.ID{o})
				if err == nil && heads[o].Sequence != 7 {
					t.Errorf("the second reads %+v", heads)
				}
				close(read)
				return err
			})
		}()
		waitForLock(t, e)
		select {
		case <-read:
			t.Error("the second did not wait")
		default:
		}
		return tx.Append(ctx, &consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: 7}}})
	})
	if err := errors.Join(err, <-answered); err != nil {
		t.Error(err)
	}
}

// makeOrganization makes an organization with its ledger.
func makeOrganization(t *testing.T, s *store.Store, o consent.ID) {
	t.Helper()
	err := s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
		return tx.Append(context.Background(), &consent.Changes{Heads: []consent.Head{{Organization: o}},
			Organizations: []consent.Organization{{ID: o, Slug: o.String(), CreatedAt: time.Now(), UpdatedAt: time.Now()}}})
	})
	if err != nil {
		t.Fatal(err)
	}
}
