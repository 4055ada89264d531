package service

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// What comes of an attempt to sign a checkpoint, for Options.Checkpointed.
const (
	CheckpointSigned  = "signed"
	CheckpointRefused = "refused" // what is stored is not what was committed
	CheckpointFailed  = "failed"  // the store could not be read or written
	CheckpointBehind  = "behind"  // the store is behind the newest one that was signed, as when it was put back
)

const (
	// signAfter is how long a change of a ledger waits for others before it is signed. With what signing takes it stays
	// below the second that checkpoints may be behind.
	signAfter = 300 * time.Millisecond
	// After a failure the ledger rests a little; after a refusal longer, since all is read again.
	failedRest, refusedRest = 2 * time.Second, time.Minute
	// searchUnsigned is how often all ledgers are looked through for what another server left unsigned.
	searchUnsigned = time.Minute
	signersAtOnce  = 2
	unsignedAtOnce = 1000
)

// signer signs the checkpoints of ledgers that changed, each after what was added has been read and hashed again. It is
// for use at once from many goroutines.
type signer struct {
	s       *Service
	key     ed25519.PrivateKey
	kept    Checkpoints // nil: the store alone keeps them
	name    string      // of all ledgers; empty: it is made of the instance's id
	observe func(outcome string)
	places  chan struct{} // of those that sign at once
	wake    chan struct{} // has room for one
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	due     map[consent.ID]time.Time // when to sign
	resting map[consent.ID]time.Time // until when
	busy    map[consent.ID]bool
	behind  map[consent.ID]bool // of which nothing is signed, since the store is behind
}

// newSigner makes the signer of a service and starts it; close ends it. Without a key it signs nothing.
func newSigner(s *Service, o *Options) *signer {
	g := &signer{s: s, key: o.SigningKey.Private(), name: o.LedgerName, kept: o.Checkpoints,
		observe: o.Checkpointed, places: make(chan struct{}, signersAtOnce), wake: make(chan struct{}, 1),
		due: map[consent.ID]time.Time{}, resting: map[consent.ID]time.Time{}, busy: map[consent.ID]bool{},
		behind: map[consent.ID]bool{}}
	if g.observe == nil {
		g.observe = func(string) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	if g.key != nil {
		start := g.begins()
		g.running.Go(func() { g.run(ctx) })
		g.running.Go(func() {
			g.searchBehind(ctx, start.kept)
			g.searchUnkept(ctx, start)
		})
	}
	return g
}

// close ends it. What is not signed yet will be, by whichever server is started next.
func (g *signer) close() {
	g.stop()
	g.running.Wait()
}

// changed notes that ledgers have new entries.
func (g *signer) changed(organizations []consent.ID) { g.sign(organizations, signAfter) }

// hurry has a ledger signed at once.
func (g *signer) hurry(organization consent.ID) { g.sign([]consent.ID{organization}, 0) }

func (g *signer) sign(organizations []consent.ID, after time.Duration) {
	if g.key == nil || len(organizations) == 0 {
		return
	}
	at := time.Now().Add(after)
	g.mu.Lock()
	for _, o := range organizations {
		if known, ok := g.due[o]; !ok || at.Before(known) {
			g.due[o] = at
		}
	}
	g.mu.Unlock()
	g.poke()
}

// poke has run look again what is due.
func (g *signer) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// next takes a ledger that is due; NoID: none is before so long.
func (g *signer) next(now time.Time) (organization consent.ID, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait = searchUnsigned
	for o, at := range g.due {
		if rest := g.resting[o]; rest.After(at) {
			at = rest
		}
		switch {
		case g.busy[o]: // whoever is done looks again
		case !at.After(now):
			delete(g.due, o)
			g.busy[o] = true
			return o, 0
		default:
			wait = min(wait, at.Sub(now))
		}
	}
	return consent.NoID, wait
}

// run has ledgers signed until the context ends.
func (g *signer) run(ctx context.Context) {
	var searched time.Time
	for ctx.Err() == nil {
		if time.Since(searched) >= searchUnsigned {
			searched = time.Now()
			g.search(ctx)
		}
		organization, wait := g.next(time.Now())
		if organization == consent.NoID {
			g.rest(ctx, wait)
			continue
		}
		select {
		case g.places <- struct{}{}:
			g.running.Go(func() { g.attempt(ctx, organization) })
		case <-ctx.Done():
		}
	}
}

func (g *signer) rest(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.wake:
	case <-ctx.Done():
	}
}

