package postgres

import (
	"context"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/migrations"
	"github.com/consentd/consentd/internal/store/storetest"
)

// Tests do not need a Citus: the statements are read instead. These are the migrations, what the engine really sends,
// and how each statement that was sent looks for many rows. What stands in the source and is not sent by any test is
// named in unsent, so that nothing passes unseen.

// excuse lets a statement be, for a reason. It is found by how it begins.
type excuse struct{ begins, reason string }

// acrossOrganizations are the statements that may go to every node. None of them is on the way of a request that
// belongs to an organization.
var acrossOrganizations = []excuse{
	{"/* select_imports_to_sweep */", "finds the imports of which something is to be removed, now and then"},
	{"/* select_expired_idempotency */", "finds the organizations that have idempotency records to drop, now and then"},
	{"/* select_unsigned */", "finds the organizations whose checkpoint is behind, now and then"},
	{"/* free_jobs */", "is sent where one server alone can have the store open"},
	{"/* select_due_jobs */", "finds what is due, of all organizations, once a second"},
	{"/* select_job_counts */", "counts all jobs, of which there are few, for metrics"},
	{"/* select_uncosigned */", "finds the organizations whose checkpoint a witness has not cosigned, now and then"},
	{"/* select_webhook_counts */", "counts all webhooks, of which there are few, for metrics"},
	{"/* select_parked_count */", "counts the deliveries that were given up, along their index, for metrics"},
	{"/* select_webhooks_behind */", "finds the webhooks that something is to be done for, of all organizations"},
	{"/* select_old_deliveries */", "finds the organizations that have deliveries to drop, now and then"},
	{"/* select_witness_lag */", "tells how far behind a witness is, of all organizations, now and then"},
	{"/* select_erased_after */", "finds who was erased by another server, once a minute"},
	{"/* count_organizations */", "the root key's list of organizations"},
	{"/* list_organizations */", "the root key's list of organizations"},
	{"SELECT organization_id, project_no, count(*) FROM events_", "counts what retention drops, once a month"},
	{"SELECT organization_id, 0, count(*) FROM ledger_entries ", "counts what retention drops, once a month"},
	{"DELETE FROM ledger_entries WHERE event_id < $1", "is what retention drops, once a month"},
	{"/* citus_count */", "counts what citus init is about to copy, while the tables are not distributed"},
	{"/* move_select */", "migrate-store reads a page of a table, of whichever organizations its keys are"},
	{"/* move_last */", "migrate-store looks how far a table is"},
	{"/* move_count */", "counts what migrate-store has copied"},
	{"select \"", "pgx asks for the types of the columns before migrate-store copies into them; it is not run"},
	{"copy \"", "a page of migrate-store's: COPY has no parameters, and splits its rows by their values"},
}

// unsent are the statements in the source that no test sends to PostgreSQL.
var unsent = []excuse{
	{"/* free_jobs */", "is sent where one server alone can have the store open"},
	{"ALTER TABLE events ATTACH PARTITION ", "partitions are not joined on Citus"},
	{"LOCK TABLE ", "partitions are not joined on Citus"},
	{"CREATE TABLE %s (LIKE events", "partitions are not joined on Citus"},
	{"INSERT INTO %s SELECT * FROM %s", "partitions are not joined on Citus"},
	{"ALTER TABLE %s ADD CONSTRAINT %s_range", "partitions are not joined on Citus"},
}

func TestCitusTakesTheMigrations(t *testing.T) {
	l := newLinter(t)
	files, err := fs.Glob(migrations.Files, "postgres/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range l.lint(string(text)) {
			t.Errorf("%s: %s: %s", file, f.rule, f.fault)
		}
		up, down, _ := strings.Cut(string(text), "-- +goose Down")
		for direction, part := range map[string]string{"up": up, "down": down} {
			if file != files[0] && indexesPartitions(t, part) && !beginsSequential(part) {
				t.Errorf("%s, %s: the indexes of the partitions' shards get long names, which Citus refuses to make in a "+
					"transaction that changed shards side by side: begin with %s", file, direction, setSequential)
			}
		}
		if file != files[0] && refers(t, string(text)) {
			t.Errorf("%s: a foreign key: where the tables are distributed already, a new one is not until citus init runs "+
				"again, and cannot refer to them", file)
		}
	}
}

