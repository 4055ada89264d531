package move

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/postgres"
)

const selectMove = `/* select_move */ SELECT source, source_state, ended_at FROM store_moves WHERE organization_id = $1`

// begin puts down that the move has begun, or finds that it had, and gives the span of time of the events. Whoever
// calls it has the schema's lock, so that no server is on its way in.
func (m *mover) begin(ctx context.Context, c *pgx.Conn) (first, last time.Time, err error) {
	if err := noServer(ctx, c); err != nil {
		return first, last, err
	}
	return m.known.first, m.known.last, m.beginOrGoOn(ctx, c)
}

func (m *mover) beginOrGoOn(ctx context.Context, c *pgx.Conn) error {
	var source, state []byte
	var ended *time.Time
	err := c.QueryRow(ctx, selectMove, [16]byte(consent.NoID)).Scan(&source, &state, &ended)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return m.beginAnew(ctx, c)
	case err != nil:
		return fmt.Errorf("look for an earlier move: %w", err)
	case !bytes.Equal(source, m.known.identity[:]):
		return errors.New("the database holds a move from another store than this data folder: name the folder that it " +
			"began with, or give a database of its own to this one")
	case ended != nil && !bytes.Equal(state, m.known.state[:]):
		return fmt.Errorf("this data folder was moved into the database already, at %s, and was written to since: what it "+
			"took since then is not in the database, and cannot be added to it", ended.UTC().Format(time.RFC3339))
	case ended != nil:
		return fmt.Errorf("%w, and compared, at %s: there is nothing left to do", ErrMoved,
			ended.UTC().Format(time.RFC3339))
	case !bytes.Equal(state, m.known.state[:]):
		return errors.New("the data folder was written to since its move began, so that what was copied may be " +
			"out of date: drop the database, create it anew, and run the same command again")
	}
	return nil
}

// noServer refuses a database that servers use: they would write among the rows that are copied.
func noServer(ctx context.Context, c *pgx.Conn) error {
	used, err := anyRow(ctx, c, `/* move_no_server */ SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1 LIMIT 1`, postgres.Application)
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
	if err := postgres.ClearPartitions(ctx, c, m.known.first); err != nil {
		return fmt.Errorf("make room for partitions of the months before: %w", err)
	}
	_, err := c.Exec(ctx, insertMove, [16]byte(consent.NoID), m.known.identity[:], m.known.state[:], moveTables[0].name,
		time.Now())
	if err != nil {
		return fmt.Errorf("put down that the move begins: %w", err)
	}
	return nil
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
	const sum = `/* move_sum */ SELECT CAST(coalesce(sum(rows_moved), 0) AS BIGINT) FROM store_moves`
	err = g.c.QueryRow(ctx, sum).Scan(&rows)
	return rows, err
}

// end puts down that the move is done: from now on servers start on the database.
func (g *moveTarget) end(ctx context.Context) error {
	done, err := g.c.Exec(ctx, `/* end_move */ UPDATE store_moves SET ended_at = $1 WHERE organization_id = $2
AND ended_at IS NULL`,
		time.Now(), [16]byte(consent.NoID))
	if err == nil && done.RowsAffected() != 1 {
		err = errors.New("its row in store_moves is gone")
	}
	if err != nil {
		return fmt.Errorf("put down that the move is done: %w", err)
	}
	return nil
}
