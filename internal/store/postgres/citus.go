package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Citus spreads each table over shards by one column. Those of tenants share their places, so that all an organization
// has is on one node; what is looked up without an organization is spread on its own.

// table is one of those that the migrations make.
type table struct {
	name string
	by   string // the column by which it is spread; every key has it
}

// tables are all of them, parents first.
var tables = []table{
	{"instance_secrets", "name"}, {"slugs", "slug"}, {tenantsRoot, byOrganization}, {"projects", byOrganization},
	{"purposes", byOrganization}, {"purpose_versions", byOrganization}, {"api_keys", byOrganization},
	{"texts", byOrganization}, {"subject_texts", byOrganization}, {"subjects", byOrganization},
	{"subject_archive", byOrganization}, {"identifiers", byOrganization}, {"identifier_claims", byOrganization},
	{"subject_merges", byOrganization}, {"events", byOrganization}, {"ledger_entries", byOrganization},
	{"consents", byOrganization}, {"restrictions", byOrganization},
	{"suppressions", byOrganization},
	{"ledger_heads", byOrganization}, {"subject_keys", byOrganization}, {"ledger_rows", byOrganization},
	{"ledger_checkpoints", byOrganization}, {"ledger_keys", byOrganization},
	{"ledger_cosignatures", byOrganization},
	{"counts", byOrganization}, {"kept_answers", byOrganization}, {"jobs", byOrganization},
	{"webhooks", byOrganization}, {"webhook_deliveries", byOrganization},
	{"imports", byOrganization}, {"import_lines", byOrganization}, {"import_errors", byOrganization},
	{"import_notes", byOrganization},
	{"store_moves", byOrganization},
}

// tenant tells that the rows are an organization's, and not the instance's.
func (t table) tenant() bool { return t.by == byOrganization }

const (
	byOrganization = "organization_id"
	// tenantsRoot is the table whose shards the other tables of tenants follow.
	tenantsRoot = "organizations"
	// citusShards is how many shards a table has. It cannot well be changed later: enough for 64 nodes.
	citusShards = 64
)

// InitCitus makes the tables in an empty database, or brings them up to date, as a server does that starts, and
// distributes them over the nodes of Citus. It refuses a database that holds tables of others. What is distributed
// stays, so it may run again, also after it failed in the middle. say is called with a line for each table and role.
func InitCitus(ctx context.Context, o Options, say func(line string)) error {
	o.Tool = false // which makes no tables
	e := newEngine(o)
	e.distributing = true
	c, err := e.admin(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", advised(err))
	}
	defer func() { _ = c.Close(context.Background()) }()
	if err := checkCoordinator(ctx, c); err != nil {
		return err
	}
	if err := checkOwner(ctx, c); err != nil {
		return err
	}
	if err := e.prepareDatabase(ctx); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(schemaLock)); err != nil { // let go with the connection
		return fmt.Errorf("wait for the lock of the schema: %w", err)
	}
	if err := (&distribution{c, say}).run(ctx); err != nil {
		return err
	}
	return e.disableJIT(ctx, c, say)
}

// selectForeign tells whether the tables of ours are there, and counts those of others: what belongs to extensions is
// nobody's, nor is what other schemas hold beside tables of ours.
const selectForeign = `/* select_foreign */ SELECT to_regclass('ledger_heads') IS NOT NULL, count(*) FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND t.relname <> 'goose_db_version'
AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
AND NOT EXISTS (SELECT 1 FROM pg_depend d
  WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e')
AND NOT EXISTS (SELECT 1 FROM pg_class o WHERE o.relnamespace = n.oid AND o.relname = 'ledger_heads')`

// checkOwner refuses a database that holds tables and none of ours: its name may be mistyped.
func checkOwner(ctx context.Context, c *pgx.Conn) error {
	ours, others := false, 0
	if err := c.QueryRow(ctx, selectForeign).Scan(&ours, &others); err != nil {
		return fmt.Errorf("look for tables of others: %w", err)
	}
	if ours || others == 0 {
		return nil
	}
	return fmt.Errorf("the database holds %d tables or views of others and none of consentd's: name another one with "+
		"--database or --admin-database, empty or with data of consentd's", others)
}

