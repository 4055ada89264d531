package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// conn is an engine.Conn over one SQLite connection.
type conn struct {
	c    *sqlite.Conn
	args []any
	last []bound // what each bound last, by parameter

	forget  bool   // see engine.Forgetter
	slowest string // the statement that took longest so far, of those that run many times
	took    time.Duration
}

func (s *conn) run(statement string) error {
	stmt, err := s.c.Prepare(statement)
	if err != nil {
		return err
	}
	_, err = stmt.Step()
	if resetErr := stmt.Reset(); err == nil {
		err = resetErr
	}
	return err
}

// Query implements engine.Conn.
func (s *conn) Query(_ context.Context, statement string, args []any, scan func(engine.Row) error) error {
	stmt, err := s.c.Prepare(statement)
	if err != nil {
		return err
	}
	return step(stmt, args, scan)
}

// Each implements engine.Conn.
func (s *conn) Each(_ context.Context, statement string, n int, fill func(int, []any) []any,
	scan func(int, engine.Row) error) error {
	if n == 0 {
		return nil
	}
	stmt, err := s.c.Prepare(statement)
	if err != nil {
		return err
	}
	i := 0
	var scanRow func(engine.Row) error
	if scan != nil {
		scanRow = func(r engine.Row) error { return scan(i, r) }
	}
	s.last = s.last[:0]
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > s.took {
			s.slowest, s.took = statement, took
		}
	}()
	for ; i < n; i++ {
		s.args = fill(i, s.args[:0])
		if err := s.bindChanged(stmt); err != nil {
			return err
		}
		if err := run(stmt, scanRow); err != nil {
			return err
		}
	}
	return nil
}

// bound is a value that a parameter has: it keeps it from one run of a statement to the next, and the rows of a
// batch share many, such as the organization.
type bound struct {
	kind   byte // 0: not known
	id     consent.ID
	text   string
	number int64
}

// bindChanged binds those of args that differ from what their parameters have.
func (s *conn) bindChanged(stmt *sqlite.Stmt) error {
	for len(s.last) < len(s.args) {
		s.last = append(s.last, bound{})
	}
	for i, arg := range s.args {
		now := bound{}
		switch v := arg.(type) {
		case *consent.ID:
			now.kind, now.id = 1, *v
		case string:
			now.kind, now.text = 2, v
		case *string:
			now.kind, now.text = 2, *v
		case int:
			now.kind, now.number = 3, int64(v)
		}
		if now.kind != 0 && now == s.last[i] {
			continue
		}
		s.last[i] = now
		if err := bind(stmt, i+1, arg); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements engine.Forgetter: the write-ahead log still has what is overwritten in the database.
func (s *conn) Forget() { s.forget = true }

// Prefetch implements engine.Conn. It has nothing to save: there are no round trips.
func (s *conn) Prefetch(read func() error) (wait func() error, err error) {
	return func() error { return nil }, read()
}

// Search implements engine.Conn.
func (s *conn) Search(ctx context.Context, statement string, args []any, scan func(engine.Row) error) error {
	s.c.SetInterrupt(ctx.Done())
	defer s.c.SetInterrupt(nil)
	stmt, _, err := s.c.PrepareTransient(statement)
	if err != nil {
		return cmp.Or(ctx.Err(), err) // it may have been interrupted
	}
	err = step(stmt, args, scan)
	if end := stmt.Finalize(); err == nil {
		err = end
	}
	return cmp.Or(ctx.Err(), err)
}

// SearchPrepared implements engine.Conn.
func (s *conn) SearchPrepared(ctx context.Context, statement string, args []any, scan func(engine.Row) error) error {
	s.c.SetInterrupt(ctx.Done())
	defer s.c.SetInterrupt(nil)
	err := s.Query(ctx, statement, args, scan)
	return cmp.Or(ctx.Err(), err)
}

// step binds a statement's arguments and runs it.
func step(stmt *sqlite.Stmt, args []any, scan func(engine.Row) error) error {
	for i, arg := range args {
		if err := bind(stmt, i+1, arg); err != nil {
			return err
		}
	}
	return run(stmt, scan)
}

// run runs a statement to its end and leaves it ready for the next time.
func run(stmt *sqlite.Stmt, scan func(engine.Row) error) error {
	for {
		more, err := stmt.Step()
		if err == nil && more && scan != nil {
			err = scan(Row{stmt})
		}
		if err != nil {
			_ = stmt.Reset()
			return err
		}
		if !more {
			return stmt.Reset()
		}
	}
}

func bind(stmt *sqlite.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case nil:
		stmt.BindNull(i)
	case consent.ID:
		stmt.BindBytes(i, v[:])
	case *consent.ID:
		stmt.BindBytes(i, v[:])
	case *engine.OptionalID:
		if consent.ID(*v) == consent.NoID {
			stmt.BindNull(i)
		} else {
			stmt.BindBytes(i, v[:])
		}
	case int:
		stmt.BindInt64(i, int64(v))
	case int64:
		stmt.BindInt64(i, v)
	case *int64:
		stmt.BindInt64(i, *v)
	case bool:
		stmt.BindBool(i, v)
	case string:
		stmt.BindText(i, v)
	case *string:
		stmt.BindText(i, *v)
	case []byte:
		if v == nil {
			stmt.BindNull(i)
		} else {
			stmt.BindBytes(i, v)
		}
	case engine.OptionalText:
		if v == nil {
			stmt.BindNull(i)
		} else {
			stmt.BindText(i, string(v))
		}
	case *time.Time:
		if v.IsZero() {
			stmt.BindNull(i)
		} else {
			stmt.BindInt64(i, v.UnixMicro())
		}
	default:
		return fmt.Errorf("no way to bind a %T", arg)
	}
	return nil
}

// Row is an engine.Row of a statement that stands on one.
type Row struct{ Stmt *sqlite.Stmt }

// Scan implements engine.Row.
func (r Row) Scan(to ...any) error {
	for i, target := range to {
		switch v := target.(type) {
		case *consent.ID:
			*v = consent.NoID
			r.Stmt.ColumnBytes(i, v[:])
		case *int:
			*v = int(r.Stmt.ColumnInt64(i))
		case *uint8:
			*v = uint8(r.Stmt.ColumnInt64(i))
		case *int64:
			*v = r.Stmt.ColumnInt64(i)
		case *bool:
			*v = r.Stmt.ColumnInt64(i) != 0
		case *string:
			*v = r.Stmt.ColumnText(i)
		case *[]byte:
			*v = nil
			if !r.Stmt.ColumnIsNull(i) {
				*v = make([]byte, r.Stmt.ColumnLen(i))
				r.Stmt.ColumnBytes(i, *v)
			}
		case *engine.Appended:
			v.Append(r.Stmt.ColumnLen(i))
			r.Stmt.ColumnBytes(i, v.Value)
		case *time.Time:
			*v = time.Time{}
			if !r.Stmt.ColumnIsNull(i) {
				*v = time.UnixMicro(r.Stmt.ColumnInt64(i)).UTC()
			}
		default:
			return fmt.Errorf("no way to scan into a %T", target)
		}
	}
	return nil
}
