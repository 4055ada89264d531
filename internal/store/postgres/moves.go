package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
)

// A server must not start beside a move that is not finished: of an organization that is copied by half it would answer
// without the last withdrawal, and what it wrote would be lost with the copy. Whether a move has ended is a row of
// store_moves, which on Citus one node has. While that node is down, a mark on the coordinator says at least that no
// move has begun since a server last started.

// ErrUnfinishedMove says that a database holds a part of a data folder's rows.
var ErrUnfinishedMove = errors.New("a move from a data folder into this database is not finished: run the same " +
	"consentd migrate-store once more, which goes on where it was, or drop the database and create it anew")

// errUnfinishedMove is what a server answers that has found one only when it served already.
var errUnfinishedMove = &consent.Error{Kind: consent.Unavailable, Err: ErrUnfinishedMove,
	Msg: "a move into the database is not finished; nothing is served until it is, and the server is started again"}

// moveMark is the comment on goose_db_version, a table that the coordinator alone has, from the beginning of a move
// until a server has seen that it ended.
const moveMark = "consentd: a move into this database has begun"

// MarkMove puts down that a move begins, before its row is written; c holds the schema's lock (Prepare).
func MarkMove(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "COMMENT ON TABLE goose_db_version IS '"+moveMark+"'"); err != nil {
		return fmt.Errorf("mark that a move begins: %w", err)
	}
	return nil
}

// settleMove refuses a move that is not finished (ErrUnfinishedMove), or of which that cannot be known. It removes the
// mark of one that is.
func (e *Engine) settleMove(ctx context.Context, c *pgx.Conn) error {
	unknown := checkMove(ctx, c)
	if unknown != nil && (e.distributing || !e.NodeDown(unknown)) {
		return unknown
	}
	marked := false
	err := c.QueryRow(ctx, `/* select_move_mark */ SELECT coalesce(obj_description(to_regclass('goose_db_version'),
'pg_class'), '') = $1`, moveMark).Scan(&marked)
	switch {
	case err != nil:
		return fmt.Errorf("look for the mark of a move: %w", err)
	case marked && unknown != nil:
		return fmt.Errorf("a move into this database has begun, and the node of Citus that knows whether it has ended does "+
			"not answer: bring that node back, or its standby in its place, and start it again: %w", unknown)
	case marked:
		if _, err := c.Exec(ctx, "COMMENT ON TABLE goose_db_version IS NULL"); err != nil {
			return fmt.Errorf("remove the mark of a move: %w", err)
		}
	case unknown != nil:
		e.log.Warn("a node of Citus does not answer: whether a move is unfinished is not known until it does, and the "+
			"organizations on the other nodes are served meanwhile", "error", unknown)
		e.moveUnknown.Store(true)
	}
	return nil
}

// checkMove refuses a database into which a move has not come to its end (ErrUnfinishedMove).
func checkMove(ctx context.Context, c *pgx.Conn) error {
	var one int
	err := c.QueryRow(ctx, `/* unfinished_move */ SELECT 1 FROM store_moves
WHERE organization_id = $1 AND ended_at IS NULL`,
		[16]byte(consent.NoID)).Scan(&one)
	switch {
	case err == nil:
		return ErrUnfinishedMove
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	}
	return fmt.Errorf("look for a move that is not finished: %w", err)
}

// lookForMove looks again for what could not be known at the start. A server that finds an unfinished move serves
// nothing any more.
func (e *Engine) lookForMove(ctx context.Context, c *pgx.Conn) error {
	err := checkMove(ctx, c)
	if errors.Is(err, ErrUnfinishedMove) {
		e.log.Error("nothing is served any more", "error", err)
		e.moveUnfinished.Store(true)
		err = nil
	}
	if err == nil {
		e.moveUnknown.Store(false)
	}
	return err
}