// search looks for ledgers that have no checkpoint of their end: at start, and of servers that ended.
func (g *signer) search(ctx context.Context) {
	after := consent.NoID
	for {
		var found []consent.ID
		err := g.recovering(func() error {
			return g.view(ctx, func(ctx context.Context, r Reader) (err error) {
				found, err = r.Unsigned(ctx, after, unsignedAtOnce)
				return err
			})
		})
		if err != nil {
			if ctx.Err() == nil {
				g.s.log.Warn("ledgers could not be searched for what is not signed; it is tried again", "error", err)
			}
			return
		}
		g.changed(found)
		if len(found) < unsignedAtOnce {
			return
		}
		after = found[len(found)-1]
	}
}

// attempt signs a checkpoint of a ledger, and tells what came of it.
func (g *signer) attempt(ctx context.Context, organization consent.ID) {
	signed := false
	err := g.recovering(func() (err error) {
		signed, err = g.checkpoint(ctx, organization)
		return err
	})
	var refused *mismatch
	var rest time.Duration
	if err == nil || errors.Is(err, ErrBehind) { // else it is not known
		g.markBehind(organization, err != nil)
	}
	switch {
	case signed:
		g.observe(CheckpointSigned)
		g.s.witnesses.signed(organization)
	case err == nil, ctx.Err() != nil:
	case errors.Is(err, ErrBehind):
		g.s.log.Error("no checkpoint was signed: the store is behind the newest one that was signed of this ledger, as when "+
			"a backup was put back; consentd ledger recover goes on from here", "organization", organization.String())
		g.observe(CheckpointBehind)
		rest = refusedRest
	case errors.As(err, &refused):
		g.s.log.Error("no checkpoint was signed: what is stored of a ledger is not what was committed",
			"organization", organization.String(), "differs", refused.what)
		g.observe(CheckpointRefused)
		rest = refusedRest
	default:
		g.s.log.Warn("a checkpoint could not be signed; it is tried again", "organization", organization.String(),
			"error", err)
		g.observe(CheckpointFailed)
		rest = failedRest
	}
	g.done(organization, rest)
	<-g.places
}

// recovering makes an error of a panic.
func (g *signer) recovering(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while signing: %v", r)
		}
	}()
	return do()
}

// done lets a ledger be signed again, after a rest: then it is tried in any case.
func (g *signer) done(organization consent.ID, rest time.Duration) {
	g.mu.Lock()
	delete(g.busy, organization)
	delete(g.resting, organization)
	if rest > 0 {
		g.resting[organization] = time.Now().Add(rest)
		g.due[organization] = time.Now()
	}
	g.mu.Unlock()
	g.poke()
}

// view reads within the time that lists have.
func (g *signer) view(ctx context.Context, read func(context.Context, Reader) error) error {
	within, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	return g.s.store.View(within, func(r Reader) error { return read(within, r) })
}

