package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/engine"
)

func failed(at int, err error) error { return &failedAt{at, err} }

func sqlState(code string) error { return &pgconn.PgError{Code: code} }

// TestCertain holds the outcome of a round trip with a commit, the fourth statement of it, to what is known of it.
func TestCertain(t *testing.T) {
	const at = 3
	const ended, lost = false, true // how the round trip ended: the server answered it all, or the connection was lost
	for _, tc := range []struct {
		name    string
		err     error
		closed  bool
		status  byte
		certain bool
	}{
		{"nothing was sent", safeToRetry{}, lost, 'I', true},
		{"an earlier statement failed", failed(1, sqlState("23505")), ended, 'E', true},
		{"a deadlock", failed(0, sqlState("40P01")), ended, 'E', true},
		{"Citus lost a worker", failed(1, sqlState("08006")), ended, 'E', true},
		{"an earlier statement was cancelled", failed(2, sqlState("57014")), ended, 'E', true},
		{"it became a standby", failed(0, sqlState("25006")), ended, 'E', true},
		{"the commit failed to serialize", failed(at, sqlState("40001")), ended, 'I', true},
		{"the commit found a violated constraint", failed(at, sqlState("23503")), ended, 'I', true},
		{"the transaction had failed", failed(at, errRolledBack), ended, 'I', true},
		{"the commit's outcome is unknown to the server", failed(at, sqlState("40003")), ended, 'I', false},
		{"the commit failed on Citus", failed(at, sqlState("08006")), ended, 'I', false},
		{"the commit failed otherwise", failed(at, sqlState("XX000")), ended, 'I', false},
		{"the standby's answer was not waited for", errNoStandby, ended, 'I', false},
		{"an answer could not be read", failed(1, errors.New("scan")), ended, 'I', false},

		{"ended by an administrator before", failed(0, sqlState("57P01")), lost, 'T', true},
		{"ended for its idle transaction before", failed(0, sqlState("25P03")), lost, 'T', true},
		{"ended for its long transaction before", failed(2, sqlState("25P04")), lost, 'T', true},
		{"ended by an administrator in the commit", failed(at, sqlState("57P01")), lost, 'T', false},
		{"ended for its long transaction in the commit", failed(at, sqlState("25P04")), lost, 'T', false},
		{"ended by an administrator behind the commit", failed(at+1, sqlState("57P01")), lost, 'T', false},
		{"a pooler lost its server", failed(0, sqlState("08P01")), lost, 'T', false},
		{"another pooler lost its server", failed(2, sqlState("58000")), lost, 'T', false},
		{"the server crashed", failed(0, sqlState("57P02")), lost, 'T', false},
		{"lost at the first answer", failed(0, io.ErrUnexpectedEOF), lost, 'T', false},
		{"lost at the commit", failed(at, io.EOF), lost, 'T', false},
		{"lost for its deadline", failed(0, context.DeadlineExceeded), lost, 'T', false},
		{"lost when it was sent", &net.OpError{Op: "write", Err: io.ErrClosedPipe}, lost, 'T', false},
		{"lost with a stale status", failed(0, io.EOF), lost, 'E', false},
	} {
		if got := certain(tc.err, at, tc.closed, tc.status); got != tc.certain {
			t.Errorf("%s: certain is %t", tc.name, got)
		}
	}
}

// safeToRetry is an error before anything was sent.
type safeToRetry struct{}

func (safeToRetry) Error() string     { return "not sent" }
func (safeToRetry) SafeToRetry() bool { return true }

