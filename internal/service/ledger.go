package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// errNotCovered is said of what may be covered by the next checkpoint.
var errNotCovered = &consent.Error{Kind: consent.Conflict,
	Msg: "no checkpoint covers it yet; one is signed within a second of a write"}

// ErrLedgerBehind is said instead where it is known that nothing is signed of the ledger.
var ErrLedgerBehind = &consent.Error{Kind: consent.Conflict, Msg: "no checkpoint covers it: the store is behind the " +
	"newest checkpoint that was signed of this ledger, and the operator has to run consentd ledger recover"}

// whyNotCovered gives what is said in place of an error that says that no checkpoint covers something yet.
func (s *Service) whyNotCovered(organization consent.ID, err error) error {
	if errors.Is(err, errNotCovered) && s.signer.isBehind(organization) {
		return ErrLedgerBehind
	}
	return err
}

// LedgerReader gives the actor for whoever reads an organization's ledger without a key, where the operator has opened
// that to all.
func LedgerReader(organization consent.ID) consent.Actor {
	return consent.Actor{Organization: organization, Scopes: []consent.Scope{consent.LedgerRead}}
}

// readLedger reads within the actor's organization. Errors: Forbidden; NotFound where there is no such organization.
func (s *Service) readLedger(ctx context.Context, a consent.Actor, read func(Reader) error) error {
	if err := a.Require(consent.LedgerRead); err != nil {
		return err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return err
	}
	return s.view(ctx, read)
}

// Checkpoint gives the newest signed checkpoint of the actor's organization's ledger, with the cosignatures that there
// are of it. NotFound: none was signed yet.
func (s *Service) Checkpoint(ctx context.Context, a consent.Actor) (newest *consent.Checkpoint, err error) {
	err = s.readLedger(ctx, a, func(r Reader) error {
		if newest, err = r.Checkpoint(ctx, a.Organization); err != nil {
			return err
		}
		if newest == nil {
			return consent.Errorf(consent.NotFound, "", "no checkpoint has been signed yet")
		}
		kept, err := r.Cosignatures(ctx, a.Organization)
		newest.Note = cosigned(newest.Note, kept)
		return err
	})
	return newest, err
}

// LedgerKeys lists the keys by which checkpoints of the actor's organization are verified, the first one first.
func (s *Service) LedgerKeys(ctx context.Context, a consent.Actor) (keys []consent.LedgerKey, err error) {
	err = s.readLedger(ctx, a, func(r Reader) error {
		keys, err = r.LedgerKeys(ctx, a.Organization)
		return err
	})
	for i := 1; i < len(keys); i++ {
		keys[i-1].To = keys[i].From
	}
	return keys, err
}

