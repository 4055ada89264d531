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

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/webtest"
)

// database is what a harness keeps its data in, seen past the store: by a connection of its own.
type database interface {
	// open opens the store.
	open() (service.Store, error)
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

// TestMain runs more tests side by side than there are processors, unless a flag says how many: mostly they
// wait for disks.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("6")
	}
	os.Exit(m.Run())
}

// engine makes databases, and keeps the seeded one that all others are copies of.
type engine struct {
	name string
	// copied gives a copy of what seed filled, which it does once.
	copied       func(t testing.TB, seed func(database) error) database
	mine, theirs vars // of the seeded harness
}

// engines are those on which every test of a harness runs; all but the first let several servers share a database.
var engines = func() []*engine {
	all := []*engine{{name: "sqlite", copied: copiedSQLite()}, {name: "postgres", copied: copiedPostgres}}
	if webtest.CitusURL() != "" {
		all = append(all, &engine{name: "citus", copied: seededCitus})
	}
	return all
}()

// TestCitus reports whether the tests of harnesses ran there.
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

// sqliteDatabase is a data folder.
type sqliteDatabase struct {
	dir  string
	conn *zombiezen.Conn
}

func emptySQLite(t testing.TB) database { return &sqliteDatabase{dir: t.TempDir()} }

// copiedSQLite keeps the seeded file in memory.
func copiedSQLite() func(testing.TB, func(database) error) database {
	var once sync.Once
	var file []byte
	var failed error
	return func(t testing.TB, seed func(database) error) database {
		once.Do(func() {
			g := &sqliteDatabase{dir: t.TempDir()}
			if failed = seed(g); failed == nil {
				file, failed = g.pack()
			}
		})
		if failed != nil {
			t.Fatalf("the database that all tests copy: %v", failed)
		}
		g := &sqliteDatabase{dir: t.TempDir()}
		if err := os.WriteFile(g.path(), file, 0o600); err != nil {
			t.Fatal(err)
		}
		return g
	}
}

func (g *sqliteDatabase) path() string { return filepath.Join(g.dir, sqlite.FileName) }

func (g *sqliteDatabase) open() (service.Store, error) {
	e, err := sqlite.Open(context.Background(), g.dir, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	return store.CachePersons(store.New(e), e), nil
}

// pack gives the whole database as one file.
func (g *sqliteDatabase) pack() ([]byte, error) {
	packed := filepath.Join(g.dir, "packed.db")
	if err := g.query("VACUUM INTO '"+packed+"'", nil); err != nil {
		return nil, err
	}
	if err := g.leave(); err != nil {
		return nil, err
	}
	return os.ReadFile(packed)
}

func (g *sqliteDatabase) query(statement string, row func(*zombiezen.Stmt)) (err error) {
	if g.conn == nil {
		if g.conn, err = zombiezen.OpenConn(g.path(), zombiezen.OpenReadOnly|zombiezen.OpenWAL); err != nil {
			return err
		}
	}
	return sqlitex.Execute(g.conn, statement, &sqlitex.ExecOptions{ResultFunc: func(s *zombiezen.Stmt) error {
		row(s)
		return nil
	}})
}

func (g *sqliteDatabase) count(statement string) (n int, err error) {
	err = g.query(statement, func(s *zombiezen.Stmt) { n = s.ColumnInt(0) })
	return n, err
}

func (g *sqliteDatabase) inspect() (*store.Inspection, error) {
	file, err := sqlite.Inspect(g.dir)
	if err != nil {
		return nil, err
	}
	return store.Inspect(file), nil
}

func (g *sqliteDatabase) state() (version string, err error) {
	err = g.query("PRAGMA data_version", func(s *zombiezen.Stmt) { version = s.ColumnText(0) })
	return version, err
}

func (g *sqliteDatabase) read() (map[string]string, error) {
	var tables []string
	err := g.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", func(s *zombiezen.Stmt) {
		tables = append(tables, s.ColumnText(0))
	})
	out := map[string]string{}
	for i := 0; i < len(tables) && err == nil; i++ {
		var rows strings.Builder
		err = g.query("SELECT * FROM "+tables[i], func(s *zombiezen.Stmt) { rows.WriteString(sqliteRow(s)) })
		out[tables[i]] = rows.String()
	}
	return out, err
}

func sqliteRow(s *zombiezen.Stmt) string {
	var row strings.Builder
	for i := range s.ColumnCount() {
		if s.ColumnType(i) == zombiezen.TypeBlob {
			blob := make([]byte, s.ColumnLen(i))
			s.ColumnBytes(i, blob)
			row.WriteString(hex.EncodeToString(blob) + "|")
			continue
		}
		row.WriteString(s.ColumnText(i) + "|")
	}
	return row.String() + "\n"
}

func (g *sqliteDatabase) leave() error {
	if g.conn == nil {
		return nil
	}
	defer func() { g.conn = nil }()
	return g.conn.Close()
}
