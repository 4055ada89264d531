package postgres

import (
	"context"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// postgresURL gives the URL of a fresh database with the schema.
func postgresURL(t testing.TB) string {
	t.Helper()
	return pgtest.Database(t, "consentd_store", func(url string) error {
		e, err := Open(context.Background(), Options{URL: url})
		if err != nil {
			return err
		}
		return e.Close()
	})
}

// openPostgres opens a fresh database and gives its engine too.
func openPostgres(t testing.TB) (*store.Store, *Engine) {
	t.Helper()
	e := open(t, Options{URL: postgresURL(t)})
	return store.New(e), e
}

// open opens a database until the test ends.
func open(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// oneText writes something.
func oneText(tx service.Tx) error {
	text := consent.Text{Hash: []byte("a"), Text: "a"}
	return tx.Append(context.Background(), &consent.Changes{Texts: []consent.Text{text}})
}