// TestTransient tells errors that the next try may not meet from those that stay.
func TestTransient(t *testing.T) {
	stale := &pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}
	for _, err := range []error{sqlState("40001"), sqlState("40P01"), sqlState("57P01"), sqlState("57P02"),
		sqlState("57P03"), sqlState("57P05"),
		sqlState("25006"), sqlState("25P03"), sqlState("08006"), sqlState("08P01"), sqlState("53300"), sqlState("55P03"),
		sqlState("57014"), sqlState("26000"),
		stale, io.EOF, io.ErrUnexpectedEOF, &net.OpError{Op: "read", Err: net.ErrClosed}, safeToRetry{},
		&pgconn.ConnectError{Config: &pgconn.Config{}}} {
		if wrapped := fmt.Errorf("append events: %w", failed(1, err)); !transient(wrapped) {
			t.Errorf("%T %[1]v is not tried again", err)
		}
	}
	for _, err := range []error{sqlState("23505"), sqlState("42P01"), sqlState("53100"), sqlState("0A000"),
		sqlState("22021"), errRolledBack,
		errors.New("a mistake of ours"), &consent.Error{Kind: consent.Conflict},
		&consent.Error{Kind: consent.Unavailable, Err: io.EOF}} {
		if wrapped := fmt.Errorf("append events: %w", failed(1, err)); transient(wrapped) {
			t.Errorf("%T %[1]v is tried again", err)
		}
	}
}

// notes opens a fresh database with a table of the test's own, and somebody else's connection to it.
func notes(t *testing.T, options ...string) (*Engine, *pgx.Conn) {
	t.Helper()
	address := postgresURL(t)
	on(t, pgtest.Server(t), databaseIn(t, address),
		"CREATE TABLE notes (n bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO notes VALUES (1, 0), (2, 0)")
	e := open(t, Options{URL: changed(t, address, "", options...), MaxConns: 2})
	return e, connect(t, address)
}

// does runs statements.
func does(t *testing.T, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := c.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// holds looks what the table of the test has.
func holds(t *testing.T, c *pgx.Conn, want string) {
	t.Helper()
	if got := textsOf(t, c, "SELECT coalesce(string_agg(n || '=' || v, ' ' ORDER BY n), '') FROM notes"); got[0] != want {
		t.Errorf("the table holds %q, want %q", got[0], want)
	}
}

const addToNote = "UPDATE notes SET v = v + 1 WHERE n = $1"

// change adds to a note at once.
func change(c engine.Conn, n int) error {
	return c.Query(context.Background(), addToNote, []any{n}, nil)
}

// changeLater adds to a note in the round trip of the commit.
func changeLater(c engine.Conn, n int) error {
	return c.Each(context.Background(), addToNote, 1, func(_ int, args []any) []any { return append(args, n) }, nil)
}

// TestDeadlock lets the database end a transaction for a deadlock: it runs again, and is done once. PostgreSQL ends the
// one that has waited for deadlock_timeout once they wait for each other, so the other one waits first, and for longer.
// Where it is slow to wake, the second attempt takes what it waits for, and they wait for each other once more.
func TestDeadlock(t *testing.T) {
	e, other := notes(t)
	does(t, other, "SET deadlock_timeout = '5min'", "BEGIN", "UPDATE notes SET v = v + 10 WHERE n = 2")
	crossed := make(chan error, 1)
	attempts := 0
	err := e.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
		if attempts++; attempts == 1 {
			if err := change(c, 1); err != nil {
				return err
			}
			go func() {
				_, err := other.Exec(context.Background(), "UPDATE notes SET v = v + 10 WHERE n = 1")
				_, end := other.Exec(context.Background(), "COMMIT")
				crossed <- errors.Join(err, end)
			}()
			waitForLock(t, e)
			return change(c, 2)
		}
		return errors.Join(change(c, 1), change(c, 2))
	})
	if err := errors.Join(err, <-crossed); err != nil || attempts < 2 {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
	holds(t, other, "1=11 2=11")
	if n := e.counts.retries.Load(); n != int64(attempts-1) {
		t.Errorf("%d retries are counted of %d attempts", n, attempts)
	}
}

