package server_test

import (
	"context"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/webtest"
)

// ground is the database that a world stands on, seen past the store: by a connection of its own.
type ground interface {
	// open opens the store.
	open() (*store.Store, error)
	// state is another text after each commit of somebody else's; "": nobody can tell.
	state() (string, error)
	// read gives the rows of every table as text, a line each.
	read() (map[string]string, error)
	// count gives the number that a statement counts.
	count(statement string) (int, error)
	// inspect opens the database as the doctor does.
	inspect() (*store.Inspection, error)
	// leave ends the connection.
	leave() error
}

// TestMain runs more tests side by side than there are processors, unless it is told how many: mostly they wait for disks.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("6")
	}
	os.Exit(m.Run())
}

// engine makes grounds, and keeps the furnished one that all others are copies of.
type engine struct {
	name string
	// copied gives a copy of what furnish filled, which it does once.
	copied       func(t testing.TB, furnish func(ground) error) ground
	mine, theirs vars // of the furnished world
}

// engines are those on which every test of a world runs; all but the first let several servers share a database.
var engines = func() []*engine {
	all := []*engine{{name: "sqlite", copied: copiedSQLite()}, {name: "postgres", copied: copiedPostgres}}
	if webtest.CitusURL() != "" {
		all = append(all, &engine{name: "citus", copied: furnishedCitus})
	}
	return all
}()

// TestCitus tells whether the tests of worlds ran there.
func TestCitus(t *testing.T) { webtest.TellOfCitus(t) }

// onEngines runs a test on each engine.
func onEngines(t *testing.T, test func(t *testing.T, e *engine)) {
	t.Helper()
	sideBySide(t, engines, test)
}

func sideBySide(t *testing.T, engines []*engine, test func(t *testing.T, e *engine)) {
	t.Helper()
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// sqliteGround is a data folder.
type sqliteGround struct {
	dir  string
	conn *sqlite.Conn
}

func emptySQLite(t testing.TB) ground { return &sqliteGround{dir: t.TempDir()} }

// copiedSQLite keeps the furnished file in memory.
func copiedSQLite() func(testing.TB, func(ground) error) ground {
	var once sync.Once
	var file []byte
	var failed error
	return func(t testing.TB, furnish func(ground) error) ground {
		once.Do(func() {
			g := &sqliteGround{dir: t.TempDir()}
			if failed = furnish(g); failed == nil {
				file, failed = g.pack()
			}
		})
		if failed != nil {
			t.Fatalf("the world that all tests copy: %v", failed)
		}
		g := &sqliteGround{dir: t.TempDir()}
		if err := os.WriteFile(g.path(), file, 0o600); err != nil {
			t.Fatal(err)
		}
		return g
	}
}

func (g *sqliteGround) path() string { return filepath.Join(g.dir, store.SQLiteFile) }

func (g *sqliteGround) open() (*store.Store, error) {
	return store.OpenSQLite(context.Background(), g.dir, store.SQLiteOptions{})
}

// pack gives the whole database as one file.
func (g *sqliteGround) pack() ([]byte, error) {
	packed := filepath.Join(g.dir, "packed.db")
	if err := g.query("VACUUM INTO '"+packed+"'", nil); err != nil {
		return nil, err
	}
	if err := g.leave(); err != nil {
		return nil, err
	}
	return os.ReadFile(packed)
}

func (g *sqliteGround) query(statement string, row func(*sqlite.Stmt)) (err error) {
	if g.conn == nil {
		if g.conn, err = sqlite.OpenConn(g.path(), sqlite.OpenReadOnly|sqlite.OpenWAL); err != nil {
			return err
		}
	}
	return sqlitex.Execute(g.conn, statement, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		row(s)
		return nil
	}})
}

func (g *sqliteGround) count(statement string) (n int, err error) {
	err = g.query(statement, func(s *sqlite.Stmt) { n = s.ColumnInt(0) })
	return n, err
}

func (g *sqliteGround) inspect() (*store.Inspection, error) { return store.InspectSQLite(g.dir) }

func (g *sqliteGround) state() (version string, err error) {
	err = g.query("PRAGMA data_version", func(s *sqlite.Stmt) { version = s.ColumnText(0) })
	return version, err
}

func (g *sqliteGround) read() (map[string]string, error) {
	var tables []string
	err := g.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", func(s *sqlite.Stmt) {
		tables = append(tables, s.ColumnText(0))
	})
	out := map[string]string{}
	for i := 0; i < len(tables) && err == nil; i++ {
		var rows strings.Builder
		err = g.query("SELECT * FROM "+tables[i], func(s *sqlite.Stmt) { rows.WriteString(sqliteRow(s)) })
		out[tables[i]] = rows.String()
	}
	return out, err
}

func sqliteRow(s *sqlite.Stmt) string {
	var row strings.Builder
	for i := range s.ColumnCount() {
		if s.ColumnType(i) == sqlite.TypeBlob {
			blob := make([]byte, s.ColumnLen(i))
			s.ColumnBytes(i, blob)
			row.WriteString(hex.EncodeToString(blob) + "|")
			continue
		}
		row.WriteString(s.ColumnText(i) + "|")
	}
	return row.String() + "\n"
}

func (g *sqliteGround) leave() error {
	if g.conn == nil {
		return nil
	}
	defer func() { g.conn = nil }()
	return g.conn.Close()
}
