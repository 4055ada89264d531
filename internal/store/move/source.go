package move

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// moveSource is the data folder that a move reads. All of it is read within one transaction, which keeps others from
// writing: no tool can change what was copied already.
type moveSource struct{ conn engine.Conn }

// rows calls visit for rows of a table in the order of its key: those of an organization, where the table is parted by
// them, and behind a key, where there is one. visit must not keep the row.
func (s *moveSource) rows(ctx context.Context, t *moveTable, organization consent.ID, after []byte, limit int,
	visit func(row []byte) error) error {
	args, done, err := t.arguments(organization, after)
	if done || err != nil {
		return err
	}
	var buffer []byte
	return s.conn.Search(ctx, t.page(after != nil, limit), t.sqliteArgs(args), func(r engine.Row) error {
		var err error
		if buffer, err = t.appendRow(buffer[:0], r.(sqlite.Row).Stmt); err != nil {
			return err
		}
		return visit(buffer)
	})
}

// arguments gives the parameters of a page. done: there is no row behind the key.
func (t *moveTable) arguments(organization consent.ID, after []byte) (args [][]byte, done bool, err error) {
	if after == nil {
		if !t.shared() {
			args = [][]byte{organization[:]}
		}
		return args, false, nil
	}
	args, size, err := split(after, t.key)
	if err == nil && size != len(after) {
		err = errors.New("a key is longer than its columns")
	}
	return args, !t.shared() && t.key == 1, err
}

// organizations calls visit for all zeros, which is the instance itself, and for every organization that has a row
// anywhere, in order.
func (s *moveSource) organizations(ctx context.Context, visit func(consent.ID) error) error {
	for at := consent.NoID; ; {
		if err := visit(at); err != nil {
			return err
		}
		next, err := s.after(ctx, at)
		if err != nil {
			return fmt.Errorf("look for organizations in the data folder: %w", err)
		}
		if next == consent.NoID {
			return nil
		}
		at = next
	}
}

// after gives the organization behind another; NoID: none.
func (s *moveSource) after(ctx context.Context, organization consent.ID) (next consent.ID, err error) {
	if err := ctx.Err(); err != nil {
		return next, err
	}
	err = s.conn.Query(ctx, nextOrganization, []any{organization}, func(r engine.Row) error { return r.Scan(&next) })
	return next, err
}

// has tells whether an organization has a row anywhere.
func (s *moveSource) has(ctx context.Context, organization consent.ID) (bool, error) {
	before := organization
	for i := len(before) - 1; i >= 0; i-- {
		if before[i]--; before[i] != 0xff {
			next, err := s.after(ctx, before)
			return next == organization, err
		}
	}
	return true, nil // all zeros: the instance
}

// survey is what a move has to know of its source before it begins.
type survey struct {
	organizations int
	counts        []int64 // by table
	rows          int64
	first, last   time.Time // when the first and the last event was recorded
	// identity stays the same for as long as the folder is used; state changes when it is written to.
	identity, state [32]byte
}

// survey counts what there is. counting is told before each table.
func (s *moveSource) survey(ctx context.Context, counting func(table string)) (found survey, err error) {
	state := sha256.New()
	for _, t := range moveTables {
		counting(t.name)
		var n int64
		if err := s.conn.Search(ctx, t.count(), nil, func(r engine.Row) error { return r.Scan(&n) }); err != nil {
			return found, fmt.Errorf("count %s in the data folder: %w", t.name, err)
		}
		found.counts = append(found.counts, n)
		found.rows += n
		fmt.Fprintln(state, t.name, n)
	}
	err = s.organizations(ctx, func(organization consent.ID) error {
		if organization != consent.NoID {
			found.organizations++
		}
		return s.ledger(ctx, organization, &found, state)
	})
	if err != nil {
		return found, err
	}
	state.Sum(found.state[:0])
	found.identity, err = s.identity(ctx)
	return found, err
}

// ledger puts an organization's head into the state, and its first and last event into the survey.
func (s *moveSource) ledger(ctx context.Context, organization consent.ID, found *survey, state hash.Hash) error {
	err := s.conn.Query(ctx, `/* move_head */ SELECT sequence, last_event_id FROM ledger_heads WHERE organization_id = $1`,
		[]any{organization}, func(r engine.Row) error {
			var sequence int64
			var last consent.ID
			err := r.Scan(&sequence, &last)
			fmt.Fprintln(state, organization, sequence, last)
			return err
		})
	for _, order := range []string{"", " DESC"} {
		if err != nil {
			break
		}
		err = s.conn.Query(ctx, "/* move_end_of_ledger */ SELECT event_id FROM events WHERE organization_id = $1 ORDER BY "+
			"event_id"+order+" LIMIT 1", []any{organization}, func(r engine.Row) error {
			var id consent.ID
			err := r.Scan(&id)
			at := timeOf(id)
			if found.first.IsZero() || at.Before(found.first) {
				found.first = at
			}
			if at.After(found.last) {
				found.last = at
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("read the ledger of organization %s: %w", organization, err)
	}
	return nil
}

// timeOf is when an event was recorded, as its id says (RFC 9562, section 5.7).
func timeOf(id consent.ID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// identity tells one store from another by what is made once: the first organization, and the first root key.
func (s *moveSource) identity(ctx context.Context) (sum [32]byte, err error) {
	identity := sha256.New()
	for _, statement := range []string{
		"/* move_first_organization */ SELECT organization_id, created_at FROM organizations " +
			"ORDER BY organization_id LIMIT 1",
		"/* move_first_root_key */ SELECT key_id, created_at FROM api_keys WHERE organization_id = zeroblob(16) ORDER BY " +
			"key_id LIMIT 1",
	} {
		err := s.conn.Query(ctx, statement, nil, func(r engine.Row) error {
			var id consent.ID
			var at int64
			err := r.Scan(&id, &at)
			fmt.Fprintln(identity, id, at)
			return err
		})
		if err != nil {
			return sum, fmt.Errorf("read which store the data folder is: %w", err)
		}
	}
	identity.Sum(sum[:0])
	return sum, nil
}
