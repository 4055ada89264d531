package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// What goes wrong with a database that is elsewhere, and what is done about it: a transaction of which it is certain
// that it was not done runs again; a commit without an answer is unknown, and stays so.

// retry runs an attempt until it succeeds, fails for a reason that stays, or its time is over. The first attempt has
// all the time of its statements, the others what is left.
func (e *Engine) retry(ctx context.Context, attempt func(context.Context) (timedOut bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.moveUnfinished.Load() {
		return errUnfinishedMove
	}
	if e.noStatementTimeout { // who inspects says what went wrong, and must not look at anything twice
		_, err := attempt(ctx)
		return err
	}
	until := time.Now().Add(retryTimeout)
	if e.longOutage() { // everybody has waited already
		until = time.Now()
	}
	within, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	timedOut, err := attempt(ctx)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		if err == nil {
			e.deadlines.Store(0)
			return nil
		}
		e.countFailure(err, timedOut)
		switch {
		case errors.Is(err, consent.ErrUnknown):
			e.counts.unknown.Add(1)
			return err
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		case !timedOut && !transient(err):
			return e.diskFull(err)
		case time.Now().Add(wait).After(until):
			return unavailable(err)
		}
		e.counts.retries.Add(1)
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		done, late := e.retries.Acquire(within, consent.NoID)
		if late != nil {
			if ctx.Err() != nil {
				return errors.Join(ctx.Err(), err)
			}
			return unavailable(err)
		}
		timedOut, err = attempt(within)
		done()
		timedOut = timedOut || within.Err() != nil && ctx.Err() == nil
	}
}

// unavailable says that a transaction failed for a reason that lasted; err is the last one.
func unavailable(err error) error {
	return &consent.Error{Kind: consent.Unavailable, Msg: "the database does not answer; nothing was done, retry", Err: err}
}

// diskFull gives for a full disk the error that SQLite's engine gives: reads go on, and what was refused may be tried
// again.
func (e *Engine) diskFull(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "53100" {
		return err
	}
	if firstOfRow(&e.fullLogged) {
		e.log.Error("the database's disk is full: reading only", "error", err)
	}
	return &consent.Error{Kind: consent.Unavailable,
		Msg: "the database's disk is full: reads go on, writes are refused until there is room", Err: err}
}

// firstOfRow tells whether an error is the first of a row, which is logged. last is when the one before it was, in Unix
// milliseconds.
func firstOfRow(last *atomic.Int64) bool {
	now := time.Now().UnixMilli()
	return now-last.Swap(now) > time.Minute.Milliseconds()
}

// countFailure counts deadlines in a row, and gives up connections that lead to a server which no longer takes writes.
func (e *Engine) countFailure(err error, timedOut bool) {
	var refused *pgconn.PgError
	switch {
	case timedOut:
		if e.deadlines.Add(1) >= replaceAfter {
			e.replacePool()
		}
	case errors.As(err, &refused) && refused.Code == "25006":
		e.pool.Load().Reset()
	case errors.As(err, &refused) && refused.Code == "08006" && firstOfRow(&e.nodeLogged):
		e.log.Error("the database answers, but does not reach a node behind it: organizations on that node are refused, "+
			"the others are served", "error", err)
	}
}

// transient tells whether an error of an attempt that was certainly not committed may be gone at the next one.
func transient(err error) bool {
	var known *consent.Error
	var refused *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &known):
		return false
	case errors.Is(err, errBusy):
		return true
	case errors.As(err, &connect):
		return true
	case errors.As(err, &refused):
		return transientCode(refused.Code) || statementsLost(err)
	}
	return brokenConnection(err)
}

