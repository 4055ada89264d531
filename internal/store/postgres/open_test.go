package postgres

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/scratchpg"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// newServer starts a server that the test has for itself.
func newServer(t *testing.T, settings map[string]string) *scratchpg.Server {
	t.Helper()
	s, err := scratchpg.Start(scratchpg.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s) })
	return s
}

func closeServer(t *testing.T, s *scratchpg.Server) {
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// on runs statements on a database and gives their rows.
func on(t *testing.T, s *scratchpg.Server, database, sql string) string {
	t.Helper()
	out, err := s.Psql(database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// changed gives a URL with another user or more options.
func changed(t *testing.T, address, user string, options ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		u.User = url.User(user)
	}
	query := u.Query()
	for i := 0; i < len(options); i += 2 {
		query.Set(options[i], options[i+1])
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // pgx takes a plus for a plus
	return u.String()
}

// databaseIn is the name of the database in a URL.
func databaseIn(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// mustRefuse opens a database that must be refused, and holds the reason against some words.
func mustRefuse(t *testing.T, o Options, words ...string) {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err == nil {
		t.Error("it is opened")
		_ = s.Close()
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the reason lacks %q: %v", word, err)
		}
	}
}

const synchronousCommitOff = "synchronous_commit = off"

// TestPostgresWithoutDurabilityIsRefused switches off what makes a commit durable, in every place where that can be
// done.
func TestPostgresWithoutDurabilityIsRefused(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, map[string]string{"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"})
		mustRefuse(t, Options{URL: s.URL("postgres")}, "fsync = off", "set fsync = on in postgresql.conf",
			"full_page_writes = off", "set full_page_writes = on", synchronousCommitOff, "set synchronous_commit = on")
	})
	t.Run("role", func(t *testing.T) {
		address, s := pgtest.Database(t, "", nil), pgtest.Server(t)
		on(t, s, "postgres", "CREATE ROLE careless LOGIN; ALTER ROLE careless SET synchronous_commit = off")
		defer on(t, s, "postgres", "DROP ROLE careless")
		mustRefuse(t, Options{URL: changed(t, address, "careless")}, synchronousCommitOff,
			"ALTER ROLE … RESET synchronous_commit")
	})
	t.Run("database", func(t *testing.T) {
		address := pgtest.Database(t, "", nil)
		on(t, pgtest.Server(t), "postgres", "ALTER DATABASE "+databaseIn(t, address)+" SET synchronous_commit = off")
		mustRefuse(t, Options{URL: address}, synchronousCommitOff, "ALTER DATABASE … RESET synchronous_commit")
	})
	address := pgtest.Database(t, "", nil)
	for name, option := range map[string][]string{"parameter": {"synchronous_commit", "off"},
		"options": {"options", "-c synchronous_commit=off"}} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, Options{URL: changed(t, address, "", option...)}, synchronousCommitOff, "nor the URL sets it")
		})
		t.Run(name+" beside an admin's URL", func(t *testing.T) {
			mustRefuse(t, Options{URL: changed(t, address, "", option...), AdminURL: address}, synchronousCommitOff,
				"nor the URL sets it")
		})
	}
	if tables := on(t, pgtest.Server(t), databaseIn(t, address),
		"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); tables != "0" {
		t.Errorf("a database that was refused has %s tables", tables)
	}
}

// TestPostgresThatDoesNotFitIsRefused opens databases of other encodings, and one of a server that says it is older.
func TestPostgresThatDoesNotFitIsRefused(t *testing.T) {
	s := pgtest.Server(t)
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		name := strings.ToLower("encoded_" + encoding)
		on(t, s, "postgres", "CREATE DATABASE "+name+" ENCODING '"+encoding+
			"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
		defer on(t, s, "postgres", "DROP DATABASE "+name)
		mustRefuse(t, Options{URL: s.URL(name)}, "the encoding "+encoding,
			"CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0")
	}
	address := pgtest.Database(t, "", nil)
	on(t, s, databaseIn(t, address), `CREATE SCHEMA older;
CREATE FUNCTION older.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '140009' $$`)
	mustRefuse(t, Options{URL: changed(t, address, "", "search_path", "older,pg_catalog")}, "PostgreSQL 14", "15 or newer",
		"pg_upgrade")
}

