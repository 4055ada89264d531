package service_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/evidence"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webtest"
	"github.com/consentd/consentd/ledger"
)

// holdsBy verifies a bundle by the ledger's key and those of witnesses.
func holdsBy(t testing.TB, a consent.Actor, b *evidence.Bundle, pinned []byte, by ...*observer) bool {
	t.Helper()
	key, err := ledger.VerifierKey(origin(a), sealingtest.SigningKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{key}
	for _, o := range by {
		keys = append(keys, o.address.Key)
	}
	var out bytes.Buffer
	if err := evidence.Write(&out, b); err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(bytes.NewReader(out.Bytes()), int64(out.Len()), evidence.Options{Keys: keys,
		Checkpoint: pinned})
	if err != nil {
		t.Fatal(err)
	}
	return report.Holds()
}

// TestEvidenceIsCosigned: a bundle is under the newest checkpoint that witnesses have cosigned, where that covers all
// that it is to show; else under the newest one, which holds without them.
func TestEvidenceIsCosigned(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	o := newObserver(t, "one.example/w", a)
	w := serveWitnessed(t, h.store, nil, time.Hour, o) // so that only the first one is sent
	made, err := w.Record(t.Context(), a, write(itemsOf(40)...))
	if err != nil {
		t.Fatal(err)
	}
	person := made.Items[0].Subject
	pinned := w.cosigned(t, a, 40, o)
	w.records(t, a, "another", "another")
	w.AwaitCheckpoint(t.Context(), a, 42, 5*time.Second)
	bundle := func(since int64) *evidence.Bundle {
		t.Helper()
		b, err := w.Evidence(t.Context(), a, person, "", since, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := bundle(0)
	if b.Checkpoint != string(pinned) || !holdsBy(t, a, b, pinned, o) {
		t.Errorf("it is under the checkpoint %s", b.Checkpoint)
	}
	if b = bundle(17); b.Checkpoint != string(pinned) || !holdsBy(t, a, b, nil, o) {
		t.Errorf("since 17 it is under the checkpoint %s", b.Checkpoint)
	}
	if b = bundle(41); !strings.Contains(b.Checkpoint, "\n42\n") || !holdsBy(t, a, b, nil) || holdsBy(t, a, b, nil, o) {
		t.Errorf("since what is not cosigned it is under the checkpoint %s", b.Checkpoint)
	}
	w.records(t, a, "user-0")
	if b = bundle(0); !strings.Contains(b.Checkpoint, "\n43\n") || len(b.Decisions) != 2 || !holdsBy(t, a, b, nil) {
		t.Errorf("with what is not cosigned it is under the checkpoint %s", b.Checkpoint)
	}
}

// TestManyServersAreCosigned: servers over one database send in nobody's way: what is kept only grows, the last of it
// covers everything, and no fork is cried.
func TestManyServersAreCosigned(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		t.Parallel()
		var servers []*witnessed
		stores := e.OpenAll(t)
		first := &signing{}
		first.Service = service.New(service.Options{Store: stores[0], Keys: sealingtest.Ring(), Log: slog.New(
			slog.DiscardHandler)})
		t.Cleanup(first.Close)
		first.UseRootKey(rootKey)
		actors := newActors(t, first, 3)
		began := map[consent.ID]int64{} // with what is on record of a new organization
		err := first.ViewForTest(t.Context(), func(r service.Reader) error {
			for _, a := range actors {
				heads, err := r.Heads(t.Context(), []consent.ID{a.Organization})
				if err != nil {
					return err
				}
				began[a.Organization] = heads[a.Organization].Sequence
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		o := newObserver(t, "one.example/w", actors...)
		for _, s := range stores {
			g := serveWitnessed(t, s, nil, oftenEnough, o)
			g.UseRootKey(rootKey)
			servers = append(servers, g)
		}
		const rounds = 15
		var running sync.WaitGroup
		for i, g := range servers {
			for _, a := range actors {
				running.Go(func() {
					before := int64(0)
					for n := range rounds {
						g.records(t, a, fmt.Sprint("user-", i, "-", n))
						_, size, err := g.CosignedCheckpoint(t.Context(), a)
						if err != nil && !consent.IsKind(err, consent.NotFound) || err == nil && size < before {
							t.Errorf("server %d: cosigned %d after %d: %v", i, size, before, err)
						}
						before = size
						time.Sleep(30 * time.Millisecond)
					}
				})
			}
		}
		running.Wait()
		for _, a := range actors {
			servers[0].cosigned(t, a, began[a.Organization]+int64(rounds*len(servers)), o)
		}
		for i, g := range servers {
			if text := g.log.String(); text != "" {
				t.Errorf("server %d: %s", i, text)
			}
		}
	})
}

// awaitLong waits until something holds that comes after pauses.
func awaitLong(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 40*time.Second {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
