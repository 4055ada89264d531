package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/migrations"
)

// TestMigrationsKeepData takes a database back to each earlier schema since the second, fills it, and opens it as a
// server does: the schema is that of a new database again, and the data is there.
func TestMigrationsKeepData(t *testing.T) {
	ctx := context.Background()
	newest, err := migrations.Newest()
	if err != nil {
		t.Fatal(err)
	}
	for version := newest - 1; version >= 2; version-- {
		url := postgresURL(t)
		c := connect(t, url)
		const indexes = `SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`
		want := textsOf(t, c, indexes)
		db := stdlib.OpenDB(*c.Config())
		provider, err := migrations.Provider(goose.DialectPostgres, db)
		if err == nil {
			_, err = provider.DownTo(ctx, version)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		fillShard(t, c, largeOrganization, 100)
		s := store.New(open(t, Options{URL: url}))
		if diff := cmp.Diff(want, textsOf(t, c, indexes)); diff != "" {
			t.Errorf("indexes after the schema of version %d (-new +migrated):\n%s", version, diff)
		}
		all := shardPeople(t, c, largeOrganization, 100)
		err = s.View(ctx, func(r service.Reader) error { return errors.Join(all.readSets(ctx, r), all.readOnes(ctx, r)) })
		if err != nil {
			t.Errorf("after the schema of version %d: %v", version, err)
		}
	}
}
