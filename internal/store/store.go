// Package store keeps what the core decided: all SQL, written once in the
// subset that every engine understands. It decides nothing and knows no
// protocol; an engine (sqlite.go) knows how to open, run and commit.
package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// Store is a consent.Store over an engine. It may be used at once from many goroutines.
type Store struct {
	engine  engine
	persons *persons // nil: others may change people unheard
}

// engine is what tells one database from another.
type engine interface {
	// view runs read on a connection that shows one consistent state.
	view(ctx context.Context, read func(conn) error) error
	// viewOnce is view for a read of which each statement may see a state of its own.
	viewOnce(ctx context.Context, read func(conn) error) error
	// update runs write in a transaction, alone within the organization, and returns nil when it is durable.
	update(ctx context.Context, organization consent.ID, write func(conn) error) error
	// batchesAcrossTenants tells whether one transaction may write for several organizations.
	batchesAcrossTenants() bool
	ready() error
	close() error
}

var _ service.Store = (*Store)(nil)

// View implements consent.Store.
func (s *Store) View(ctx context.Context, read func(service.Reader) error) error {
	return s.engine.view(ctx, func(c conn) error { return read(&tx{conn: c}) })
}

// ViewOnce implements consent.Store.
func (s *Store) ViewOnce(ctx context.Context, read func(service.Reader) error) error {
	return s.engine.viewOnce(ctx, func(c conn) error { return read(&tx{conn: c}) })
}

// Update implements consent.Store.
func (s *Store) Update(ctx context.Context, organization consent.ID, write func(service.Tx) error) error {
	var t *touched
	if s.persons != nil {
		t = &touched{of: s.persons}
		defer t.end()
	}
	return s.engine.update(ctx, organization, func(c conn) error { return write(&tx{c, t}) })
}

// Person implements consent.Store.
func (s *Store) Person(ctx context.Context, name consent.OwnedName, project int) (consent.Who, error) {
	q := asked{name, project}
	read := remembered{}
	if s.persons != nil {
		known, at, ok := s.persons.recall(q)
		if ok {
			return known.Who, nil
		}
		read.at = at
	}
	err := s.engine.viewOnce(ctx, func(c conn) (err error) {
		read.Who, err = (&tx{conn: c}).person(ctx, name, project)
		return err
	})
	if err == nil && s.persons != nil && read.Known() {
		s.persons.remember(q, read)
	}
	return read.Who, err
}

// BatchesAcrossTenants implements consent.Store.
func (s *Store) BatchesAcrossTenants() bool { return s.engine.batchesAcrossTenants() }

// Ready implements consent.Store.
func (s *Store) Ready() error { return s.engine.ready() }

// Figure is what a store says of itself at the moment, for metrics.
type Figure struct {
	Name, Help string
	Counts     bool // it only goes up
	Value      float64
}

// Figures tells how the store is doing; a data folder has nothing to tell.
func (s *Store) Figures() []Figure {
	if e, ok := s.engine.(*postgresEngine); ok {
		return e.figures()
	}
	return nil
}

// Close implements consent.Store.
func (s *Store) Close() error { return s.engine.close() }

// tx is a transaction, or a view.
type tx struct {
	conn    conn
	touched *touched // nil: a view, or nobody wants to know
}

var _ service.Tx = (*tx)(nil)

// one runs a statement that gives at most one row, and tells whether it did.
func (t *tx) one(ctx context.Context, statement string, args []any, to ...any) (bool, error) {
	found := false
	err := t.conn.query(ctx, statement, args, func(r row) error {
		found = true
		return r.Scan(to...)
	})
	return found, err
}

// Prefetch implements consent.Tx.
func (t *tx) Prefetch(read func() error) (wait func() error, err error) { return t.conn.prefetch(read) }

// Append implements consent.Tx.
func (t *tx) Append(ctx context.Context, c *consent.Changes) error {
	t.touched.begin(c)
	for _, step := range []struct {
		what string
		run  func(context.Context, *consent.Changes) error
	}{
		{"remove", t.remove}, {"organizations", t.appendOrganizations}, {"purposes", t.appendPurposes},
		{"keys", t.appendKeys}, {"texts", t.appendTexts}, {"subjects", t.appendSubjects},
		{"identifiers", t.appendIdentifiers}, {"events", t.appendEvents}, {"consents", t.appendConsents},
		{"heads", t.appendHeads}, {"answers", t.appendAnswers},
	} {
		if err := step.run(ctx, c); err != nil {
			return fmt.Errorf("append %s: %w", step.what, err)
		}
	}
	return nil
}

// insert runs one statement for each of some rows.
func insert[T any](ctx context.Context, c conn, statement string, rows []T, fill func(r *T, args []any) []any) error {
	if len(rows) == 0 {
		return nil
	}
	return c.each(ctx, statement, len(rows), func(i int, args []any) []any { return fill(&rows[i], args) }, nil)
}

// ErrLocked says that another server uses the data folder.
var ErrLocked = errors.New("another server is running on this data folder")
