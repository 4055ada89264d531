package postgres

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// These tests run on plain PostgreSQL with a stand-in of Citus' catalog: they hold what is said to Citus, and what is
// made of its answers.

// lockedLog takes a log while a test reads it.
type lockedLog struct{ logtest.Buffer }

func (l *lockedLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// onCitus gives a database with the schema and a stand-in of Citus, its tables distributed.
func onCitus(t *testing.T) string {
	t.Helper()
	address := pgtest.Database(t, "", nil)
	pgtest.CitusStandIn(t, address)
	if err := InitCitus(context.Background(), Options{URL: address}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return address
}

func exec(t *testing.T, address, statement string) {
	t.Helper()
	if _, err := connect(t, address).Exec(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
}

// TestInitCitus makes the tables of an empty database and distributes them; a second time it finds all done.
func TestInitCitus(t *testing.T) {
	address := pgtest.Database(t, "", nil)
	pgtest.CitusStandIn(t, address)
	for _, want := range []string{"distributed by ", "was distributed already"} {
		var said []string
		err := InitCitus(context.Background(), Options{URL: address, Tool: true}, func(line string) {
			said = append(said, line)
		})
		if err != nil {
			t.Fatal(err)
		}
		mustSay(t, said, want, "JIT is off on all nodes")
	}
	e := open(t, Options{URL: address})
	if err := e.Ready(); err != nil {
		t.Error(err)
	}
}

// mustSay wants a line for each table, and one for the role.
func mustSay(t *testing.T, said []string, ofTables, ofRole string) {
	t.Helper()
	if len(said) != len(tables)+1 || !strings.Contains(said[len(said)-1], ofRole) ||
		slices.ContainsFunc(said[:len(said)-1], func(line string) bool { return !strings.Contains(line, ofTables) }) {
		t.Errorf("says %q, want %d times %q and %q", said, len(tables), ofTables, ofRole)
	}
}

// TestInitCitusKeepsOutOfOthersDatabases: a mistyped name must not become a store. What an extension brings, and
// goose's own table, which a run that failed may have left, are nobody's.
func TestInitCitusKeepsOutOfOthersDatabases(t *testing.T) {
	for name, tc := range map[string]struct {
		statement string
		refused   bool
	}{
		"a table":               {"CREATE TABLE invoices (id int)", true},
		"a view":                {"CREATE VIEW v AS SELECT 1 AS n", true},
		"another schema":        {"CREATE SCHEMA app; CREATE TABLE app.invoices (id int)", true},
		"partitions":            {"CREATE TABLE p (id int) PARTITION BY LIST (id)", true},
		"a table of goose":      {"CREATE TABLE goose_db_version (id int)", false},
		"consentd's in another": {"CREATE SCHEMA other; CREATE TABLE other.ledger_heads (id int)", false},
		"an extension's": {"CREATE TABLE extra (id int); INSERT INTO pg_depend VALUES ('pg_class'::regclass, " +
			"'extra'::regclass, 0, 'pg_extension'::regclass, 99999, 0, 'e')", false},
		"nothing": {"SELECT 1", false},
	} {
		t.Run(name, func(t *testing.T) {
			address := pgtest.Database(t, "", nil)
			pgtest.CitusStandIn(t, address)
			on(t, pgtest.Server(t), databaseIn(t, address), "SET allow_system_table_mods = on; "+tc.statement)
			err := checkOwner(context.Background(), connect(t, address))
			if tc.refused != (err != nil && strings.Contains(err.Error(), "1 tables or views of others")) {
				t.Errorf("refused: %v", err)
			}
			if !tc.refused {
				return
			}
			if err := InitCitus(context.Background(), Options{URL: address}, func(string) {}); err == nil {
				t.Error("tables were made in the database of others")
			}
			const goose = "SELECT coalesce(to_regclass('goose_db_version')::text, '')"
			if has := textsOf(t, connect(t, address), goose); has[0] != "" {
				t.Error("a database that was refused is changed")
			}
		})
	}
}

// TestDisableJIT: the roles of both URLs, each once; where one may not be changed, what a superuser is to run.
func TestDisableJIT(t *testing.T) {
	address, s := onCitus(t), pgtest.Server(t)
	on(t, s, "postgres", `CREATE ROLE "data ""1""" LOGIN; CREATE ROLE clerk LOGIN`)
	defer on(t, s, "postgres", `DROP ROLE "data ""1""", clerk; ALTER ROLE consentd RESET jit`)
	disable := func(admin, requests string) (said []string) {
		t.Helper()
		o := Options{URL: changed(t, address, requests), AdminURL: changed(t, address, admin)}
		err := newEngine(o).disableJIT(context.Background(), connect(t, o.AdminURL), func(line string) {
			said = append(said, line)
		})
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	const done = ": JIT is off on all nodes, for sessions that begin from now on"
	if said := disable("consentd", `data "1"`); !slices.Equal(said, []string{"role consentd" + done,
		`role data "1"` + done}) {
		t.Errorf("a superuser: %q", said)
	}
	if said := disable("consentd", "consentd"); !slices.Equal(said, []string{"role consentd" + done}) {
		t.Errorf("one role: %q", said)
	}
	const refused = `role data "1": JIT stays as it is, since clerk may not change the role: run ALTER ROLE "data ""1""" ` +
		`SET jit = off; on the coordinator as a superuser`
	if said := disable("clerk", `data "1"`); !slices.Equal(said, []string{"role clerk" + done, refused}) {
		t.Errorf("one who may not: %q", said)
	}
	set := textsOf(t, connect(t, address), `SELECT r.rolname::text || ' ' || array_to_string(s.setconfig, ' ')
FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole ORDER BY 1`)
	if diff := cmp.Diff([]string{"clerk jit=off", "consentd jit=off", `data "1" jit=off`}, set); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestDistributionAtTheStart: tables that are on the coordinator alone are an error for who asks other nodes too.
func TestDistributionAtTheStart(t *testing.T) {
	address := postgresURL(t)
	pgtest.CitusStandIn(t, address)
	one, both := Options{URL: address}, Options{URL: address, AdminURL: changed(t, address, "", "application_name", "x")}
	several := Options{URL: strings.Replace(address, "@", "@127.0.0.1:1,", 1), AdminURL: address}
	refused := func(o Options, parts ...string) {
		t.Helper()
		for _, o.Tool = range []bool{false, true} {
			mustRefuse(t, o, append(parts, "consentd citus init", "--database")...)
		}
	}
	warned := func(o Options, parts ...string) {
		t.Helper()
		var log lockedLog
		o.Log = log.logger()
		e, err := Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		for _, part := range parts {
			if !strings.Contains(log.String(), part) {
				t.Errorf("the log lacks %q: %s", part, log.String())
			}
		}
		if len(parts) == 0 && log.String() != "" {
			t.Errorf("the log has %s", log.String())
		}
	}
	warned(one, "its tables are not distributed", "consentd citus init")
	warned(both, "its tables are not distributed", "consentd citus init")
	refused(several, "its tables are not distributed")
	if _, err := Prepare(context.Background(), several); err == nil || !strings.Contains(err.Error(), "citus init") {
		t.Errorf("a move into it: %v", err)
	}
	if err := InitCitus(context.Background(), several, func(string) {}); err != nil {
		t.Fatal(err)
	}
	defer on(t, pgtest.Server(t), "postgres", "ALTER ROLE consentd RESET jit")
	warned(several)
	exec(t, address, "DELETE FROM pg_dist_partition WHERE logicalrelid IN ('counts'::regclass, 'texts'::regclass)")
	warned(one, "these tables are not distributed: texts, counts")
	refused(several, "these tables are not distributed: texts, counts")
}

func TestCluster(t *testing.T) {
	address, s := onCitus(t), pgtest.Server(t)
	on(t, s, "postgres", "CREATE ROLE reader LOGIN; ALTER ROLE consentd SET jit = off")
	defer on(t, s, "postgres", "DROP ROLE reader; ALTER ROLE consentd RESET jit")
	o := Options{URL: address}
	mustBe := func(what string, want *Cluster) {
		t.Helper()
		got, err := newEngine(o).Cluster(context.Background())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	mustBe("all well", &Cluster{Workers: 2})
	exec(t, address, "UPDATE stand_in_workers SET up = false WHERE host = 'worker2'")
	const down = "worker2:5432: failed to connect to worker2:5432"
	mustBe("a worker is down", &Cluster{Workers: 2, Down: []string{down}})
	exec(t, address, "DELETE FROM pg_dist_partition WHERE logicalrelid = 'counts'::regclass")
	o = Options{URL: strings.Replace(changed(t, address, "reader"), "@", "@127.0.0.1:1,", 1), AdminURL: address}
	mustBe("another role and other nodes", &Cluster{Workers: 2, Down: []string{down}, Local: []string{"counts"},
		OtherNodes: true, JIT: []string{`ALTER ROLE "reader" SET jit = off`}})
	o.URL = changed(t, address, "nobody")
	got, err := newEngine(o).Cluster(context.Background())
	if err == nil || got == nil || !slices.Equal(got.Down, []string{down}) {
		t.Errorf("a role that may not ask: %+v, %v", got, err)
	}
	o = Options{URL: postgresURL(t)}
	mustBe("no Citus", nil)
}

// TestStartWhileANodeIsDown: the server starts, serves what can be reached, and looks for the rest until it finds it.
func TestStartWhileANodeIsDown(t *testing.T) {
	address := onCitus(t)
	up := pgtest.NodeDown(t, address, "store_moves")
	// New partitions cannot be made either.
	exec(t, address, "DROP TABLE "+lastPartition(t, address))
	exec(t, address, `CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
IF current_query() LIKE '%PARTITION OF events%' THEN
  RAISE 'connection to the remote node worker1:5432 failed' USING ERRCODE = '08006'; END IF; END $$`)
	exec(t, address, "CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl()")
	e, log := start(t, address)
	mustWrite(t, e)
	time.Sleep(300 * time.Millisecond) // many tries
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	up()
	exec(t, address, "DROP EVENT TRIGGER no_ddl")
	eventually(t, log, "are looked after again")
	if e.moveUnknown.Load() {
		t.Error("whether a move is unfinished is still unknown")
	}
	if err := checkPartitions(context.Background(), connect(t, address), time.Now().AddDate(0, 2, 0)); err != nil {
		t.Error(err)
	}
	mustWrite(t, e)
}

// TestPartitionsWaitForWorkers: no table is locked for a statement that needs a worker which is down.
func TestPartitionsWaitForWorkers(t *testing.T) {
	address := onCitus(t)
	exec(t, address, "UPDATE stand_in_workers SET up = false WHERE host = 'worker2'")
	last := lastPartition(t, address)
	exec(t, address, "DROP TABLE "+last)
	e, log := start(t, address)
	mustWrite(t, e)
	eventually(t, log, "worker2:5432: failed to connect")
	if lastPartition(t, address) == last {
		t.Error("it was made while a worker was down")
	}
	exec(t, address, "UPDATE stand_in_workers SET up = true")
	eventually(t, log, "are looked after again")
	if got := lastPartition(t, address); got != last {
		t.Errorf("the last partition is %s, want %s", got, last)
	}
}

// TestSchemaIsNotCheckedWhileANodeIsDown, which does not keep the server from its start.
func TestSchemaIsNotCheckedWhileANodeIsDown(t *testing.T) {
	address := onCitus(t)
	pgtest.NodeDown(t, address, "events")
	var log lockedLog
	e := newEngine(Options{URL: address, Log: log.logger()})
	cfg := connect(t, address).Config()
	if err := e.migrate(context.Background(), cfg); err == nil {
		t.Error("the error is passed over without Citus")
	}
	e.citus = true
	if err := e.migrate(context.Background(), cfg); err != nil || !strings.Contains(log.String(), "was not checked") {
		t.Errorf("%v, the log: %s", err, log.String())
	}
}

// TestStartWithoutNextMonth: where the partitions that are there do not last, the server does not start.
func TestStartWithoutNextMonth(t *testing.T) {
	address := onCitus(t)
	for range monthsAhead {
		exec(t, address, "DROP TABLE "+lastPartition(t, address))
	}
	exec(t, address, `CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE 'connection to the remote node worker1:5432 failed' USING ERRCODE = '08006'; END $$`)
	exec(t, address, "CREATE EVENT TRIGGER no_ddl ON ddl_command_start WHEN TAG IN ('CREATE TABLE') "+
		"EXECUTE FUNCTION no_ddl()")
	mustRefuse(t, Options{URL: address}, "all nodes of Citus are up", "08006")
}

// TestStartWhileAMoveCannotBeAsked: the mark on the coordinator refuses the start; without one, the server serves
// until it finds the move, and then nothing more.
func TestStartWhileAMoveCannotBeAsked(t *testing.T) {
	address := onCitus(t)
	c := connect(t, address)
	if err := MarkMove(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	exec(t, address, `INSERT INTO store_moves (organization_id, source, source_state, rows_moved, began_at)
VALUES ('00000000-0000-0000-0000-000000000000', '', '', 0, now())`)
	mustRefuse(t, Options{URL: address}, ErrUnfinishedMove.Error())
	up := pgtest.NodeDown(t, address, "store_moves")
	mustRefuse(t, Options{URL: address}, "has begun", "bring that node back")
	exec(t, address, "COMMENT ON TABLE goose_db_version IS NULL")
	e, log := start(t, address)
	mustWrite(t, e)
	up()
	eventually(t, log, "nothing is served any more")
	s := store.New(e)
	ctx := context.Background()
	for what, err := range map[string]error{"ready": s.Ready(), "write": s.Update(ctx, consent.NoID, oneSecret),
		"read": s.View(ctx, func(service.Reader) error { return nil })} {
		if !consent.IsKind(err, consent.Unavailable) || !strings.Contains(err.Error(), "a move into the database") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := strings.Count(log.String(), "nothing is served any more"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestMarkOfAMoveGoes with the first start after its end.
func TestMarkOfAMoveGoes(t *testing.T) {
	address := onCitus(t)
	if err := MarkMove(context.Background(), connect(t, address)); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Options{URL: address}).Ready(); err != nil {
		t.Error(err)
	}
	pgtest.NodeDown(t, address, "store_moves")
	e, _ := start(t, address)
	mustWrite(t, e)
}

// start opens a database as a server does, with quick tries again.
func start(t *testing.T, address string) (*Engine, *lockedLog) {
	t.Helper()
	log := &lockedLog{}
	e := newEngine(Options{URL: address, Log: log.logger()})
	e.partitionsRetry = 20 * time.Millisecond
	err := e.open(context.Background())
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, log
}

// oneSecret writes one of a new name.
func oneSecret(tx service.Tx) error {
	secret := consent.Secret{Name: time.Now().String(), Value: []byte{1}}
	return tx.Append(context.Background(), &consent.Changes{Secrets: []consent.Secret{secret}})
}

func mustWrite(t *testing.T, e *Engine) {
	t.Helper()
	s := store.New(e)
	if err := s.Update(context.Background(), consent.NoID, oneSecret); err != nil {
		t.Errorf("a write: %v", err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func eventually(t *testing.T, log *lockedLog, part string) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), part); {
		if time.Now().After(until) {
			t.Fatalf("the log lacks %q: %s", part, log.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func lastPartition(t *testing.T, address string) string {
	t.Helper()
	have, err := partitionsOf(context.Background(), connect(t, address))
	if err != nil {
		t.Fatal(err)
	}
	return have[len(have)-1].name
}
