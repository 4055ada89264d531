package main

import (
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/pgtest"
)

// TestCitusInit: no database of the tests has Citus, so it has to say what is missing, which differs where the server
// could have it. What it does where there is one, the store's own tests tell.
func TestCitusInit(t *testing.T) {
	t.Parallel()
	without := command(t, nil, "citus", "init")
	if without.code != exitUsage {
		t.Errorf("without a database it ends with %d", without.code)
	}
	hold(t, "without a database", without.errOut.String(), "--database", "CONSENTD_DATABASE_URL")
	plain := command(t, []string{"CONSENTD_DATABASE_URL=" + pgtest.Database(t, "", nil)}, "citus", "init")
	if plain.code != exitFailed {
		t.Errorf("on plain PostgreSQL it ends with %d", plain.code)
	}
	offered, err := pgtest.Server(t).Psql("postgres",
		"SELECT default_version FROM pg_available_extensions WHERE name = 'citus'")
	must(t, err)
	missing := []string{"citus init: the server has no Citus", "shared_preload_libraries", "CREATE EXTENSION citus"}
	if offered != "" {
		missing = []string{"citus init: the server has Citus " + offered, "CREATE EXTENSION citus", "citus_add_node"}
	}
	hold(t, "on plain PostgreSQL", plain.errOut.String(), missing...)
	if out := plain.out.String(); out != "" {
		t.Errorf("it prints %q", out)
	}
}

// TestOnCitus runs the commands on a stand-in of Citus' catalog, from an empty database on.
func TestOnCitus(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t, "", nil)
	pgtest.CitusStandIn(t, address)
	env := []string{"CONSENTD_DATABASE_URL=" + address, "CONSENTD_JOURNALS=" + t.TempDir()}
	made := command(t, env, "citus", "init")
	if made.code != 0 {
		t.Fatalf("citus init ends with %d: %s", made.code, made.errOut.String())
	}
	hold(t, "citus init", made.out.String(), "store_moves: distributed by organization_id\n", "role consentd: JIT is off")
	served := serveWith(t, env, "serve", "--listen", "127.0.0.1:0")
	served.stop(t)
	hold(t, "doctor", command(t, env, "doctor").out.String(), "ok    citus          2 workers up, all tables distributed",
		"\n0 failed, 0 warnings\n")

	up := pgtest.NodeDown(t, address, "organizations")
	served = serveWith(t, env, "serve", "--listen", "127.0.0.1:0")
	served.stop(t)
	hold(t, "the server's log", served.errOut.String(), "nobody looked whether there is a root key")
	down := command(t, env, "doctor")
	if down.code != exitFailed || strings.Contains(down.out.String(), "restore") {
		t.Errorf("exit code %d:\n%s", down.code, down.out.String())
	}
	hold(t, "doctor", down.out.String(), "error ledgers", "SQLSTATE 08006", "error keys",
		"error checkpoints",
		"0 failed, 3 checks could not be done, ")
	up()
	up = pgtest.NodeDown(t, address, "store_moves")
	hold(t, "doctor", command(t, env, "doctor").out.String(), "error database", "SQLSTATE 08006", "each of its nodes")
	up()

	change(t, address, `UPDATE stand_in_workers SET up = false WHERE host = 'worker2';
DELETE FROM pg_dist_partition WHERE logicalrelid = 'counts'::regclass; ALTER ROLE consentd RESET jit`)
	p := command(t, env, "doctor")
	if p.code != exitFailed {
		t.Errorf("exit code %d", p.code)
	}
	hold(t, "doctor", p.out.String(), "fail  citus          a worker does not answer: worker2:5432", "bring it back",
		"warn  citus          tables are on the coordinator alone: counts", "run consentd citus init",
		`To do: run ALTER ROLE "consentd" SET jit = off;`, "1 failed, 2 warnings")
	several := strings.Replace(address, "@", "@127.0.0.1:1,", 1)
	p = command(t, []string{"CONSENTD_DATABASE_URL=" + several, "CONSENTD_ADMIN_DATABASE_URL=" + address}, "serve",
		"--listen", "127.0.0.1:0")
	if p.code != exitFailed {
		t.Errorf("a server on several nodes: exit code %d", p.code)
	}
	hold(t, "a server on several nodes", p.errOut.String(), "not distributed: counts", "run consentd citus init")
}
