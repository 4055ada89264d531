package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const (
	// slowTransaction is how long others may wait for one transaction before the log says so.
	slowTransaction = time.Second
	// retryFull is how long writes are refused after the disk was found full.
	retryFull = time.Second
)

// Engine is one writer, a few readers, and a checkpointer.
type Engine struct {
	path   string
	log    *slog.Logger
	fatal  func(error) // called when it is no longer known what is on disk: the process exits
	unlock func()
	moving bool

	writing sync.Mutex // held by whoever uses writer
	writer  *sqlite.Conn
	checked func(at time.Time, foreign bool) // see Watch
	version int64                            // of the data, as the writer knows it: another connection's commit raises it
	readers chan *reader
	commits atomic.Int64 // goes up before and after each commit, so it is odd while one is on its way; never 0

	checkpoint *sqlite.Conn
	dirty      chan struct{} // something was committed since the last checkpoint
	stopped    chan struct{} // the checkpointer ended
	shared     *os.File      // the index of the write-ahead log: how long the log is
	restartAt  int64         // the length of the log, in bytes, from which the writer lets it start anew
	forget     atomic.Bool   // the log holds what somebody wants to have forgotten
	forgetAt   time.Time     // when it is tried to cut it off; for the checkpointer alone, as what follows
	forgetWait time.Duration // how long it was waited after the last try, which did not work; 0: it did
	full       atomic.Int64  // when the disk was found full, in Unix milliseconds; 0: it is not
	stop       context.CancelFunc
}

var (
	_ engine.Engine  = (*Engine)(nil)
	_ engine.Watcher = (*Engine)(nil)
)

// BatchesAcrossTenants implements engine.Engine: there is one writer anyhow, and each commit costs an fsync.
func (e *Engine) BatchesAcrossTenants() bool { return true }

// Shared implements engine.Engine: a lock keeps a second server off the folder.
func (e *Engine) Shared() bool { return false }

// Update implements engine.Engine.
func (e *Engine) Update(ctx context.Context, _ consent.ID, write func(engine.Conn) error) error {
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
	c := &conn{c: e.writer}
	if err := c.run("BEGIN IMMEDIATE"); err != nil {
		return e.notDone(err)
	}
	defer e.logSlow(c, time.Now()) // from here on everybody else waits
	written := false
	defer func() {
		if !written { // an error, or a panic on its way up
			e.rollBack(c)
		}
	}()
	if err := e.checkDataVersion(c); err != nil {
		return e.notDone(err)
	}
	if err := write(c); err != nil {
		return e.notDone(err)
	}
	written = true
	return e.commit(c)
}

// commit ends a transaction that is to be.
func (e *Engine) commit(c *conn) error {
	e.commits.Add(1)
	err := c.run("COMMIT")
	e.commits.Add(1)
	if err != nil {
		e.rollBack(c)
		return e.notCommitted(err)
	}
	if c.forget {
		e.forget.Store(true)
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

// logSlow warns of a transaction that took long, and names its slowest statement.
func (e *Engine) logSlow(c *conn, began time.Time) {
	took := time.Since(began)
	if took <= slowTransaction || e.moving {
		return
	}
	slowest := ""
	if c.slowest != "" {
		slowest = engine.Name(c.slowest)
	}
	e.log.Warn("slow transaction", "ms", took.Milliseconds(), "slowest", slowest, "took_ms", c.took.Milliseconds())
}

// Watch implements engine.Watcher.
func (e *Engine) Watch(checked func(at time.Time, foreign bool)) {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.checked = checked
}

// checkDataVersion looks whether another process has committed; c is the writer's.
// (https://sqlite.org/pragma.html#pragma_data_version)
func (e *Engine) checkDataVersion(c *conn) error {
	before, at := e.version, time.Now()
	err := c.Query(context.Background(), "PRAGMA data_version", nil,
		func(r engine.Row) error { return r.Scan(&e.version) })
	if err != nil {
		return err
	}
	if e.version != before {
		e.commits.Add(2) // before checked is called: what is read from then on is of a new snapshot
	}
	e.checked(at, e.version != before)
	return nil
}

// checkDataVersionIdle is checkDataVersion while nobody writes; who writes does it anyhow.
func (e *Engine) checkDataVersionIdle() {
	if !e.writing.TryLock() {
		return
	}
	defer e.writing.Unlock()
	_ = e.checkDataVersion(&conn{c: e.writer}) // where it fails, checked is not called, as if there had been no look
}

// rollBack ends a transaction that is not to be. Some errors have ended it already.
func (e *Engine) rollBack(c *conn) {
	if e.writer.AutocommitEnabled() {
		return
	}
	if err := c.run("ROLLBACK"); err != nil && !e.writer.AutocommitEnabled() {
		e.fatal(fmt.Errorf("roll back: %w", err))
	}
}

// notDone classifies the error of a transaction that was not committed.
func (e *Engine) notDone(err error) error {
	err = e.classify(err)
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return &consent.Error{Kind: consent.Unavailable, Msg: "the database is busy; retry", Err: err}
	}
	return err
}

// notCommitted classifies the error of a commit. Only of a full disk is it certain that nothing was done.
func (e *Engine) notCommitted(err error) error {
	err = e.classify(err)
	if consent.IsKind(err, consent.Unavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", consent.ErrUnknown, err)
}

// classify looks at what went wrong with the disk.
func (e *Engine) classify(err error) error {
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

// Ready implements engine.Engine: red from the moment when the disk was full until a write succeeded again.
func (e *Engine) Ready() error {
	if e.full.Load() == 0 {
		return nil
	}
	return &consent.Error{Kind: consent.Unavailable, Msg: errFull.Error()}
}

// refusing refuses writes for a while after the disk was full; then one may try.
func (e *Engine) refusing() error {
	if since := e.full.Load(); since != 0 && time.Since(time.UnixMilli(since)) < retryFull {
		return e.Ready()
	}
	return nil
}

// probe writes something small where the disk was full, so that the server recovers while nobody asks it to write.
func (e *Engine) probe() {
	if e.full.Load() == 0 || e.refusing() != nil {
		return
	}
	// Its failure says again that the disk is full.
	_ = e.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
		return c.Query(context.Background(), "PRAGMA user_version = 1", nil, nil)
	})
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	if e.stop != nil {
		e.stop()
		<-e.stopped
	}
	var errs []error
	for range len(e.readers) {
		r := <-e.readers
		errs = append(errs, r.leave(), r.c.Close())
	}
	if e.writer != nil && e.stop != nil {
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
