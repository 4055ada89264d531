package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consentd/consentd/internal/store/engine"
)

// Inspect opens a database for checks, and says what is wrong with its settings or its partitions. It changes nothing,
// also not the schema, and may run beside servers; its statements may take as long as they like.
func Inspect(ctx context.Context, o Options) (*Engine, error) {
	o.Tool = true
	e := newEngine(o)
	e.noStatementTimeout = true
	if err := e.inspect(ctx); err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

// inspect opens a database of which nothing is to be changed.
func (e *Engine) inspect(ctx context.Context) error {
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
	if err := e.checkRights(ctx); err != nil {
		return err
	}
	if e.citus, _, err = extension(ctx, c, "citus"); err != nil {
		return err
	}
	pool, err := e.newPool(ctx)
	e.pool.Store(pool)
	return err
}

var _ engine.AdminViewer = (*Engine)(nil)

// ViewAdmin implements engine.AdminViewer: on Citus the coordinator alone has the version of the schema.
func (e *Engine) ViewAdmin(ctx context.Context, read func(engine.Conn) error) error {
	admin, err := e.admin(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", advised(err))
	}
	defer func() { _ = admin.Close(context.Background()) }()
	c := connOf(admin.PgConn())
	c.caller, c.slow = ctx, e.logSlow
	return read(c)
}

// Damaged tells whether an error says that the database finds its data damaged (PostgreSQL, appendix A, class XX).
func Damaged(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "XX001" || refused.Code == "XX002")
}
