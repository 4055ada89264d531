package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// Checkpoints keeps the newest checkpoint of each ledger apart from the store: for use at once by many goroutines.
type Checkpoints interface {
	// Newest gives that of an organization; of size 0: none was put.
	Newest(organization consent.ID) (consent.LedgerRoot, error)
	// All gives those of all organizations.
	All() (map[consent.ID]consent.LedgerRoot, error)
	// Put keeps one in place of newest, durably; false: that was not the newest one.
	Put(organization consent.ID, newest, next consent.LedgerRoot) (bool, error)
}

// ErrBehind says that a store is behind the newest checkpoint that was signed of a ledger: it has fewer entries, or
// others. To sign what it has would be to sign a second history.
var ErrBehind = errors.New("the store is behind the newest checkpoint that was signed")

// follows looks whether a ledger goes on from the newest checkpoint that was signed of it, or has an epoch that names
// that one as lost, and gives that one. before is the newest one in the store, of which replay has made tree. Errors:
// ErrBehind where it does not; those of the store and of the file.
func (g *signer) follows(ctx context.Context, head *consent.Head, before *consent.Checkpoint,
	tree *ledger.Tree) (newest consent.LedgerRoot, err error) {
	if g.kept == nil {
		return newest, nil
	}
	if newest, err = g.kept.Newest(head.Organization); err != nil || newest.Size == 0 {
		return newest, err
	}
	if before != nil && before.Size == newest.Size {
		if trusted := g.trusted(before); trusted != nil && trusted.Root() == newest.Root {
			return newest, nil // tree grew from that one
		}
	}
	l := &lineage{keys: g.s.keys, organization: head.Organization, tree: tree, to: head.LastID}
	return newest, l.follows(ctx, g.view, newest)
}

// shorter looks whether a ledger of which nothing is to be signed is behind. Errors: those of follows.
func (g *signer) shorter(ctx context.Context, head *consent.Head) error {
	if g.kept == nil {
		return nil
	}
	newest, err := g.kept.Newest(head.Organization)
	if err != nil || newest.Size <= head.Sequence {
		return err
	}
	tree, err := writer.TreeOf(head)
	if err != nil {
		return err
	}
	l := &lineage{keys: g.s.keys, organization: head.Organization, tree: tree, to: head.LastID}
	return l.follows(ctx, g.view, newest)
}

// keepApart keeps a checkpoint apart from the store, before it is signed for anybody to see; false: another server has
// kept one meanwhile, and it is tried again.
func (g *signer) keepApart(organization consent.ID, newest consent.LedgerRoot, tree *ledger.Tree) (bool, error) {
	if g.kept == nil {
		return true, nil
	}
	kept, err := g.kept.Put(organization, newest, consent.LedgerRoot{Size: tree.Size, Root: tree.Root()})
	if err == nil && !kept {
		g.changed([]consent.ID{organization})
	}
	return kept, err
}

// lineage tells what a ledger goes on from.
type lineage struct {
	keys         *vault
	organization consent.ID
	tree         *ledger.Tree // of all its entries
	to           consent.ID   // the last one
}

func (l *lineage) follows(ctx context.Context, view func(context.Context, func(context.Context, Reader) error) error,
	newest consent.LedgerRoot) error {
	goesOn := false
	err := view(ctx, func(ctx context.Context, r Reader) (err error) {
		goesOn, err = l.grewFrom(ctx, r, newest)
		return err
	})
	if err != nil || goesOn {
		return err
	}
	for span := (consent.EventSpan{To: l.to}); ; {
		var found []consent.ExportedEvent
		var last consent.ID
		named := false
		err := view(ctx, func(ctx context.Context, r Reader) (err error) {
			found, last, err = r.OtherEntries(ctx, l.organization, span, auditPart)
			for i := range found {
				if err == nil && !named && found[i].Kind == consent.EpochEntry {
					named, err = l.names(ctx, r, &found[i], newest)
				}
			}
			return err
		})
		switch {
		case err != nil || named:
			return err
		case len(found) < auditPart:
			return ErrBehind
		}
		span.After = last
	}
}

// grewFrom tells whether the ledger only grew since a checkpoint.
func (l *lineage) grewFrom(ctx context.Context, r Reader, earlier consent.LedgerRoot) (bool, error) {
	if earlier.Size > l.tree.Size {
		return false, nil
	}
	reader := ledger.NewReader(l.tree, rowsFrom(ctx, r, l.organization))
	root, err := tlog.TreeHash(earlier.Size, reader)
	if err != nil {
		return false, err
	}
	if root != tlog.Hash(earlier.Root) {
		return false, nil
	}
	grown, err := ledger.ProveConsistency(reader, earlier.Size, l.tree.Size)
	if err != nil {
		return false, err
	}
	return true, grown.Verify(&ledger.Checkpoint{Size: earlier.Size, Root: root},
		&ledger.Checkpoint{Size: l.tree.Size, Root: l.tree.Root()})
}

