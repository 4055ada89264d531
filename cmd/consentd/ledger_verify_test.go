package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/journal"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// proved makes a ledger of 112 entries, of which three show a text, one of these to one person alone, two are about
// somebody who was erased, and the last says so, with a signed checkpoint over all, and gives what that says.
func proved(t *testing.T, args ...string) (o tenant, checkpoint string) {
	t.Helper()
	p := serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey}, append([]string{"serve", "--listen", "127.0.0.1:0"},
		args...)...)
	o = newTenant(t, p)
	header := map[string]string{"x-api-key": rootKey, "Authorization": "Bearer " + rootKey}
	users := make([]string, 48)
	for i := range users {
		users[i] = fmt.Sprintf("person-%d", i)
	}
	shown := func(who, text string) string {
		return `{"items":[{"identifiers":{"userId":"` + who + `"},"purpose":"functional","state":"accepted","evidence":` +
			`{"displayedText":"` + text + `"}}]}`
	}
	native := "/api/v1/organizations/" + o.organization + "/projects/" + o.project + "/events"
	for _, write := range [][2]string{{o.eventsPath(), items(users...)}, {native, shown("shown", "We keep this.")},
		{native, shown("shown", "We keep that.")}, {o.eventsPath(), items(users...)},
		{native, shown("last", "We keep this.")}} {
		if status, answer := call(t, "POST", p.url+write[0], header, write[1]); status != 201 {
			t.Fatalf("a write: %d %s", status, answer)
		}
	}
	subject := "/api/v1/organizations/" + o.organization + "/subjects"
	_, answer := call(t, "POST", p.url+subject+":lookup", header, `{"identifiers":{"userId":"person-21"}}`)
	id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(string(answer))
	if status, answer := call(t, "POST", p.url+subject+"/"+id+"/erase", header, `{}`); status != 200 {
		t.Fatalf("an erasure: %d %s", status, answer)
	}
	waitFor(t, "the checkpoint over all entries", func() bool {
		status, answer := call(t, "GET", p.url+"/api/v1/organizations/"+o.organization+"/ledger/checkpoint", header, "")
		checkpoint = string(answer)
		return status == 200 && strings.Contains(checkpoint, "\n112\n")
	})
	p.stop(t)
	return o, checkpoint
}

// tampering is a change of the database by somebody who can run statements on it, and what is said of it.
type tampering struct {
	name, statement string
	says            []string // expressions, each found in the output
}