// checkCoordinator refuses a server without Citus, and a node of it that takes no schema.
func checkCoordinator(ctx context.Context, c *pgx.Conn) error {
	installed, available, err := extension(ctx, c, "citus")
	if err != nil {
		return err
	}
	if !installed {
		var version int
		if err := c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
			return fmt.Errorf("read the database's version: %w", err)
		}
		return withoutCitus(available, version)
	}
	var group int
	if err := c.QueryRow(ctx, "SELECT groupid FROM pg_dist_local_group").Scan(&group); err != nil {
		return fmt.Errorf("ask Citus which node this is: %w", err)
	}
	if group != 0 {
		return fmt.Errorf("the database is on a worker of Citus (group %d), and only the coordinator changes the schema: "+
			"name the coordinator with --admin-database", group)
	}
	return nil
}

// extension tells whether a database has an extension, and else which version of it the server has to offer, if any.
func extension(ctx context.Context, c *pgx.Conn, name string) (installed bool, available string, err error) {
	err = c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = $1),
coalesce((SELECT default_version FROM pg_available_extensions WHERE name = $1), '')`, name).Scan(&installed, &available)
	if err != nil {
		return false, "", fmt.Errorf("look for the extension %s: %w", name, err)
	}
	return installed, available, nil
}

// withoutCitus says what is missing on a server of a version of PostgreSQL; available is the version of Citus that it
// has to offer, empty: none.
func withoutCitus(available string, version int) error {
	if available != "" {
		return fmt.Errorf("the server has Citus %s, but this database does not: run CREATE EXTENSION citus; in it as a "+
			"superuser, here and "+
			"in the database of the same name on every worker, and name the workers with SELECT citus_add_node('host', 5432);",
			available)
	}
	needs := fmt.Sprintf("a Citus for PostgreSQL %d", version)
	switch {
	case version == 15:
		needs = "Citus 13.2, the last one for PostgreSQL 15"
	case version >= 16 && version <= 18:
		needs = fmt.Sprintf("Citus 14, which is for PostgreSQL %d", version)
	}
	return fmt.Errorf("the server has no Citus: install %s, on every node, set shared_preload_libraries = 'citus' in "+
		"postgresql.conf, restart, and run CREATE EXTENSION citus; in the database as a superuser. Without Citus there is "+
		"nothing to init: "+
		"consentd serve makes the tables by itself", needs)
}

// distribution is tables being distributed from a coordinator.
type distribution struct {
	c   *pgx.Conn
	say func(line string)
}

func (d *distribution) run(ctx context.Context) error {
	var left []table
	for _, t := range tables {
		done, err := d.done(ctx, t)
		if err != nil {
			return err
		}
		if done {
			d.say(t.name + ": was distributed already")
		} else {
			left = append(left, t)
		}
	}
	if len(left) > 0 {
		if err := d.prepare(ctx, left); err != nil {
			return err
		}
	}
	for _, t := range left {
		if _, err := d.c.Exec(ctx, t.distribute()); err != nil {
			return fmt.Errorf("distribute %s: %w; what was distributed before stays: run it again to go on", t.name, err)
		}
		d.say(t.name + ": distributed by " + t.by)
	}
	for _, t := range tables {
		if err := d.removeLocal(ctx, t); err != nil {
			return fmt.Errorf("remove what the distribution of %s left on the coordinator: %w; run it again to go on", t.name,
				err)
		}
	}
	return nil
}

// distribute is the statement that distributes a table.
func (t table) distribute() string {
	where := "colocate_with => '" + tenantsRoot + "'"
	if !t.tenant() || t.name == tenantsRoot {
		where = fmt.Sprintf("colocate_with => 'none', shard_count => %d", citusShards)
	}
	return fmt.Sprintf("SELECT create_distributed_table('%s', '%s', %s)", t.name, t.by, where)
}

// placement is what Citus knows of a table; method is empty where it knows nothing.
type placement struct {
	method     string // h: by the hash of a column
	by         string
	colocation int // tables with the same one share their places
}

// done tells whether a table is distributed as it has to be; an error where it is, but otherwise.
func (d *distribution) done(ctx context.Context, t table) (bool, error) {
	known, err := d.placement(ctx, t.name)
	if err != nil || known.method == "" {
		return false, err
	}
	root, err := d.placement(ctx, tenantsRoot)
	if err != nil {
		return false, err
	}
	return true, t.misplaced(known, root)
}

func (d *distribution) placement(ctx context.Context, name string) (p placement, err error) {
	err = d.c.QueryRow(ctx, `SELECT partmethod::text, coalesce(column_to_column_name(logicalrelid, partkey), ''),
