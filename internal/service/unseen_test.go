package service_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// gate is a store whose transactions wait while it is shut.
type gate struct {
	service.Store
	shut    sync.RWMutex
	updates atomic.Int32
}

func (g *gate) Update(ctx context.Context, organization consent.ID, write func(service.Tx) error) error {
	g.updates.Add(1)
	g.shut.RLock()
	defer g.shut.RUnlock()
	return g.Store.Update(ctx, organization, write)
}

// unseen is a service whose key file may be lost.
type unseen struct {
	*harness
	gate gate
	gone atomic.Bool
}

func newUnseen(t *testing.T) *unseen {
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	u := &unseen{harness: newHarness(t)}
	u.svc.Close()
	u.gate.Store = u.store
	u.svc = service.New(service.Options{Store: &u.gate, Keys: sealingtest.Ring(), Places: places, Clock: u.clock.now,
		Log: slog.New(slog.DiscardHandler), ReloadKeys: func(bool) (*sealing.Ring, bool, error) {
			if u.gone.Load() {
				return nil, false, errors.New("no such file")
			}
			return sealingtest.Ring(), false, nil
		}})
	return u
}

// together records each item by a write of its own, all at once, which share a transaction if they can: how many
// transactions there were, and what became of each.
func (u *unseen) together(a consent.Actor, first consent.Item, items ...consent.Item) (updates int, errs []error) {
	errs = make([]error, len(items))
	var all sync.WaitGroup
	record := func(item consent.Item) error {
		_, err := u.svc.Record(context.Background(), a, write(item))
		return err
	}
	u.gate.updates.Store(0)
	u.gate.shut.Lock()
	all.Go(func() { _ = record(first) })
	for u.gate.updates.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for i, item := range items {
		all.Go(func() { errs[i] = record(item) })
	}
	time.Sleep(50 * time.Millisecond) // they gather behind the first
	u.gate.shut.Unlock()
	all.Wait()
	return int(u.gate.updates.Load()), errs
}

// TestUnseenKeyFileRefusesWhoIsNew: while the key file is out of sight, writes that need a new secret are refused, and
// those that shared their transaction are done, by one more.
func TestUnseenKeyFileRefusesWhoIsNew(t *testing.T) {
	t.Parallel()
	u := newUnseen(t)
	a := u.organization(t)
	ada, bob := user("ada"), user("bob")
	u.record(t, a, item(ada), item(bob))
	quiet, err := u.svc.SaveSubject(t.Context(), a, consent.SaveSubject{Type: "user", Name: "quiet"})
	if err != nil {
		t.Fatal(err)
	}
	u.gone.Store(true)
	u.svc.LoseKeysForTest()
	yes, no := decided(consent.Marketing, consent.Accepted), decided(consent.Analytics, consent.Declined)
	updates := 0
	for try := 0; updates != 3; try++ { // the first, all others, and those of them who are known
		if try == 50 {
			t.Fatalf("the writes never share a transaction: %d", updates)
		}
		var errs []error
		updates, errs = u.together(a, item(bob), item(ada, yes), item(user("new")), item(user("quiet")), item(bob, no),
			item(user("other"), yes))
		for i, refused := range []bool{false, true, false, false, true} {
			if err := errs[i]; refused != consent.IsKind(err, consent.Unavailable) || !refused && err != nil {
				t.Fatalf("write %d of a batch of %d transactions: %v", i, updates, err)
			}
		}
	}
	if got := u.person(t, a, bob[0]).Consents[consent.Analytics]; got.State != consent.Declined {
		t.Errorf("bob has %+v", got)
	}
	for _, nobody := range []string{"new", "other"} {
		if _, err := u.svc.LookUpSubject(t.Context(), a, consent.NoID, user(nobody)); !consent.IsKind(err, consent.NotFound) {
			t.Errorf("%s was put on record: %v", nobody, err)
		}
	}
	// Whose identifier was sealed has a secret already.
	if got := u.events(t, a, user("quiet")...); len(got) == 0 {
		t.Errorf("%s has %d events", quiet.ID, len(got))
	}
	if err := u.svc.Ready(); err == nil || !strings.Contains(err.Error(), "the key file could not be read") {
		t.Errorf("ready: %v", err)
	}
	u.gone.Store(false)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := u.svc.Record(t.Context(), a, write(item(user("new")), item(user("quiet"))))
		if err == nil && u.svc.Ready() == nil {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the file is back, and yet %v, %v", err, u.svc.Ready())
		}
	}
}