var tamperings = []tampering{
	{"a body", `UPDATE events SET body = replace(body, 'accepted', 'declined') WHERE sequence = 19`,
		[]string{`entry 19, state: `, `entry 19, body, ident, recorded_at or subject: is not what was committed`}},
	{"a body and its row", `UPDATE events SET body = replace(body, 'accepted', 'declined'), state = 2
WHERE sequence = 110`, []string{`entry 110, body, ident, recorded_at or subject: is not what was committed`}},
	{"an ident", `UPDATE events SET ident = (SELECT o.ident FROM events o WHERE o.sequence = 20)
WHERE sequence = 19`,
		[]string{`entry 19, body, ident, `}},
	{"a time", `UPDATE events SET recorded_at = recorded_at + 1000 WHERE sequence = 62`,
		[]string{`entry 62, body, ident, recorded_at`}},
	{"a state in the row alone", `UPDATE events SET state = 2 WHERE sequence = 45`, []string{`entry 45, state: `}},
	{"whose it is", `UPDATE events SET subject_id = (SELECT subject_id FROM events WHERE sequence = 14)
WHERE sequence = 13`, []string{`entry 13, body, ident, recorded_at or subject`}},
	{"one deleted in the middle", `DELETE FROM events WHERE sequence = 52`, []string{`entry 52: is missing`,
		`a decision that it follows from is not there`}},
	{"several deleted", `DELETE FROM events WHERE sequence BETWEEN 22 AND 32`,
		[]string{`entry 22: is missing, and so are all to entry 32`}},
	{"the leaf of somebody who was erased", `UPDATE ledger_entries SET leaf = (SELECT leaf FROM ledger_entries
WHERE sequence = 84) WHERE sequence = 34`, []string{`entry 34, leaf: it is about somebody who was erased`}},
	{"whose erasure took an entry", `UPDATE ledger_entries SET erased_by = 111 WHERE sequence = 34`,
		[]string{`entry 112: of 2 entries that it took, 1 leaves are left`,
			`entry 111: 1 entries are told to be erased by it, and it is no erasure`}},
	{"that an erasure took an entry", `UPDATE ledger_entries SET erased_by = NULL WHERE sequence = 34`,
		[]string{`entry 34, erased_by: its leaf alone is left, and no later erasure`}},
	{"an erasure's reason", `UPDATE ledger_entries SET body = replace(body, 'erasure', 'Erasure') WHERE sequence = 112`,
		[]string{`entry 112, body, ident, recorded_at or subject: is not what was committed`}},
	{"an erasure deleted", `DELETE FROM ledger_entries WHERE sequence = 112`, []string{`entries 112 to 112 are missing`}},
	{"the end cut off", `DELETE FROM events WHERE sequence > 102; DELETE FROM ledger_entries WHERE sequence > 102`,
		[]string{`entries 103 to 112 are missing`}},
	{"the end cut off, and the head with it", `DELETE FROM events WHERE sequence > 108;
DELETE FROM ledger_entries WHERE sequence > 108; UPDATE ledger_heads SET sequence = 108,
last_event_id = (SELECT event_id FROM events WHERE sequence = 108)`,
		[]string{`the newest checkpoint covers 112 entries, and the ledger has 108: its end was cut off`}},
	{"two exchanged", `UPDATE events SET sequence = 187 - sequence WHERE sequence IN (93, 94);
UPDATE events SET sequence = sequence WHERE sequence = 13`,
		[]string{`entry 94, body, ident, `, `entry 93, sequence: it stands behind entry 94`}},
	{"a text", `UPDATE texts SET text = 'We keep nothing.' WHERE text = 'We keep this.'`,
		[]string{`entry 61, displayed_text: the text kept as sha256:[0-9a-f]{64} is not the one with that hash`}},
	{"a text of one person", `UPDATE subject_texts SET text_sealed = (SELECT ident FROM events WHERE sequence = 62)`,
		[]string{`entry 62, displayed_text: the text that the person was shown, sha256:[0-9a-f]{64}, is not there`}},
	{"a text deleted", `DELETE FROM subject_texts`,
		[]string{`entry 62, displayed_text: the text that the person was shown, sha256:[0-9a-f]{64}, is not there`}},
	{"a secret exchanged", `UPDATE subject_keys SET wrapped_key = (SELECT wrapped_key FROM subject_keys
WHERE subject_id = (SELECT subject_id FROM events WHERE sequence = 14))
WHERE subject_id = (SELECT subject_id FROM events WHERE sequence = 13)`,
		[]string{`entry 13: what it was committed with is gone`, `entry 63: what it was committed with is gone`}},
	{"a row of the tree deleted", `DELETE FROM ledger_rows WHERE level = 0 AND number = 1`,
		[]string{`row 1 of level 0 of the tree, with the hashes of entries 33 to 64, is not there or damaged`}},
	{"a consent", `UPDATE consents SET state = 2 WHERE subject_id = (SELECT subject_id FROM events
WHERE sequence = 15)`, []string{`the consent of subject [0-9a-f-]{36} to purpose \d+ of project 1: it says declined`}},
	{"the purpose of a consent", `UPDATE consents SET purpose_no = purpose_no + 1 WHERE subject_id = (SELECT subject_id
FROM events WHERE sequence = 15)`, []string{`which led to it, is about another person or purpose`}},
	{"whose consent it is", `UPDATE consents SET last_event_id = (SELECT event_id FROM events WHERE sequence = 16)
WHERE subject_id = (SELECT subject_id FROM events WHERE sequence = 15)`,
		[]string{`which led to it, is about another person or purpose`}},
	{"the last decision forgotten", `UPDATE consents SET
last_event_id = (SELECT event_id FROM events WHERE sequence = 15),
event_id = (SELECT event_id FROM events WHERE sequence = 15) WHERE subject_id = (SELECT subject_id FROM events
WHERE sequence = 15)`, []string{`97 decisions are on record, and consents follow from 96`}},
	{"a consent deleted", `DELETE FROM consents WHERE subject_id = (SELECT subject_id FROM events WHERE sequence = 15)`,
		[]string{`97 decisions are on record, and consents follow from 95`}},
	{"the checkpoint", `UPDATE ledger_checkpoints SET note = replace(note, E'\n112\n', E'\n113\n')`,
		[]string{`the newest checkpoint: wrong signature`}},
	{"the checkpoint deleted", `DELETE FROM ledger_checkpoints`, []string{`the newest checkpoint is not there`}},
	{"the head's tree", `UPDATE ledger_heads SET tree = '\x00'`, []string{`the tree in its head cannot be read`}},
}

