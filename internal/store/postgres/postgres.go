// Package postgres is the engine over a PostgreSQL database, alone or with Citus: it pools connections, turns
// statements for one row into those for many, runs again what certainly failed, and keeps the partitions of events. Of
// the tables it knows only how they are spread and parted.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/puddle/v2"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/limit"
	"github.com/consentd/consentd/internal/store/engine"
)

const (
	// statementTimeout is how long a statement may take, the wait for a lock included, before the database counts as gone.
	statementTimeout = 5 * time.Second
	// retryTimeout is how long a failed transaction whose outcome is certain is tried again. A write may have to wait as
	// long for the batch before its own: with both, nobody who asks a frozen database waits 15 s for an answer.
	retryTimeout = 6 * time.Second
	// writersOfOne is how many writes of one organization have a connection: one goes on, and the next waits for the
	// organization's lock, so that no time is lost. The others wait without one.
	writersOfOne = 2
	queueTimeout = 4 * time.Second
	// slowRoundTrip is from when on statements are logged by their names.
	slowRoundTrip = 500 * time.Millisecond
	// probeEvery is how often the probe looks whether the database is there, and probeTimeout how long that may take.
	probeEvery, probeTimeout = 500 * time.Millisecond, 2 * time.Second
	// replaceAfter is how many deadlines in a row make the pool be replaced: pgx keeps each broken
	// connection in its place for 15 s, so that after a primary froze the pool is full of them.
	replaceAfter = 3
)

// Application is the application_name of servers and of tools beside them; MoveApplication is that of a move.
const Application, MoveApplication = "consentd", "consentd migrate-store"

// Options say how to open a PostgreSQL database.
type Options struct {
	// URL is for requests, with one host or several (see spread). AdminURL is for migrations, locks and
	// partitions; on Citus the coordinator. Empty: URL.
	URL, AdminURL string
	MaxConns      int          // connections for requests; 0: 16
	Retention     int          // months for which events are kept at least; 0: for ever
	Log           *slog.Logger // nil: slog.Default
	// Tool is for a tool beside the servers: it refuses a database without consentd's tables, and does not keep the
	// partitions while it runs.
	Tool bool
}

