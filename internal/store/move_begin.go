package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
)

// ErrUnfinishedMove says that a database holds a part of a data folder's rows.
var ErrUnfinishedMove = errors.New("a move from a data folder into this database is not finished: run the same consentd migrate-store " +
	"once more, which goes on where it was, or drop the database and create it anew")

const selectMove = `/* select_move */ SELECT source, source_state, ended_at FROM store_moves WHERE organization_id = $1`

// settleMove refuses a database into which a move is not finished, unless it is opened by the move itself. It gives
// the span of time for which the events are to have partitions.
func (e *postgresEngine) settleMove(ctx context.Context, c *pgx.Conn) (first, until time.Time, err error) {
	until = time.Now()
	if e.o.move != nil {
		if err := e.o.move.begin(ctx, c); err != nil {
			return first, until, err
		}
		known := &e.o.move.known
		if known.last.After(until) { // the server's clock was ahead once
			until = known.last
		}
		return known.first, until, nil
	}
	return first, until, checkMove(ctx, c)
}

// checkMove refuses a database into which a move has not come to its end.
func checkMove(ctx context.Context, c *pgx.Conn) error {
	unfinished, err := anyRow(ctx, c, `/* unfinished_move */ SELECT 1 FROM store_moves WHERE organization_id = $1 AND ended_at IS NULL`, [16]byte(consent.NoID))
	if err != nil {
		return fmt.Errorf("look for a move that is not finished: %w", err)
	}
	if unfinished {
		return ErrUnfinishedMove
	}
	return nil
}

// begin puts down that the move has begun, or finds that it had. Whoever calls it has the schema's lock, so that no
// server is on its way in.
func (m *mover) begin(ctx context.Context, c *pgx.Conn) error {
	if err := noServer(ctx, c); err != nil {
		return err
	}
	var source, state []byte
	var ended *time.Time
	err := c.QueryRow(ctx, selectMove, [16]byte(consent.NoID)).Scan(&source, &state, &ended)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return m.beginAnew(ctx, c)
	case err != nil:
		return fmt.Errorf("look for an earlier move: %w", err)
	case !bytes.Equal(source, m.known.identity[:]):
		return errors.New("the database holds a move from another store than this data folder: name the folder that it began with, " +
			"or give a database of its own to this one")
	case ended != nil && !bytes.Equal(state, m.known.state[:]):
		return fmt.Errorf("this data folder was moved into the database already, at %s, and was written to since: what it took since "+
			"then is not in the database, and cannot be added to it", ended.UTC().Format(time.RFC3339))
	case ended != nil:
		return fmt.Errorf("%w, and compared, at %s: there is nothing left to do", ErrMoved,
			ended.UTC().Format(time.RFC3339))
	case !bytes.Equal(state, m.known.state[:]):
		return errors.New("the data folder was written to since its move began, so that what was copied may be out of date: " +
			"drop the database, create it anew, and run the same command again")
	}
	return nil
}

// noServer refuses a database that servers use: they would write among the rows that are copied.
func noServer(ctx context.Context, c *pgx.Conn) error {
	used, err := anyRow(ctx, c, `/* move_no_server */ SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1 LIMIT 1`, sessionSettings["application_name"])
	if err != nil {
		return fmt.Errorf("look for servers on the database: %w", err)
	}
	if used {
		return errors.New("a consentd is connected to the database: stop it first, and start it again when the move is done")
	}
	return nil
}

// beginAnew makes sure that the database is empty and puts down that a move has begun.
func (m *mover) beginAnew(ctx context.Context, c *pgx.Conn) error {
	for _, t := range moveTables {
		filled, err := anyRow(ctx, c, strings.Replace(t.count(), "count(*)", "1", 1)+" LIMIT 1")
		if err != nil {
			return fmt.Errorf("look whether %s is empty: %w", t.name, err)
		}
		if filled {
			return fmt.Errorf("the database is not empty: there are rows in %s, and no unfinished move that they are of. "+
				"A server that was started on it has made a root key at least: drop the database, create it anew, and start "+
				"a server on it only after the move", t.name)
		}
	}
	if err := m.clearPartitions(ctx, c); err != nil {
		return fmt.Errorf("make room for partitions of the months before: %w", err)
	}
	_, err := c.Exec(ctx, insertMove, [16]byte(consent.NoID), m.known.identity[:], m.known.state[:], moveTables[0].name, time.Now())
	if err != nil {
		return fmt.Errorf("put down that the move begins: %w", err)
	}
	return nil
}

// clearPartitions drops the partitions of a database that was opened before, where they do not part the months that
// are to come in: they would all be in one.
func (m *mover) clearPartitions(ctx context.Context, c *pgx.Conn) error {
	have, err := partitionsOf(ctx, c)
	if err != nil || len(have) == 0 || m.known.first.IsZero() || !m.known.first.Before(have[0].to) {
		return err
	}
	statements := []string{"SET LOCAL lock_timeout = '10s'"}
	for _, p := range have { // empty, as beginAnew has just found
		statements = append(statements, "DROP TABLE "+p.name)
	}
	return inTransaction(ctx, c, statements...)
}

// anyRow tells whether a statement gives a row. (SELECT EXISTS (…) over a distributed table is not for every Citus.)
func anyRow(ctx context.Context, c *pgx.Conn, statement string, args ...any) (bool, error) {
	var one int
	err := c.QueryRow(ctx, statement, args...).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// moved gives how many rows the move has copied so far.
func (g *moveTarget) moved(ctx context.Context) (rows int64, err error) {
	err = g.c.QueryRow(ctx, `/* move_sum */ SELECT CAST(coalesce(sum(rows_moved), 0) AS BIGINT) FROM store_moves`).Scan(&rows)
	return rows, err
}

// end puts down that the move is done: from now on servers start on the database.
func (g *moveTarget) end(ctx context.Context) error {
	done, err := g.c.Exec(ctx, `/* end_move */ UPDATE store_moves SET ended_at = $1 WHERE organization_id = $2 AND ended_at IS NULL`,
		time.Now(), [16]byte(consent.NoID))
	if err == nil && done.RowsAffected() != 1 {
		err = errors.New("its row in store_moves is gone")
	}
	if err != nil {
		return fmt.Errorf("put down that the move is done: %w", err)
	}
	return nil
}

// analyze tells the planner what the tables hold now. The database would find out by itself, somewhat later. analyzing
// is told before each table.
func (e *postgresEngine) analyze(ctx context.Context, analyzing func(table string)) {
	c, err := e.admin(ctx)
	if err == nil {
		defer func() { _ = c.Close(context.Background()) }()
	}
	for i := 0; i < len(moveTables) && err == nil; i++ {
		analyzing(moveTables[i].name)
		_, err = c.Exec(ctx, "ANALYZE "+moveTables[i].name)
	}
	if err != nil && ctx.Err() == nil {
		e.log.Warn("the new tables could not be analyzed; the database does so by itself after a while", "error", err)
	}
}