// ofSQLite gives a statement, which is PostgreSQL's, for SQLite: there blobs are cut and replaced as text.
func ofSQLite(statement string) string {
	statement = regexp.MustCompile(`(body|ident|note) = replace\((body|ident|note), ([^,]+), ([^)]+)\)`).
		ReplaceAllString(statement, `$1 = CAST(replace(CAST($2 AS TEXT), $3, $4) AS BLOB)`)
	statement = regexp.MustCompile(`E'\\n(\d+)\\n'`).ReplaceAllString(statement, `char(10) || '$1' || char(10)`)
	return strings.ReplaceAll(statement, `'\x00'`, `x'00'`)
}

// ofPostgres gives a statement for PostgreSQL, where blobs are replaced as text too.
func ofPostgres(statement string) string {
	statement = strings.ReplaceAll(statement, "recorded_at + 1000", "recorded_at + interval '1 ms'")
	return regexp.MustCompile(`(body|ident|note) = replace\((body|ident|note), ([^,]+), ([^)]+)\)`).
		ReplaceAllString(statement, `$1 = convert_to(replace(convert_from($2, 'UTF8'), $3, $4), 'UTF8')`)
}

// verified runs the command and holds its output.
func verified(t *testing.T, code int, says []string, args ...string) {
	t.Helper()
	p := command(t, nil, append([]string{"ledger", "verify"}, args...)...)
	if out := p.out.String() + p.errOut.String(); p.code != code {
		t.Errorf("exit code %d, want %d\n%s", p.code, code, out)
	} else {
		for _, expression := range says {
			if !regexp.MustCompile(expression).MatchString(out) {
				t.Errorf("it does not say %s:\n%s", expression, out)
			}
		}
	}
}

var intact = []string{`(?m)^ok +[a-z0-9-]+: 110 entries as committed, 49 consents as they follow from them; of 2 ` +
	`entries, about people who were erased, the leaf alone is left, as committed; the signed checkpoint over 112 ` +
	`entries holds`, `All is as it was committed: [12] ledgers?, 112 entries`}

// TestLedgerVerify changes a data folder as somebody could who has the file; each change is named.
func TestLedgerVerify(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, checkpoint := proved(t, "--data", dir)
	verified(t, 0, intact, "--data", dir)
	pinned := filepath.Join(t.TempDir(), "checkpoint")
	writeFile(t, pinned, checkpoint)
	verified(t, 0, append(intact, `it goes on from the checkpoint that was given, over 112 entries`), "--data", dir,
		"--checkpoint", pinned, "--organization", o.organization)
	for _, tc := range tamperings {
		t.Run(tc.name, func(t *testing.T) {
			damaged := copyOf(t, dir)
			plant(ofSQLite(tc.statement))(t, damaged)
			verified(t, exitFailed, append(tc.says, "NOT as it was committed: 1 of "), "--data", damaged)
		})
	}
	t.Run("forged whole", func(t *testing.T) { // and without a checkpoint: nothing in the folder contradicts
		damaged := copyOf(t, dir)
		plant(`DELETE FROM ledger_checkpoints; DELETE FROM ledger_keys`)(t, damaged)
		verified(t, 0, []string{`no checkpoint was signed yet`}, "--data", damaged)
		origin, _, _ := strings.Cut(checkpoint, "\n")
		writeFile(t, pinned, signedAs(t, filepath.Join(dir, keyFileName), origin, 113, [32]byte{}))
		verified(t, exitFailed, []string{`the checkpoint that was given covers 113 entries, and the ledger has 112`},
			"--data", damaged, "--checkpoint", pinned)
	})
}

