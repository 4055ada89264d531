package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/store/sqlite"
)

// history makes a data folder with a person of each kind of history: plain, late, several purposes, taken
// back, merged from an anonymous visitor, and deleted.
func history(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	o := newTenant(t, p)
	header := map[string]string{"x-api-key": rootKey, "SlashID-API-Key": rootKey, "SlashID-OrgID": o.organization}
	do := func(method, path, body string) {
		t.Helper()
		if status, answer := call(t, method, p.url+path, header, body); status/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
	}
	at := func(who, state, date string) string {
		return `{"items":[{` + who + `,"category":"privacy_setting","subcategory":"functional","consentState":"` + state +
			`","consentAction":"user_click","consentDate":"` + date + `"}]}`
	}
	const anonymous, known = `"concordId":"6f1c1f2e-6f0b-4d3c-9a57-0a2d9a0f3c11"`, "b7f4c7a0-52a8-4b61-9d26-0b7d6c1f0e01"
	do("POST", o.eventsPath(), items("plain-1", "plain-2", "plain-3", "plain-1"))
	do("POST", o.eventsPath(), at(`"userId":"late"`, "accepted", "2026-03-01T00:00:00Z"))
	do("POST", o.eventsPath(), at(`"userId":"late"`, "declined", "2026-02-01T00:00:00Z"))
	do("POST", o.eventsPath(), at(anonymous, "accepted", "2026-01-01T00:00:00Z"))
	do("POST", o.eventsPath(), at(`"userId":"`+known+`"`, "declined", "2025-12-01T00:00:00Z"))
	do("POST", o.eventsPath(), at(anonymous+`,"userId":"`+known+`"`, "implied", "2025-11-01T00:00:00Z"))
	do("PUT", "/persons/"+known+"/consent/gdpr", `{"consent_levels":["analytics","marketing"]}`)
	do("PUT", "/persons/"+known+"/consent/gdpr", `{"consent_levels":["tracking"]}`)
	do("POST", o.eventsPath(), items("0b7d6c1f-0e01-4b61-9d26-b7f4c7a052a8"))
	do("DELETE", "/persons/0b7d6c1f-0e01-4b61-9d26-b7f4c7a052a8", "")
	p.stop(t)
	return dir
}

// copyOf copies a data folder that nobody uses.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	chmod(t, to, 0o700)
	for _, suffix := range []string{"", erasuresSuffix, checkpointsSuffix} {
		chmod(t, filepath.Join(to, keyFileName+suffix), 0o600)
	}
	return to
}

// plant changes the database behind the server's back.
func plant(statement string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		db := openFile(t, dir)
		if err := sqlitex.ExecuteScript(db, statement, nil); err != nil {
			t.Fatal(err)
		}
		if db.Changes() == 0 {
			t.Fatalf("changed nothing: %s", statement)
		}
	}
}

var clockLine = regexp.MustCompile(`(?m)^[a-z]+ +clock .*`)

const lastEvent = ` WHERE event_id = (SELECT max(event_id) FROM events)`

