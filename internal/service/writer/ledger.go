package writer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// loadTrees reads the right edge of each ledger's tree from its head.
func (b *batch) loadTrees() error {
	for o, head := range b.heads {
		if b.o.dry {
			b.trees[o] = &ledger.Tree{}
			continue
		}
		tree, err := TreeOf(head)
		if err != nil {
			return err
		}
		b.trees[o] = tree
	}
	return nil
}

// TreeOf reads the right edge of a ledger's tree from its head.
func TreeOf(head *consent.Head) (*ledger.Tree, error) {
	tree := &ledger.Tree{}
	if len(head.Tree) > 0 {
		var err error
		if tree, err = ledger.ParseTree(head.Tree); err != nil {
			return nil, fmt.Errorf("the ledger of organization %s: %w", head.Organization, err)
		}
	}
	if tree.Size != head.Sequence {
		return nil, fmt.Errorf("the ledger of organization %s has %d entries, and its tree %d leaves", head.Organization,
			head.Sequence, tree.Size)
	}
	return tree, nil
}

// loadSecrets reads what the entries are committed with that may be made: about people, and about purposes that are
// new. It makes it for people of whom nothing is on record yet. On an engine with round trips it shares that of the
// read which comes next.
func (b *batch) loadSecrets(ctx context.Context, tx Tx) (wait func() error, err error) {
	var asked []consent.SubjectKey
	committing := b.committing()
	for _, key := range committing {
		if b.wrapped[key] == nil && !b.created[key] {
			asked = append(asked, key)
		}
	}
	come := func() error { return nil }
	var found [][]byte
	if len(asked) > 0 {
		come, err = tx.Prefetch(func() (err error) {
			found, err = tx.SubjectSecrets(ctx, asked)
			return err
		})
	}
	return func() error {
		if err := come(); err != nil {
			return err
		}
		for i, key := range asked {
			b.wrapped[key] = found[i]
		}
		return b.openSecrets(committing)
	}, err
}

// openSecrets decrypts what was read of some subjects, and makes what is missing. Errors: a *NoSecretError where none
// can be made, which is not asked for again then, and those of what is on record.
func (b *batch) openSecrets(of []consent.SubjectKey) error {
	lacking := map[consent.SubjectKey]bool{}
	var why error
	for _, key := range of {
		wrapped := b.wrapped[key]
		if wrapped == nil { // new, or known and without a decision
			if why == nil {
				why = b.makeSecret(key)
			}
			if why != nil {
				lacking[key] = true
			}
			continue
		}
		var err error
		if b.secrets[key], err = b.o.Secrets.Open(key, wrapped); err != nil {
			return fmt.Errorf("read the secret of subject %s of organization %s: %w", key.Subject, key.Organization, err)
		}
	}
	if why == nil {
		return nil
	}
	return &NoSecretError{needing: b.committingWith(lacking), err: fmt.Errorf("make the secret of a subject: %w", why)}
}

func (b *batch) makeSecret(of consent.SubjectKey) error {
	secret, wrapped, err := b.o.Secrets.New(of)
	if err != nil {
		return err
	}
	b.secrets[of] = secret
	b.changes.SubjectSecrets = append(b.changes.SubjectSecrets, consent.SubjectSecret{SubjectKey: of, Wrapped: wrapped})
	return nil
}

// NoSecretError ends the transaction of a batch in which no secret can be made for some of its people. The writes that
// need none are done by another one.
type NoSecretError struct {
	needing map[*request]bool
	err     error
}

func (e *NoSecretError) Error() string { return e.err.Error() }

func (e *NoSecretError) Unwrap() error { return e.err }

// refuse answers the requests that need a secret, and gives the others.
func (e *NoSecretError) refuse(requests []*request) []*request {
	return slices.DeleteFunc(requests, func(r *request) bool {
		if e.needing[r] {
			r.result <- outcome{err: e.err}
		}
		return e.needing[r]
	})
}

// committingWith gives the requests that make entries committed with what any of some subjects have.
func (b *batch) committingWith(some map[consent.SubjectKey]bool) map[*request]bool {
	found := map[*request]bool{}
	b.eachCommitting(func(r *request, key consent.SubjectKey) {
		if some[key] {
			found[r] = true
		}
	})
	return found
}

// committing lists whose entries there may be.
func (b *batch) committing() (all []consent.SubjectKey) {
	noted := map[consent.SubjectKey]bool{}
	b.eachCommitting(func(_ *request, key consent.SubjectKey) {
		if !noted[key] {
			noted[key] = true
			all = append(all, key)
		}
	})
	return all
}

// eachCommitting visits the requests that may write by a secret, with whose it is: a person's, where a decision is
// taken about them, somebody is merged into them, or they get an identifier, which is sealed by it; or the
// organization's own, where a purpose is made.
func (b *batch) eachCommitting(visit func(r *request, of consent.SubjectKey)) {
	for i, r := range b.requests {
		if b.o.dry {
			continue
		}
		if len(b.purposes[i]) > 0 {
			visit(r, consent.SubjectKey{Organization: r.Actor.Organization})
		}
		for n := range b.items[i] {
			if item := &b.items[i][n]; len(item.decisions)+len(item.merges)+len(item.person.Attach) > 0 {
				visit(r, consent.SubjectKey{Organization: r.Actor.Organization, Subject: item.person.Subject})
			}
		}
	}
}

// commit adds the leaf of an entry to the tree of its ledger.
func (b *batch) commit(of consent.SubjectKey, at time.Time, sequence int64, body, ident []byte) {
	if b.o.dry {
		return
	}
	leaf := ledger.NewLeaf(at.UnixMilli(), b.secrets[of], uint64(sequence), body, ident)
	for _, row := range b.trees[of.Organization].Add(nil, leaf.Hash()) {
		b.changes.LedgerRows = append(b.changes.LedgerRows, consent.LedgerRow{Organization: of.Organization,
			Level: row.Level, Number: row.Number, Hashes: row.Hashes})
	}
}