// checkpoint signs what is in a ledger now, where no checkpoint says so yet. Errors: *mismatch where that is not what
// was committed; those of the store.
func (g *signer) checkpoint(ctx context.Context, organization consent.ID) (signed bool, err error) {
	var head consent.Head
	var before *consent.Checkpoint
	err = g.view(ctx, func(ctx context.Context, r Reader) error {
		heads, err := r.Heads(ctx, []consent.ID{organization})
		if err != nil {
			return err
		}
		head = heads[organization]
		before, err = r.Checkpoint(ctx, organization)
		return err
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("read the end of a ledger: %w", err)
	case before != nil && head.Sequence < before.Size:
		return false, mismatchf("it has %d entries, and its last checkpoint %d", head.Sequence, before.Size)
	case head.Sequence == 0, before != nil && head.Sequence == before.Size:
		return false, g.shorter(ctx, &head)
	}
	tree, err := g.replay(ctx, &head, before)
	if err != nil {
		return false, err
	}
	newest, err := g.follows(ctx, &head, before, tree)
	if err != nil {
		return false, err
	}
	next, verifier, err := g.note(ctx, &head, tree)
	if err != nil {
		return false, err
	}
	if kept, err := g.keepApart(organization, newest, tree); err != nil || !kept {
		return false, err
	}
	return g.keep(ctx, before, next, verifier)
}

// note makes the checkpoint of a tree, and the key by which it is verified.
func (g *signer) note(ctx context.Context, head *consent.Head, tree *ledger.Tree) (*consent.Checkpoint, string, error) {
	origin, err := g.origin(ctx, head.Organization)
	if err != nil {
		return nil, "", err
	}
	key, err := ledger.NewSigner(origin, g.key)
	if err != nil {
		return nil, "", fmt.Errorf("sign as %q: %w", origin, err)
	}
	verifier, err := ledger.VerifierKey(origin, g.key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, "", err
	}
	signed, err := ledger.Sign(&ledger.Checkpoint{Origin: origin, Size: tree.Size, Root: tree.Root()}, key)
	if err != nil {
		return nil, "", err
	}
	return &consent.Checkpoint{Organization: head.Organization, Size: tree.Size, LastID: head.LastID,
		Tree: tree.Append(nil), Note: signed, KeyID: int64(key.KeyHash()), SignedAt: g.s.now()}, verifier, nil
}

// origin names an organization's ledger.
func (g *signer) origin(ctx context.Context, organization consent.ID) (string, error) {
	name := g.name
	if name == "" {
		id, err := g.s.Secret(ctx, "instance-id", len(consent.ID{}))
		if err != nil {
			return "", fmt.Errorf("read the instance's id: %w", err)
		}
		name = "consentd.local/" + consent.ID(id).String()
	}
	return name + "/" + organization.String(), nil
}

// keep stores a checkpoint, unless another server has stored one since before was read.
func (g *signer) keep(ctx context.Context, before, next *consent.Checkpoint, verifier string) (kept bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	err = g.s.store.Update(ctx, next.Organization, func(tx Tx) error {
		heads, err := tx.Heads(ctx, []consent.ID{next.Organization})
		if err != nil {
			return err
		}
		if head := heads[next.Organization]; head.Sequence < next.Size {
			return mismatchf("it had %d entries, and now has %d", next.Size, head.Sequence)
		}
		now, err := tx.Checkpoint(ctx, next.Organization)
		if err != nil {
			return err
		}
		if (now == nil) != (before == nil) || now != nil && !bytes.Equal(now.Note, before.Note) {
			return writer.ErrNothing
		}
		changes := consent.Changes{Checkpoints: []consent.Checkpoint{*next}}
		if before == nil || before.KeyID != next.KeyID {
			changes.LedgerKeys = []consent.LedgerKey{{Organization: next.Organization, FromSize: next.Size, Text: verifier,
				From: next.SignedAt}}
		}
		return tx.Append(ctx, &changes)
	})
	if errors.Is(err, writer.ErrNothing) {
		g.changed([]consent.ID{next.Organization}) // that one may cover less
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("keep a checkpoint: %w", err)
	}
	return true, nil
}

// trusted gives the tree of a checkpoint that this signer's key has signed, under whatever name; nil: it did not sign
// what is stored there.
func (g *signer) trusted(c *consent.Checkpoint) *ledger.Tree {
	said, err := noted(c.Note)
	if err != nil {
		return nil
	}
	text, err := ledger.VerifierKey(said.Origin, g.key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil
	}
	verifier, err := ledger.NewVerifier(text)
	if err != nil {
		return nil
	}
	if _, _, err := ledger.Open(c.Note, said.Origin, note.VerifierList(verifier)); err != nil {
		return nil
	}
	tree, err := ledger.ParseTree(c.Tree)
	if err != nil || tree.Size != c.Size || said.Size != c.Size || said.Root != tree.Root() {
		return nil
	}
	return tree
}

// noted reads what a signed note says, whoever signed it.
func noted(signed []byte) (*ledger.Checkpoint, error) {
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	return ledger.ParseCheckpoint(string(text) + "\n")
}
