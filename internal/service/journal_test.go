package service_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webtest"
)

func newJournal(t testing.TB) *journal.File {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "erasures"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// lines are what is in a journal.
func lines(t testing.TB, j *journal.File) (all []consent.ErasedSubject) {
	t.Helper()
	if err := j.Read(func(e consent.ErasedSubject) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// journaled is another service over a store, which keeps a journal.
func journaled(t testing.TB, s service.Store, j service.Journal, now func() time.Time) *service.Service {
	t.Helper()
	return journaledTo(t, s, j, now, slog.New(slog.DiscardHandler))
}

func journaledTo(t testing.TB, s service.Store, j service.Journal, now func() time.Time,
	log *slog.Logger) *service.Service {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	svc := service.New(service.Options{Store: s, Keys: sealingtest.Ring(), Places: places, Clock: now, Journal: j,
		Log: log})
	t.Cleanup(svc.Close)
	svc.UseRootKey(rootKey)
	return svc
}

func forgetAgain(t testing.TB, s *service.Service, want int) {
	t.Helper()
	if n, err := s.ForgetAgain(context.Background(), nil); err != nil || n != want {
		t.Errorf("%d people were erased again, want %d: %v", n, want, err)
	}
}

func line(a consent.Actor, subject consent.ID, at time.Time, suppress bool) consent.ErasedSubject {
	return consent.ErasedSubject{SubjectKey: consent.SubjectKey{Organization: a.Organization, Subject: subject},
		Erasure: consent.Erasure{At: at, Suppress: suppress}}
}

// TestForgetAgain: whom the journal names is erased in a store that does not know of it, as it was then; who is not
// there, or was erased, is passed over.
func TestForgetAgain(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, other := h.organization(t), h.organization(t)
	r := h.record(t, a, item(user("ada")), item(user("bob")),
		item([]consent.Identifier{email("cem@example.org")}), item(user("dan")), item(user("eve")))
	h.record(t, other, item(user("ada")))
	id := func(i int) consent.ID { return r.Items[i].Subject }
	h.merge(t, a, id(1), id(2)) // cem turned out to be bob
	h.erase(t, a, id(3))
	then := noon.AddDate(0, -1, 0) // long before the newest erasure of the store, as where a journal was put back late
	j := newJournal(t)
	var unknown []consent.ErasedSubject
	for range 2500 { // more than are looked at in one step
		unknown = append(unknown, line(a, uuid.New(), then, false))
	}
	written := append(unknown, line(a, id(2), then.Add(time.Minute), false), line(a, id(0), then, true),
		line(a, id(0), then, true), line(a, id(3), noon, false),
		line(consent.Actor{Organization: uuid.New()}, id(4), then, false))
	if err := j.Add(written); err != nil {
		t.Fatal(err)
	}
	forgetAgain(t, journaled(t, h.store, j, h.clock.now), 2)
	for i, want := range []time.Time{0: then, 1: then.Add(time.Minute), 2: then.Add(time.Minute), 3: noon, 4: {}} {
		_, err := h.svc.SubjectByID(ctx, a, id(i))
		var e *consent.Error
		if want.IsZero() && err != nil || !want.IsZero() && (!errors.As(err, &e) || !e.ErasedAt.Equal(want)) {
			t.Errorf("person %d, erased at %s: %v", i, want, err)
		}
	}
	if got := h.reason(t, a, time.Time{}, user("ada")[0]); got != consent.ReasonSuppressed {
		t.Errorf("who was suppressed: %s", got)
	}
	if _, yes := h.granted(t, a, user("eve")...); !yes {
		t.Error("who is not in the journal is gone")
	}
	if _, yes := h.granted(t, other, user("ada")...); !yes {
		t.Error("another organization's person is gone")
	}
	if n := len(lines(t, j)); n != len(written) {
		t.Errorf("the journal has %d lines, want %d", n, len(written))
	}
	forgetAgain(t, journaled(t, h.store, j, h.clock.now), 0)
}

// TestForgetAgainGoesOn: a server that ended while it erased people again goes on with the others at its next start,
// also where they were erased long before those that it had come to, by the order of the file.
func TestForgetAgainGoesOn(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	j := newJournal(t)
	var ids []consent.ID
	for i := range 10 {
		ids = append(ids, h.record(t, a, item(userID(i))).Items[0].Subject)
		at := noon.AddDate(0, -i, 0) // months apart, the last one first
		if err := j.Add([]consent.ErasedSubject{line(a, ids[i], at, false)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n, err := journaled(t, h.store, j, h.clock.now).ForgetAgain(ctx, func(done, of int) {
		if of != 10 {
			t.Errorf("%d are to be erased again", of)
		}
		if done == 4 {
			cancel()
		}
	})
	if n != 4 || !errors.Is(err, context.Canceled) {
		t.Fatalf("%d, %v", n, err)
	}
	forgetAgain(t, journaled(t, h.store, j, h.clock.now), 6)
	for i, id := range ids {
		if _, err := h.svc.SubjectByID(context.Background(), a, id); !consent.IsKind(err, consent.Gone) {
			t.Errorf("person %d: %v", i, err)
		}
	}
}

// TestErasuresAreJournaledFirst: an erasure that cannot be kept is refused and does nothing; who was merged into the
// person is kept too.
func TestErasuresAreJournaledFirst(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	r := h.record(t, a, item(user("ada")), item([]consent.Identifier{email("ada@example.org")}))
	ada, bob := r.Items[0].Subject, r.Items[1].Subject
	h.merge(t, a, ada, bob)
	j := newJournal(t)
	var log logtest.Buffer
	svc := journaledTo(t, h.store, j, h.clock.now, slog.New(slog.NewTextHandler(&log, nil)))
	forgetAgain(t, svc, 0)
	if err := os.Rename(j.Path(), j.Path()+".away"); err != nil {
		t.Fatal(err)
	}
	in := consent.EraseSubject{Subject: ada, Suppress: true}
	if _, err := svc.EraseSubject(ctx, a, in); !consent.IsKind(err, consent.Unavailable) {
		t.Errorf("without its journal: %v", err)
	}
	if text := log.String(); !strings.Contains(text, "moved or removed") || !strings.Contains(text, "level=ERROR") {
		t.Errorf("the log says: %s", text)
	}
	if _, yes := h.granted(t, a, user("ada")...); !yes {
		t.Error("an erasure that was refused has erased")
	}
	if err := os.Rename(j.Path()+".away", j.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.EraseSubject(ctx, a, in); err != nil {
		t.Fatal(err)
	}
	want := []consent.ErasedSubject{line(a, ada, noon, true), line(a, bob, noon, true)}
	if diff := cmp.Diff(want, lines(t, j)); diff != "" {
		t.Errorf("the journal (-want +got):\n%s", diff)
	}
	if err := svc.KeepErasures(ctx); err != nil || len(lines(t, j)) != 2 {
		t.Errorf("what was kept already: %v, %v", lines(t, j), err)
	}
}

// TestJournalsOfManyServers: each server's journal has what any of them erased, also one that is new.
func TestJournalsOfManyServers(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		t.Parallel()
		ctx := context.Background()
		stores := e.OpenAll(t)
		var servers []*service.Service
		var journals []*journal.File
		for _, s := range stores {
			j := newJournal(t)
			svc := journaled(t, s, j, nil)
			forgetAgain(t, svc, 0)
			servers, journals = append(servers, svc), append(journals, j)
		}
		h := &harness{store: stores[0], svc: servers[0]}
		var err error
		if h.root, err = h.svc.Authenticate(ctx, rootKey); err != nil {
			t.Fatal(err)
		}
		a := h.organization(t)
		const each = 3
		for i, svc := range servers {
			for n := range each {
				id := h.record(t, a, item(userID(i*each+n))).Items[0].Subject
				if _, err := svc.EraseSubject(ctx, a, consent.EraseSubject{Subject: id, Suppress: n == 0}); err != nil {
					t.Fatal(err)
				}
			}
		}
		fresh := newJournal(t)
		forgetAgain(t, journaled(t, stores[0], fresh, nil), 0)
		for i, svc := range servers {
			for range 2 {
				if err := svc.KeepErasures(ctx); err != nil {
					t.Error(err)
				}
			}
			own := map[consent.SubjectKey]consent.ErasedSubject{}
			for _, e := range lines(t, journals[i]) {
				own[e.SubjectKey] = e
			}
			if all := lines(t, journals[i]); len(all) != each*len(servers) || len(own) != len(all) {
				t.Errorf("server %d has %d lines of %d people", i, len(all), len(own))
			}
			for _, e := range lines(t, fresh) {
				if own[e.SubjectKey] != e {
					t.Errorf("server %d has %v, and the new journal %v", i, own[e.SubjectKey], e)
				}
			}
		}
	})
}
