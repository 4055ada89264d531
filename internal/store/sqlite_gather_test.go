package store

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
)

// TestCommitIsWrittenAtOnce counts the system calls that write: a commit of a hundred pages takes a few, not two a page.
func TestCommitIsWrittenAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("only Linux tells how often a process wrote; CI runs on it")
		return
	}
	s, e := openEngine(t)
	e.ending() // the checkpointer writes too
	<-e.stopped
	defer func() { e.ending = nil }()
	const pages = 100
	fewest := 1 << 30
	for try := range 5 { // the rest of the process may write in between
		before, frames := writeCalls(t), e.logLength()
		if err := s.Update(context.Background(), consent.NoID, texts(pages*4096, strconv.Itoa(try))); err != nil {
			t.Fatal(err)
		}
		if grown := (e.logLength() - frames) / 4096; grown < pages {
			t.Fatalf("only %d pages were written", grown)
		}
		fewest = min(fewest, writeCalls(t)-before)
	}
	if fewest > 10 {
		t.Errorf("a commit of %d pages took %d writes", pages, fewest)
	}
}

// writeCalls tells how often the process has called write and its kin (proc_pid_io(5)).
func writeCalls(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "syscw: ")
	number, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// gathered is a database that is written through the gathering file system, beside what should be in it.
type gathered struct {
	t       *rapid.T
	path    string
	writer  *sqlite.Conn
	other   *sqlite.Conn // by the system's own file system
	open    bool
	rows    map[int64]string // as committed
	pending map[int64]string // as the open transaction sees it
}

func newGathered(t *rapid.T) *gathered {
	dir, err := os.MkdirTemp("", "gathered-")
	if err != nil {
		t.Fatal(err)
	}
	g := &gathered{t: t, path: filepath.Join(dir, "a b?#%41.db"), rows: map[int64]string{}, pending: map[int64]string{}}
	uri, err := gatheringURI(g.path)
	if err != nil {
		t.Fatal(err)
	}
	if g.writer, err = sqlite.OpenConn(uri, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenWAL|sqlite.OpenURI); err != nil {
		t.Fatal(err)
	}
	g.run(g.writer, "CREATE TABLE rows (n INTEGER PRIMARY KEY, value TEXT)")
	mode := rapid.SampledFrom([]string{"FULL", "NORMAL"}).Draw(t, "synchronous")                           // the latter commits without a sync
	for _, pragma := range []string{"synchronous = " + mode, "wal_autocheckpoint = 0", "cache_size = 5"} { // the cache is too small: it spills
		g.run(g.writer, "PRAGMA "+pragma)
	}
	if g.other, err = sqlite.OpenConn(g.path, sqlite.OpenReadWrite); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range []*sqlite.Conn{g.writer, g.other} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		_ = os.RemoveAll(dir)
	})
	return g
}

func (g *gathered) run(c *sqlite.Conn, statement string, args ...any) {
	g.t.Helper()
	if err := sqlitex.Execute(c, statement, &sqlitex.ExecOptions{Args: args}); err != nil {
		g.t.Fatalf("%s: %v", statement, err)
	}
}

func (g *gathered) write() {
	if !g.open {
		g.run(g.writer, "BEGIN IMMEDIATE")
		g.open, g.pending = true, maps.Clone(g.rows)
	}
	for range rapid.IntRange(1, 40).Draw(g.t, "rows") {
		n := int64(rapid.IntRange(0, 60).Draw(g.t, "n"))
		value := strings.Repeat(string(rune('a'+n%26)), rapid.SampledFrom([]int{0, 10, 900, 5000, 20_000}).Draw(g.t, "size"))
		g.run(g.writer, "INSERT INTO rows VALUES ($1, $2) ON CONFLICT DO UPDATE SET value = excluded.value", n, value)
		g.pending[n] = value
	}
	g.same("the writer itself", g.writer, g.pending)
}