// transientCode knows the codes of errors that are the moment's: serialization and deadlocks (class 40), lost
// connections (08), a server that ends, starts or has no connection left (57P, 53300), a server that became a
// standby (25006), a lock that was waited for too long (55P03).
func transientCode(code string) bool {
	switch code {
	case "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300", "25006", "55P03", "57014":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// statementsLost tells whether a connection's prepared statements are no longer what it believes: a pooler lost them,
// or a migration changed what they give. The connection is given up.
func statementsLost(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) &&
		(refused.Code == "26000" || refused.Code == "0A000" && refused.Routine == "RevalidateCachedQuery")
}

// Errors of a commit that was answered, but not by "done".
var (
	errRolledBack = errors.New("the transaction had failed before its commit, which rolled it back")
	errNoStandby  = errors.New("the commit's wait for its synchronous standby was cancelled")
)

// errMissingRows is about rows of an organization that is not there.
var errMissingRows = errors.New("a statement for many rows wrote fewer: their organization is not there")

// commit ends a transaction with what waits, in one round trip, or two where it has to be seen first what was written.
// Its error is consent.ErrUnknown unless it is certain that nothing was done.
func (c *conn) commit() error {
	// Also where nothing was asked for: a commit waits for the disk and the standby only behind what took a lock.
	if _, err := c.lock("", nil, nil); err != nil {
		return err
	}
	if !c.locked && slices.ContainsFunc(c.queue, func(r request) bool { return r.writes > 0 }) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	at := len(c.queue)
	c.queue, c.noStandby = append(c.queue, request{statement: commit}), false
	err := c.flush()
	if err == nil && c.noStandby {
		err = errNoStandby
	}
	if err == nil || certain(err, at, c.pg.IsClosed(), c.pg.TxStatus()) {
		return err
	}
	return fmt.Errorf("%w: %w", consent.ErrUnknown, err)
}

// certain tells whether a round trip that ended with a commit, which stood at an index, certainly committed nothing.
// The server answers in order, and status is what it said last of the transaction, unless the connection closed before
// all was answered. An error from elsewhere tells nothing of the commit, wherever it stands: a pooler that lost its
// server says so (08P01) in place of the first answer that it does not have.
func certain(err error, at int, closed bool, status byte) bool {
	var failed *failedAt
	var refused *pgconn.PgError
	switch {
	case pgconn.SafeToRetry(err), errors.Is(err, errRolledBack):
		return true // nothing was sent; or the server said so
	case !errors.As(err, &failed) || !errors.As(err, &refused):
		return false
	case !closed:
		return status == 'E' || failed.at == at && rolledBack(refused.Code)
	}
	return failed.at < at && endsSession(refused.Code)
}

// rolledBack tells whether a commit that the server refused with a code was not done. Citus may refuse one for
// other reasons when it was done on a worker.
func rolledBack(code string) bool {
	return strings.HasPrefix(code, "40") && code != "40003" || strings.HasPrefix(code, "23") ||
		strings.HasPrefix(code, "25")
}

// endsSession knows with what a server, and no pooler, ends a session before the next statement: an administrator, or
// a limit on idle sessions or on transactions.
func endsSession(code string) bool {
	switch code {
	case "57P01", "57P05", "25P03", "25P04":
		return true
	}
	return false
}

// onNotice looks for the warning of a commit that was done without its synchronous standby, since somebody cancelled
// the wait. PostgreSQL calls that done; here it is unknown, because the standby may be the next primary. The name of
// the routine is the same in every language.
func onNotice(pg *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		connOf(pg).noStandby = true
	}
}

// close gives up a connection.
func (c *conn) close() {
	within, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.pg.Close(within)
}

// replacePool puts a new pool in the place of one that is full of broken connections.
func (e *Engine) replacePool() {
	e.replacing.Lock()
	defer e.replacing.Unlock()
	if e.deadlines.Load() < replaceAfter || time.Since(e.replaced) < statementTimeout {
		return // somebody was quicker; what timed out since may have been of the pool before
	}
	e.deadlines.Store(0)
	e.replaced = time.Now()
	pool, err := e.newPool(context.Background())
	if err != nil {
		return // the configuration was good before; the next deadline tries again
	}
	old := e.pool.Swap(pool)
	e.counts.replaced.Add(1)
	e.log.Warn("the database did not answer in time, again and again: using new connections")
	e.running.Go(old.Close)
}

// probe looks whether the database takes writes, so that readiness and the pool recover while nobody asks.
func (e *Engine) probe(running context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-running.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(running, probeTimeout)
		err := e.probeOnce(within)
		timedOut := within.Err() != nil
		cancel()
		if running.Err() != nil {
			return
		}
		e.recordProbe(err, timedOut)
	}
}

// probeDatabase asks what a write needs. The settings may change while the server runs.
const probeDatabase = `/* probe */ SELECT pg_is_in_recovery(), current_setting('fsync') <> 'off'
AND current_setting('full_page_writes') <> 'off'
AND current_setting('synchronous_commit') <> 'off'`

// errUndurable is shown to clients and by readiness: nothing is written until it is mended.
var errUndurable = &consent.Error{Kind: consent.Unavailable, Msg: "the database would lose writes: fsync, " +
	"full_page_writes or synchronous_commit is off; consentd doctor tells more"}

// probeOnce asks the database once. A connection that broke says nothing of the database: the next one does, which in
// the end is a new one.
func (e *Engine) probeOnce(ctx context.Context) error {
	for {
		_, err := e.withConnOf(ctx, e.probePool, func(c *conn) error {
			standby, durable := false, false
			err := c.Query(ctx, probeDatabase, nil, func(r engine.Row) error { return r.Scan(&standby, &durable) })
			switch {
			case err != nil:
				return err
			case standby:
				return errors.New("it is a standby")
			case !durable:
				return errUndurable
			}
			return nil
		})
		if err == nil || ctx.Err() != nil || !transient(err) || noConnection(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// noConnection tells whether the error is that there is no connection to be had, rather than that one ended, even
// as soon as it was made.
func noConnection(err error) bool {
	var connect *pgconn.ConnectError
	var refused *pgconn.PgError
	return errors.As(err, &connect) && !(errors.As(err, &refused) && refused.Code == "57P01")
}

// recordProbe keeps what the probe found, and says so once.
func (e *Engine) recordProbe(err error, timedOut bool) {
	if err != nil {
		e.countFailure(err, timedOut)
		before := e.outage.Load()
		if before == nil || errors.Is(before.why, errUndurable) != errors.Is(err, errUndurable) {
			before = &outage{since: time.Now()}
			e.log.Error("the database cannot be used: not ready", "error", err)
		}
		e.outage.Store(&outage{err, before.since})
		return
	}
	e.deadlines.Store(0)
	if e.outage.Swap(nil) != nil {
		e.log.Info("the database can be used again: ready")
	}
}

// brokenConnection tells whether an error is that of a connection that broke, or of a pool that was just replaced.
func brokenConnection(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) ||
		pgconn.SafeToRetry(err) || errors.Is(err, puddle.ErrClosedPool)
}
