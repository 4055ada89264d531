package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/consentd/consentd/internal/consent"
)

// What goes wrong with a database that is elsewhere, and what is done about it: a transaction of which it is certain
// that it was not done runs again; a commit without an answer is unknown, and stays so.

// retry runs an attempt until it succeeds, fails for a reason that stays, or its time is over. The first attempt has
// all the time of its statements, the others what is left.
func (e *postgresEngine) retry(ctx context.Context, attempt func(context.Context) (timedOut bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.o.patient { // who inspects says what went wrong, and must not look at anything twice
		_, err := attempt(ctx)
		return err
	}
	until := time.Now().Add(retryWithin)
	if e.longGone() { // everybody has waited already
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
		e.note(err, timedOut)
		switch {
		case errors.Is(err, consent.ErrUnknown):
			e.counts.unknown.Add(1)
			return err
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		case !timedOut && !passing(err):
			return e.outOfRoom(err)
		case time.Now().Add(wait).After(until):
			return &consent.Error{Kind: consent.Unavailable, Msg: "the database does not answer; nothing was done, retry", Err: err}
		}
		e.counts.retries.Add(1)
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		timedOut, err = attempt(within)
		timedOut = timedOut || within.Err() != nil && ctx.Err() == nil
	}
}

// outOfRoom tells of a full disk what SQLite's engine tells of one: reads go on, and what was refused may be tried again.
func (e *postgresEngine) outOfRoom(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "53100" {
		return err
	}
	if now := time.Now().UnixMilli(); now-e.fullSaid.Swap(now) > time.Minute.Milliseconds() { // of a row of refusals the first says it
		e.log.Error("the database's disk is full: reading only", "error", err)
	}
	return &consent.Error{Kind: consent.Unavailable, Msg: "the database's disk is full: reads go on, writes are refused until there is room", Err: err}
}

// note counts deadlines in a row, and gives up connections that lead to a server which no longer takes writes.
func (e *postgresEngine) note(err error, timedOut bool) {
	var refused *pgconn.PgError
	switch {
	case timedOut:
		if e.deadlines.Add(1) >= replaceAfter {
			e.replacePool()
		}
	case errors.As(err, &refused) && refused.Code == "25006":
		e.pool.Load().Reset()
	}
}

// passing tells whether an error of an attempt that was certainly not committed may be gone at the next one.
func passing(err error) bool {
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
		return passingCode(refused.Code) || forgotten(err)
	}
	return brokenConnection(err)
}

// passingCode knows the codes of errors that are the moment's: serialization and deadlocks (class 40), lost
// connections (08), a server that ends, starts or has no room (57P, 53300), a server that turned into a
// standby (25006), a lock that was waited for too long (55P03).
func passingCode(code string) bool {
	switch code {
	case "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300", "25006", "55P03", "57014":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// forgotten tells whether a connection's prepared statements are no longer what it believes: a pooler lost them, or
// a migration changed what they give. The connection is given up.
func forgotten(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) &&
		(refused.Code == "26000" || refused.Code == "0A000" && refused.Routine == "RevalidateCachedQuery")
}

// Errors of a commit that was answered, but not by "done".
var (
	errRolledBack = errors.New("the transaction had failed before its commit, which rolled it back")
	errAlone      = errors.New("the commit's wait for its synchronous standby was cancelled")
)

// commit ends a transaction with what waits, in one round trip. Its error is consent.ErrUnknown unless it is certain
// that nothing was done.
func (c *postgresConn) commit() error {
	at := len(c.queue)
	c.queue, c.alone = append(c.queue, request{statement: commit}), false
	err := c.flush()
	if err == nil && c.alone {
		err = errAlone
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
	return strings.HasPrefix(code, "40") && code != "40003" || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "25")
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

// noticed looks for the warning of a commit that was done without its synchronous standby, since somebody cancelled
// the wait. PostgreSQL calls that done; here it is unknown, because the standby may be the next primary. The name of the
// routine is the same in every language.
func noticed(pg *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		connOf(pg).alone = true
	}
}

// close gives up a connection.
func (c *postgresConn) close() {
	within, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.pg.Close(within)
}

// replacePool puts a new pool in the place of one that is full of broken connections.
func (e *postgresEngine) replacePool() {
	e.replacing.Lock()
	defer e.replacing.Unlock()
	if e.deadlines.Load() < replaceAfter || time.Since(e.replaced) < answerWithin {
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
func (e *postgresEngine) probe(running context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-running.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(running, probeWithin)
		err := e.look(within)
		timedOut := within.Err() != nil
		cancel()
		if running.Err() != nil {
			return
		}
		e.seen(err, timedOut)
	}
}

// probeDatabase asks what a write needs. The settings may change while the server runs.
const probeDatabase = `/* probe */ SELECT pg_is_in_recovery(), current_setting('fsync') <> 'off' AND current_setting('full_page_writes') <> 'off'
AND current_setting('synchronous_commit') <> 'off'`

// errUndurable is shown to clients and by readiness: nothing is written until it is mended.
var errUndurable = &consent.Error{Kind: consent.Unavailable, Msg: "the database would lose writes: fsync, full_page_writes or synchronous_commit is off; consentd doctor tells more"}

// look asks the database once. A connection that broke says nothing of the database: the next one does, which in the
// end is a new one.
func (e *postgresEngine) look(ctx context.Context) error {
	for {
		_, err := e.within(ctx, e.aside, func(c *postgresConn) error {
			standby, durable := false, false
			err := c.query(ctx, probeDatabase, nil, func(r row) error { return r.Scan(&standby, &durable) })
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
		if err == nil || ctx.Err() != nil || !passing(err) || noConnection(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// noConnection tells whether the error is that there is no connection to be had, rather than that one ended, be it as
// soon as it was made.
func noConnection(err error) bool {
	var connect *pgconn.ConnectError
	var refused *pgconn.PgError
	return errors.As(err, &connect) && !(errors.As(err, &refused) && refused.Code == "57P01")
}

// seen keeps what the probe found, and says so once.
func (e *postgresEngine) seen(err error, timedOut bool) {
	if err != nil {
		e.note(err, timedOut)
		before := e.gone.Load()
		if before == nil || errors.Is(before.why, errUndurable) != errors.Is(err, errUndurable) {
			before = &absence{since: time.Now()}
			e.log.Error("the database cannot be used: not ready", "error", err)
		}
		e.gone.Store(&absence{err, before.since})
		return
	}
	e.deadlines.Store(0)
	if e.gone.Swap(nil) != nil {
		e.log.Info("the database can be used again: ready")
	}
}

// brokenConnection tells whether an error is that of a connection that broke, or of a pool that was just replaced.
func brokenConnection(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) ||
		pgconn.SafeToRetry(err) || errors.Is(err, puddle.ErrClosedPool)
}
