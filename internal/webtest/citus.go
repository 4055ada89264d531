package webtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/postgres"
)

// CitusURL leads to a database on the coordinator of a Citus cluster, with the extension and the workers; "": there is
// none. Run the tests with -p 1 there: tables cannot be distributed while servers are connected, and what other
// packages write meanwhile would be taken for a test's own, see onePhase.
func CitusURL() string { return os.Getenv("CONSENTD_TEST_CITUS_URL") }

// TellOfCitus says where the tests of a package do not run on Citus too.
func TellOfCitus(t *testing.T) {
	t.Helper()
	if CitusURL() == "" {
		t.Log("did not run on Citus: CONSENTD_TEST_CITUS_URL is not set")
	}
}

// CitusDatabase gives the URL of what is an empty database for one test: a schema of the tested package's on the Citus
// server, which outlives the tests, since making its shards takes long. One test at a time has it.
func CitusDatabase(t testing.TB) (url string) {
	t.Helper()
	schema := "consentd_" + strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	url = within(CitusURL(), schema)
	distributed.once.Do(func() { distributed.err = distribute(schema, url) })
	if distributed.err != nil {
		t.Fatalf("make schema %s on Citus: %v", schema, distributed.err)
	}
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(ctx) }) // lets the next one in
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", schema); err != nil {
		t.Fatal(err)
	}
	if err := empty(ctx, c); err != nil {
		t.Fatalf("empty schema %s: %v", schema, err)
	}
	return url
}

// freshCitus gives stores that fail the test where a write of an organization is not committed in one phase.
func freshCitus(t testing.TB) func() (service.Store, error) {
	t.Helper()
	url := CitusDatabase(t)
	open := opener(url)
	return func() (service.Store, error) {
		s, err := open()
		if err != nil {
			return nil, err
		}
		return newOnePhase(t, s, url, func(fault string) { t.Error(fault) }), nil
	}
}

var distributed struct {
	once sync.Once
	err  error
}

// distribute makes the schema with its tables, or brings that of an earlier run up to date.
func distribute(schema, url string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, CitusURL())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return err
	}
	return postgres.InitCitus(ctx, postgres.Options{URL: url}, func(string) {})
}

// within is a URL whose tables are those of a schema.
func within(url, schema string) string {
	if strings.Contains(url, "?") {
		return url + "&search_path=" + schema
	}
	return url + "?search_path=" + schema
}

// empty brings all tables back to what the migrations made.
func empty(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT LIKE 'goose%'`)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"TRUNCATE " + strings.Join(tables, ", "),
		"INSERT INTO instance_secrets (name, value) VALUES ('', '')",
	} {
		if _, err := c.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