// TestDoctorFindsDamage plants damage of many kinds; the check named must fail, and say what to do.
func TestDoctorFindsDamage(t *testing.T) {
	t.Parallel()
	dir := history(t)
	for _, more := range [][]string{nil, {"--full"}} {
		p := command(t, nil, append([]string{"doctor", "--data", dir}, more...)...)
		if p.code != 0 || regexp.MustCompile(`(?m)^fail `).MatchString(p.out.String()) {
			t.Fatalf("a folder without damage: exit code %d\n%s", p.code, p.out.String())
		}
		hold(t, "the doctor", p.out.String(), "1 organization, 15 events", "ok    consents", "no server runs")
		clocks := clockLine.FindAllString(p.out.String(), -1)
		if len(clocks) != 1 || !strings.Contains(clocks[0], ", steady, not behind the last event, of ") {
			t.Errorf("the clock is shown so: %q", clocks)
		}
	}
	for name, tc := range map[string]struct {
		plant func(t *testing.T, dir string)
		check string
	}{
		"flipped bytes":        {flipBytes, "integrity"},
		"no database at all":   {overwriteFile, "integrity"},
		"world-readable":       {func(t *testing.T, dir string) { chmod(t, dir, 0o755) }, "permissions"},
		"last event deleted":   {plant(`DELETE FROM events` + lastEvent), "ledgers"},
		"middle event deleted": {plant(`DELETE FROM events WHERE sequence = 17`), "ledgers"},
		"sequence changed":     {plant(`UPDATE events SET sequence = 100` + lastEvent), "ledgers"},
		"event added": {plant(`INSERT INTO events SELECT organization_id, x'ffffffffffff7fffbfffffffffffffff',` +
			` sequence + 1, subject_id, project_no, purpose_no, purpose_version, state, action, weight, grants,` +
			` occurred_at, recorded_at, expires_at, NULL, key_id, domain, country, protocol, body, ident` +
			` FROM events` + lastEvent), "ledgers"},
		"timeline cut":  {plant(`UPDATE events SET previous_id = NULL WHERE previous_id IS NOT NULL`), "ledgers"},
		"count changed": {plant(`UPDATE counts SET amount = amount + 1 WHERE name LIKE 'events/%'`), "ledgers"},
		"head changed":  {plant(`UPDATE ledger_heads SET sequence = sequence - 1`), "ledgers"},
		"row of the tree too many": {plant(`INSERT INTO ledger_rows SELECT organization_id, 0, 7, x'00' FROM ledger_heads
WHERE sequence > 0`), "ledgers"},
		"entry without its leaf": {plant(`INSERT INTO ledger_entries SELECT organization_id, event_id, sequence, 1,` +
			` recorded_at, NULL, NULL, NULL, NULL, NULL FROM events` + lastEvent + `; DELETE FROM events` + lastEvent),
			"ledgers"},
		"entry between": {plant(`INSERT INTO ledger_entries SELECT organization_id, x'0000', 1, 2, recorded_at,` +
			` x'00000000000000000000000000000000', NULL, body, ident, NULL FROM events` + lastEvent), "ledgers"},
		"key of secrets not in the file": {plant(`UPDATE subject_keys SET wrapped_key = CAST(substr(wrapped_key, 1, 1) ||` +
			` x'deadbeef' || substr(wrapped_key, 6) AS BLOB)`), "keys"},
		"secret cut":              {plant(`UPDATE subject_keys SET wrapped_key = substr(wrapped_key, 1, 60)`), "keys"},
		"key file lost":           {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, keyFileName)) }, "keys"},
		"erased by half":          {plant(`UPDATE subjects SET erased_at = 1, data = NULL, profile = NULL`), "ledgers"},
		"secrets lost":            {plant(`DELETE FROM subject_keys`), "ledgers"},
		"state changed":           {plant(`UPDATE events SET state = 2` + lastEvent), "events"},
		"version changed":         {plant(`UPDATE events SET purpose_version = 7` + lastEvent), "events"},
		"consent version changed": {plant(`UPDATE consents SET purpose_version = 7`), "consents"},
		"body changed": {plant(`UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'accepted',` +
			` 'declined') AS BLOB)`), "events"},
		"protocol changed": {plant(`UPDATE events SET protocol = 'other'` + lastEvent), "events"},
		"body not JSON":    {plant(`UPDATE events SET body = x'7b'` + lastEvent), "events"},
		"ident of another event": {plant(`UPDATE events SET ident = (SELECT o.ident FROM events o ORDER BY o.event_id` +
			` LIMIT 1)` + lastEvent), "events"},
		"consent changed":                 {plant(`UPDATE consents SET state = 1, grants = 1 WHERE state <> 1`), "consents"},
		"consent since changed":           {plant(`UPDATE consents SET since = since - 1 WHERE since IS NOT NULL`), "consents"},
		"merge forgotten":                 {plant(`DELETE FROM subject_merges`), "consents"},
		"merge half undone":               {plant(`UPDATE subject_merges SET undone_at = 1`), "consents"},
		"version of a purpose missing":    {plant(`UPDATE purposes SET version = 2`), "ledgers"},
		"version from before the purpose": {plant(`UPDATE purposes SET held_from = held_from - 1`), "ledgers"},
		"text of a purpose missing":       {plant(`UPDATE purposes SET texts_hash = x'01'`), "ledgers"},
		"orphan": {plant(`PRAGMA foreign_keys = OFF; INSERT INTO ledger_heads VALUES (x'01', 0, NULL, NULL, 0)`),
			"references"},
		"clock behind":         {plant(`UPDATE events SET recorded_at = recorded_at + 86400000000` + lastEvent), "clock"},
		"schema of the future": {plant(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`), "schema"},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := copyOf(t, dir)
			tc.plant(t, damaged)
			p := command(t, nil, "doctor", "--data", damaged)
			if p.code != exitFailed {
				t.Errorf("exit code %d", p.code)
			}
			if !regexp.MustCompile(`(?m)^fail +` + tc.check + ` .*To do: `).MatchString(p.out.String()) {
				t.Errorf("%s did not fail:\n%s", tc.check, p.out.String())
			}
			if clocks := clockLine.FindAllString(p.out.String(), -1); len(clocks) != 1 {
				t.Errorf("the clock is shown so: %q", clocks)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// flipBytes damages a page of the table of events.
func flipBytes(t *testing.T, dir string) {
	t.Helper()
	root := int64(0)
	db := openFile(t, dir)
	err := sqlitex.ExecuteTransient(db, `SELECT rootpage FROM sqlite_schema WHERE name = 'events'`, &sqlitex.ExecOptions{
		ResultFunc: func(s *zombiezen.Stmt) error {
			root = s.ColumnInt64(0)
			return nil
		}})
	if err != nil || root == 0 {
		t.Fatalf("root page %d: %v", root, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, sqlite.FileName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page := make([]byte, 64)
	if _, err := file.ReadAt(page, (root-1)*4096); err != nil {
		t.Fatal(err)
	}
	for i := range page {
		page[i] ^= 0x5a
	}
	if _, err := file.WriteAt(page, (root-1)*4096); err != nil {
		t.Fatal(err)
	}
}

func overwriteFile(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, sqlite.FileName), []byte(strings.Repeat("no database ", 1000)),
		0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorElsewhere looks at folders where there is little to see.
func TestDoctorElsewhere(t *testing.T) {
	t.Parallel()
	absent := command(t, nil, "doctor", "--data", filepath.Join(t.TempDir(), "none"))
	if absent.code != 0 {
		t.Errorf("no folder: exit code %d", absent.code)
	}
	hold(t, "no folder", absent.out.String(), "warn  data folder", "consentd serve")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := command(t, nil, "doctor", "--data", file); p.code != exitFailed {
		t.Errorf("a file for a folder: exit code %d\n%s", p.code, p.out.String())
	}
	cutOff := t.TempDir()
	chmod(t, cutOff, 0o700)
	if err := os.WriteFile(filepath.Join(cutOff, sqlite.FileName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hold(t, "a database without a byte", command(t, nil, "doctor", "--data", cutOff).out.String(), "warn  database",
		"consentd serve")
	hold(t, "a database without a byte", command(t, nil, "key", "list", "--data", cutOff).errOut.String(), "is empty",
		"consentd serve")
	wrong := command(t, []string{"CONSENTD_LOG_FORMAT=xml"}, "doctor")
	if wrong.code != exitFailed {
		t.Errorf("wrong configuration: exit code %d", wrong.code)
	}
	hold(t, "wrong configuration", wrong.out.String(), "fail  configuration", "log-format", "To do")
	dir := t.TempDir()
	chmod(t, dir, 0o700)
	p := serveOn(t, dir, nil)
	began := time.Now()
	beside := command(t, nil, "doctor", "--full", "--data", dir)
	if beside.code != 0 || time.Since(began) > 10*time.Second {
		t.Errorf("beside a server: exit code %d\n%s", beside.code, beside.out.String())
	}
	hold(t, "beside a server", beside.out.String(), "a server runs on this folder")
	p.stop(t)
}
