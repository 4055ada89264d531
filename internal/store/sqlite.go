package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent" // for migrations alone
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// SQLiteFile is the name of the database in the data folder.
const SQLiteFile = "consentd.db"

const (
	sqliteReaders = 4
	busyTimeout   = 10 * time.Second
	// checkpointEvery is how often what was committed moves into the database: seldom enough that a page which is written
	// again and again moves once, often enough that little
	// is left when the log must start anew.
	checkpointEvery = 500 * time.Millisecond
	// slowTransaction is how long others may wait for one transaction before the log tells.
	slowTransaction = time.Second
	// maxWAL is how far the write-ahead log may grow before the writer waits for a checkpoint.
	maxWAL = 128 << 20
	// writerCache keeps the pages that random writes come back to; it bounds memory.
	writerCache = "-12288"
	readerCache = "-2048"
)

// SQLiteOptions say how to open a data folder.
type SQLiteOptions struct {
	// Exclusive refuses a folder that another server uses (ErrLocked); for servers, not for tools beside one.
	Exclusive bool
	Log       *slog.Logger // nil: slog.Default
	// Fatal is called when it is no longer known what is on disk (an fsync failed). nil: the process exits.
	Fatal func(error)

	moves bool // the folder is opened to be moved
}

// OpenSQLite opens the database in a data folder, makes both where they are
// absent, and brings the schema up to date.
func OpenSQLite(ctx context.Context, dir string, o SQLiteOptions) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) {
			o.Log.Error("the disk failed to keep a write: stopping, since what is on disk is unknown", "error", err)
			os.Exit(1)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if to, linkErr := os.Readlink(dir); linkErr == nil {
			return nil, fmt.Errorf("the data folder %s is a link to %s, where there is no folder; make it, or mend the link", dir, to)
		}
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if Moved(dir) && !o.moves {
		return nil, fmt.Errorf("its data was moved into PostgreSQL: name the database with --database (CONSENTD_DATABASE_URL), or remove %s from the folder to use it all the same", movedFile)
	}
	e := &sqliteEngine{path: filepath.Join(dir, SQLiteFile), log: o.Log, fatal: o.Fatal, moves: o.moves, persons: newPersons(), dirty: make(chan struct{}, 1), stopped: make(chan struct{})}
	if err := private(e.path); err != nil {
		return nil, err
	}
	if o.Exclusive {
		unlock, err := lockFolder(dir)
		if err != nil {
			return nil, err
		}
		e.unlock = unlock
	}
	if info, err := os.Stat(dir); err == nil && o.Exclusive && info.Mode().Perm()&0o007 != 0 {
		o.Log.Warn("everybody on this machine may enter the data folder; chmod 700 it", "folder", dir, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
	}
	if err := e.open(ctx); err != nil {
		_ = e.close()
		return nil, err
	}
	return &Store{engine: e, persons: e.persons}, nil
}

// private makes the database's file, for its owner alone, where there is none; SQLite gives its other files the same mode.
func private(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", SQLiteFile, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			return fmt.Errorf("keep %s to its owner: %w", SQLiteFile, err)
		}
	}
	return nil
}

// sqliteEngine is one writer, a few readers, and a checkpointer beside them.
type sqliteEngine struct {
	path   string
	log    *slog.Logger
	fatal  func(error)
	unlock func()
	moves  bool // nobody waits for it

	persons *persons

	writing sync.Mutex // held by whoever uses writer
	writer  *sqlite.Conn
	version int64 // of the data, as the writer knows it: it goes up when another connection commits, and only then
	readers chan *reader
	commits atomic.Int64 // goes up before and after each commit, so it is odd while one is on its way; never 0

	checkpoint *sqlite.Conn
	dirty      chan struct{} // something was committed since the last checkpoint
	stopped    chan struct{} // the checkpointer ended
	shared     *os.File      // the index of the write-ahead log: how long the log is
	restartAt  int64         // the length of the log, in bytes, from which the writer lets it start anew
	full       atomic.Int64  // when the disk was found full, in Unix milliseconds; 0: it is not
	ending     context.CancelFunc
}

func (e *sqliteEngine) open(ctx context.Context) error {
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
	if e.shared, err = os.Open(e.path + "-shm"); err != nil {
		return fmt.Errorf("open the index of the write-ahead log: %w", err)
	}
	e.restartAt = maxWAL
	if e.checkpoint, err = e.connect("-256"); err != nil {
		return err
	}
	e.commits.Store(2)
	e.readers = make(chan *reader, sqliteReaders)
	for range sqliteReaders {
		c, err := e.connect(readerCache)
		if err != nil {
			return err
		}
		if err := sqlitex.ExecuteTransient(c, "PRAGMA query_only = ON", nil); err != nil {
			return err
		}
		e.readers <- &reader{sqliteConn: sqliteConn{c: c}}
	}
	running, cancel := context.WithCancel(context.Background())
	e.ending = cancel
	go e.checkpointer(running)
	return nil
}

