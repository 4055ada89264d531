package postgres

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/storetest"
)

// connect gives a connection that ends with the test.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// textsOf runs a query whose rows are one text each.
func textsOf(t testing.TB, c *pgx.Conn, query string, args ...any) []string {
	t.Helper()
	rows, err := c.Query(context.Background(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestInitCitusRefusesPlainPostgres: this is what an operator sees who forgot to install Citus or, where the server of
// the tests has it to offer, to create the extension.
func TestInitCitusRefusesPlainPostgres(t *testing.T) {
	url := pgtest.Database(t, "", nil)
	err := InitCitus(context.Background(), Options{URL: url}, func(line string) { t.Errorf("says %q", line) })
	c := connect(t, url)
	var version int
	var offered string
	err2 := c.QueryRow(context.Background(), `SELECT current_setting('server_version_num')::int / 10000,
coalesce(max(default_version), '') FROM pg_available_extensions WHERE name = 'citus'`).Scan(&version, &offered)
	if err2 != nil {
		t.Fatal(err2)
	}
	if want := withoutCitus(offered, version); err == nil || err.Error() != want.Error() {
		t.Errorf("plain PostgreSQL gives %v\nwant %v", err, want)
	}
	if made := textsOf(t, c, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"); len(made) > 0 {
		t.Errorf("what was refused is changed: it has %q", made)
	}
}

// TestInitCitusSaysHowToComeIn: who is not let in reads what to do, as from a server that starts.
func TestInitCitusSaysHowToComeIn(t *testing.T) {
	address := pgtest.Server(t).URL("not_there_at_all")
	err := InitCitus(context.Background(), Options{URL: address}, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "make it: CREATE DATABASE") {
		t.Errorf("a database that is not there: %v", err)
	}
}

// TestExtension asks for one that is there, one that could be, and one that could not. PL/pgSQL comes with each server.
func TestExtension(t *testing.T) {
	c := connect(t, pgtest.Database(t, "", nil))
	want := func(name string, isInstalled, isAvailable bool) {
		installed, available, err := extension(context.Background(), c, name)
		if err != nil || installed != isInstalled || (available != "") != isAvailable {
			t.Errorf("%s: installed %t, available %q, %v", name, installed, available, err)
		}
	}
	want("plpgsql", true, true)
	want("none of that name", false, false)
	if _, err := c.Exec(context.Background(), "DROP EXTENSION plpgsql"); err != nil {
		t.Fatal(err)
	}
	want("plpgsql", false, true)
}

func TestWithoutCitus(t *testing.T) {
	const rest = ", on every node, set shared_preload_libraries = 'citus' in postgresql.conf, restart, and run CREATE " +
		"EXTENSION citus; in the database as a superuser. Without Citus there is nothing to init: consentd serve makes " +
		"the tables by itself"
	for _, tc := range []struct {
		available string
		version   int
		want      string
	}{
		{"13.2-1", 15, "the server has Citus 13.2-1, but this database does not: run CREATE EXTENSION citus; in it as a " +
			"superuser, here and in the database of the same name on every worker, and name the workers with SELECT " +
			"citus_add_node('host', 5432);"},
		{"", 15, "the server has no Citus: install Citus 13.2, the last one for PostgreSQL 15" + rest},
		{"", 17, "the server has no Citus: install Citus 14, which is for PostgreSQL 17" + rest},
		{"", 19, "the server has no Citus: install a Citus for PostgreSQL 19" + rest},
	} {
		if got := withoutCitus(tc.available, tc.version).Error(); got != tc.want {
			t.Errorf("%q on %d:\n%s\nwant\n%s", tc.available, tc.version, got, tc.want)
		}
	}
}

// TestDistribute holds the statements to what was tried on Citus 13.2.2.
func TestDistribute(t *testing.T) {
	var got strings.Builder
	for _, table := range tables {
		fmt.Fprintln(&got, table.distribute())
	}
	const want = `SELECT create_distributed_table('instance_secrets', 'name', colocate_with => 'none', shard_count => 64)
SELECT create_distributed_table('slugs', 'slug', colocate_with => 'none', shard_count => 64)
SELECT create_distributed_table('organizations', 'organization_id', colocate_with => 'none', shard_count => 64)
SELECT create_distributed_table('projects', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('purposes', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('purpose_versions', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('api_keys', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('texts', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('subject_texts', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('subjects', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('subject_archive', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('identifiers', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('identifier_claims', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('subject_merges', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('events', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('ledger_entries', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('consents', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('restrictions', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('suppressions', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('ledger_heads', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('subject_keys', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('ledger_rows', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('ledger_checkpoints', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('ledger_keys', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('ledger_cosignatures', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('counts', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('kept_answers', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('jobs', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('webhooks', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('webhook_deliveries', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('imports', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('import_lines', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('import_errors', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('import_notes', 'organization_id', colocate_with => 'organizations')
SELECT create_distributed_table('store_moves', 'organization_id', colocate_with => 'organizations')
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMisplaced(t *testing.T) {
	tenant, instance := table{"events", byOrganization}, table{"slugs", "slug"}
	root := placement{"h", byOrganization, 7}
	for _, tc := range []struct {
		table       table
		known, root placement
		want        string
	}{
		{tenant, placement{"h", byOrganization, 7}, root, ""},
		{tenant, placement{"h", byOrganization, 8}, root, "but apart from organizations"},
		{tenant, placement{"h", byOrganization, 7}, placement{}, "but apart from organizations"},
		{tenant, placement{"h", "event_id", 7}, root, "but by event_id"},
		{tenant, placement{"n", "", 7}, root, "but not by a column"}, // a reference table, or one that is local
		{instance, placement{"h", "slug", 9}, root, ""},
		{instance, placement{"h", byOrganization, 9}, root, "but by organization_id"},
	} {
		err := tc.table.misplaced(tc.known, tc.root)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s as %+v beside %+v: %v", tc.table.name, tc.known, tc.root, err)
		}
	}
}

// TestDistributionWaitsForServers: what they commit meanwhile could be done by half.
func TestDistributionWaitsForServers(t *testing.T) {
	url := postgresURL(t)
	c := connect(t, url)
	var said []string
	d := &distribution{c, func(line string) { said = append(said, line) }}
	ctx := context.Background()
	if err := d.prepare(ctx, tables); err != nil || len(said) > 0 {
		t.Errorf("an empty database that nobody uses: %v, %q", err, said)
	}
	e, err := Open(ctx, Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(e)
	now := time.Now()
	organization := consent.Organization{ID: consent.ID{1}, Slug: "a", CreatedAt: now, UpdatedAt: now}
	err = s.Update(ctx, consent.NoID, func(tx service.Tx) error {
		return tx.Append(ctx, &consent.Changes{Organizations: []consent.Organization{organization}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.prepare(ctx, tables); err == nil || !strings.Contains(err.Error(), "stop them") {
		t.Errorf("beside a server: %v", err)
	}
	if err := d.prepare(ctx, []table{{"store_moves", byOrganization}}); err != nil {
		t.Errorf("a table that is new: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.prepare(ctx, tables); err != nil {
		t.Errorf("after the server ended: %v", err)
	}
	if want := []string{"rows that are copied to the shards, which takes its time: organizations 1"}; !slices.Equal(said,
		want) {
		t.Errorf("said %q", said)
	}
	// The rows that are left behind are found; what removes them is Citus's.
	for name, rows := range map[string]bool{"organizations": true, "slugs": true, "events": false, "consents": false} {
		if err := d.removeLocal(ctx, table{name: name}); (err != nil) != rows {
			t.Errorf("what is left of %s: %v", name, err)
		}
	}
}

// TestTablesFitTheSchema holds the list against the schema that the migrations make.
func TestTablesFitTheSchema(t *testing.T) {
	c := connect(t, postgresURL(t))
	var listed []string
	for _, table := range tables {
		listed = append(listed, table.name)
	}
	found := textsOf(t, c, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
AND NOT relispartition
AND relkind NOT IN ('i', 'I') AND relname NOT LIKE 'goose\_%'`) // views and sequences too, which are not to be
	slices.Sort(listed)
	slices.Sort(found)
	if diff := cmp.Diff(listed, found); diff != "" {
		t.Errorf("tables (-list +schema):\n%s", diff)
	}
	for _, table := range tables {
		keys := textsOf(t, c, `SELECT CASE WHEN indisprimary THEN 'primary ' ELSE 'unique ' END ||
(SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute a
  WHERE a.attrelid = indrelid AND a.attnum = ANY (indkey[0:indnkeyatts - 1]))
FROM pg_index WHERE indrelid = $1::text::regclass AND indisunique`, table.name)
		primary := func(key string) bool { return strings.HasPrefix(key, "primary ") }
		if !slices.ContainsFunc(keys, primary) {
			t.Errorf("%s has no primary key", table.name)
		}
		for _, key := range keys {
			if !slices.Contains(strings.Fields(key), table.by) {
				t.Errorf("%s is spread by %s, but has a key %s", table.name, table.by, key)
			}
		}
	}
}

// TestForeignKeysFitTheList: they lead from later tables to earlier ones, within an organization.
func TestForeignKeysFitTheList(t *testing.T) {
	c := connect(t, postgresURL(t))
	type key struct{ Name, From, To, Columns, OnDelete string }
	rows, err := c.Query(context.Background(), `SELECT conname::text, conrelid::regclass::text, confrelid::regclass::text,
(SELECT string_agg(f.attname || ' = ' || t.attname, ', ') FROM unnest(conkey, confkey) AS k (f, t)
  JOIN pg_attribute f ON f.attrelid = conrelid AND f.attnum = k.f JOIN pg_attribute t ON t.attrelid = confrelid
AND t.attnum = k.t),
confdeltype::text FROM pg_constraint WHERE contype = 'f' AND conparentid = 0`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) int { return slices.IndexFunc(tables, func(t table) bool { return t.name == name }) }
	for _, k := range keys {
		if at(k.From) <= at(k.To) {
			t.Errorf("%s leads from %s to %s, which is not before it", k.Name, k.From, k.To)
		}
		if !strings.Contains(k.Columns, "organization_id = organization_id") || k.OnDelete == "n" || k.OnDelete == "d" {
			t.Errorf("%s is over %s, on delete %q", k.Name, k.Columns, k.OnDelete)
		}
	}
	if len(keys) == 0 {
		t.Error("no foreign key found")
	}
}

// TestCitusCluster runs where there is a Citus: CONSENTD_TEST_CITUS_URL leads to a database on its coordinator that has
// the extension and its workers. All is in a schema of its own, which is removed in the end.
func TestCitusCluster(t *testing.T) {
	server := os.Getenv("CONSENTD_TEST_CITUS_URL")
	if server == "" {
		t.Log("did not run: CONSENTD_TEST_CITUS_URL is not set")
		return
	}
	url := ownSchema(t, server)
	for _, want := range []string{"distributed by ", "was distributed already"} {
		var said []string
		say := func(line string) { said = append(said, line) }
		if err := InitCitus(context.Background(), Options{URL: url}, say); err != nil {
			t.Fatal(err)
		}
		mustSay(t, said, want, ": JIT ")
	}
	found, err := newEngine(Options{URL: url}).Cluster(context.Background())
	if err != nil || found.Workers == 0 || len(found.Down)+len(found.Local)+len(found.JIT) > 0 {
		t.Errorf("the cluster is %+v, %v", found, err)
	}
	storetest.Run(t, func(t *testing.T) service.Store {
		emptyTables(t, connect(t, url))
		return store.New(open(t, Options{URL: url}))
	})
}

// ownSchema makes a schema for one test, in which the URL that it gives has everything.
func ownSchema(t *testing.T, server string) (url string) {
	t.Helper()
	c := connect(t, server)
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := c.Exec(context.Background(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c := connect(t, server)
		if _, err := c.Exec(context.Background(), "DROP SCHEMA "+name+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	if strings.Contains(server, "?") {
		return server + "&search_path=" + name
	}
	return server + "?search_path=" + name
}

// emptyTables brings a database back to what the migrations made: making one anew means a thousand shards.
func emptyTables(t *testing.T, c *pgx.Conn) {
	t.Helper()
	var names []string
	for _, table := range tables {
		names = append(names, table.name)
	}
	for _, statement := range []string{
		"TRUNCATE " + strings.Join(names, ", "),
		"INSERT INTO instance_secrets (name, value) VALUES ('', '')",
	} {
		if _, err := c.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
