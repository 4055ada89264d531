package store

import (
	"context"
	"testing"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/storetest"
)

// TestPostgresContract holds the engine to the contract of a store.
func TestPostgresContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) service.Store { s, _ := openPostgres(t); return s })
}

// postgresURL gives the URL of a fresh database with the schema.
func postgresURL(t testing.TB) string {
	t.Helper()
	return pgtest.Database(t, "consentd_store", func(url string) error {
		s, err := OpenPostgres(context.Background(), PostgresOptions{URL: url})
		if err != nil {
			return err
		}
		return s.Close()
	})
}

// openPostgres opens a fresh database and gives its engine too.
func openPostgres(t testing.TB) (*Store, *postgresEngine) {
	t.Helper()
	s, err := OpenPostgres(context.Background(), PostgresOptions{URL: postgresURL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, s.engine.(*postgresEngine)
}
