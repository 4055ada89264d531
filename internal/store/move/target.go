package move

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/postgres"
)

// settings keep a long statement from being cut off, and rows from being read by anything but the key's index.
var settings = map[string]string{"application_name": postgres.MoveApplication, "statement_timeout": "0",
	"lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "jit": "off", "enable_seqscan": "off",
	"enable_bitmapscan": "off"}

func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	cfg, err := postgres.ParseURL(url)
	if err != nil {
		return nil, err
	}
	maps.Copy(cfg.RuntimeParams, settings)
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return c, nil
}

// begin brings the database's schema up to date, and puts down that the move begins or finds that it has begun. It
// gives how many rows an earlier run copied.
func (m *mover) begin(ctx context.Context) (before int64, err error) {
	database := postgres.Options{URL: m.o.URL, AdminURL: m.o.AdminURL, Log: m.o.Log}
	c, err := postgres.Prepare(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close(context.Background()) }()
	var servers int // what they write would be among what is copied
	err = c.QueryRow(ctx, `/* move_servers */ SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1`, postgres.Application).Scan(&servers)
	switch {
	case err != nil:
		return 0, fmt.Errorf("look for servers on the database: %w", err)
	case servers > 0:
		return 0, errors.New("a consentd is connected to the database: stop it first, and start it again when the move is " +
			"done")
	}
	before, err = m.goOn(ctx, c)
	if !errors.Is(err, pgx.ErrNoRows) {
		return before, err
	}
	if err := checkEmpty(ctx, c); err != nil {
		return 0, err
	}
	if err := postgres.ReplacePartitions(ctx, c, database, m.known.first, m.known.last); err != nil {
		return 0, fmt.Errorf("make the partitions of events: %w", err)
	}
	if err := postgres.MarkMove(ctx, c); err != nil {
		return 0, err
	}
	_, err = c.Exec(ctx, `/* begin_move */ INSERT INTO store_moves (organization_id, source, source_state, rows_moved,
began_at) VALUES ($1, $2, $3, 0, $4)`, consent.NoID[:], m.known.identity[:], m.known.state[:], time.Now())
	if err != nil {
		return 0, fmt.Errorf("put down that the move begins: %w", err)
	}
	return 0, nil
}

// goOn looks for an earlier run (none: pgx.ErrNoRows), waits until what it was about to commit is there, and gives how
// many rows it copied. It refuses to go on with anything but the same folder in the same state.
func (m *mover) goOn(ctx context.Context, c *pgx.Conn) (before int64, err error) {
	var identity, state []byte
	var ended *time.Time
	err = c.QueryRow(ctx, `/* select_move */ SELECT source, source_state, rows_moved, ended_at FROM store_moves
WHERE organization_id = $1 FOR UPDATE`, consent.NoID[:]).Scan(&identity, &state, &before, &ended)
	changed := !bytes.Equal(state, m.known.state[:])
	switch {
	case err != nil:
		return 0, fmt.Errorf("look for an earlier move: %w", err)
	case !bytes.Equal(identity, m.known.identity[:]):
		return 0, errors.New("the database holds a move from another store than this data folder: name the folder that " +
			"it began with, or give a database of its own to this one")
	case ended != nil && changed:
		return 0, fmt.Errorf("this data folder was moved into the database already, at %s, and was written to since: what "+
			"it took since then is not in the database, and cannot be added to it", ended.UTC().Format(time.RFC3339))
	case ended != nil:
		return 0, fmt.Errorf("%w, and compared, at %s: there is nothing left to do", ErrMoved,
			ended.UTC().Format(time.RFC3339))
	case changed:
		return 0, errors.New("the data folder was written to since its move began, so that what was copied may be " +
			"out of date: drop the database, create it anew, and run the same command again")
	}
	return before, nil
}

// checkEmpty refuses a database with rows.
func checkEmpty(ctx context.Context, c *pgx.Conn) error {
	for _, t := range tables {
		last, err := lastKey(ctx, c, t)
		if err != nil {
			return fmt.Errorf("look whether %s is empty: %w", t.name, err)
		}
		if last != nil {
			return fmt.Errorf("the database is not empty: there are rows in %s, and no unfinished move that they are of. "+
				"A server that was started on it has made a root key at least: drop the database, create it anew, and start "+
				"a server on it only after the move", t.name)
		}
	}
	return nil
}

// lastKey gives the key of the last row of a table, as SQLite takes it; nil: there is no row.
func lastKey(ctx context.Context, c *pgx.Conn, t *table) ([]any, error) {
	rows, err := c.Query(ctx, t.selectLast())
	if err != nil {
		return nil, err
	}
	key, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	for i, value := range key {
		switch v := value.(type) {
		case [16]byte:
			key[i] = v[:]
		case int32:
			key[i] = int64(v)
		}
	}
	return key, err
}

// write adds a page of rows to a table in one transaction, and gives how many it added.
func write(ctx context.Context, c *pgx.Conn, t *table, page [][]any) (added int64, err error) {
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if t.tenant() {
			added, err = tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.names(len(t.columns)), pgx.CopyFromRows(page))
		} else {
			added, err = insert(ctx, tx, t, page)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `/* count_moved */ UPDATE store_moves SET rows_moved = rows_moved + $1
WHERE organization_id = $2`, added, consent.NoID[:])
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write into the database: %w", err)
	}
	return added, nil
}

// insert adds those rows that are not there yet.
func insert(ctx context.Context, tx pgx.Tx, t *table, page [][]any) (added int64, err error) {
	var batch pgx.Batch
	for _, row := range page {
		batch.Queue(t.insert(), row...)
	}
	results := tx.SendBatch(ctx, &batch)
	for range page {
		done, err := results.Exec()
		if err != nil {
			return 0, errors.Join(err, results.Close())
		}
		added += done.RowsAffected()
	}
	return added, results.Close()
}

// end puts down that the move is done: from now on servers start on the database.
func end(ctx context.Context, c *pgx.Conn) error {
	done, err := c.Exec(ctx, `/* end_move */ UPDATE store_moves SET ended_at = $1 WHERE organization_id = $2
AND ended_at IS NULL`, time.Now(), consent.NoID[:])
	if err == nil && done.RowsAffected() != 1 {
		err = errors.New("its row in store_moves is gone")
	}
	if err != nil {
		return fmt.Errorf("put down that the move is done: %w", err)
	}
	return nil
}
