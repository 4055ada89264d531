package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

const (
	auditPart  = 1000   // entries that are read in one state
	auditRows  = 4096   // hashes of the tree that are read at once
	knownTexts = 50_000 // whose hash was seen to be right; then it begins anew
)

// Auditor looks at ledgers from their first entry to their last, and changes nothing. It may run beside servers. A
// ledger that grows meanwhile is looked at as far as it reached when that began. It is for one ledger after the
// other.
type Auditor struct {
	// View reads one consistent state. None is held for long.
	View func(ctx context.Context, read func(Reader) error) error
	Keys *sealing.Ring // of the key file
	// ReloadKeys, where set, is asked at a key that Keys lack: somebody rotates them meanwhile.
	ReloadKeys ReloadKeys
	// SigningKey is the key file's. Checkpoints by another one are held against the keys that the store has.
	SigningKey sealing.SigningKey
	Fault      func(AuditFault) // is told of each; not called by two at once
	Progress   func(entries int64)
}

// AuditFault is what does not match. It names places, and nothing that is kept there.
type AuditFault struct {
	Sequence int64  // of the entry; 0: it is about more than one, or none
	Field    string // of the entry, as in its row or its body; empty: it cannot be told which, or it is none
	What     string
}

// Audited is what an Auditor saw of a ledger.
type Audited struct {
	Organization consent.ID

	Entries int64 // it has
	Opened  int64 // that were held against their leaves
	Erased  int64 // of people who were erased: their leaves alone are left, and were held against the tree
	Dropped int64 // by retention: their leaves' hashes alone are left
	// Decisions is how many there are, opened or not.
	Decisions int64
	// Meanwhile is how many entries were erased while the ledger was looked at.
	Meanwhile int64
	Signed    int64 // entries that the newest checkpoint covers; 0: there is none
	// OtherKey tells that the checkpoint is signed by a key of the ledger's that is not the key file's.
	OtherKey bool
	// Recovered is the entry that names a Pinned one as lost that is Kept; 0: none.
	Recovered int64
}

// Ledger reads where an organization's ledger ends, as far as which it is looked at.
func (a *Auditor) Ledger(ctx context.Context, organization consent.ID) (*LedgerAudit, error) {
	w := LedgerAudit{auditor: a, organization: organization, texts: map[string]bool{},
		opener: NewOpener(a.Keys, a.ReloadKeys), found: Audited{Organization: organization}, told: newTold()}
	return &w, w.begin(ctx)
}

// Entries is how many entries the ledger has.
func (w *LedgerAudit) Entries() int64 { return w.head.Sequence }

// Run looks at the ledger, of which retention has dropped so many entries, once. It has to go on from each of pins.
// What does not match goes to Fault; an error says that it could not be looked at to the end.
func (w *LedgerAudit) Run(ctx context.Context, dropped int64, pins []Pinned) (*Audited, error) {
	w.at, w.found.Dropped, w.erased.Dropped = dropped, dropped, dropped > 0
	if err := w.feedAll(ctx, dropped); err != nil {
		return nil, err
	}
	if err := w.entries(ctx); err != nil {
		return nil, err
	}
	if err := w.feedAll(ctx, w.head.Sequence); err != nil {
		return nil, err
	}
	if w.at == w.head.Sequence && w.last != w.head.LastID && w.at > dropped {
		w.faultf(0, "", "the ledger's head names another entry than the last as its last")
	}
	if w.at < w.head.Sequence {
		w.faultf(0, "", "entries %d to %d are missing: the ledger ends before them, and its head says that it has %d",
			w.at+1, w.head.Sequence, w.head.Sequence)
	}
	if err := w.facts(ctx); err != nil {
		return nil, err
	}
	if err := w.erasures(ctx); err != nil {
		return nil, err
	}
	begun := w.head.Sequence > 0 || len(w.head.Tree) > 0 // else it has no tree yet
	if begun && w.tree != nil && !bytes.Equal(w.tree.Append(nil), w.head.Tree) {
		w.faultf(0, "", "the right edge of the tree, as it is kept with its head, does not follow from the entries' hashes")
	}
	if err := w.signed(ctx, pins); err != nil {
		return nil, err
	}
	return &w.found, nil
}

// LedgerAudit is one ledger that is looked at. It is for one goroutine.
type LedgerAudit struct {
	auditor      *Auditor
	opener       *Opener
	organization consent.ID
	catalog      *consent.Catalog
	head         consent.Head
	checkpoint   *consent.Checkpoint
	keys         []consent.LedgerKey
	keysOfAPI    []consent.Key
	stored       *ledger.Tree // in the head; nil: it cannot be read
	tree         *ledger.Tree // over the hashes that are stored; nil: one was not there
	fed          int64        // so many hashes are in it
	at           int64        // the last entry that was read
	last         consent.ID   // its id
	lastSigned   consent.ID   // the id of the last entry that the checkpoint covers
	texts        map[string]bool
	erased       ledger.ErasedLeaves
	noted        []AuditFault // within a state, which may be read again

	mu     sync.Mutex // guards what follows, and calls of Fault
	told   told
	found  Audited
	faults int
}

func (w *LedgerAudit) faultf(sequence int64, field, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults++
	w.auditor.Fault(AuditFault{sequence, field, fmt.Sprintf(format, args...)})
}

// notef is faultf within a view.
func (w *LedgerAudit) notef(sequence int64, field, format string, args ...any) {
	w.noted = append(w.noted, AuditFault{sequence, field, fmt.Sprintf(format, args...)})
}

