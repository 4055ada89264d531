package main

import (
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