// migrate brings the schema up to date, over database/sql as goose wants it.
func (e *sqliteEngine) migrate(ctx context.Context) error {
	db, err := sql.Open("sqlite", fileURI(e.path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("open %s: %w", SQLiteFile, err)
	}
	defer db.Close()
	files, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema of %s up to date: %w", SQLiteFile, err)
	}
	return checkSchema(ctx, provider, db, e.log)
}

// ErrEarlier says that the first migration was another one when the schema was made.
var ErrEarlier = errors.New("the data was made by a consentd from before the first release, whose schema is read no more: " +
	"start with an empty data folder or database, or go on with the consentd that made it")

// hasWeights asks for a column that the first migration made only since shortly before the first release.
const hasWeights = `/* check_schema */ SELECT weight FROM events WHERE organization_id = $1`

// readSchema tells what it means that hasWeights fails.
func readSchema(err error) error {
	var missing *pgconn.PgError
	if errors.As(err, &missing) && missing.Code == "42703" || strings.Contains(err.Error(), "no such column") {
		return ErrEarlier
	}
	return fmt.Errorf("read the schema: %w", err)
}

// checkSchema refuses a schema of before the first release, and warns of one that a newer version has made. During an
// upgrade the old servers go on with that; else somebody went back.
func checkSchema(ctx context.Context, p *goose.Provider, db *sql.DB, log *slog.Logger) error {
	rows, err := db.QueryContext(ctx, hasWeights, consent.NoID.String())
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	if err != nil {
		return readSchema(err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	sources := p.ListSources()
	if known := sources[len(sources)-1].Version; version > known {
		log.Warn("the schema is of a newer consentd; finish the upgrade, or restore the backup from before it", "version", version, "known", known)
	}
	return nil
}

// fileURI names a file whose path may have any letters (https://sqlite.org/uri.html); parameters may follow.
func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// connect opens a connection with a cache of a size, as cache_size takes it.
func (e *sqliteEngine) connect(cache string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(e.path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", SQLiteFile, err)
	}
	c.SetBusyTimeout(busyTimeout)
	for _, pragma := range []string{"synchronous = FULL", "foreign_keys = ON", "secure_delete = ON",
		"wal_autocheckpoint = 0", "cache_size = " + cache, "temp_store = MEMORY"} {
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
var lower = sqlite.FunctionImpl{NArgs: 1, Deterministic: true, Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
	return sqlite.TextValue(strings.ToLower(args[0].Text())), nil
}}

// checkDurable reads back what durability rests on.
func (e *sqliteEngine) checkDurable() error {
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "secure_delete": "1"} {
		got := ""
		err := sqlitex.ExecuteTransient(e.writer, "PRAGMA "+pragma, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			got = s.ColumnText(0)
			return nil
		}})
		if err != nil {
			return fmt.Errorf("read back %s: %w", pragma, err)
		}
		if got != want {
			return fmt.Errorf("SQLite reports %s = %s, not %s: writes would not be durable on this file system", pragma, got, want)
		}
	}
	return nil
}

// batchesAcrossTenants is true: there is one writer anyhow, and each commit costs an fsync.
func (e *sqliteEngine) batchesAcrossTenants() bool { return true }

func (e *sqliteEngine) update(ctx context.Context, _ consent.ID, write func(conn) error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.refusing(); err != nil {
		return err
	}
	if length := e.logLength(); length > e.restartAt {
		e.restartLog(length)
	}
	sc := &sqliteConn{c: e.writer}
	if err := sc.run("BEGIN IMMEDIATE"); err != nil {
		return e.notDone(err)
	}
	began := time.Now() // from here on everybody else waits
	defer func() {
		if took := time.Since(began); took > slowTransaction && !e.moves {
			e.log.Warn("slow transaction", "ms", took.Milliseconds(), "slowest", strings.Trim(nameOf(sc.slowest), "/* "), "took_ms", sc.took.Milliseconds())
		}
	}()
	written := false
	defer func() {
		if !written { // an error, or a panic on its way up
			e.rollBack(sc)
		}
	}()
	if err := e.heedOthers(sc); err != nil {
		return e.notDone(err)
	}
	if err := write(sc); err != nil {
		return e.notDone(err)
	}
	written = true
	e.commits.Add(1)
	err := sc.run("COMMIT")
	e.commits.Add(1)
	if err != nil {
		e.rollBack(sc)
		return e.notCommitted(err)
	}
	if e.full.Load() != 0 {
		e.full.Store(0)
		e.log.Info("the disk has room again: taking writes")
	}
	select {
	case e.dirty <- struct{}{}:
	default:
	}
	return nil
}

