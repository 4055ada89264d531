package service_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// harness is the whole core over a real database, with a clock that a test sets.
type harness struct {
	svc    *service.Service
	store  service.Store
	folder string
	root   consent.Actor
	clock  clock
	slugs  int
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) set(at time.Time) { c.mu.Lock(); defer c.mu.Unlock(); c.at = at }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

const rootKey = "root-key-for-tests-0123456789-abcdefgh"

func newHarness(t testing.TB) *harness {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{folder: t.TempDir(), clock: clock{at: noon}}
	e, err := sqlite.Open(context.Background(), h.folder, sqlite.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := store.CachePersons(store.New(e), e)
	h.store = s
	h.svc = service.New(service.Options{Store: s, Keys: sealingtest.Ring(), Places: places, Clock: h.clock.now,
		Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		h.svc.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h.svc.UseRootKey(rootKey)
	if h.root, err = h.svc.Authenticate(context.Background(), rootKey); err != nil {
		t.Fatal(err)
	}
	return h
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// organization makes an organization and gives the actor who may do everything there.
func (h *harness) organization(t tester) consent.Actor {
	t.Helper()
	h.slugs++
	view, err := h.svc.CreateOrganization(context.Background(), h.root,
		consent.NewOrganization{Name: "Test Shop", Slug: fmt.Sprintf("shop-%d", h.slugs)}, consent.Idempotency{})
	if err != nil {
		t.Fatalf("create organization: %v", err)
	}
	a, err := h.root.In(view.ID)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return a
}

// bare is organization with a ledger that has no entries yet, for tests in which places in the ledger matter.
func (h *harness) bare(t tester) consent.Actor {
	t.Helper()
	h.slugs++
	random := [10]byte{byte(h.slugs), byte(h.slugs >> 8), 0xba}
	o := consent.Organization{ID: consent.NewID(noon, random), Name: "Test Shop", Slug: fmt.Sprintf("shop-%d", h.slugs),
		Status: "active", CreatedAt: noon, UpdatedAt: noon, Details: []byte("{}")}
	random[2]++
	changes := consent.Changes{Organizations: []consent.Organization{o}, Heads: []consent.Head{{Organization: o.ID}},
		Projects: []consent.Project{{Organization: o.ID, ID: consent.NewID(noon, random), Number: 1, Name: "Main",
			Slug: "main", CreatedAt: noon, UpdatedAt: noon, Details: []byte("{}")}}}
	catalog := &consent.Catalog{Organization: o}
	for i, p := range consent.BuiltInPurposes() {
		random[3] = byte(i)
		catalog = catalog.With(catalog.NewPurpose(1, consent.NewID(noon, random), noon, p))
	}
	changes.Purposes = catalog.Purposes
	err := h.store.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
		return tx.Append(context.Background(), &changes)
	})
	if err != nil {
		t.Fatalf("make an organization: %v", err)
	}
	a, err := h.root.In(o.ID)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return a
}

// key makes a key of an organization and authenticates with it.
func (h *harness) key(t tester, a consent.Actor, scopes ...consent.Scope) (consent.Actor, consent.CreatedKey) {
	t.Helper()
	if len(scopes) == 0 {
		scopes = slices.Clone(consent.AllScopes)
	}
	made, err := h.svc.CreateKey(context.Background(), a, consent.NewKey{Name: "key", Scopes: scopes},
		consent.Idempotency{})
	if err != nil {
		t.Fatalf("create key: %v", err)
	}
	return h.authenticate(t, made.Text), made
}

func (h *harness) authenticate(t tester, text string) consent.Actor {
	t.Helper()
	a, err := h.svc.Authenticate(context.Background(), text)
	if err != nil {
		t.Fatalf("authenticate: %v", err)
	}
	return a
}

func (h *harness) record(t tester, a consent.Actor, items ...consent.Item) *consent.Recorded {
	t.Helper()
	r, err := h.svc.Record(context.Background(), a, write(items...))
	if err != nil {
		t.Fatalf("record: %v", err)
	}
	return r
}

func write(items ...consent.Item) consent.Write {
	return consent.Write{Items: items, Origin: consent.Origin{Protocol: "test"}}
}

// item is one person's decisions, by default an acceptance of analytics.
func item(given []consent.Identifier, decisions ...consent.Decision) consent.Item {
	if len(decisions) == 0 {
		decisions = []consent.Decision{decided(consent.Analytics, consent.Accepted)}
	}
	return consent.Item{Identifiers: given, Decisions: decisions}
}

// itemsOf are an acceptance each of so many people.
func itemsOf(people int) []consent.Item {
	items := make([]consent.Item, people)
	for i := range items {
		items[i] = item(user(fmt.Sprint("user-", i)))
	}
	return items
}

func decided(purpose string, state consent.State) consent.Decision {
	return consent.Decision{Purpose: consent.PurposeRef{Key: purpose}, State: state, Action: consent.UserClick}
}

func replace(given []consent.Identifier, granted ...string) consent.Item {
	return consent.Item{Identifiers: given, Replace: &consent.Replacement{Among: among, Granted: granted,
		Action: consent.UserClick}}
}

// among are the purposes that overwrites in these tests speak of.
var among = []string{consent.StrictlyNecessary, consent.Analytics, consent.Marketing, consent.Retargeting,
	consent.Tracking}

func named(kind consent.IdentifierKind, value string) []consent.Identifier {
	return []consent.Identifier{{Kind: kind, Value: value}}
}

func user(name string) []consent.Identifier { return named(consent.UserID, name) }

func (h *harness) person(t tester, a consent.Actor, id consent.Identifier) *consent.Person {
	t.Helper()
	p, err := h.svc.Person(context.Background(), a, consent.PersonQuery{Identifier: id})
	if err != nil {
		t.Fatalf("person: %v", err)
	}
	return p
}

func (h *harness) events(t tester, a consent.Actor, people ...consent.Identifier) []consent.EventView {
	t.Helper()
	page, err := h.svc.Events(context.Background(), a, consent.EventFilter{People: people, Ascending: true,
		Limit: 100_000})
	if err != nil {
		t.Fatalf("events: %v", err)
	}
	if page.Total != int64(len(page.Items)) {
		t.Fatalf("the total is %d, the list has %d", page.Total, len(page.Items))
	}
	return page.Items
}

func (h *harness) view(t tester, read func(r service.Reader) error) {
	t.Helper()
	if err := h.svc.ViewForTest(context.Background(), read); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// isKind checks an error's kind and the field that it names.
func isKind(t tester, what string, err error, kind consent.Kind, field string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	if e := consent.AsError(err); e.Kind != kind || e.Field != field {
		t.Errorf("%s: kind %d in field %q (%v), want kind %d in %q", what, e.Kind, e.Field, err, kind, field)
	}
}