// TestLedgerVerifyKept: that an older state of the data was put back, whole and by its own checkpoint, is found by what
// servers keep beside the key file, unless that is not there; and so is that another ledger stands in its place.
func TestLedgerVerifyKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	kept := filepath.Join(dir, keyFileName+checkpointsSuffix)
	verified(t, 0, append(intact, `it goes on from the newest one that is kept apart`), "--data", dir)
	keep := func(next consent.LedgerRoot, organization string) {
		t.Helper()
		c, err := journal.OpenCheckpoints(kept)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		id, _ := consent.ParseID(organization)
		newest, err := c.Newest(id)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := c.Put(id, newest, next); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	both := func(what, says string) {
		t.Helper()
		verified(t, exitFailed, []string{`FAIL .*` + says + `.*kept in .*kek\.checkpoints.*consentd ledger recover`},
			"--data", dir)
		p := command(t, nil, "doctor", "--data", dir)
		if fails := regexp.MustCompile(`(?m)^fail +checkpoints .*consentd ledger recover`); p.code != exitFailed ||
			!fails.MatchString(p.out.String()) {
			t.Errorf("the doctor, %s: %d %s", what, p.code, p.out.String())
		}
	}
	whole := readFile(t, dir, keyFileName+checkpointsSuffix)
	keep(consent.LedgerRoot{Size: 113, Root: [32]byte{1}}, o.organization)
	verified(t, exitFailed, []string{`kept in .*kek\.checkpoints covers 113 entries, and the ledger has 112`},
		"--data", dir)
	both("shorter", `the newest checkpoint that was signed`)
	keep(consent.LedgerRoot{Size: 112, Root: [32]byte{1}}, o.organization)
	verified(t, exitFailed, []string{`kept in .*kek\.checkpoints was signed over other entries than the first 112`},
		"--data", dir)
	both("other entries", `the newest checkpoint that was signed`)
	writeFile(t, kept, whole)
	keep(consent.LedgerRoot{Size: 3}, "01000000-0000-0000-0000-000000000000")
	const stranger = "01000000-0000-0000-0000-000000000000" // another store's, or one that was lost
	verified(t, 0, []string{`NOTE  ` + stranger + `: a checkpoint of 3 entries was signed of its ledger`}, "--data", dir)
	hold(t, "the doctor", command(t, nil, "doctor", "--data", dir).out.String(), "warn  checkpoints", "such as "+stranger,
		"0 failed, 1 warning")
	verified(t, 0, intact[:1], "--data", dir, "--organization", o.organization)

	writeFile(t, kept, "garbage\n")
	verified(t, exitUsage, []string{`file of checkpoints .* damaged.*put back a copy`}, "--data", dir)
	hold(t, "the doctor", command(t, nil, "doctor", "--data", dir).out.String(), "fail  checkpoints", "put back a copy")
	p := command(t, []string{"CONSENTD_ROOT_KEY=" + rootKey}, "serve", "--listen", "127.0.0.1:0", "--data", dir)
	if p.code != exitUsage {
		t.Errorf("a server starts: %d", p.code)
	}
	hold(t, "the server", p.errOut.String(), kept, "damaged", "put back a copy")
}