// waitForLock waits until a session in the database waits for a lock.
func waitForLock(t *testing.T, e *Engine) {
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		waiting := 0
		_, err := e.withConn(context.Background(), func(c *conn) error {
			return c.Query(context.Background(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
AND wait_event_type = 'Lock'`, nil,
				func(r engine.Row) error { return r.Scan(&waiting) })
		})
		if err != nil {
			t.Error(err)
			return
		}
		if waiting > 0 {
			return
		}
	}
	t.Error("nobody came to wait for a lock")
}

// TestSerializationFailure lets transactions collide, one in the middle and one in its commit.
func TestSerializationFailure(t *testing.T) {
	for name, tc := range map[string]struct{ isolation, collide string }{
		"in the middle": {"repeatable read", "UPDATE notes SET v = v + 10 WHERE n = 1"},
		"in its commit": {"serializable", "SELECT v FROM notes WHERE n = 1; UPDATE notes SET v = v + 10 WHERE n = 2"},
	} {
		t.Run(name, func(t *testing.T) {
			e, other := notes(t, "default_transaction_isolation", tc.isolation)
			attempts, v := 0, 0
			err := e.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
				if err := c.Query(context.Background(), "SELECT v FROM notes WHERE n = 2", nil,
					func(r engine.Row) error { return r.Scan(&v) }); err != nil {
					return err
				}
				if attempts++; attempts == 1 {
					does(t, other, "BEGIN ISOLATION LEVEL SERIALIZABLE; "+tc.collide+"; COMMIT")
				}
				return changeLater(c, 1)
			})
			if err != nil || attempts != 2 {
				t.Errorf("after %d attempts: %v", attempts, err)
			}
			holds(t, other, map[string]string{"in the middle": "1=11 2=0", "in its commit": "1=1 2=10"}[name])
		})
	}
}

// TestStatementDeadline holds the lock of an organization: whoever waits for it has an answer in time, by which
// nothing was done, and the next write goes on.
func TestStatementDeadline(t *testing.T) {
	t.Parallel()
	e, other := notes(t)
	organization, now := consent.ID{15: 1}, time.Now()
	s := store.New(e)
	err := s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
		return tx.Append(context.Background(), &consent.Changes{Heads: []consent.Head{{Organization: organization}},
			Organizations: []consent.Organization{{ID: organization, Slug: "held", CreatedAt: now, UpdatedAt: now}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	does(t, other, "BEGIN", "SELECT FROM ledger_heads FOR UPDATE")
	write := func() error {
		return e.Update(context.Background(), organization, func(c engine.Conn) error {
			return errors.Join(change(c, 2), changeLater(c, 1))
		})
	}
	began := time.Now()
	err = write()
	if took := time.Since(began); !consent.IsKind(err, consent.Unavailable) || errors.Is(err, consent.ErrUnknown) ||
		took > retryTimeout+2*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	if err := e.Ready(); err != nil {
		t.Errorf("a lock that is held makes the database be gone: %v", err)
	}
	does(t, other, "COMMIT")
	if err := write(); err != nil {
		t.Errorf("the next write: %v", err)
	}
	holds(t, other, "1=1 2=1")
}

// TestCommitOfAFailedTransaction commits a transaction whose function hides that a statement failed. PostgreSQL
// answers without an error, and rolls back.
func TestCommitOfAFailedTransaction(t *testing.T) {
	e, other := notes(t)
	err := e.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
		_ = c.Query(context.Background(), "SELECT 1/0", nil, nil)
		return changeLater(c, 1)
	})
	if err == nil || errors.Is(err, consent.ErrUnknown) {
		t.Errorf("a write that was rolled back gives %v", err)
	}
	err = e.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
		_ = c.Query(context.Background(), "SELECT 1/0", nil, nil)
		return nil
	})
	if !errors.Is(err, errRolledBack) || errors.Is(err, consent.ErrUnknown) {
		t.Errorf("an empty write that was rolled back gives %v", err)
	}
	holds(t, other, "1=0 2=0")
}

// TestReadOnlySession makes a session read only, as it is on a server that became a standby.
func TestReadOnlySession(t *testing.T) {
	e, other := notes(t)
	for range 3 {
		if err := e.ViewOnce(context.Background(), func(c engine.Conn) error {
			return c.Query(context.Background(), "SET default_transaction_read_only = on", nil, nil)
		}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := e.Update(context.Background(), consent.NoID, func(c engine.Conn) error {
			return changeLater(c, 1)
		}); err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
	}
	holds(t, other, "1=3 2=0")
}

// TestForgottenStatements takes prepared statements from under a connection, as a pooler or a migration does.
func TestForgottenStatements(t *testing.T) {
	e, other := notes(t)
	columns := 0
	read := func() error {
		return e.ViewOnce(context.Background(), func(c engine.Conn) error {
			return c.Query(context.Background(), "SELECT * FROM notes", nil, func(r engine.Row) error {
				columns = len(r.(*row).values)
				return nil
			})
		})
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	for name, forget := range map[string]func() error{
		"lost": func() error {
			return e.ViewOnce(context.Background(), func(c engine.Conn) error {
				return c.Query(context.Background(), "DEALLOCATE ALL", nil, nil)
			})
		},
		"changed": func() error {
			_, err := other.Exec(context.Background(), "ALTER TABLE notes ADD COLUMN more text")
			return err
		},
	} {
		if err := errors.Join(forget(), read()); err != nil {
			t.Errorf("where statements are %s: %v", name, err)
		}
	}
	if columns != 3 {
		t.Errorf("%d columns are read", columns)
	}
}

// TestOneOrganizationLeavesConnections writes a lot for one organization whose lock somebody holds: another
// organization's writes and reads go on, the database is not taken for gone, and no pool is given up. Red without the
// limit of writers.
func TestOneOrganizationLeavesConnections(t *testing.T) {
	s, e := openPostgres(t)
	ctx := context.Background()
	now := time.Now()
	big, small := consent.ID{1, 15: 1}, consent.ID{1, 15: 2}
	makeOrganization(t, s, big)
	makeOrganization(t, s, small)
	holder := admin(t, e)
	for _, statement := range []string{"BEGIN", "SELECT 1 FROM ledger_heads WHERE organization_id = '" + big.String() +
		"' FOR UPDATE"} {
		if _, err := holder.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	text := func(o consent.ID) error {
		return s.Update(ctx, o, func(tx service.Tx) error {
			return tx.Append(ctx, &consent.Changes{Texts: []consent.Text{{Organization: o, Hash: []byte{1}, Text: "x"}}})
		})
	}
	var writers sync.WaitGroup
	for range 60 {
		writers.Go(func() {
			if err := text(big); err != nil && !consent.IsKind(err, consent.Unavailable) && !errors.Is(err, consent.ErrUnknown) {
				t.Errorf("a write that waits for the lock: %v", err)
			}
		})
	}
	for until := now.Add(9 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		began := time.Now()
		err := errors.Join(text(small), s.View(ctx, func(r service.Reader) error {
			_, err := r.Text(ctx, small, []byte{1})
			return err
		}), s.Ready())
		if took := time.Since(began); err != nil || took > 2*time.Second {
			t.Fatalf("another organization beside it: %v, after %s", err, took)
		}
	}
	if _, err := holder.Exec(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	if n := e.counts.replaced.Load(); n != 0 {
		t.Errorf("the pool was given up %d times", n)
	}
	if err := text(big); err != nil {
		t.Errorf("a write with the lock free again: %v", err)
	}
}

// TestPoolClosedWhileItConnects: who waits for a connection of a pool that is given up meanwhile tries again, by the
// new pool.
func TestPoolClosedWhileItConnects(t *testing.T) {
	e := open(t, Options{URL: pgtest.Database(t, "", nil)})
	closed := 0
	for i := range 60 {
		pool, err := e.newPool(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var closing sync.WaitGroup
		closing.Go(func() {
			time.Sleep(time.Duration(i) * 200 * time.Microsecond)
			pool.Close()
		})
		if _, err := e.withConnOf(t.Context(), pool, func(*conn) error { return nil }); err != nil {
			closed++
			if !transient(err) {
				t.Errorf("not tried again: %v", err)
			}
		}
		closing.Wait()
	}
	if closed == 0 {
		t.Error("no pool was closed in time")
	}
}

// TestDeadNodeLeavesConnections writes and reads for many organizations of a node that the database does not reach, as
// Citus' coordinator says of a worker that is down: the others are served as before. Red where a write that waits for
// its next attempt holds a place, or where all may run again at once.
func TestDeadNodeLeavesConnections(t *testing.T) {
	e := open(t, Options{URL: pgtest.Database(t, "", nil)})
	ctx, end := context.WithCancel(context.Background())
	does(t, admin(t, e), `CREATE FUNCTION dead_node() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.04);
RAISE EXCEPTION 'connection to the remote node failed: Connection refused' USING ERRCODE = '08006'; END $$`)
	ask := func(c engine.Conn) error { return c.Query(ctx, "SELECT dead_node()", nil, nil) }
	var clients sync.WaitGroup
	refused := func(err error) {
		if ctx.Err() == nil && !consent.IsKind(err, consent.Unavailable) {
			t.Errorf("an organization on the dead node: %v", err)
		}
	}
	for i := range 40 {
		clients.Go(func() {
			for ctx.Err() == nil {
				refused(e.Update(ctx, consent.ID{1, 15: byte(i)}, ask))
			}
		})
		for range 4 {
			clients.Go(func() {
				for ctx.Err() == nil {
					refused(e.ViewOnce(ctx, ask))
				}
			})
		}
	}
	slowest, looks, full := time.Duration(0), 0, 0
	for began := time.Now(); time.Since(began) < 8*time.Second; time.Sleep(5 * time.Millisecond) {
		looks++
		if pool := e.pool.Load().Stat(); pool.AcquiredConns() == pool.MaxConns() {
			full++
		}
		one := time.Now()
		err := errors.Join(e.Update(context.Background(), consent.ID{2}, func(engine.Conn) error { return nil }), e.Ready())
		if slowest = max(slowest, time.Since(one)); err != nil {
			t.Fatalf("an organization on a living node: %v", err)
		}
	}
	if slowest > 2*time.Second || full > looks/2 {
		t.Errorf("the slowest write on a living node took %s; at %d of %d looks all connections were in use", slowest, full,
			looks)
	}
	t.Logf("slowest %s, full at %d of %d looks, %d retries", slowest, full, looks, e.counts.retries.Load())
	end()
	clients.Wait()
}

// TestFullDiskOfPostgres: as on SQLite, writes are refused for the moment, and their callers told why.
func TestFullDiskOfPostgres(t *testing.T) {
	address := pgtest.Database(t, "", nil)
	s := store.New(open(t, Options{URL: address, MaxConns: 2}))
	c := connect(t, address)
	for _, statement := range []string{ // there is no way to fill the disk of one test's database
		`CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'No space left on device'
USING ERRCODE = '53100'; END $$`,
		`CREATE TRIGGER full_disk BEFORE INSERT ON texts FOR EACH ROW EXECUTE FUNCTION full_disk()`,
	} {
		if _, err := c.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Update(context.Background(), consent.NoID, oneText); !consent.IsKind(err, consent.Unavailable) ||
		!strings.Contains(consent.AsError(err).Msg, "disk is full") {
		t.Errorf("a full disk ends a write with %v", err)
	}
	if _, err := c.Exec(context.Background(), "DROP TRIGGER full_disk ON texts"); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), consent.NoID, oneText); err != nil {
		t.Errorf("with free space again: %v", err)
	}
}
