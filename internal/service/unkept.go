package service

import (
	"context"
	"errors"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// atStart is what a signer found when it was started.
type atStart struct {
	kept map[consent.ID]consent.LedgerRoot // apart from the store; nil: nothing is kept there, or it cannot be read
	at   time.Time
}

// begins reads what is kept apart from the store, before anything is signed.
func (g *signer) begins() (start atStart) {
	if g.kept == nil {
		return start
	}
	all, err := g.kept.All()
	if err != nil {
		g.s.log.Error("no checkpoint is signed until that is mended", "error", err)
		return start
	}
	return atStart{all, g.s.now()}
}

// searchUnkept looks, at the start, of which ledgers the store has checkpoints and nothing is kept apart: the file was
// removed, emptied or cut off, or another server signed them. They go on from the newest checkpoint in the store, as
// where nothing was kept so far, and it is said what that is worth.
func (g *signer) searchUnkept(ctx context.Context, start atStart) {
	if start.kept == nil {
		return
	}
	var lacking int
	var one consent.ID
	err := g.recovering(func() error {
		return eachOrganization(ctx, g.view, func(organization consent.ID) error {
			if _, kept := start.kept[organization]; kept {
				return nil
			}
			lacks, err := g.unkept(ctx, organization, start.at)
			if lacks {
				lacking, one = lacking+1, organization
			}
			return err
		})
	})
	if err != nil && ctx.Err() == nil {
		g.s.log.Warn("it could not be looked whether the newest checkpoint of each ledger is kept apart", "error", err)
	}
	switch {
	case lacking == 0:
	case len(start.kept) == 0:
		g.s.log.Error("the journal of checkpoints holds none, and the store has ledgers that were signed: if it was removed "+
			"or emptied, put back a copy, for without it nobody sees that the store was put back, and a second history is "+
			"signed; ledgers go on from the newest checkpoints in the store", "ledgers", lacking)
	default:
		g.s.log.Warn("the journal of checkpoints lacks ledgers that were signed before this start: unless another server "+
			"signed them, put back a copy, for without it nobody sees that they were put back; they go on from the newest "+
			"checkpoints in the store", "ledgers", lacking, "organization", one.String())
	}
}

// unkept tells whether a ledger of which nothing is kept apart was signed before an instant, and then keeps its newest
// checkpoint, where this server's key has signed that one.
func (g *signer) unkept(ctx context.Context, organization consent.ID, before time.Time) (lacks bool, err error) {
	var newest *consent.Checkpoint
	err = g.view(ctx, func(ctx context.Context, r Reader) error {
		keys, err := r.LedgerKeys(ctx, organization)
		if err != nil {
			return err
		}
		newest, err = r.Checkpoint(ctx, organization)
		lacks = len(keys) > 0 && keys[0].From.Before(before) || newest != nil && newest.SignedAt.Before(before)
		return err
	})
	if err != nil || !lacks || newest == nil {
		return lacks, err
	}
	tree := g.trusted(newest)
	if tree == nil {
		return lacks, nil
	}
	_, err = g.kept.Put(organization, consent.LedgerRoot{}, consent.LedgerRoot{Size: tree.Size, Root: tree.Root()})
	return lacks, err
}

// eachOrganization visits all organizations.
func eachOrganization(ctx context.Context, view func(context.Context, func(context.Context, Reader) error) error,
	visit func(consent.ID) error) error {
	for offset := 0; ; offset += organizationsInPage {
		var list []consent.OrganizationView
		err := view(ctx, func(ctx context.Context, r Reader) (err error) {
			list, _, err = r.Organizations(ctx, consent.NoID,
				consent.OrganizationFilter{Offset: offset, Limit: organizationsInPage})
			return err
		})
		for i := 0; i < len(list) && err == nil; i++ {
			err = visit(list[i].Organization.ID)
		}
		if err != nil || len(list) < organizationsInPage {
			return err
		}
	}
}

// Signed tells whether a ledger was ever signed. Errors: those of the store.
func Signed(ctx context.Context, v Viewer, organization consent.ID) (signed bool, err error) {
	err = v.View(ctx, func(r Reader) error {
		keys, err := r.LedgerKeys(ctx, organization)
		if err != nil {
			return err
		}
		newest, err := r.Checkpoint(ctx, organization)
		signed = len(keys) > 0 || newest != nil
		return err
	})
	return signed, err
}

// Follows looks whether an organization's ledger goes on from a checkpoint that was signed of it, or has an entry that
// names that one as lost. It takes the newest checkpoint in the store at its word. Errors: ErrBehind where it does
// not; those of the store and of keys that the key file lacks.
func (o *Opener) Follows(ctx context.Context, v Viewer, organization consent.ID, kept consent.LedgerRoot) error {
	var head consent.Head
	var newest *consent.Checkpoint
	err := v.View(ctx, func(r Reader) error {
		heads, err := r.Heads(ctx, []consent.ID{organization})
		if err != nil {
			return err
		}
		head = heads[organization]
		newest, err = r.Checkpoint(ctx, organization)
		return err
	})
	if err != nil {
		return err
	}
	if newest != nil && newest.Size == kept.Size && kept.Size <= head.Sequence {
		if tree, err := ledger.ParseTree(newest.Tree); err == nil && tree.Root() == kept.Root {
			return nil
		}
	}
	head.Organization = organization
	tree, err := writer.TreeOf(&head)
	if err != nil {
		return err
	}
	l := &lineage{keys: o.keys, organization: organization, tree: tree, to: head.LastID}
	return l.follows(ctx, func(ctx context.Context, read func(context.Context, Reader) error) error {
		return v.View(ctx, func(r Reader) error { return read(ctx, o.reader(r)) })
	}, kept)
}

// HasEntries tells whether anything is on record. Errors: those of the store.
func HasEntries(ctx context.Context, v Viewer) (bool, error) {
	view := func(ctx context.Context, read func(context.Context, Reader) error) error {
		return v.View(ctx, func(r Reader) error { return read(ctx, r) })
	}
	err := eachOrganization(ctx, view, func(organization consent.ID) error {
		return view(ctx, func(ctx context.Context, r Reader) error {
			heads, err := r.Heads(ctx, []consent.ID{organization})
			if err == nil && heads[organization].Sequence > 0 {
				return errFound
			}
			return err
		})
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

var errFound = errors.New("found")
