package webtest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// Engine is one of the engines that a store may run on.
type Engine struct {
	Name   string
	Shared bool // several servers may use one database
	// fresh makes a database that ends with the test, and gives what opens it.
	fresh func(t testing.TB) (open func() (service.Store, error))
}

// Engines are those on which everything must be the same: SQLite, PostgreSQL, and Citus where there is one.
func Engines() []Engine {
	engines := []Engine{{"sqlite", false, freshSQLite}, {"postgres", true, freshPostgres}}
	if CitusURL() != "" {
		engines = append(engines, Engine{"citus", true, freshCitus})
	}
	return engines
}

// OnEngines runs a test on each engine, as a subtest of the engine's name.
func OnEngines(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, e := range Engines() {
		t.Run(e.Name, func(t *testing.T) { test(t, e) })
	}
}

// Open opens a store over a fresh database; both end with the test.
func (e Engine) Open(t testing.TB) service.Store {
	t.Helper()
	return e.open(t, 1)[0]
}

// OpenAll opens stores over one fresh database for three servers, or for one where no more may share it.
func (e Engine) OpenAll(t testing.TB) []service.Store {
	t.Helper()
	if !e.Shared {
		return e.open(t, 1)
	}
	return e.open(t, 3)
}

func (e Engine) open(t testing.TB, servers int) []service.Store {
	t.Helper()
	open := e.fresh(t)
	stores := make([]service.Store, servers)
	for i := range stores {
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		stores[i] = s
	}
	return stores
}

func freshSQLite(t testing.TB) func() (service.Store, error) {
	dir := t.TempDir()
	return func() (service.Store, error) {
		e, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
		if err != nil {
			return nil, err
		}
		return store.CachePersons(store.New(e), e), nil
	}
}

// freshPostgres has the schema made once a process; every database is a copy.
func freshPostgres(t testing.TB) func() (service.Store, error) {
	t.Helper()
	return opener(pgtest.Database(t, "consentd", func(url string) error {
		s, err := opener(url)()
		if err != nil {
			return err
		}
		return s.Close()
	}))
}

func opener(url string) func() (service.Store, error) {
	return func() (service.Store, error) {
		e, err := postgres.Open(context.Background(), postgres.Options{URL: url, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		return store.BatchPersons(store.New(e)), nil
	}
}
