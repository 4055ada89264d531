package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// OpenedEntry is an entry of a ledger with its leaf, and what opens that.
type OpenedEntry struct {
	consent.ExportedEvent
	Leaf    *ledger.Leaf    // nil: retention dropped it, and the hash alone is left
	Hash    tlog.Hash       // of the leaf
	Opening *ledger.Opening // nil: it was about somebody who was erased, or was dropped
}

// ErrNotCommitted is wrapped where an entry, or a text that it names, is not what was committed.
var ErrNotCommitted = errors.New("the ledger is not what was committed; consentd ledger verify tells more")

// Checkpoint gives the newest checkpoint, verified, its note and the keys by which checkpoints are verified. Errors:
// NotFound where there is none yet, those of the note.
func (w *LedgerAudit) Checkpoint() (*ledger.Checkpoint, []byte, []consent.LedgerKey, error) {
	if w.checkpoint == nil {
		return nil, nil, nil, consent.Errorf(consent.NotFound, "", "no checkpoint has been signed yet")
	}
	said, err := w.opened()
	return said, w.checkpoint.Note, w.keys, err
}

// Each calls visit for each entry that the newest checkpoint covers, in order, once; retention has dropped so many.
// What visit is given it keeps no longer than the call. Errors: ErrNotCommitted, those of visit, of the store and of
// keys that the key file lacks.
func (w *LedgerAudit) Each(ctx context.Context, dropped int64, visit func(*OpenedEntry) error) error {
	if err := w.dropped(ctx, min(dropped, w.checkpoint.Size), visit); err != nil {
		return err
	}
	w.at, w.fed, w.tree = dropped, min(dropped, w.checkpoint.Size), nil // no tree is built
	span := consent.WholeLedger(w.checkpoint.LastID, true)
	for w.at < w.checkpoint.Size && span.After != span.To {
		var part *auditedPart
		err := w.view(ctx, func(r Reader) (err error) {
			part, span.After, err = w.read(ctx, r, consent.EventSpan{After: span.After, To: span.To})
			return err
		})
		if err != nil {
			return err
		}
		if err := w.visit(part, visit); err != nil {
			return err
		}
		if w.auditor.Progress != nil {
			w.auditor.Progress(w.at)
		}
	}
	return nil
}

// Texts gives the texts that people were shown by index of their SHA-256. Errors: ErrNotCommitted where one is not
// there, was changed or cannot be decrypted, also since somebody was erased meanwhile; those of the store and of keys
// that the key file lacks.
func (w *LedgerAudit) Texts(ctx context.Context, hashes [][]byte) (texts []string, err error) {
	err = w.view(ctx, func(r Reader) (err error) {
		texts, err = r.Texts(ctx, w.organization, hashes)
		return err
	})
	for i := range texts {
		if sum := sha256.Sum256([]byte(texts[i])); err == nil && !bytes.Equal(sum[:], hashes[i]) {
			err = fmt.Errorf("the text sha256:%x is not there as it was shown: if somebody was erased meanwhile, delete the "+
				"folder and run it again; else %w", hashes[i], ErrNotCommitted)
		}
	}
	return texts, err
}

// ErasedSince tells whether somebody was erased behind the newest checkpoint.
func (w *LedgerAudit) ErasedSince(ctx context.Context) (bool, error) {
	erasures, err := w.later(ctx, w.checkpoint.LastID)
	return len(erasures) > 0, err
}

// dropped visits what retention has dropped, which comes first.
func (w *LedgerAudit) dropped(ctx context.Context, dropped int64, visit func(*OpenedEntry) error) error {
	for at := int64(0); at < dropped; {
		var hashes []*tlog.Hash
		err := w.view(ctx, func(r Reader) (err error) {
			hashes, err = w.storedHashes(ctx, r, at, min(dropped, at+auditRows))
			return err
		})
		if err != nil {
			return err
		}
		for _, hash := range hashes {
			at++
			if hash == nil {
				return fmt.Errorf("entry %d: %w", at, ErrNotCommitted)
			}
			if err := visit(&OpenedEntry{ExportedEvent: consent.ExportedEvent{Sequence: at}, Hash: *hash}); err != nil {
				return err
			}
		}
	}
	return nil
}

// visit opens the entries of a part.
func (w *LedgerAudit) visit(part *auditedPart, visit func(*OpenedEntry) error) error {
	before := part.before
	for i := range part.entries {
		e := &part.entries[i]
		w.checkPlace(&e.ExportedEvent, before)
		before = e.Sequence
		secret := part.secrets[e.Subject]
		if !w.checkLeaf(e, secret) || w.faults > 0 {
			return fmt.Errorf("entry %d: %w", e.Sequence, ErrNotCommitted)
		}
		leaf, err := leafOf(&e.ExportedEvent, secret)
		if err != nil {
			return err
		}
		entry := OpenedEntry{ExportedEvent: e.ExportedEvent, Leaf: &leaf, Hash: *e.hash}
		if e.Kind != consent.ErasedEntry {
			opening := secret.Open(uint64(e.Sequence), e.BodyJSON, e.IdentityJSON)
			entry.Opening = &opening
		}
		if err := visit(&entry); err != nil {
			return err
		}
	}
	return nil
}
