// Package store keeps what the core decided: all SQL, written once in the
// subset that every engine understands. It decides nothing and knows no
// protocol; an engine (engine.Engine) knows how to open, run and commit.
package store

import (
	"context"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/engine"
)

// Store is a service.Store over an engine. It may be used at once from many goroutines.
type Store struct{ engine engine.Engine }

// New gives the store over an engine, which it closes with itself.
func New(e engine.Engine) *Store { return &Store{e} }

var _ service.Store = (*Store)(nil)

// View implements service.Store.
func (s *Store) View(ctx context.Context, read func(service.Reader) error) error {
	return s.engine.View(ctx, func(c engine.Conn) error { return read(&tx{c}) })
}

// ViewOnce implements service.Store.
func (s *Store) ViewOnce(ctx context.Context, read func(service.Reader) error) error {
	return s.engine.ViewOnce(ctx, func(c engine.Conn) error { return read(&tx{c}) })
}

// Update implements service.Store.
func (s *Store) Update(ctx context.Context, organization consent.ID, write func(service.Tx) error) error {
	return s.engine.Update(ctx, organization, func(c engine.Conn) error { return write(&tx{c}) })
}

// Person implements service.Store.
func (s *Store) Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (
	who consent.Who, err error) {
	err = s.engine.ViewOnce(ctx, func(c engine.Conn) (err error) {
		who, err = (&tx{c}).person(ctx, name, project, hash)
		return err
	})
	return who, err
}

// BatchesAcrossTenants implements service.Store.
func (s *Store) BatchesAcrossTenants() bool { return s.engine.BatchesAcrossTenants() }

// Shared implements service.Store.
func (s *Store) Shared() bool { return s.engine.Shared() }

// Ready implements service.Store.
func (s *Store) Ready() error { return s.engine.Ready() }

// Close implements service.Store.
func (s *Store) Close() error { return s.engine.Close() }

// tx is a transaction, or a view.
type tx struct{ conn engine.Conn }

var _ service.Tx = (*tx)(nil)

// one runs a statement that gives at most one row, and tells whether it did.
func (t *tx) one(ctx context.Context, statement string, args []any, to ...any) (bool, error) {
	found := false
	err := t.conn.Query(ctx, statement, args, func(r engine.Row) error {
		found = true
		return r.Scan(to...)
	})
	return found, err
}

// Prefetch implements service.Tx.
func (t *tx) Prefetch(read func() error) (wait func() error, err error) {
	return t.conn.Prefetch(read)
}

// Append implements service.Tx.
func (t *tx) Append(ctx context.Context, c *consent.Changes) error {
	for _, step := range []struct {
		what string
		run  func(context.Context, *consent.Changes) error
	}{
		{"remove", t.remove}, {"organizations", t.appendOrganizations}, {"purposes", t.appendPurposes},
		{"keys", t.appendKeys}, {"texts", t.appendTexts}, {"texts of subjects", t.appendSubjectTexts},
		{"subjects", t.appendSubjects}, {"identifiers", t.appendIdentifiers}, {"events", t.appendEvents},
		{"entries", t.appendEntries},
		{"erased", t.appendErased}, {"restrictions", t.appendRestrictions},
		{"suppressions", t.appendSuppressions},
		{"consents", t.appendConsents},
		{"subject secrets", t.appendSubjectSecrets}, {"ledger rows", t.appendLedgerRows}, {"heads", t.appendHeads},
		{"checkpoints", t.appendCheckpoints},
		{"idempotency records", t.appendIdempotencyRecords}, {"jobs", t.appendJobs},
		{"removed webhooks", t.removeWebhooks}, {"webhooks", t.appendWebhooks},
		{"imports", t.appendImports},
	} {
		if err := step.run(ctx, c); err != nil {
			return fmt.Errorf("append %s: %w", step.what, err)
		}
	}
	return nil
}

// insert runs one statement for each of some rows.
func insert[T any](ctx context.Context, c engine.Conn, statement string, rows []T,
	fill func(r *T, args []any) []any) error {
	if len(rows) == 0 {
		return nil
	}
	return c.Each(ctx, statement, len(rows), func(i int, args []any) []any { return fill(&rows[i], args) }, nil)
}