// setSequential has Citus change one shard of a node after the other until the transaction ends.
const setSequential = "SET LOCAL citus.multi_shard_modify_mode = 'sequential';"

var commentLine = regexp.MustCompile(`(?m)^--.*\n`)

// beginsSequential tells whether setSequential stands before all other statements.
func beginsSequential(migration string) bool {
	return strings.HasPrefix(strings.TrimSpace(commentLine.ReplaceAllString(migration, "")), setSequential)
}

// TestBeginsSequential: it is of no use behind a change, nor in a comment.
func TestBeginsSequential(t *testing.T) {
	for migration, want := range map[string]bool{
		"-- +goose Up\n-- Why.\n\n" + setSequential + "\nDROP INDEX i;\n": true,
		"-- +goose Up\nDROP INDEX i;\n" + setSequential + "\n":            false,
		"-- +goose Up\n-- " + setSequential + "\nDROP INDEX i;\n":         false,
		"-- +goose Up\nDROP INDEX i;\n":                                   false,
	} {
		if beginsSequential(migration) != want {
			t.Errorf("want %v of %q", want, migration)
		}
	}
}

// indexesPartitions reports whether a migration makes an index of a table that has partitions.
func indexesPartitions(t *testing.T, migration string) (found bool) {
	t.Helper()
	statements, err := parseSQL(migration)
	if err != nil {
		t.Fatal(err)
	}
	walk(statements, func(kind string, n node) bool {
		found = found || kind == "IndexStmt" && n.text("relation.relname") == "events"
		return !found
	})
	return found
}

// refers tells whether a migration makes a foreign key.
func refers(t *testing.T, migration string) (found bool) {
	t.Helper()
	statements, err := parseSQL(migration)
	if err != nil {
		t.Fatal(err)
	}
	walk(statements, func(kind string, n node) bool {
		found = found || kind == "Constraint" && n.text("contype") == "CONSTR_FOREIGN"
		return !found
	})
	return found
}

// TestPostgresContract holds the engine to the contract of a store, and each statement that it sends on the way, and
// that init, partitions and a move send, to what Citus takes. Where tests are to be short it does the former alone.
func TestPostgresContract(t *testing.T) {
	r := &recorder{sent: map[string]bool{}}
	storetest.Run(t, func(t *testing.T) service.Store { return store.BatchPersons(openThrough(t, r, postgresURL(t))) })
	if testing.Short() || t.Failed() {
		return
	}
	t.Run("init", func(t *testing.T) { sendInit(t, r) })
	t.Run("partitions", func(t *testing.T) { sendPartitions(t, r) })
	t.Run("move", func(t *testing.T) { SendMove(t, r.through(t, pgtest.Database(t, "", nil))) })
	t.Run("Citus takes the statements", func(t *testing.T) { citusTakes(t, r) })
}

// citusTakes looks at all statements that were sent, and at those that were not.
func citusTakes(t *testing.T, r *recorder) {
	l := newLinter(t)
	excused := map[string]bool{}
	check := func(place, statement string) {
		for _, f := range l.lint(statement) {
			if begins := excuseFor(acrossOrganizations, statement); f.rule == "organization" && begins != "" {
				excused[begins] = true
				continue
			}
			t.Errorf("%s: %s\n%s: %s", place, statement, f.rule, f.fault)
		}
	}
	for _, statement := range slices.Sorted(maps.Keys(r.sent)) {
		if strings.Contains(statement, "goose_db_version") {
			continue // goose's own, whose table stays on the coordinator
		}
		check("sent", statement)
		if set := asSet(statement); set != "" {
			check("as it is sent for many rows", set)
		}
	}
	for _, w := range writtenStatements(t) {
		if begins := excuseFor(unsent, w.text); begins != "" {
			excused[begins] = true
			if parses(w.text) { // all of the statement stands there
				check(w.place, w.text)
			}
		} else if !wasSent(r, w.text) {
			t.Errorf("%s: no test sends %s", w.place, w.text)
		}
	}
	for _, e := range slices.Concat(acrossOrganizations, unsent) {
		if !excused[e.begins] {
			t.Errorf("%q needs no excuse any more", e.begins)
		}
	}
}

