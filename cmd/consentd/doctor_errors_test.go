package main

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/pgtest"
)

// historyOnPostgres gives a database with a few events.
func historyOnPostgres(t *testing.T) string {
	t.Helper()
	address := pgtest.Database(t, "", nil)
	p := serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_DATABASE_URL=" + address}, "serve", "--listen",
		"127.0.0.1:0")
	o := newTenant(t, p)
	header := map[string]string{"x-api-key": rootKey}
	if status, answer := call(t, "POST", p.url+o.eventsPath(), header, items("a", "b")); status/100 != 2 {
		t.Fatalf("events: %d %s", status, answer)
	}
	p.stop(t)
	return address
}

// change runs statements on a database of the shared server.
func change(t *testing.T, address, statements string) {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	_, err = pgtest.Server(t).Psql(strings.TrimPrefix(u.Path, "/"), statements)
	must(t, err)
}

// TestDoctorWhoseQueryFails: a statement that fails says nothing of the data, so nobody is told to restore a backup.
func TestDoctorWhoseQueryFails(t *testing.T) {
	t.Parallel()
	folder, address := history(t), historyOnPostgres(t)
	const rename = "ALTER TABLE subject_merges RENAME COLUMN after_sequence TO at_sequence"
	const renameBack = "ALTER TABLE subject_merges RENAME COLUMN at_sequence TO after_sequence"
	t.Run("SQLite", func(t *testing.T) {
		dir := copyOf(t, folder)
		plant(`UPDATE counts SET amount = amount + 1 WHERE name LIKE 'events/%'; `+rename)(t, dir)
		p := command(t, nil, "doctor", "--data", dir)
		mustBeError(t, p, "after_sequence")
		hold(t, "what was found before", p.out.String(), "the kept count is wrong", "1 failed, 1 check could not be done, ")
	})
	env := []string{"CONSENTD_DATABASE_URL=" + address, "CONSENTD_JOURNALS=" + t.TempDir()}
	t.Run("PostgreSQL", func(t *testing.T) {
		change(t, address, rename)
		defer change(t, address, renameBack)
		p := command(t, env, "doctor")
		mustBeError(t, p, "SQLSTATE 42703", "on Citus each of its nodes", "report this line")
		if strings.Contains(p.out.String(), "restore") {
			t.Errorf("a restore is advised:\n%s", p.out.String())
		}
	})
	t.Run("damaged by its own account", func(t *testing.T) {
		change(t, address, `CREATE FUNCTION damaged() RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE 'invalid page in block 7' USING ERRCODE = 'data_corrupted'; END $$;
ALTER TABLE consents RENAME TO damaged; CREATE VIEW consents AS SELECT * FROM damaged WHERE damaged()`)
		defer change(t, address, `DROP VIEW consents; ALTER TABLE damaged RENAME TO consents`)
		hold(t, "a damaged page", command(t, env, "doctor").out.String(), "fail  ledgers", "XX001", restoreDatabase)
	})
	t.Run("faults in the data", func(t *testing.T) {
		change(t, address, `UPDATE counts SET amount = amount + 1 WHERE name LIKE 'events/%'`)
		hold(t, "a wrong count", command(t, env, "doctor").out.String(), "fail  ledgers", restoreDatabase, "\n1 failed, ")
	})
}

func mustBeError(t *testing.T, p *process, parts ...string) {
	t.Helper()
	if p.code != exitFailed {
		t.Errorf("exit code %d", p.code)
	}
	lines := regexp.MustCompile(`(?m)^error ledgers +the check could not be done.*To do: run it again.*`).
		FindAllString(p.out.String(), -1)
	if len(lines) != 1 {
		t.Fatalf("lines of errors: %q\n%s", lines, p.out.String())
	}
	hold(t, "the error", lines[0], parts...)
	if strings.Contains(lines[0], "restore") {
		t.Errorf("a restore is advised: %s", lines[0])
	}
}

// TestDoctorAsksTheAdminForTheSchema: on Citus the table of migrations is on the coordinator alone. Here it is in a
// schema that only the admin's URL shows.
func TestDoctorAsksTheAdminForTheSchema(t *testing.T) {
	t.Parallel()
	address := historyOnPostgres(t)
	change(t, address, `CREATE SCHEMA coordinator; ALTER TABLE goose_db_version SET SCHEMA coordinator`)
	p := command(t, []string{"CONSENTD_DATABASE_URL=" + address, "CONSENTD_JOURNALS=" + t.TempDir(),
		"CONSENTD_ADMIN_DATABASE_URL=" + address + "&search_path=coordinator,public"}, "doctor")
	if p.code != 0 {
		t.Errorf("exit code %d", p.code)
	}
	hold(t, "two URLs", p.out.String(), "ok    schema", "ok    ledgers", "ok    consents")
}
