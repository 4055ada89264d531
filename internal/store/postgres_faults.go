package store

import (
	"context"
	"errors"
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

// retry runs an attempt until it succeeds, fails for a reason that stays, or its time is over.
func (e *postgresEngine) retry(ctx context.Context, attempt func() (timedOut bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	until := time.Now().Add(retryWithin)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		timedOut, err := attempt()
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
			return err
		case time.Now().Add(wait).After(until):
			return &consent.Error{Kind: consent.Unavailable, Msg: "the database does not answer; nothing was done, retry", Err: err}
		}
		e.counts.retries.Add(1)
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
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

// passing tells whether an error of an attempt that was not committed may be gone at the next one.
func passing(err error) bool {
	var known *consent.Error
	var refused *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &known):
		return false
	case errors.As(err, &connect):
		return true
	case errors.As(err, &refused):
		return passingCode(refused.Code) || refused.Code == "0A000" && strings.Contains(refused.Message, "cached plan")
	}
	return brokenConnection(err)
}

// passingCode knows the codes of errors that are the moment's: serialization and deadlocks (class 40), lost
// connections (08), a server that ends, starts or has no room (57P, 53300), a server that turned into a
// standby (25006), a lock that was waited for too long (55P03), and a prepared statement that a pooler lost (26000).
func passingCode(code string) bool {
	switch code {
	case "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "25P03", "53300", "25006", "55P03", "26000", "57014":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// rolledBack tells whether a commit that was answered with a code was certainly not done.
func rolledBack(code string) bool {
	return strings.HasPrefix(code, "40") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "25")
}

// replacePool puts a new pool in the place of one that is full of broken connections.
func (e *postgresEngine) replacePool() {
	e.replacing.Lock()
	defer e.replacing.Unlock()
	if e.deadlines.Load() < replaceAfter {
		return // somebody was quicker
	}
	e.deadlines.Store(0)
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
		within, cancel := context.WithTimeout(running, 2*time.Second)
		timedOut, err := e.with(within, func(c *postgresConn) error {
			standby := false
			err := c.query(within, `/* probe */ SELECT pg_is_in_recovery()`, nil, func(r row) error { return r.Scan(&standby) })
			if err == nil && standby {
				err = errors.New("it is a standby")
			}
			return err
		})
		timedOut = timedOut || within.Err() != nil
		cancel()
		if running.Err() != nil {
			return
		}
		e.seen(err, timedOut)
	}
}

// seen keeps what the probe found, and says so once.
func (e *postgresEngine) seen(err error, timedOut bool) {
	if err != nil {
		e.note(err, timedOut)
		if e.gone.Swap(&err) == nil {
			e.log.Error("the database does not answer: not ready", "error", err)
		}
		return
	}
	e.deadlines.Store(0)
	if e.gone.Swap(nil) != nil {
		e.log.Info("the database answers again: ready")
	}
}

// brokenConnection tells whether an error is that of a connection that broke, or of a pool that was just replaced.
func brokenConnection(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) ||
		pgconn.SafeToRetry(err) || errors.Is(err, puddle.ErrClosedPool)
}