// excuseFor gives what an excuse begins with, "" where there is none.
func excuseFor(excuses []excuse, statement string) string {
	at := slices.IndexFunc(excuses, func(e excuse) bool { return strings.HasPrefix(statement, e.begins) })
	if at < 0 {
		return ""
	}
	return excuses[at].begins
}

// wasSent tells whether a statement was sent: by its name, or else by all of its parts that are written.
func wasSent(r *recorder, text string) bool {
	name := engine.Comment(text)
	for statement := range r.sent {
		if name != "" && strings.HasPrefix(statement, name) || name == "" && hasParts(statement, text) {
			return true
		}
	}
	return false
}

// gap is what fmt.Sprintf fills.
var gap = regexp.MustCompile(`%[a-z]`)

// hasParts tells whether a statement has all parts of a text, in their order.
func hasParts(statement, text string) bool {
	for _, part := range gap.Split(text, -1) {
		_, rest, found := strings.Cut(statement, part)
		if !found {
			return false
		}
		statement = rest
	}
	return true
}

// asSet gives how a statement looks that runs for many rows, "" where it runs for each alone.
func asSet(statement string) string {
	form := setFormOf(statement)
	if form == nil {
		return ""
	}
	set := form.text(slices.Repeat([]column{{oid: pgtype.TextOID}}, form.params-1)) // no rule asks for the types
	if !parses(set) {
		return "" // one with a LIMIT, say
	}
	return set
}

func parses(text string) bool {
	_, err := parseSQL(text)
	return err == nil
}

// TestStatementNames: a statement is known by its name, in logs and above, so no two may have the same.
func TestStatementNames(t *testing.T) {
	places := map[string]string{}
	for _, w := range writtenStatements(t) {
		name := engine.Comment(w.text)
		if other, twice := places[name]; twice && name != "" {
			t.Errorf("%s and %s are both %s", other, w.place, name)
		}
		places[name] = w.place
	}
}

// sendInit makes the schema, and distributes it on a stand-in of Citus.
func sendInit(t *testing.T, r *recorder) {
	address := pgtest.Database(t, "", nil)
	url, ctx := r.through(t, address), context.Background()
	if err := newEngine(Options{URL: url, Tool: true}).prepareDatabase(ctx); err == nil {
		t.Error("a tool made a schema")
	}
	if err := InitCitus(ctx, Options{URL: url}, func(string) {}); err == nil {
		t.Error("plain PostgreSQL was taken for Citus")
	}
	if err := newEngine(Options{URL: url}).prepareDatabase(ctx); err != nil {
		t.Fatal(err)
	}
	pgtest.CitusStandIn(t, address)
	if err := InitCitus(ctx, Options{URL: url}, func(string) {}); err != nil {
		t.Error(err)
	}
	if _, err := newEngine(Options{URL: url}).Cluster(ctx); err != nil {
		t.Error(err)
	}
	if err := newEngine(Options{URL: url, AdminURL: address}).checkRights(ctx); err != nil {
		t.Error(err)
	}
}

// sendPartitions makes partitions and drops some of them half a year later.
func sendPartitions(t *testing.T, r *recorder) {
	url := r.through(t, postgresURL(t))
	e := newEngine(Options{URL: url, Retention: 1})
	ctx := context.Background()
	if err := e.lookAfterPartitions(ctx); err != nil {
		t.Error(err)
	}
	if err := e.makePartitions(ctx, connect(t, url), time.Now().AddDate(0, 6, 0), time.Time{}); err != nil {
		t.Error(err)
	}
}

// SendMove moves a data folder into a database, and inspects where it went. It is set by a file of the package
// postgres_test, since what it uses imports this package.
var SendMove func(t *testing.T, url string)

func openThrough(t *testing.T, r *recorder, url string) *store.Store {
	t.Helper()
	return store.New(open(t, Options{URL: r.through(t, url)}))
}