// names tells whether an entry is in the ledger as it stands there, and names a checkpoint as lost.
func (l *lineage) names(ctx context.Context, r Reader, e *consent.ExportedEvent,
	lost consent.LedgerRoot) (bool, error) {
	epoch, err := consent.ReadEpoch(e.BodyJSON)
	if err != nil || epoch.Lost != lost {
		return false, nil
	}
	leaves, err := leavesBy(ctx, r, l.keys, l.organization, []consent.ExportedEvent{*e})
	if err != nil {
		return false, err
	}
	reader := ledger.NewReader(l.tree, rowsFrom(ctx, r, l.organization))
	hashes, err := tlog.ProveRecord(l.tree.Size, e.Sequence-1, reader)
	if err != nil {
		return false, err
	}
	return tlog.CheckRecord(hashes, l.tree.Size, l.tree.Root(), e.Sequence-1, leaves[0].Hash()) == nil, nil
}

// headsAtOnce is of how many ledgers the ends are read in one view.
const headsAtOnce = 200

// searchBehind looks, at the start, which ledgers are shorter than the newest checkpoint that was signed of them, also
// where nothing is to be signed.
func (g *signer) searchBehind(ctx context.Context, all map[consent.ID]consent.LedgerRoot) {
	for some := range slices.Chunk(slices.Collect(maps.Keys(all)), headsAtOnce) {
		err := g.recovering(func() error {
			return g.view(ctx, func(ctx context.Context, r Reader) error {
				for i := range some { // one at a time: they may be on different nodes
					heads, err := r.Heads(ctx, some[i:i+1])
					if err != nil {
						return err
					}
					if head, there := heads[some[i]]; there && head.Sequence < all[some[i]].Size {
						g.sign(some[i:i+1], 0)
					}
				}
				return nil
			})
		})
		if err != nil && ctx.Err() == nil {
			g.s.log.Warn("the ends of ledgers could not be read, to see whether they are behind", "error", err)
		}
	}
}

// markBehind notes whether nothing is signed of a ledger, since the store is behind.
func (g *signer) markBehind(organization consent.ID, is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.behind, organization)
	if is {
		g.behind[organization] = true
	}
}

// isBehind tells whether it is known that nothing is signed of a ledger, since the store is behind.
func (g *signer) isBehind(organization consent.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.behind[organization]
}

// BehindLedgers tells of how many ledgers nothing is signed, since the store is behind the newest checkpoint that was
// signed, as when a backup was put back (see RecoverLedger).
func (s *Service) BehindLedgers() int {
	s.signer.mu.Lock()
	defer s.signer.mu.Unlock()
	return len(s.signer.behind)
}

var errNotBehind = consent.Errorf(consent.Conflict, "", "nothing of this ledger is lost: it goes on from the newest "+
	"checkpoint that was signed, so there is nothing to recover")

// RecoverLedger has a ledger go on though the newest checkpoint that was signed of it is lost: it adds an epoch entry
// that names that checkpoint, whereupon servers sign again. It gives what was lost, and the sequence of the entry. The
// actor is the operator. Errors: Conflict where the ledger goes on from that checkpoint, or has such an entry already;
// NotFound; Unprocessable where the reason is too long, or blank.
func (s *Service) RecoverLedger(ctx context.Context, kept Checkpoints, organization consent.ID, reason string) (
	lost consent.LedgerRoot, sequence int64, err error) {
	if err := consent.CheckReason(reason); err != nil {
		return lost, 0, err
	}
	if strings.TrimSpace(reason) == "" {
		return lost, 0, consent.Errorf(consent.Unprocessable, "reason", "must say why the ledger goes on: it stays for good")
	}
	if _, err := s.catalog(ctx, organization); err != nil {
		return lost, 0, err
	}
	if lost, err = kept.Newest(organization); err != nil {
		return lost, 0, err
	}
	a := s.Operator()
	a.Organization = organization
	err = s.updateLedger(ctx, a, consent.Idempotency{}, func(tx Tx) (any, error) {
		end, err := s.endOf(ctx, tx, organization)
		if err != nil {
			return nil, err
		}
		if lost.Size == 0 {
			return nil, errNotBehind
		}
		l := &lineage{keys: s.keys, organization: organization, tree: end.tree, to: end.head.LastID}
		within := func(ctx context.Context, read func(context.Context, Reader) error) error { return read(ctx, tx) }
		err = l.follows(ctx, within, lost)
		switch {
		case err == nil:
			return nil, errNotBehind
		case !errors.Is(err, ErrBehind):
			return nil, fmt.Errorf("look what the ledger goes on from: %w", err)
		}
		var changes consent.Changes
		entry, err := end.add(ctx, tx, a.EpochEntry(lost, reason), &changes)
		if err != nil {
			return nil, err
		}
		sequence = entry.Sequence
		return nil, tx.Append(ctx, &changes)
	})
	return lost, sequence, err
}