// view reads one state, and tells of what was noted there. Where it is read again, all begins as it was.
func (w *LedgerAudit) view(ctx context.Context, read func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	at, fed, tree := w.at, w.fed, w.tree
	err := w.auditor.View(ctx, func(r Reader) error {
		r = w.opener.reader(r)
		w.at, w.fed, w.tree, w.noted = at, fed, tree, nil
		if tree != nil {
			w.tree = tree.Clone()
		}
		return read(r)
	})
	if err != nil {
		return err
	}
	for _, f := range w.noted {
		w.faultf(f.Sequence, f.Field, "%s", f.What)
	}
	return nil
}

// begin reads what all entries are held against.
func (w *LedgerAudit) begin(ctx context.Context) error {
	err := w.view(ctx, func(r Reader) (err error) {
		if w.catalog, err = r.Catalog(ctx, w.organization); err != nil {
			return err
		}
		heads, err := r.Heads(ctx, []consent.ID{w.organization})
		if err != nil {
			return err
		}
		w.head = heads[w.organization]
		if w.checkpoint, err = r.Checkpoint(ctx, w.organization); err != nil {
			return err
		}
		if w.keys, err = r.LedgerKeys(ctx, w.organization); err != nil {
			return err
		}
		return w.readKeysOfAPI(ctx, r)
	})
	if err != nil {
		return err
	}
	w.found.Entries = w.head.Sequence
	w.tree = &ledger.Tree{}
	w.stored = &ledger.Tree{}
	if w.head.Sequence == 0 && len(w.head.Tree) == 0 {
		return nil
	}
	if w.stored, err = ledger.ParseTree(w.head.Tree); err != nil || w.stored.Size != w.head.Sequence {
		w.faultf(0, "", "the tree in its head cannot be read, or has another size than the ledger")
		w.stored, w.tree = nil, nil
	}
	return nil
}

// signed holds the newest checkpoint, and those from elsewhere, against the tree.
func (w *LedgerAudit) signed(ctx context.Context, pins []Pinned) error {
	if newest := w.newestSigned(); newest != nil {
		pins = append([]Pinned{{LedgerRoot: consent.LedgerRoot{Size: newest.Size, Root: newest.Root},
			What: "the newest checkpoint"}}, pins...)
	}
	for i := range pins {
		if err := w.goesOn(ctx, &pins[i]); err != nil {
			return err
		}
	}
	return nil
}

// newestSigned holds the newest checkpoint against what is kept with it; nil: there is none, or it is not valid.
func (w *LedgerAudit) newestSigned() *ledger.Checkpoint {
	if w.checkpoint == nil {
		if len(w.keys) > 0 {
			w.faultf(0, "", "the newest checkpoint is not there, and keys are on record that the ledger was signed by")
		}
		return nil
	}
	said, err := w.opened()
	if err != nil {
		w.faultf(0, "", "the newest checkpoint: %v", err)
		return nil
	}
	w.found.Signed = said.Size
	if tree, err := ledger.ParseTree(w.checkpoint.Tree); err != nil || tree.Size != said.Size ||
		w.checkpoint.Size != said.Size || tree.Root() != said.Root {
		w.faultf(0, "", "what is kept with the newest checkpoint is not what it was signed over")
	}
	if w.lastSigned != w.checkpoint.LastID && w.checkpoint.Size > w.found.Dropped && w.checkpoint.Size <= w.at {
		w.faultf(0, "", "the newest checkpoint names another entry than entry %d as its last", w.checkpoint.Size)
	}
	return said
}

// opened verifies the newest checkpoint.
func (w *LedgerAudit) opened() (said *ledger.Checkpoint, err error) {
	said, w.found.OtherKey, err = w.verified(w.checkpoint.Note)
	if err == nil && !w.found.OtherKey && !w.given(said.Origin) {
		w.faultf(0, "", "the key that signed the newest checkpoint is not among those that are given to who verifies it")
	}
	return said, err
}

// given tells whether the key file's key is among those that the store has for who verifies a ledger.
func (w *LedgerAudit) given(origin string) bool {
	key := w.auditor.SigningKey.Public()
	if key == nil {
		return true
	}
	text, err := ledger.VerifierKey(origin, key)
	return err != nil || slices.ContainsFunc(w.keys, func(k consent.LedgerKey) bool { return k.Text == text })
}

// verified verifies a checkpoint by the key file's key, or else by those that the store has.
func (w *LedgerAudit) verified(signed []byte) (said *ledger.Checkpoint, otherKey bool, err error) {
	if said, err = noted(signed); err != nil {
		return nil, false, err
	}
	origin := said.Origin
	if key := w.auditor.SigningKey.Public(); key != nil {
		text, err := ledger.VerifierKey(origin, key)
		if err != nil {
			return nil, false, err
		}
		if said, err = openedBy(signed, origin, text); err == nil || !errors.Is(err, ledger.ErrUnsigned) {
			return said, false, err
		}
	}
	for _, key := range w.keys {
		c, err := openedBy(signed, origin, key.Text)
		if err == nil || !errors.Is(err, ledger.ErrUnsigned) {
			return c, true, err
		}
	}
	return nil, true, ledger.ErrUnsigned
}

func openedBy(signed []byte, origin, key string) (*ledger.Checkpoint, error) {
	verifier, err := ledger.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	c, _, err := ledger.Open(signed, origin, note.VerifierList(verifier))
	return c, err
}