// Open opens a database, brings its schema up to date, and refuses one that would lose writes, or into which a move has
// not come to its end (ErrUnfinishedMove). Many servers may do so at once.
func Open(ctx context.Context, o Options) (*Engine, error) {
	e := newEngine(o)
	if err := e.open(ctx); err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

// Prepare brings the schema of a database up to date and gives a connection that holds the schema's lock: until it is
// closed, nobody else changes the schema and no server starts. A move that is not finished is no error.
func Prepare(ctx context.Context, o Options) (*pgx.Conn, error) { return newEngine(o).lockSchema(ctx) }

func newEngine(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxConns == 0 {
		o.MaxConns = 16
	}
	if o.AdminURL == "" {
		o.AdminURL = o.URL
	}
	return &Engine{o: o, log: o.Log, organizationWriters: limit.NewKeyed(writersOfOne),
		writers: limit.NewKeyed(max(1, o.MaxConns*3/4)), retries: limit.NewKeyed(max(1, o.MaxConns/4)),
		partitionsRetry: partitionsRetry}
}

// Engine is a pool of connections, a probe of the database, and what makes partitions. It holds nothing that another
// server would have to know.
type Engine struct {
	o                  Options
	log                *slog.Logger
	noStatementTimeout bool // statements may take as long as they like, and nothing runs again

	pool       atomic.Pointer[pgxpool.Pool]
	hosts      atomic.Uint32 // where the next connection starts to look
	deadlines  atomic.Int32  // in a row
	fullLogged atomic.Int64  // when it was logged last that the disk is full, in Unix milliseconds
	nodeLogged atomic.Int64  // the same of a node that the database does not reach
	replacing  sync.Mutex
	replaced   time.Time // the last time; guarded by replacing

	organizationWriters *limit.Keyed           // limits the writes of each organization
	writers             *limit.Keyed           // limits all writes: what is left of the pool is for reads
	retries             *limit.Keyed           // limits what runs again: it may fail once more, and takes few connections
	probePool           *pgxpool.Pool          // the probe's own connection: a busy pool says nothing of the database
	outage              atomic.Pointer[outage] // nil: the database can be used
	citus               bool                   // the database has the extension
	distributing        bool                   // InitCitus is at work
	behind              atomic.Bool            // the start left partitions to keepPartitions
	moveUnknown         atomic.Bool            // whether a move is unfinished could not be asked yet
	moveUnfinished      atomic.Bool            // one is: nothing may be served
	partitionsRetry     time.Duration
	counts              counters
	stop                context.CancelFunc
	running             sync.WaitGroup
}

var _ engine.Engine = (*Engine)(nil)

// counters are what metrics show beside the pool's own.
type counters struct{ retries, unknown, replaced, slow atomic.Int64 }

func (e *Engine) open(ctx context.Context) error {
	if err := e.prepareDatabase(ctx); err != nil {
		return err
	}
	pool, err := e.newPool(ctx)
	if err != nil {
		return err
	}
	e.pool.Store(pool)
	if e.probePool, err = e.newPool(ctx); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	e.running.Go(func() { e.probe(running) })
	if !e.o.Tool {
		e.running.Go(func() { e.keepPartitions(running) })
	}
	return nil
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	if e.stop != nil {
		e.stop()
	}
	e.running.Wait() // before the pool: who runs may put another in its place
	for _, pool := range []*pgxpool.Pool{e.pool.Load(), e.probePool} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// BatchesAcrossTenants implements engine.Engine. It is false: one organization a transaction, so that Citus keeps it on
// one node and no two ever wait for each other crosswise.
func (e *Engine) BatchesAcrossTenants() bool { return false }

// Shared implements engine.Engine.
func (e *Engine) Shared() bool { return true }

// Statements that begin and end transactions.
const (
	beginRead   = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	beginWrite  = "BEGIN"
	commit      = "COMMIT"
	freePlanner = `/* free_planner */ SELECT set_config('enable_seqscan', 'on', true),
set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)`
)

// The first statement of a write takes the lock that keeps its organization's other transactions waiting: whatever
// is read afterwards has all that they committed. What it gives itself has that too: PostgreSQL reads a row anew whose
// lock it waited for (https://www.postgresql.org/docs/15/transaction-iso.html, Read Committed), so it is the head too.
const (
	lockOrganization = "/* lock_organization */ " + engine.HeadOf + " FOR NO KEY UPDATE"
	lockInstance     = `/* lock_instance */ SELECT name FROM instance_secrets WHERE name = '' FOR NO KEY UPDATE`
)

// View implements engine.Engine.
func (e *Engine) View(ctx context.Context, read func(engine.Conn) error) error {
	return e.retry(ctx, func(ctx context.Context) (bool, error) {
		return e.withConn(ctx, func(c *conn) error {
			c.queue = append(c.queue, request{statement: beginRead})
			if err := read(c); err != nil {
				return err
			}
			c.queue = append(c.queue, request{statement: commit})
			return c.flush()
		})
	})
}

// ViewOnce implements engine.Engine.
func (e *Engine) ViewOnce(ctx context.Context, read func(engine.Conn) error) error {
	return e.retry(ctx, func(ctx context.Context) (bool, error) {
		return e.withConn(ctx, func(c *conn) error { return read(c) })
	})
}

// Update implements engine.Engine.
func (e *Engine) Update(ctx context.Context, organization consent.ID, write func(engine.Conn) error) error {
	if outage := e.outage.Load(); outage != nil && errors.Is(outage.why, errUndurable) {
		return errUndurable
	}
	done, err := queue(ctx, e.organizationWriters, organization)
	if err != nil {
		return err
	}
	defer done()
	return e.retry(ctx, func(ctx context.Context) (bool, error) {
		// Of all writes, each attempt waits anew: between them one whose node is down keeps nobody else waiting.
		done, err := queue(ctx, e.writers, consent.NoID)
		if err != nil {
			return false, err
		}
		defer done()
		return e.withConn(ctx, func(c *conn) error {
			c.queue = append(c.queue, request{statement: beginWrite})
			c.owner, c.toLock = organization, true
			if err := write(c); err != nil {
				return err
			}
			return c.commit()
		})
	})
}

// queue waits until a limit of writes lets an organization go on (NoID: all). done is to be called afterwards.
func queue(ctx context.Context, writes *limit.Keyed, organization consent.ID) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	if done, err = writes.Acquire(waiting, organization); err == nil || ctx.Err() != nil {
		return done, err
	}
	return nil, &consent.Error{Kind: consent.Unavailable, Msg: "too many writes are waiting; nothing was done, retry",
		Err: err}
}

// withConn runs something on a connection of the pool for requests, see withConnOf.
func (e *Engine) withConn(ctx context.Context, do func(*conn) error) (timedOut bool, err error) {
	return e.withConnOf(ctx, e.pool.Load(), do)
}

// withConnOf runs something on a connection, which it leaves in order, or closes. timedOut tells that the database did
// not answer in time; that all connections were in use is errBusy.
func (e *Engine) withConnOf(ctx context.Context, pool *pgxpool.Pool, do func(*conn) error) (timedOut bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, statementTimeout)
	pooled, err := pool.Acquire(waiting)
	busy := err != nil && waiting.Err() != nil && ctx.Err() == nil
	cancel()
	if busy {
		return false, fmt.Errorf("%w: %w", errBusy, err)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil { // the pool was given up while the connection was made
		return false, fmt.Errorf("%w: %w", puddle.ErrClosedPool, err)
	}
	if err != nil {
		return false, err
	}
	c := connOf(pooled.Conn().PgConn())
	c.caller, c.slow, c.queue = ctx, e.logSlow, c.queue[:0]
	c.owner, c.toLock, c.locked, c.timedOut, c.plannerFree = consent.NoID, false, false, false, false
	done := false
	defer func() {
		switch {
		case done:
		case statementsLost(err):
			c.close()
		case c.pg.TxStatus() != 'I':
			e.rollBack(c)
		}
		pooled.Release() // closes what is broken or still within a transaction
	}()
	err = do(c)
	done = err == nil
	return c.timedOut, err
}

// rollBack ends a transaction that is not to be, so that the connection can be used again. Where that fails, the
// connection is closed, and the server rolls back by itself.
func (e *Engine) rollBack(c *conn) {
	within, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.queue = append(c.queue[:0], request{statement: "ROLLBACK"})
	_ = c.run(within)
}

// connOf gives the conn over a connection, with what it has prepared so far.
func connOf(pg *pgconn.PgConn) *conn {
	const key = "consentd"
	if known, ok := pg.CustomData()[key].(*conn); ok {
		return known
	}
	c := &conn{pg: pg, prepared: map[string]*pgconn.StatementDescription{}}
	pg.CustomData()[key] = c
	return c
}

func (e *Engine) logSlow(statements string, took time.Duration, rows int) {
	e.counts.slow.Add(1)
	e.log.Warn("slow statements", "statements", statements, "ms", took.Milliseconds(), "rows", rows)
}

// Ready implements engine.Engine.
func (e *Engine) Ready() error {
	outage := e.outage.Load()
	switch {
	case e.moveUnfinished.Load():
		return errUnfinishedMove
	case outage == nil:
		return nil
	case errors.Is(outage.why, errUndurable):
		return errUndurable
	}
	return &consent.Error{Kind: consent.Unavailable, Msg: errGone.Error(), Err: outage.why}
}

// outage tells of a database that cannot be used.
type outage struct {
	why   error
	since time.Time
}

// longOutage tells whether the database has been away for as long as a request waits for it.
func (e *Engine) longOutage() bool {
	outage := e.outage.Load()
	return outage != nil && time.Since(outage.since) > retryTimeout
}

var errBusy = errors.New("all connections to the database were in use for too long")

var errGone = errors.New("the database does not answer; it is tried again all the time")