// AwaitCheckpoint waits until a checkpoint covers an entry of the actor's organization, and tells whether one does: not
// where that takes longer than a time, or the context ends.
func (s *Service) AwaitCheckpoint(ctx context.Context, a consent.Actor, sequence int64, most time.Duration) bool {
	const pollEvery = 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	s.signer.hurry(a.Organization)
	for {
		covered := false
		_ = s.viewOnce(ctx, func(r Reader) error { // where it fails, it is asked again
			c, err := r.Checkpoint(ctx, a.Organization)
			covered = c != nil && c.Size >= sequence
			return err
		})
		if covered {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// signedLedger is what the newest checkpoint of a ledger covers.
type signedLedger struct {
	*consent.Checkpoint
	said   *ledger.Checkpoint // in the note
	tree   *ledger.Tree
	reader *ledger.Reader // of the tree, within the view
}

// signedLedgerOf reads the newest checkpoint. Errors: Conflict where there is none.
func signedLedgerOf(ctx context.Context, r Reader, organization consent.ID) (*signedLedger, error) {
	newest, err := r.Checkpoint(ctx, organization)
	if err != nil {
		return nil, err
	}
	if newest == nil {
		return nil, errNotCovered
	}
	said, err := noted(newest.Note)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint of organization %s: %w", organization, err)
	}
	tree, err := ledger.ParseTree(newest.Tree)
	if err != nil || tree.Size != said.Size {
		return nil, fmt.Errorf("the tree of the checkpoint of organization %s is damaged", organization)
	}
	return &signedLedger{newest, said, tree, ledger.NewReader(tree, rowsFrom(ctx, r, organization))}, nil
}

// notCovered refuses a size behind the newest checkpoint: with Conflict where the next one will cover it, else with
// Invalid in the field that gave it, since nobody is to come again for what will not be there in a second.
func notCovered(ctx context.Context, r Reader, organization consent.ID, field string, size int64) error {
	head, err := headOf(ctx, r, organization)
	if err != nil {
		return err
	}
	if size > head.Sequence {
		return consent.Errorf(consent.Invalid, field, "must be %d or less, since the ledger has so many entries",
			head.Sequence)
	}
	return errNotCovered
}

// rowsFrom reads rows of an organization's tree.
func rowsFrom(ctx context.Context, r Reader, organization consent.ID) ledger.FetchRows {
	return func(ids []ledger.RowID) ([][]byte, error) {
		rows := make([]consent.LedgerRow, len(ids))
		for i, id := range ids {
			rows[i] = consent.LedgerRow{Organization: organization, Level: id.Level, Number: id.Number}
		}
		if err := r.LedgerRows(ctx, rows); err != nil {
			return nil, err
		}
		hashes := make([][]byte, len(rows))
		for i := range rows {
			hashes[i] = rows[i].Hashes
		}
		return hashes, nil
	}
}

// LedgerProof proves that an entry is in the ledger of the actor's organization: under its newest checkpoint, or under
// that of an earlier size. Errors: NotFound (of what it is committed with too, where that is gone); Conflict where no
// checkpoint covers the event or the size yet, ErrLedgerBehind where none will; Invalid in the field size; Internal
// where what is stored is not what was committed.
func (s *Service) LedgerProof(ctx context.Context, a consent.Actor, event consent.ID,
	size int64) (proof *ledger.Proof, err error) {
	err = s.readLedger(ctx, a, func(r Reader) error {
		e, err := entryOf(ctx, r, a.Organization, event)
		if err != nil {
			return err
		}
		l, err := signedLedgerOf(ctx, r, a.Organization)
		if err != nil {
			return err
		}
		if e.Sequence > l.Size || size > l.Size {
			return notCovered(ctx, r, a.Organization, "size", size)
		}
		if size != 0 && size < e.Sequence {
			return consent.Errorf(consent.Invalid, "size", "must be %d or more, since the event is entry %[1]d of the ledger",
				e.Sequence)
		}
		leaves, err := s.leavesOf(ctx, r, a.Organization, []consent.ExportedEvent{*e})
		if err != nil {
			return err
		}
		leaf := leaves[0]
		at, signed, err := s.checkpointAt(l, size)
		if err != nil {
			return err
		}
		kept, err := r.Cosignatures(ctx, a.Organization)
		if err != nil {
			return err
		}
		signed = cosigned(signed, kept)
		if proof, err = ledger.Prove(l.reader, event.String(), e.Sequence-1, leaf, at.Size, signed); err != nil {
			return err
		}
		return ledger.VerifyInclusion(at, proof.Index, leaf, proof.Hashes) // what is served holds
	})
	return proof, s.whyNotCovered(a.Organization, err)
}

// entryOf reads an entry by its id. Errors: NotFound.
func entryOf(ctx context.Context, r Reader, organization, id consent.ID) (*consent.ExportedEvent, error) {
	e, err := r.Event(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	if e != nil {
		row := exported(e)
		return &row, nil
	}
	other, err := r.LedgerEntry(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	if other == nil {
		return nil, consent.Errorf(consent.NotFound, "", "event not found")
	}
	return &consent.ExportedEvent{ID: id, Subject: other.Subject, Sequence: other.Sequence, RecordedAt: other.RecordedAt,
		BodyJSON: other.BodyJSON, IdentityJSON: other.IdentityJSON, Kind: other.Kind, Leaf: other.Leaf}, nil
}

// leavesOf makes the leaves of entries that follow each other anew. Errors: NotFound where what one is committed with is
// gone.
func (s *Service) leavesOf(ctx context.Context, r Reader, organization consent.ID,
	rows []consent.ExportedEvent) ([]ledger.Leaf, error) {
	return leavesBy(ctx, r, s.keys, organization, rows)
}

// leavesBy is leavesOf by the keys of a vault.
func leavesBy(ctx context.Context, r Reader, v *vault, organization consent.ID,
	rows []consent.ExportedEvent) ([]ledger.Leaf, error) {
	known, err := secretsOf(ctx, r, v, organization, each(rows))
	if err != nil {
		return nil, err
	}
	for _, secret := range known {
		if secret == nil {
			return nil, consent.Errorf(consent.NotFound, "", "what the entry is committed with is gone")
		}
	}
	return leavesOf(rows, known, rows[0].Sequence-1)
}

// checkpointAt gives the checkpoint of an earlier size, and its note; 0: the newest one. Where the newest one proves to
// go on from the earlier root, signing that says nothing new: the note is the one that was signed then, or would have
// been, since a note says no time.
func (s *Service) checkpointAt(l *signedLedger, size int64) (*ledger.Checkpoint, []byte, error) {
	if size == 0 || size == l.said.Size {
		return l.said, l.Note, nil
	}
	root, err := rootAt(l, size)
	if err != nil {
		return nil, nil, err
	}
	if s.signer.key == nil {
		return nil, nil, consent.Errorf(consent.NotFound, "", "this server signs nothing")
	}
	key, err := ledger.NewSigner(l.said.Origin, s.signer.key)
	if err != nil {
		return nil, nil, err
	}
	signed, err := ledger.Sign(root, key)
	return root, signed, err
}

// rootAt gives what a checkpoint of an earlier size says, proved by the newest one.
func rootAt(l *signedLedger, size int64) (*ledger.Checkpoint, error) {
	root, err := tlog.TreeHash(size, l.reader)
	if err != nil {
		return nil, err
	}
	earlier := &ledger.Checkpoint{Origin: l.said.Origin, Size: size, Root: root}
	grown, err := ledger.ProveConsistency(l.reader, size, l.said.Size)
	if err != nil {
		return nil, err
	}
	return earlier, grown.Verify(earlier, l.said)
}

// Consistency proves that the ledger of the actor's organization only grew between two sizes. Errors: Invalid in the
// fields from and to, of a size that the ledger has not too; Conflict where no checkpoint covers it yet,
// ErrLedgerBehind where none will.
func (s *Service) Consistency(ctx context.Context, a consent.Actor, from, to int64) (grown *ledger.Consistency,
	err error) {
	err = s.readLedger(ctx, a, func(r Reader) error {
		if from > to {
			return consent.Errorf(consent.Invalid, "from", "must not be greater than to")
		}
		l, err := signedLedgerOf(ctx, r, a.Organization)
		if err != nil {
			return err
		}
		if to > l.Size {
			return notCovered(ctx, r, a.Organization, "to", to)
		}
		grown, err = ledger.ProveConsistency(l.reader, from, to)
		return err
	})
	return grown, s.whyNotCovered(a.Organization, err)
}