func (g *gathered) end(how string) {
	if !g.open {
		return
	}
	g.run(g.writer, how)
	if g.open = false; how == "COMMIT" {
		g.rows = g.pending
	}
	g.same("another connection", g.other, g.rows)
	g.killed()
}

func (g *gathered) same(who string, c *sqlite.Conn, want map[int64]string) {
	g.t.Helper()
	got := map[int64]string{}
	err := sqlitex.Execute(c, "SELECT n, value FROM rows", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		got[s.ColumnInt64(0)] = s.ColumnText(1)
		return nil
	}})
	if err != nil {
		g.t.Fatalf("%s: %v", who, err)
	}
	if len(got) != len(want) || !maps.Equal(got, want) {
		g.t.Fatalf("%s sees other rows: %s", who, cmp.Diff(sizes(want), sizes(got)))
	}
}

func sizes(rows map[int64]string) map[int64]int {
	out := map[int64]int{}
	for n, value := range rows {
		out[n] = len(value)
	}
	return out
}

// killed opens what a process that ended now would leave.
func (g *gathered) killed() {
	dir, err := os.MkdirTemp("", "killed-")
	if err != nil {
		g.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	left := filepath.Join(dir, "left.db")
	for _, suffix := range []string{"", "-wal"} {
		bytes, err := os.ReadFile(g.path + suffix)
		if err == nil {
			err = os.WriteFile(left+suffix, bytes, 0o600)
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
	c, err := sqlite.OpenConn(left, sqlite.OpenReadWrite)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	g.same("who starts after a kill", c, g.rows)
	err = sqlitex.Execute(c, "PRAGMA integrity_check", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		if said := s.ColumnText(0); said != "ok" {
			return fmt.Errorf("integrity: %s", said)
		}
		return nil
	}})
	if err != nil {
		g.t.Fatal(err)
	}
}

// TestGatheredLog writes, spills, reads what was spilt, commits, rolls back and lets the log start anew, in any order: what
// was committed is in the files when COMMIT returns, for other connections and after a kill, and nothing else is.
func TestGatheredLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGathered(t)
		for range rapid.IntRange(5, 25).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"write", "write", "commit", "rollback", "checkpoint", "restart"}).Draw(t, "step") {
			case "write":
				g.write()
			case "commit":
				g.end("COMMIT")
			case "rollback":
				g.end("ROLLBACK")
			case "checkpoint":
				g.run(g.other, "PRAGMA wal_checkpoint(PASSIVE)")
			case "restart":
				if !g.open {
					g.run(g.writer, "PRAGMA wal_checkpoint(RESTART)")
				}
			}
		}
		g.end("COMMIT")
	})
}

// TestLogThatCannotGrow takes the room for the log away: a commit that does not fit is refused and certainly not done, what
// was gathered for it is not written later, and with room again writes go on.
func TestLogThatCannotGrow(t *testing.T) {
	s, e := openEngine(t)
	ctx := context.Background()
	if err := s.Update(ctx, consent.NoID, texts(1000, "before")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(e.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	restore := limitFiles(t, uint64(info.Size())+300_000)
	err = s.Update(ctx, consent.NoID, texts(1<<20, "during"))
	restore()
	if !consent.IsKind(err, consent.Unavailable) {
		t.Fatalf("a commit that does not fit: %v", err)
	}
	if textSize(t, s, "before") != 1000 || textSize(t, s, "during") != 0 {
		t.Error("what was written, or was refused, is not as it should be")
	}
	e.full.Store(0) // as if the second were over
	if err := s.Update(ctx, consent.NoID, texts(1<<20, "after")); err != nil {
		t.Fatalf("a write with room again: %v", err)
	}
	if textSize(t, s, "before") != 1000 || textSize(t, s, "during") != 0 || textSize(t, s, "after") != 1<<20 {
		t.Error("with room again: what was written, or was refused, is not as it should be")
	}
}

// limitFiles bounds how long files may become, for the whole process until it is restored; Go does not die of SIGXFSZ
// while it is ignored (setrlimit(2)).
func limitFiles(t *testing.T, most uint64) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}
