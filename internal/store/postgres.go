package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

const (
	// answerWithin is how long a statement may take, the wait for a lock included, before the database counts as gone.
	answerWithin = 5 * time.Second
	// retryWithin is how long a failed transaction whose outcome is certain is tried again. A write may have to wait as
	// long for the batch before its own: with both, nobody who asks a frozen database waits 15 s for an answer.
	retryWithin = 6 * time.Second
	// turnsOfOne is how many writes of one organization have a connection: one goes on, and the next waits for the
	// organization's lock, so that no time is lost. The others wait without one.
	turnsOfOne = 2
	turnWithin = 4 * time.Second
	// slowRoundTrip is from when on statements are logged by their names.
	slowRoundTrip = 500 * time.Millisecond
	// probeEvery is how often it is looked whether the database is there, and probeWithin how long that may take.
	probeEvery, probeWithin = 500 * time.Millisecond, 2 * time.Second
	// replaceAfter is how many deadlines in a row make the pool be replaced: pgx keeps each broken
	// connection in its place for 15 s, so that after a primary froze the pool is full of them.
	replaceAfter = 3
)

// PostgresOptions say how to open a PostgreSQL database.
type PostgresOptions struct {
	// URL is for requests, with one host or several (see spread). AdminURL is for migrations, locks and
	// partitions; on Citus the coordinator. Empty: URL.
	URL, AdminURL string
	MaxConns      int          // connections for requests; 0: 16
	Retention     int          // months for which events are kept at least; 0: for ever
	Log           *slog.Logger // nil: slog.Default
	// Beside is for a tool beside the servers: it does not look after the partitions while it runs.
	Beside bool

	move *mover // that opens the database; nil: none

	patient bool // statements may take as long as they like
}

// OpenPostgres opens a database, brings its schema up to date, and refuses one that would lose writes. Many servers
// may do so at once.
func OpenPostgres(ctx context.Context, o PostgresOptions) (*Store, error) {
	e := newPostgresEngine(o)
	if err := e.open(ctx); err != nil {
		_ = e.close()
		return nil, err
	}
	return &Store{engine: e}, nil
}

func newPostgresEngine(o PostgresOptions) *postgresEngine {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxConns == 0 {
		o.MaxConns = 16
	}
	if o.AdminURL == "" {
		o.AdminURL = o.URL
	}
	return &postgresEngine{o: o, log: o.Log, turns: service.NewKeyedLimiter(turnsOfOne), writes: service.NewKeyedLimiter(max(1, o.MaxConns*3/4))}
}

// postgresEngine is a pool of connections, somebody who looks whether the database is there, and somebody who makes
// partitions. It holds nothing that another server would have to know.
type postgresEngine struct {
	o   PostgresOptions
	log *slog.Logger

	pool      atomic.Pointer[pgxpool.Pool]
	hosts     atomic.Uint32 // where the next connection starts to look
	deadlines atomic.Int32  // in a row
	fullSaid  atomic.Int64  // when the log was told last that the disk is full, in Unix milliseconds
	replacing sync.Mutex
	replaced  time.Time               // the last time; guarded by replacing
	turns     *service.KeyedLimiter   // of writes, by organization
	writes    *service.KeyedLimiter   // of all: what is left of the pool is for reads
	aside     *pgxpool.Pool           // the probe's own connection: a busy pool says nothing of the database
	gone      atomic.Pointer[absence] // why the database cannot be used; nil: it can
	citus     bool                    // the database has the extension
	counts    postgresCounts
	ending    context.CancelFunc
	running   sync.WaitGroup
}

// postgresCounts are what metrics show beside the pool's own.
type postgresCounts struct{ retries, unknown, replaced, slow atomic.Int64 }

func (e *postgresEngine) open(ctx context.Context) error {
	if err := e.prepareDatabase(ctx); err != nil {
		return err
	}
	pool, err := e.newPool(ctx)
	if err != nil {
		return err
	}
	e.pool.Store(pool)
	if e.aside, err = e.newPool(ctx); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	e.ending = cancel
	e.running.Go(func() { e.probe(running) })
	if !e.o.Beside {
		e.running.Go(func() { e.keepPartitions(running) })
	}
	return nil
}

