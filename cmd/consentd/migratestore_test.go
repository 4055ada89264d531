package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/store/move"
	"github.com/consentd/consentd/internal/store/postgres"
)

// filledFolder makes a data folder with some thousand events by a server, and gives the list of them.
func filledFolder(t *testing.T, thousands int) (dir string, o tenant, events []event) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	o = newTenant(t, p)
	for range thousands {
		users := make([]string, 1000)
		for i := range users {
			users[i] = uuid.NewString()
		}
		status, answer := call(t, "POST", p.url+o.eventsPath(), map[string]string{"x-api-key": rootKey}, items(users...))
		if status/100 != 2 {
			t.Fatalf("write events: %d %s", status, answer)
		}
	}
	events = allEvents(t, p, o)
	p.stop(t)
	return dir, o, events
}

// sameEvents starts a server on a database and compares what it lists with what another listed.
func sameEvents(t *testing.T, dir, url string, o tenant, want []event) {
	t.Helper()
	p := serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_DATABASE_URL=" + url,
		"CONSENTD_KEK_FILE=" + filepath.Join(dir, keyFileName)}, "serve", "--listen", "127.0.0.1:0")
	if diff := cmp.Diff(want, allEvents(t, p, o)); diff != "" {
		t.Errorf("events (-folder +database):\n%.2000s", diff)
	}
	status, answer := call(t, "POST", p.url+o.eventsPath(), map[string]string{"x-api-key": rootKey},
		items(uuid.NewString()))
	if status/100 != 2 {
		t.Errorf("the moved ledger takes no event: %d %s", status, answer)
	}
	p.stop(t)
}

// TestMigrateStore moves what a server wrote, by the command as an operator would give it, and starts a server on it.
func TestMigrateStore(t *testing.T) {
	t.Parallel()
	dir, o, events := filledFolder(t, 1)
	made := command(t, nil, "key", "create", "--data", dir, "--name", "for the shop")
	keys := command(t, nil, "key", "list", "--data", dir).out.String()
	url := pgtest.Database(t, "", nil)
	secret := strings.Replace(url, "@", ":pass-word-1@", 1) // the test's server asks for none
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	move := func() *process {
		return command(t, []string{"CONSENTD_DATABASE_URL_FILE=" + file}, "migrate-store", "--from", "sqlite:"+dir)
	}

	server := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	locked := move()
	if server.stop(t); locked.code != exitLocked {
		t.Errorf("beside a server it ends with %d", locked.code)
	}
	hold(t, "beside a server", locked.errOut.String(), "is running on it: stop it first")

	moved, again := move(), move()
	if moved.code != 0 || again.code != 0 {
		t.Errorf("it ends with %d, the second time with %d:\n%s%s", moved.code, again.code, moved.errOut.String(),
			again.errOut.String())
	}
	hold(t, "what was moved", moved.out.String(), "Moved 1 organization, ", "both sides are the same", "events  1000",
		"What to do next", "CONSENTD_DATABASE_URL_FILE", dir)
	hold(t, "progress", moved.errOut.String(), "counting ", "copying: 0 of ", "comparing: 0 of ")
	hold(t, "the second time", again.out.String(), "already", "nothing left to do")
	served := command(t, nil, "serve", "--listen", "127.0.0.1:0", "--data", dir)
	hold(t, "a server on a folder that was moved", served.errOut.String(), "moved into PostgreSQL", "--database",
		"moved-to-postgres")
	for _, args := range [][]string{{"list"}, {"create", "--name", "x"},
		{"revoke", "0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13"}, {"rotate-root"}} {
		// The servers are on the database: what is done to the folder's keys would be done to nobody's.
		p := command(t, nil, append(append([]string{"key"}, args...), "--data", dir)...)
		if p.code != exitFailed {
			t.Errorf("key %s on a folder that was moved ends with %d: %s", args[0], p.code, p.out.String())
		}
		hold(t, "key "+args[0]+" on a folder that was moved", p.errOut.String(), "moved into PostgreSQL", "--database")
	}
	doctor := command(t, nil, "doctor", "--data", dir)
	hold(t, "doctor on a folder that was moved", doctor.out.String(), "fail  moved", "--database")
	for _, p := range []*process{locked, moved, again} {
		if strings.Contains(p.out.String()+p.errOut.String(), "pass-word-1") {
			t.Error("the password is shown")
		}
	}
	sameEvents(t, dir, url, o, events)
	if got := command(t, []string{"CONSENTD_DATABASE_URL=" + url}, "key", "list").out.String(); got != keys ||
		!strings.Contains(got, "for the shop") {
		t.Errorf("keys:\n%s\nwere:\n%s\n%s", got, keys, made.out.String())
	}
}

