// Package sqlite is the engine over SQLite in a data folder: it opens, reads, commits, checkpoints, copies and checks
// the file. It knows no table.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // for migrations alone
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/migrations"
)

// FileName is the name of the database in the data folder.
const FileName = "consentd.db"

const (
	readerCount = 4
	busyTimeout = 10 * time.Second
)

// Options say how to open a data folder.
type Options struct {
	// Exclusive refuses a folder that another server uses (ErrLocked); for servers, not for tools beside one.
	Exclusive bool
	Log       *slog.Logger // nil: slog.Default
	// Moving is for a move of the folder into another database: one that was moved already is opened too, and a
	// transaction may take long without a warning.
	Moving bool
}

// Open opens the database in a data folder, makes both where they are absent, and brings the schema up to date. Errors:
// ErrLocked, migrations.ErrEarlier, or what is wrong with the folder.
func Open(ctx context.Context, dir string, o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if to, linkErr := os.Readlink(dir); linkErr == nil {
			return nil, fmt.Errorf("the data folder %s is a link to %s, where there is no folder; make it, or mend the link",
				dir, to)
		}
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if Moved(dir) && !o.Moving {
		return nil, fmt.Errorf("its data was moved into PostgreSQL: name the database with --database "+
			"(CONSENTD_DATABASE_URL), or remove %s from the folder to use it all the same", movedFile)
	}
	if err := preparePageCache(); err != nil {
		return nil, err
	}
	e := &Engine{path: filepath.Join(dir, FileName), log: o.Log, moving: o.Moving,
		checked: func(time.Time, bool) {}, dirty: make(chan struct{}, 1), stopped: make(chan struct{})}
	e.fatal = func(err error) {
		e.log.Error("the disk failed to keep a write: stopping, since what is on disk is unknown", "error", err)
		os.Exit(1)
	}
	if err := private(e.path); err != nil {
		return nil, err
	}
	if o.Exclusive {
		unlock, err := lockFolder(dir)
		if err != nil {
			return nil, err
		}
		e.unlock = unlock
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o007 != 0 {
			o.Log.Warn("everybody on this machine may enter the data folder; chmod 700 it",
				"folder", dir, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
		}
	}
	if err := e.open(ctx); err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

// private makes the database's file, for its owner alone, where there is none; SQLite gives its other files the same
// mode.
func private(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", FileName, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			return fmt.Errorf("keep %s to its owner: %w", FileName, err)
		}
	}
	return nil
}

func (e *Engine) open(ctx context.Context) error {
	if err := e.migrate(ctx); err != nil {
		return err
	}
	var err error
	if e.writer, err = e.connect(writerCache); err != nil {
		return err
	}
	if err := e.checkDurable(); err != nil {
		return err
	}
	if err := e.settle(); err != nil {
		return err
	}
	if e.shared, err = os.Open(e.path + "-shm"); err != nil {
		return fmt.Errorf("open the index of the write-ahead log: %w", err)
	}
	e.restartAt = maxWAL
	if e.checkpoint, err = e.connect(checkpointCache); err != nil {
		return err
	}
	e.commits.Store(2)
	e.readers = make(chan *reader, readerCount)
	for range readerCount {
		c, err := e.connect(readerCache)
		if err != nil {
			return err
		}
		if err := sqlitex.ExecuteTransient(c, "PRAGMA query_only = ON", nil); err != nil {
			return err
		}
		e.readers <- &reader{conn: conn{c: c}}
	}
	running, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go e.checkpointer(running)
	return nil
}

// migrate brings the schema up to date, over database/sql as goose wants it.
func (e *Engine) migrate(ctx context.Context) error {
	db, err := sql.Open("sqlite", fileURI(e.path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"+
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("open %s: %w", FileName, err)
	}
	defer db.Close()
	provider, err := migrations.Provider(goose.DialectSQLite3, db)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema of %s up to date: %w", FileName, err)
	}
	return migrations.Check(ctx, provider, db, e.log)
}

// settle makes durable what is in the write-ahead log by now. A process that was killed may have written a commit and
// not synced it: SQLite finds it there and shows it, and without this it could be told, or signed, and be lost in a
// power cut. Mostly the log is gone by now, since migrate had the last connection; not where a tool reads beside. A
// tool leaves it to the server, for whose transactions it would have to wait.
func (e *Engine) settle() error {
	if e.unlock == nil {
		return nil
	}
	if log, err := os.Stat(e.path + "-wal"); err != nil || log.Size() == 0 {
		return nil
	}
	// A commit syncs the log with all that is in it.
	if err := (&conn{c: e.writer}).run("PRAGMA user_version = 1"); err != nil {
		return fmt.Errorf("sync the write-ahead log: %w", err)
	}
	return nil
}

// fileURI names a file whose path may have any letters (https://sqlite.org/uri.html); parameters may follow.
func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// connect opens a connection with a cache of so many bytes.
func (e *Engine) connect(cache int) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(e.path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", FileName, err)
	}
	c.SetBusyTimeout(busyTimeout)
	for _, pragma := range []string{"synchronous = FULL", "foreign_keys = ON", "secure_delete = ON",
		"wal_autocheckpoint = 0", fmt.Sprintf("cache_size = -%d", cache>>10), "temp_store = MEMORY"} {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+pragma, nil); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("set %s: %w", pragma, err)
		}
	}
	if err := c.CreateFunction("lower", &lower); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("define lower: %w", err)
	}
	return c, nil
}

// lower knows the letters of every language; SQLite's own knows ASCII only.
var lower = sqlite.FunctionImpl{NArgs: 1, Deterministic: true,
	Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
		return sqlite.TextValue(strings.ToLower(args[0].Text())), nil
	}}

// durable are the settings that durability rests on, as SQLite must report them.
var durable = map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "secure_delete": "1"}

// checkDurable reads back what durability rests on.
func (e *Engine) checkDurable() error {
	writer := &conn{c: e.writer}
	for pragma, want := range durable {
		got := ""
		err := writer.Search(context.Background(), "PRAGMA "+pragma, nil, func(r engine.Row) error { return r.Scan(&got) })
		if err != nil {
			return fmt.Errorf("read back %s: %w", pragma, err)
		}
		if got != want {
			return fmt.Errorf("SQLite reports %s = %s, not %s: writes would not be durable on this file system",
				pragma, got, want)
		}
	}
	return nil
}