// TestJournalsGone: where the journals were removed, the doctor warns, and so does the server that makes new ones and
// goes on from the newest checkpoint in the store.
func TestJournalsGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	hold(t, "the doctor before", command(t, nil, "doctor", "--data", dir).out.String(), "ok    checkpoints",
		"ok    erasures")
	for _, suffix := range []string{erasuresSuffix, checkpointsSuffix} {
		if err := os.Remove(filepath.Join(dir, keyFileName+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	p := command(t, nil, "doctor", "--data", dir)
	hold(t, "the doctor", p.out.String(), "warn  erasures", "though there are entries on record", "warn  checkpoints",
		"lacks 1 ledger that were signed")
	if p.code != 0 {
		t.Errorf("the doctor: %d", p.code)
	}
	verified(t, 0, []string{`has no checkpoint of it, so nothing tells whether its end was cut off`}, "--data", dir)
	s := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	waitFor(t, "the log tells", func() bool { return strings.Contains(s.errOut.String(), "level=ERROR") })
	hold(t, "the log", s.errOut.String(), "there was no journal of erasures", "the journal of checkpoints holds none")
	s.stop(t)
	hold(t, "the doctor afterwards", command(t, nil, "doctor", "--data", dir).out.String(), "ok    checkpoints")
	verified(t, 0, append(intact, `it goes on from the newest one that is kept apart`), "--data", dir, "--organization",
		o.organization)
	s = serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	s.stop(t)
	if log := s.errOut.String(); strings.Contains(log, "journal of") {
		t.Errorf("it is told again: %s", log)
	}
}

// TestLedgerVerifyMistakes: what cannot be looked at has an exit code of its own, and says what to do.
func TestLedgerVerifyMistakes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	proved(t, "--data", dir)
	file := filepath.Join(t.TempDir(), "file")
	verified(t, exitUsage, []string{`holds no database: name the folder with --data`}, "--data", t.TempDir())
	verified(t, exitUsage, []string{`there is no organization "nobody"`}, "--data", dir, "--organization", "nobody")
	verified(t, exitUsage, []string{`--checkpoint: .*no such file`}, "--data", dir, "--checkpoint", file)
	writeFile(t, file, "no checkpoint")
	verified(t, exitUsage, []string{`--checkpoint .*: malformed`}, "--data", dir, "--checkpoint", file)
	writeFile(t, file, "elsewhere.example/x\n1\n"+strings.Repeat("A", 43)+"=\n")
	verified(t, exitUsage, []string{`is no ledger in here`}, "--data", dir, "--checkpoint", file)
	verified(t, exitUsage, []string{`restore it from its copy, or name the copy with --kek-file`}, "--data", dir,
		"--kek-file", filepath.Join(dir, "lost"))
	if err := os.Remove(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	proved(t, "--data", filepath.Join(t.TempDir(), "other"), "--kek-file", filepath.Join(dir, "kek"))
	verified(t, exitUsage, []string{`is not the one that this store goes with`}, "--data", dir)
}

// TestLedgerVerifyPostgres changes a database by SQL; each change is named.
func TestLedgerVerifyPostgres(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, "", nil)
	kek := filepath.Join(t.TempDir(), "kek")
	proved(t, "--database", url, "--kek-file", kek)
	verified(t, 0, intact, "--database", url, "--kek-file", kek)
	ctx := context.Background()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	run := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := db.Exec(ctx, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	for _, table := range provedTables {
		run("CREATE TEMPORARY TABLE kept_" + table + " AS SELECT * FROM " + table)
	}
	for _, tc := range tamperings {
		t.Run(tc.name, func(t *testing.T) {
			run(ofPostgres(tc.statement))
			verified(t, exitFailed, append(tc.says, "NOT as it was committed: 1 of "), "--database", url, "--kek-file", kek)
			for _, table := range provedTables {
				run("DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
			}
		})
	}
	verified(t, 0, intact, "--database", url, "--kek-file", kek)
}

// TestLedgerVerifyBitFlips flips bits of the pages that hold the ledger: each is named, is found by SQLite, or is in
// space that nothing reads.
func TestLedgerVerifyBitFlips(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	proved(t, "--data", dir)
	path := filepath.Join(dir, sqlite.FileName)
	before := dump(t, dir)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pages := pagesOf(t, dir, provedTables)
	rounds := 40
	if testing.Short() {
		rounds = 6
	}
	found := map[string]int{}
	for range rounds {
		page := pages[rand.IntN(len(pages))]
		at, bit := (page-1)*4096+rand.IntN(4096), byte(1)<<rand.IntN(8)
		text[at] ^= bit
		writeFile(t, path, string(text))
		p := command(t, nil, "ledger", "verify", "--data", dir)
		after := dump(t, dir)
		switch {
		case p.code == exitFailed:
			found["named"]++
		case p.code == exitUsage:
			found["refused"]++
		case p.code == 0 && after == before:
			found["of no effect"]++
		case p.code == 0 && !strings.HasSuffix(after, "\n\"ok\"|\n"): // the doctor tells of it
			found["unsound to SQLite"]++
		default:
			t.Errorf("bit %08b of byte %d of page %d: exit code %d\n%s%s", bit, at%4096, page, p.code, p.out.String(),
				firstDifference(before, after))
		}
		text[at] ^= bit
	}
	t.Logf("%d bits: %v", rounds, found)
	if found["named"] == 0 {
		t.Error("none was named")
	}
}

// provedTables hold what entries commit to, and what follows from it.
var provedTables = []string{"events", "ledger_entries", "ledger_rows", "ledger_heads", "ledger_checkpoints",
	"subject_keys", "consents", "texts", "subject_texts"}

// pagesOf lists the pages of some tables.
func pagesOf(t *testing.T, dir string, tables []string) (pages []int) {
	t.Helper()
	db := openFile(t, dir)
	names := "'" + strings.Join(tables, "', '") + "'"
	err := sqlitex.ExecuteTransient(db, `SELECT pageno FROM dbstat WHERE name IN (`+names+`)`, &sqlitex.ExecOptions{
		ResultFunc: func(s *zombiezen.Stmt) error {
			pages = append(pages, s.ColumnInt(0))
			return nil
		}})
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	return pages
}

// dump reads all that is in the ledger's tables and that something follows from: not when a checkpoint was signed, nor
// parts of milliseconds of when entries were recorded. What cannot be read, or has no order, is part of it.
func dump(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	db := openFile(t, dir)
	for _, table := range append(slices.Clone(provedTables), "pragma_integrity_check") {
		err := sqlitex.ExecuteTransient(db, `SELECT * FROM `+table, &sqlitex.ExecOptions{
			ResultFunc: func(s *zombiezen.Stmt) error {
				for i := range s.ColumnCount() {
					switch name := s.ColumnName(i); {
					case name == "recorded_at":
						fmt.Fprintf(&b, "%d|", s.ColumnInt64(i)/1000)
					case name != "signed_at":
						fmt.Fprintf(&b, "%q|", s.ColumnText(i))
					}
				}
				b.WriteString("\n")
				return nil
			}})
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
	}
	return b.String()
}

func firstDifference(before, after string) string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\n" + b[i]
		}
	}
	return fmt.Sprintf("%d rows, and then %d", len(a), len(b))
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