// TestMigrateStoreKilled kills moves by SIGKILL and by signals that they may answer, and lets the last go to its end.
func TestMigrateStoreKilled(t *testing.T) {
	t.Parallel()
	dir, o, events := filledFolder(t, 4)
	url := pgtest.Database(t, "", nil)
	args := []string{"migrate-store", "--from", "sqlite:" + dir, "--to", url, "--batch", "20"}
	signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL, os.Interrupt.(syscall.Signal),
		syscall.SIGKILL}
	moved := int64(0)
	for i, signal := range signals {
		p := launch(t, nil, args...)
		until := moved + 200 + rand.Int64N(2000)
		for rowsMoved(t, url) < until {
			time.Sleep(time.Millisecond)
			if ended(p) {
				t.Fatalf("move %d ended by itself with %d after %d rows, before it could be killed:\n%s", i, p.code,
					rowsMoved(t, url), p.errOut.String())
			}
		}
		p.signal(t, signal)
		code := p.wait(t, 10*time.Second)
		moved = max(moved, rowsMoved(t, url))
		if signal == syscall.SIGKILL {
			continue
		}
		if hold(t, signal.String(), p.errOut.String(), "stopped by a signal",
			"the same command goes on"); code != exitFailed {
			t.Errorf("%s: it ends with %d", signal, code)
		}
	}
	refused := command(t, []string{"CONSENTD_DATABASE_URL=" + url}, "serve", "--listen", "127.0.0.1:0")
	if hold(t, "a server", refused.errOut.String(), postgres.ErrUnfinishedMove.Error()); refused.code != exitFailed {
		t.Errorf("a server on an unfinished move ends with %d", refused.code)
	}
	p := command(t, nil, args...)
	if p.code != 0 {
		t.Fatalf("the last move ends with %d:\n%s", p.code, p.errOut.String())
	}
	hold(t, "the last move", p.out.String(), "; from an earlier run: ", "both sides are the same")
	sameEvents(t, dir, url, o, events)
}

func ended(p *process) bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// rowsMoved asks how far a move is; 0 where there is no table yet that would tell.
func rowsMoved(t *testing.T, url string) (rows int64) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	_ = c.QueryRow(ctx, "SELECT coalesce(sum(rows_moved), 0)::bigint FROM store_moves").Scan(&rows)
	return rows
}

// TestMigrateStoreMistakes: what is wrong with the command line, or with the database, is said without a password.
func TestMigrateStoreMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey}).stop(t)
	from := "sqlite:" + dir
	for _, tc := range []struct {
		env, args []string
		code      int
		said      string
	}{
		{nil, nil, exitUsage, "--from"},
		{nil, []string{"--from", dir, "--to", "postgres://u:pass-word-1@h/d"}, exitUsage, "allowed: sqlite:DIR"},
		{nil, []string{"--from", "sqlite:", "--to", "postgres://u:pass-word-1@h/d"}, exitUsage, "allowed: sqlite:DIR"},
		{nil, []string{"--from", "postgres://u:pass-word-1@h/d", "--to", from}, exitUsage, "allowed: sqlite:DIR"},
		{nil, []string{"--from", from}, exitUsage, "--to, CONSENTD_DATABASE_URL or CONSENTD_DATABASE_URL_FILE"},
		{nil, []string{"--from", from, "--to", "mysql://u:pass-word-1@h/d"}, exitUsage, "flag --to"},
		{nil, []string{"--from", from, "--to", "postgres://h/d", "--admin-to", "u:pass-word-1@h/d"}, exitUsage,
			"flag --admin-to"},
		{nil, []string{"--from", from, "--admin-to", "postgres://u:pass-word-1@h/d"}, exitUsage, "without database"},
		{nil, []string{"--from", from, "--to", "postgres://u:pass-word-1@127.0.0.1:1/d"}, exitFailed, "connect"},
		{nil, []string{"--from", from, "--to", "postgres://u:pass-word-1@127.0.0.1:1x/d"}, exitUsage, "cannot be read"},
		{[]string{"CONSENTD_DATABASE_URL=postgres://u:pass-word-1@127.0.0.1:1/d"}, []string{"--from", from}, exitFailed,
			"connect"},
		{nil, []string{"--from", from + "/none", "--to", "postgres://u:pass-word-1@127.0.0.1:1/d"}, exitFailed,
			"there is no consentd.db in " + dir + "/none"},
	} {
		p := command(t, tc.env, append([]string{"migrate-store"}, tc.args...)...)
		if p.code != tc.code {
			t.Errorf("%v: exit code %d, want %d", tc.args, p.code, tc.code)
		}
		hold(t, strings.Join(tc.args, " "), p.errOut.String(), tc.said)
		if slices.ContainsFunc([]string{p.out.String(), p.errOut.String()},
			func(s string) bool { return strings.Contains(s, "pass-word-1") }) {
			t.Errorf("%v: the password is shown: %s", tc.args, p.errOut.String())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that was not there was made")
	}
}

// TestProgressLine: where, how much, how fast and how long still.
func TestProgressLine(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]move.Progress{
		"counting events":                          {Step: move.Counting, Table: "events"},
		"copying: 50 of 1000 rows":                 {Step: move.Copying, Rows: 50, Total: 1000, Before: 50},
		"analyzing events":                         {Step: move.Analyzing, Table: "events", Total: 1000},
		"copying: slugs, 0 of 1000 rows":           {Step: move.Copying, Table: "slugs", Total: 1000},
		"copying: texts, 5 of 1000 rows, 0 rows/s": {Step: move.Copying, Table: "texts", Rows: 5, Total: 1000},
		"copying: events, 250 of 1000 rows, 20 rows/s, 38s left": {Step: move.Copying, Table: "events", Rows: 250,
			Total: 1000, Before: 50},
		"comparing: counts, 1000 of 1000 rows, 100 rows/s, 0s left": {Step: move.Comparing, Table: "counts", Rows: 1000,
			Total: 1000},
	} {
		if got := progressLine(p, 10*time.Second); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