// heedOthers forgets the people who are remembered if another process has committed; sc is the writer's.
// (https://sqlite.org/pragma.html#pragma_data_version)
func (e *sqliteEngine) heedOthers(sc *sqliteConn) error {
	before, at := e.version, time.Now()
	if err := sc.query(context.Background(), "PRAGMA data_version", nil, func(r row) error { return r.Scan(&e.version) }); err != nil {
		return err
	}
	if e.version != before {
		e.commits.Add(2) // first: what is read from now on, and remembered, is of a new snapshot
		e.persons.forget()
	}
	e.persons.lookedAt(at)
	return nil
}

// lookAtOthers is heedOthers while nobody writes; who writes does it anyhow.
func (e *sqliteEngine) lookAtOthers() {
	if !e.writing.TryLock() {
		return
	}
	defer e.writing.Unlock()
	_ = e.heedOthers(&sqliteConn{c: e.writer}) // what fails is no look, and soon nobody is answered from memory
}

// rollBack ends a transaction that is not to be. Some errors have ended it already.
func (e *sqliteEngine) rollBack(sc *sqliteConn) {
	if e.writer.AutocommitEnabled() {
		return
	}
	if err := sc.run("ROLLBACK"); err != nil && !e.writer.AutocommitEnabled() {
		e.fatal(fmt.Errorf("roll back: %w", err))
	}
}

// notDone classifies the error of a transaction that was not committed.
func (e *sqliteEngine) notDone(err error) error {
	err = e.classify(err)
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return &consent.Error{Kind: consent.Unavailable, Msg: "the database is busy; retry", Err: err}
	}
	return err
}

// notCommitted classifies the error of a commit. Only of a full disk is it certain that nothing was done.
func (e *sqliteEngine) notCommitted(err error) error {
	err = e.classify(err)
	if consent.IsKind(err, consent.Unavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", consent.ErrUnknown, err)
}

// retryFull is how long writes are refused after the disk was found full.
const retryFull = time.Second

// classify looks at what went wrong with the disk.
func (e *sqliteEngine) classify(err error) error {
	if err == nil {
		return nil
	}
	switch code := sqlite.ErrCode(err); {
	case code == sqlite.ResultIOErrFsync || code == sqlite.ResultIOErrDirFsync:
		e.fatal(err)
	case code.ToPrimary() == sqlite.ResultFull || code == sqlite.ResultIOErrWrite: // the latter: a quota
		if e.full.Swap(time.Now().UnixMilli()) == 0 {
			e.log.Error("the disk is full: reading only", "error", err)
		}
		return &consent.Error{Kind: consent.Unavailable, Msg: errFull.Error(), Err: err}
	}
	return err
}

var errFull = errors.New("the disk is full: reads go on, writes are refused until there is room")

// ready is red from the moment when the disk was full until a write succeeded again.
func (e *sqliteEngine) ready() error {
	if e.full.Load() == 0 {
		return nil
	}
	return &consent.Error{Kind: consent.Unavailable, Msg: errFull.Error()}
}

// refusing refuses writes for a while after the disk was full; then one may try.
func (e *sqliteEngine) refusing() error {
	if since := e.full.Load(); since != 0 && time.Since(time.UnixMilli(since)) < retryFull {
		return e.ready()
	}
	return nil
}

// probe writes something small where the disk was full, so that the server recovers while nobody asks it to write.
func (e *sqliteEngine) probe() {
	if e.full.Load() == 0 || e.refusing() != nil {
		return
	}
	_ = e.update(context.Background(), consent.NoID, func(c conn) error { // its failure says again that the disk is full
		return c.query(context.Background(), "PRAGMA user_version = 1", nil, nil)
	})
}

func (e *sqliteEngine) close() error {
	if e.ending != nil {
		e.ending()
		<-e.stopped
	}
	var errs []error
	for range len(e.readers) {
		r := <-e.readers
		errs = append(errs, r.leave(), r.c.Close())
	}
	if e.writer != nil && e.ending != nil {
		_, err := runCheckpoint(e.writer, "TRUNCATE")
		errs = append(errs, err)
	}
	for _, c := range []*sqlite.Conn{e.checkpoint, e.writer} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if e.shared != nil { // last: closing a file gives up all of the process's locks on it (fcntl(2)), SQLite's too
		errs = append(errs, e.shared.Close())
	}
	if e.unlock != nil {
		e.unlock()
	}
	return errors.Join(errs...)
}