colocationid::int
FROM pg_dist_partition WHERE logicalrelid = $1::text::regclass`, name).Scan(&p.method, &p.by, &p.colocation)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("ask Citus about %s: %w", name, err)
	}
	return p, nil
}

// misplaced says what is wrong with how a table is distributed; root is how the organizations are.
func (t table) misplaced(known, root placement) error {
	found := ""
	switch {
	case known.method != "h":
		found = "but not by a column"
	case known.by != t.by:
		found = "but by " + known.by
	case t.tenant() && (root.method == "" || root.colocation != known.colocation):
		found = "but apart from " + tenantsRoot
	default:
		return nil
	}
	return fmt.Errorf("%s is known to Citus, %s: take it back with SELECT undistribute_table('%s'), and run this again",
		t.name, found, t.name)
}

// prepare says how many rows are to be copied, and refuses to copy under servers that write: what a server commits over
// tables of which some are distributed and some are not may be done by half.
func (d *distribution) prepare(ctx context.Context, left []table) error {
	var counts []string
	for _, t := range left {
		if !t.tenant() {
			continue // the instance's own are few
		}
		rows := 0
		if err := d.c.QueryRow(ctx, "/* citus_count */ SELECT count(*) FROM "+t.name).Scan(&rows); err != nil {
			return fmt.Errorf("count %s: %w", t.name, err)
		}
		if rows > 0 {
			counts = append(counts, fmt.Sprintf("%s %d", t.name, rows))
		}
	}
	fresh := slices.ContainsFunc(left, func(t table) bool { return t.name == tenantsRoot })
	if fresh || len(counts) > 0 { // else they are new and empty, and nobody writes to them yet
		if err := d.alone(ctx); err != nil {
			return err
		}
	}
	if len(counts) > 0 {
		d.say("rows that are copied to the shards, which takes its time: " + strings.Join(counts, ", "))
	}
	return nil
}

// alone refuses a database that servers are connected to. Those that have just ended are waited for.
func (d *distribution) alone(ctx context.Context) error {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		servers := 0
		err := d.c.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+
			"application_name = ANY ($1)", []string{Application, MoveApplication}).Scan(&servers)
		switch {
		case err != nil:
			return fmt.Errorf("look who is connected: %w", err)
		case servers == 0:
			return nil
		case time.Since(began) > time.Second:
			return fmt.Errorf("servers are connected to the database (%d connections): stop them until its tables are "+
				"distributed", servers)
		}
	}
}

// disableJIT switches JIT off for the roles of both URLs. Citus passes it on to the workers, which no setting of a
// session reaches: there JIT took 502 of the 550 ms of a page. Whoever may not gets the statement to have run.
func (e *Engine) disableJIT(ctx context.Context, c *pgx.Conn, say func(line string)) error {
	requests, err := ParseURL(e.o.URL)
	if err != nil {
		return err
	}
	for _, role := range slices.Compact([]string{c.Config().User, requests.User}) {
		_, err := c.Exec(ctx, withoutJIT(role))
		var refused *pgconn.PgError
		switch {
		case err == nil:
			say("role " + role + ": JIT is off on all nodes, for sessions that begin from now on")
		case errors.As(err, &refused) && refused.Code == "42501":
			say("role " + role + ": JIT stays as it is, since " + c.Config().User + " may not change the role: run " +
				withoutJIT(role) + "; on the coordinator as a superuser")
		default:
			return fmt.Errorf("switch JIT off for the role %s: %w; the tables are distributed: run it again to go on", role, err)
		}
	}
	return nil
}

// withoutJIT is the statement that switches JIT off for a role.
func withoutJIT(role string) string {
	return "ALTER ROLE " + pgx.Identifier{role}.Sanitize() + " SET jit = off"
}

// removeLocal removes the rows that a table had before it was distributed: they are copied, but stay on the
// coordinator's disk, where no erasure would reach them. It empties the tables that refer to it too, so it may only be
// called when all are distributed.
func (d *distribution) removeLocal(ctx context.Context, t table) error {
	bytes := int64(0)
	err := d.c.QueryRow(ctx, `SELECT coalesce(sum(pg_relation_size(oid)), 0)::bigint FROM pg_class
WHERE oid = $1::text::regclass OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::text::regclass)`,
		t.name).Scan(&bytes)
	if err != nil || bytes == 0 {
		return err
	}
	_, err = d.c.Exec(ctx, "SELECT truncate_local_data_after_distributing_table('"+t.name+"')")
	return err
}