// inspect opens a database of which nothing is to be changed.
func (e *postgresEngine) inspect(ctx context.Context) error {
	c, err := e.checked(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	if err := checkPartitions(ctx, c, time.Now()); err != nil {
		return err
	}
	if err := checkMove(ctx, c); err != nil {
		return err
	}
	if err := e.lookForCitus(ctx, c); err != nil {
		return err
	}
	pool, err := e.newPool(ctx)
	e.pool.Store(pool)
	return err
}

func (e *postgresEngine) close() error {
	if e.ending != nil {
		e.ending()
	}
	e.running.Wait() // before the pool: who runs may put another in its place
	for _, pool := range []*pgxpool.Pool{e.pool.Load(), e.aside} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// batchesAcrossTenants is false: one organization a transaction, so that Citus keeps it on one node and no two ever wait for each
// other crosswise.
func (e *postgresEngine) batchesAcrossTenants() bool { return false }

// Statements that begin and end transactions.
const (
	beginRead   = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	beginWrite  = "BEGIN"
	commit      = "COMMIT"
	freePlanner = `/* free_planner */ SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true),
set_config('enable_mergejoin', 'on', true)`
)

// The first statement of a write takes the lock that keeps its organization's other transactions waiting: whatever
// is read afterwards has all that they committed.
const (
	lockOrganization = `/* lock_organization */ SELECT sequence FROM ledger_heads WHERE organization_id = $1 FOR NO KEY UPDATE`
	lockInstance     = `/* lock_instance */ SELECT name FROM instance_secrets WHERE name = '' FOR NO KEY UPDATE`
)

func (e *postgresEngine) view(ctx context.Context, read func(conn) error) error {
	return e.retry(ctx, func(ctx context.Context) (bool, error) {
		return e.with(ctx, func(c *postgresConn) error {
			c.queue = append(c.queue, request{statement: beginRead})
			if err := read(c); err != nil {
				return err
			}
			c.queue = append(c.queue, request{statement: commit})
			return c.flush()
		})
	})
}

func (e *postgresEngine) viewOnce(ctx context.Context, read func(conn) error) error {
	return e.retry(ctx, func(ctx context.Context) (bool, error) {
		return e.with(ctx, func(c *postgresConn) error { return read(c) })
	})
}

func (e *postgresEngine) update(ctx context.Context, organization consent.ID, write func(conn) error) error {
	if gone := e.gone.Load(); gone != nil && errors.Is(gone.why, errUndurable) {
		return errUndurable
	}
	done, err := e.turn(ctx, organization)
	if err != nil {
		return err
	}
	defer done()
	return e.retry(ctx, func(ctx context.Context) (bool, error) {
		return e.with(ctx, func(c *postgresConn) error {
			c.owner = organization
			c.queue = append(c.queue, request{statement: beginWrite})
			lock, args := lockOrganization, []any{organization}
			if organization == consent.NoID {
				lock, args = lockInstance, nil
			}
			if err := c.put(lock, args, nil, false); err != nil {
				return err
			}
			if err := write(c); err != nil {
				return err
			}
			return c.commit()
		})
	})
}

// turn waits until it is an organization's turn to write.
func (e *postgresEngine) turn(ctx context.Context, organization consent.ID) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, turnWithin)
	defer cancel()
	ours, err := e.turns.Acquire(waiting, organization)
	if err == nil {
		var all func()
		if all, err = e.writes.Acquire(waiting, consent.NoID); err == nil {
			return func() { all(); ours() }, nil
		}
		ours()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, &consent.Error{Kind: consent.Unavailable, Msg: "too many writes are waiting; nothing was done, retry", Err: err}
}

// with runs something on a connection of the pool for requests, see within.
func (e *postgresEngine) with(ctx context.Context, do func(*postgresConn) error) (timedOut bool, err error) {
	return e.within(ctx, e.pool.Load(), do)
}

// within runs something on a connection, which it leaves in order, or closes. timedOut tells that the database did not
// answer in time; that all connections were in use is errBusy.
func (e *postgresEngine) within(ctx context.Context, pool *pgxpool.Pool, do func(*postgresConn) error) (timedOut bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, answerWithin)
	pooled, err := pool.Acquire(waiting)
	busy := err != nil && waiting.Err() != nil && ctx.Err() == nil
	cancel()
	if busy {
		return false, fmt.Errorf("%w: %w", errBusy, err)
	}
	if err != nil {
		return false, err
	}
	c := connOf(pooled.Conn().PgConn())
	c.caller, c.timedOut, c.owner, c.planner, c.queue, c.slow = ctx, false, consent.NoID, false, c.queue[:0], e.logSlow
	done := false
	defer func() {
		switch {
		case done:
		case forgotten(err):
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
func (e *postgresEngine) rollBack(c *postgresConn) {
	within, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.queue = append(c.queue[:0], request{statement: "ROLLBACK"})
	_ = c.run(within)
}

// connOf gives the conn over a connection, with what it has prepared so far.
func connOf(pg *pgconn.PgConn) *postgresConn {
	const key = "consentd"
	if known, ok := pg.CustomData()[key].(*postgresConn); ok {
		return known
	}
	c := &postgresConn{pg: pg, prepared: map[string]*pgconn.StatementDescription{}}
	pg.CustomData()[key] = c
	return c
}

func (e *postgresEngine) logSlow(statements string, took time.Duration, rows int) {
	e.counts.slow.Add(1)
	e.log.Warn("slow statements", "statements", statements, "ms", took.Milliseconds(), "rows", rows)
}

func (e *postgresEngine) ready() error {
	gone := e.gone.Load()
	switch {
	case gone == nil:
		return nil
	case errors.Is(gone.why, errUndurable):
		return errUndurable
	}
	return &consent.Error{Kind: consent.Unavailable, Msg: errGone.Error(), Err: gone.why}
}

// absence is a database that cannot be used.
type absence struct {
	why   error
	since time.Time
}

// longGone tells whether the database has been away for as long as a request waits for it.
func (e *postgresEngine) longGone() bool {
	gone := e.gone.Load()
	return gone != nil && time.Since(gone.since) > retryWithin
}

var errBusy = errors.New("all connections to the database were in use for too long")

var errGone = errors.New("the database does not answer; it is tried again all the time")
