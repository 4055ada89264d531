package service_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webtest"
	"github.com/consentd/consentd/ledger"
)

// TestManySigners: servers that write and sign at once over one database get in nobody's way: each checkpoint that
// anybody sees goes on from the one before, the last covers everything, and none was refused.
func TestManySigners(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		t.Parallel()
		places, err := geo.New(geo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var servers []*signing
		for _, s := range e.OpenAll(t) {
			g := &signing{}
			g.Service = service.New(service.Options{Store: s, Keys: sealingtest.Ring(), LedgerName: ledgerName,
				SigningKey: sealingtest.SigningKey(), Places: places, Checkpointed: g.outcomes.add,
				Log: slog.New(slog.NewTextHandler(&g.log, nil))})
			t.Cleanup(g.Close)
			g.UseRootKey(rootKey)
			servers = append(servers, g)
		}
		const organizations, rounds = 2, 40
		actors := newActors(t, servers[0], organizations)
		var running sync.WaitGroup
		for i, g := range servers {
			for _, a := range actors {
				running.Go(func() { g.writeAndLook(t, a, i, rounds) })
			}
		}
		running.Wait()
		for _, a := range actors {
			servers[0].checkpoint(t, a, startsWith+int64(rounds*len(servers)))
		}
		for i, g := range servers {
			if text := g.log.String(); text != "" || g.outcomes.refused.Load()+g.outcomes.failed.Load() > 0 {
				t.Errorf("server %d: %s", i, text)
			}
		}
	})
}

func newActors(t *testing.T, g *signing, n int) (actors []consent.Actor) {
	t.Helper()
	root, err := g.Authenticate(context.Background(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		made, err := g.CreateOrganization(context.Background(), root,
			consent.NewOrganization{Name: "Shop", Slug: fmt.Sprint("shop-", i)}, consent.Idempotency{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := root.In(made.ID)
		if err != nil {
			t.Fatal(err)
		}
		actors = append(actors, a)
	}
	return actors
}

// writeAndLook writes, now and then waits for the checkpoint, and holds each against the one before.
func (g *signing) writeAndLook(t *testing.T, a consent.Actor, server, rounds int) {
	ctx := context.Background()
	before := &ledger.Checkpoint{Origin: origin(a), Root: (&ledger.Tree{}).Root()}
	for i := range rounds {
		made, err := g.Record(ctx, a, write(item(user(fmt.Sprint("user-", server, "-", i%5)))))
		if err != nil {
			t.Errorf("server %d: %v", server, err)
			return
		}
		if i%8 != 0 {
			continue
		}
		e := made.Items[0].Events[0]
		if !g.AwaitCheckpoint(ctx, a, e.Sequence, 5*time.Second) {
			t.Errorf("server %d: no checkpoint covers entry %d", server, e.Sequence)
			return
		}
		p, err := g.LedgerProof(ctx, a, e.ID, 0)
		if err == nil {
			err = p.Verify(origin(a), verifiers(t, a))
		}
		if err != nil {
			t.Errorf("server %d: entry %d: %v", server, e.Sequence, err)
			return
		}
		now, _, err := ledger.Open(p.Checkpoint, origin(a), verifiers(t, a))
		if err != nil {
			t.Error(err)
			return
		}
		grown, err := g.Consistency(ctx, a, before.Size, now.Size)
		if err == nil {
			err = grown.Verify(before, now)
		}
		if err != nil {
			t.Errorf("server %d: %d entries after %d: %v", server, now.Size, before.Size, err)
		}
		before = now
	}
}

// brokenStore is a real store that fails on demand, in the place of its disk.
type brokenStore struct {
	service.Store
	views, updates, panics atomic.Bool
	broke                  atomic.Int64
}

var errBroken = errors.New("the disk is broken")

func (s *brokenStore) View(ctx context.Context, read func(service.Reader) error) error {
	if s.views.Load() {
		s.broke.Add(1)
		return errBroken
	}
	return s.Store.View(ctx, read)
}

func (s *brokenStore) Update(ctx context.Context, o consent.ID, write func(service.Tx) error) error {
	switch {
	case s.panics.Load():
		s.broke.Add(1)
		return s.Store.Update(ctx, o, func(service.Tx) error { panic("the disk is gone") })
	case s.updates.Load():
		s.broke.Add(1)
		return errBroken
	}
	return s.Store.Update(ctx, o, write)
}

// TestSignerOutlivesFaults: where the store fails, or panics, nothing is signed; the log and the metric tell, and when
// the store is well again it is signed without a further write.
func TestSignerOutlivesFaults(t *testing.T) {
	for what, fault := range map[string]func(*brokenStore) *atomic.Bool{
		"reads":  func(s *brokenStore) *atomic.Bool { return &s.views },
		"writes": func(s *brokenStore) *atomic.Bool { return &s.updates },
		"panics": func(s *brokenStore) *atomic.Bool { return &s.panics },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			a := h.bare(t)
			s := &brokenStore{Store: h.store}
			g := h.signing(t, s)
			h.people(t, a, 0, 1)
			g.AwaitCheckpoint(context.Background(), a, 1, 5*time.Second)
			h.people(t, a, 1, 1)
			fault(s).Store(true)
			g.AwaitCheckpoint(context.Background(), a, 2, 100*time.Millisecond)
			await(t, "a failure", func() bool { return s.broke.Load() > 0 && g.outcomes.failed.Load() > 0 })
			if !strings.Contains(g.log.String(), a.Organization.String()) {
				t.Errorf("the log does not tell: %s", g.log.String())
			}
			fault(s).Store(false)
			g.checkpoint(t, a, 2)
			if g.outcomes.refused.Load() > 0 {
				t.Errorf("a fault of the store was taken for damage: %s", g.log.String())
			}
		})
	}
}
