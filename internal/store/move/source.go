package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"
	"unicode/utf8"

	zombiezen "zombiezen.com/go/sqlite"

	"golang.org/x/sync/errgroup"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// pageBytes bounds a page of rows, and with it the memory that a move needs.
const pageBytes = 4 << 20

// source is the data folder. All of it is read within one transaction, which keeps others from writing.
type source struct {
	conn     engine.Conn
	pageRows int
}

// pages calls visit for the rows of a table behind a key (nil: for all), in the order of the key and page by page.
// While one page is visited, the next one is read.
func (s *source) pages(ctx context.Context, t *table, after []any, visit func(rows [][]any) error) error {
	both, ctx := errgroup.WithContext(ctx)
	pages := make(chan [][]any)
	both.Go(func() error {
		defer close(pages)
		return s.read(ctx, t, after, func(page [][]any) error {
			select {
			case pages <- page:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	both.Go(func() error {
		for page := range pages {
			if err := visit(page); err != nil {
				return err
			}
		}
		return nil
	})
	return both.Wait()
}

// read calls visit for page after page. A page has one row at least, however large that is.
func (s *source) read(ctx context.Context, t *table, after []any, visit func(page [][]any) error) error {
	var page [][]any
	size := 0
	err := s.conn.Search(ctx, t.selectRows(after != nil, false), after, func(r engine.Row) error {
		row, bytes, err := t.scan(r.(sqlite.Row).Stmt)
		if err != nil {
			return err
		}
		if len(page) == s.pageRows || len(page) > 0 && size+bytes > pageBytes {
			if err := visit(page); err != nil {
				return err
			}
			page, size = nil, 0
		}
		page, size = append(page, row), size+bytes
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	if len(page) == 0 {
		return nil
	}
	return visit(page)
}

// scan gives the row that a statement stands on, as values that pgx takes, and how many bytes it has.
func (t *table) scan(stmt *zombiezen.Stmt) (row []any, size int, err error) {
	row = make([]any, len(t.columns))
	for i, c := range t.columns {
		if row[i], err = value(stmt, i, c.kind); err != nil {
			return nil, 0, fmt.Errorf("column %s: %w", c.name, err) // without the value: it may be personal data
		}
		if value, ok := row[i].([]byte); ok {
			size += len(value)
		}
	}
	return row, size, nil
}

// value gives a column as bytes, a bool, an int64 or a time, or nil for NULL. It refuses what PostgreSQL cannot keep.
func value(stmt *zombiezen.Stmt, i int, kind string) (any, error) {
	if stmt.ColumnIsNull(i) {
		return nil, nil
	}
	switch kind {
	case "uuid", "bytea", "text":
		b := make([]byte, stmt.ColumnLen(i))
		stmt.ColumnBytes(i, b)
		return b, checkBytes(b, kind)
	}
	v := stmt.ColumnInt64(i)
	switch {
	case kind == "timestamptz":
		return time.UnixMicro(v), nil
	case kind == "bool" && v>>1 == 0:
		return v == 1, nil
	case kind == "int8", kind == "int4" && v == int64(int32(v)), kind == "int2" && v == int64(int16(v)):
		return v, nil
	}
	return nil, fmt.Errorf("a number that is no %s", kind)
}

func checkBytes(value []byte, kind string) error {
	switch {
	case kind == "uuid" && len(value) != 16:
		return fmt.Errorf("an id of %d bytes", len(value))
	case kind == "text" && (!utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0):
		return errors.New("a text that is not UTF-8, or that holds NUL, which PostgreSQL cannot keep")
	}
	return nil
}

// survey is what a move has to know of its source before it begins.
type survey struct {
	counts        []int64 // by table
	rows          int64
	organizations int
	first, last   time.Time // when the first and the last event was recorded
	// identity stays the same for as long as the folder is used; state changes when it is written to.
	identity, state [32]byte
}

// survey counts what there is. counting is called before each table.
func (s *source) survey(ctx context.Context, counting func(table string)) (found survey, err error) {
	state := sha256.New()
	for _, t := range tables {
		counting(t.name)
		var n int64
		if err := s.conn.Search(ctx, t.count(), nil, func(r engine.Row) error { return r.Scan(&n) }); err != nil {
			return found, fmt.Errorf("count %s in the data folder: %w", t.name, err)
		}
		found.counts = append(found.counts, n)
		found.rows += n
		if t.name == "organizations" {
			found.organizations = int(n)
		}
		fmt.Fprintln(state, t.name, n)
	}
	var first, last consent.ID
	err = s.conn.Search(ctx, "/* move_span */ SELECT min(event_id), max(event_id) FROM events", nil,
		func(r engine.Row) error { return r.Scan(&first, &last) })
	if err != nil {
		return found, fmt.Errorf("look for the first and the last event: %w", err)
	}
	if last != consent.NoID {
		found.first, found.last = timeOf(first), timeOf(last)
	}
	// Two stores differ by what is made once: the first organization, and the first root key.
	identity := sha256.New()
	err = errors.Join(
		s.hash(ctx, state, `/* move_heads */ SELECT organization_id, sequence, last_event_id FROM ledger_heads
ORDER BY organization_id`),
		s.hash(ctx, identity, `/* move_first_organization */ SELECT organization_id, created_at, NULL FROM organizations
ORDER BY organization_id LIMIT 1`),
		s.hash(ctx, identity, `/* move_first_root_key */ SELECT key_id, created_at, NULL FROM api_keys
WHERE organization_id = zeroblob(16) ORDER BY key_id LIMIT 1`))
	state.Sum(found.state[:0])
	identity.Sum(found.identity[:0])
	return found, err
}

// hash puts the rows of a statement into a hash: an id, a number and an id.
func (s *source) hash(ctx context.Context, into hash.Hash, statement string) error {
	err := s.conn.Search(ctx, statement, nil, func(r engine.Row) error {
		var id, last consent.ID
		var n int64
		err := r.Scan(&id, &n, &last)
		fmt.Fprintln(into, id, n, last)
		return err
	})
	if err != nil {
		return fmt.Errorf("read which store the data folder is: %w", err)
	}
	return nil
}

// timeOf is when an event was recorded, as its id says (RFC 9562, section 5.7).
func timeOf(id consent.ID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}