// TestPostgresServersStartAtOnce opens an empty database eight times at once.
func TestPostgresServersStartAtOnce(t *testing.T) {
	address := pgtest.Database(t, "", nil)
	var running sync.WaitGroup
	engines, errs := make([]*Engine, 8), make([]error, 8)
	for i := range engines {
		running.Go(func() {
			engines[i], errs[i] = Open(context.Background(), Options{URL: address, MaxConns: 2})
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	for i, e := range engines {
		if e == nil {
			continue
		}
		s := store.New(e)
		err := s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
			return tx.Append(context.Background(), &consent.Changes{Secrets: []consent.Secret{{Name: string(rune('a' + i)),
				Value: []byte{1}}}})
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Error(err)
		}
	}
	const twice = `SELECT count(*) - count(DISTINCT version_id) FROM goose_db_version UNION ALL SELECT count(*)
FROM instance_secrets WHERE name <> ''`
	if got := on(t, pgtest.Server(t), databaseIn(t, address), twice); got != "0\n8" {
		t.Errorf("migrations that ran twice, and secrets: %q", got)
	}
}

// TestDurabilityIsLost takes durability away from a database that a server uses: nothing is acknowledged any more, and
// readiness says why, until it is given back. Red without the look at new connections.
func TestDurabilityIsLost(t *testing.T) {
	s, e := openPostgres(t)
	ctx := context.Background()
	c := admin(t, e)
	database := c.Config().Database
	change := func(to string) {
		t.Helper()
		for _, statement := range []string{`ALTER DATABASE "` + database + `" ` + to,
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
AND application_name = 'consentd'`} {
			if _, err := c.Exec(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(name string) error {
		return s.Update(ctx, consent.NoID, func(tx service.Tx) error {
			return tx.Append(ctx, &consent.Changes{Secrets: []consent.Secret{{Name: name, Value: []byte{1}}}})
		})
	}
	if err := write("before"); err != nil {
		t.Fatal(err)
	}
	change("SET synchronous_commit = off")
	err := write("during")
	if !consent.IsKind(err, consent.Unavailable) || !strings.Contains(consent.AsError(err).Msg, "synchronous_commit") {
		t.Errorf("a write that would not be durable: %v", err)
	}
	until := time.Now().Add(10 * time.Second)
	for s.Ready() == nil && time.Now().Before(until) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("ready without durability: %v", err)
	}
	change("RESET synchronous_commit")
	for s.Ready() != nil && time.Now().Before(until) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := errors.Join(s.Ready(), write("after")); err != nil {
		t.Errorf("with durability again: %v", err)
	}
}

// TestTwoDatabases gives two URLs that do not lead to the same database.
func TestTwoDatabases(t *testing.T) {
	one, other := postgresURL(t), pgtest.Database(t, "", nil)
	s, err := Open(context.Background(), Options{URL: one, AdminURL: other})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "two different databases") {
		t.Errorf("two databases: %v", err)
	}
	s, err = Open(context.Background(), Options{URL: one, AdminURL: one + "&application_name=admin"})
	if err != nil {
		t.Fatalf("two ways to one database: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRoleForRequestsWithoutRights: a role that may not use the tables would be served as ready, and each request would
// fail. It is refused at the start and by the doctor, and taken once it has what the reason names.
func TestRoleForRequestsWithoutRights(t *testing.T) {
	address, s := postgresURL(t), pgtest.Server(t)
	on(t, s, "postgres", "CREATE ROLE clerk_of_requests LOGIN")
	t.Cleanup(func() {
		on(t, s, databaseIn(t, address), "DROP OWNED BY clerk_of_requests; DROP ROLE clerk_of_requests")
	})
	o := Options{URL: changed(t, address, "clerk_of_requests"), AdminURL: address}
	mustRefuse(t, o, "clerk_of_requests", "organizations", "ledger_heads", "GRANT SELECT, INSERT, UPDATE, DELETE")
	if e, err := Inspect(context.Background(), o); err == nil || !strings.Contains(err.Error(), "GRANT SELECT, INSERT") {
		t.Errorf("the doctor finds %v", err)
		if err == nil {
			_ = e.Close()
		}
	}
	grant := func(on string) string {
		return "GRANT SELECT, INSERT, UPDATE, DELETE ON " + on + " TO clerk_of_requests"
	}
	exec(t, address, grant("ALL TABLES IN SCHEMA public"))
	exec(t, address, "REVOKE INSERT ON events FROM clerk_of_requests")
	mustRefuse(t, o, grant("events"))
	exec(t, address, grant("events"))
	if err := store.New(open(t, o)).Update(context.Background(), consent.NoID, oneText); err != nil {
		t.Errorf("with all rights: %v", err)
	}
}
