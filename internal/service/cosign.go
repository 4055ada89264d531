package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/witness"
	"github.com/consentd/consentd/ledger"
)

// What comes of an attempt to have a checkpoint cosigned, for Options.Witnessed.
const (
	CosignDone    = "cosigned"
	CosignForked  = "forked"  // the witness has seen another ledger of that name, or more of it
	CosignUnknown = "unknown" // the witness does not know the ledger, or not its key
	CosignFailed  = "failed"  // nobody knows: the witness is away or out of order, or the store is
)

const (
	cosignersAtOnce = 4 // of one witness
	// cosignTimeout bounds an attempt, with all that is asked in it. It is shorter than cosignEvery, so that a ledger is
	// not sent again meanwhile.
	cosignTimeout = 8 * time.Second
	cosignTries   = 3
	// forkedRest and unknownRest are how long a ledger rests after what came of an attempt.
	forkedRest, unknownRest = time.Minute, 5 * time.Minute
	// leastPause and mostPause are how long a witness is left alone that is away.
	leastPause, mostPause = time.Second, 30 * time.Second
	mostResting           = 10_000
	cosignQuiet           = time.Minute // between two lines in the log that say the same of a witness
)

// errForked says that a witness has seen another ledger of that name, or more of it.
var errForked = errors.New("the witness has seen another history of this ledger, or more of it")

// errSuperseded says that a later checkpoint was cosigned meanwhile, which another server sent.
var errSuperseded = errors.New("a later checkpoint was cosigned")

// toCosign is a checkpoint for a witness that has seen so much of the ledger, as far as it is known.
type toCosign struct {
	*consent.Checkpoint
	known int64
}

// cosigning asks one witness. It is for use at once from many goroutines.
type cosigning struct {
	*witness.Witness
	of   *witnesses
	jobs chan toCosign

	mu       sync.Mutex
	busy     map[consent.ID]bool      // what is sent; true: a newer checkpoint came meanwhile
	rests    map[consent.ID]time.Time // until when a ledger is not sent
	paused   time.Time                // until when nothing is sent
	failures int                      // of the witness, one after the other
	cursor   consent.ID               // behind which ledgers are searched next
	searchAt time.Time
	resets   int                  // how often a search was asked for at once
	said     map[string]time.Time // when a line was logged, by what it says
}

func newCosigning(of *witnesses, w *witness.Witness) *cosigning {
	return &cosigning{Witness: w, of: of, jobs: make(chan toCosign, 2*uncosignedAtOnce), busy: map[consent.ID]bool{},
		rests: map[consent.ID]time.Time{}, said: map[string]time.Time{}}
}

// searching is a part of all ledgers that is to be searched.
type searching struct {
	after  consent.ID
	wait   time.Duration // before it begins
	resets int           // of before
}

// searches tells behind which ledger the search goes on, and how long it waits before.
func (c *cosigning) searches(now time.Time) searching {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.searchAt
	if c.paused.After(at) {
		at = c.paused
	}
	return searching{c.cursor, at.Sub(now), c.resets}
}

// searched ends a part of the search, and gives when to come again. What came of an attempt meanwhile may ask for
// another search before that, from where it says.
func (c *cosigning) searched(part searching, after consent.ID, again time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resets != part.resets {
		return 0
	}
	c.cursor, c.searchAt = after, time.Now().Add(again)
	return again
}

func (c *cosigning) resting(organization consent.ID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rests[organization].After(now)
}

// take has a checkpoint sent, unless its ledger or the witness rests, or there is too much to send: then the search
// finds it later.
func (c *cosigning) take(job toCosign) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.busy[job.Organization]; ok {
		c.busy[job.Organization] = true
		return
	}
	if c.rests[job.Organization].After(now) || c.paused.After(now) {
		return
	}
	select {
	case c.jobs <- job:
		c.busy[job.Organization] = false
	default:
		c.rests[job.Organization] = now.Add(betweenParts)
		if again := now.Add(betweenParts); again.Before(c.searchAt) {
			c.searchAt = again
			c.resets++
		}
	}
}

// run sends until the context ends.
func (c *cosigning) run(ctx context.Context) {
	for {
		select {
		case job := <-c.jobs:
			c.attempt(ctx, job)
		case <-ctx.Done():
			return
		}
	}
}

// attempt has a checkpoint cosigned, and tells what came of it.
func (c *cosigning) attempt(ctx context.Context, job toCosign) {
	defer c.of.poke() // there is room again
	if c.away(time.Now()) {
		c.done(job.Organization, 0)
		return
	}
	within, cancel := context.WithTimeout(ctx, cosignTimeout)
	defer cancel()
	err := c.of.recovering(func() error { return c.cosign(within, job) })
	organization := job.Organization.String()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		c.answered()
		c.of.observe(c.Name(), CosignDone)
		c.done(job.Organization, 0)
	case errors.Is(err, errSuperseded):
		c.answered()
		c.done(job.Organization, 0)
	case errors.Is(err, errForked):
		c.answered()
		c.of.observe(c.Name(), CosignForked)
		if c.says(CosignForked) {
			c.of.s.log.Error("a witness cosigns no checkpoint of a ledger: it has seen another history of it, or more than "+
				"is stored here. Where a backup was put back, stop all servers, look for the newest state, and else go on with "+
				"consentd ledger recover", "witness", c.Name(), "organization", organization, "size", job.Size, "reason", err)
		}
		c.done(job.Organization, forkedRest)
	case errors.Is(err, witness.ErrUnknown):
		c.answered()
		c.of.observe(c.Name(), CosignUnknown)
		if c.says(CosignUnknown) {
			c.of.s.log.Error("a witness cosigns no checkpoint of a ledger that it does not know, or not by its key: have its "+
				"operator add what GET {org}/ledger/keys shows", "witness", c.Name(), "organization", organization)
		}
		c.done(job.Organization, unknownRest)
	default:
		pause := c.failed()
		c.of.observe(c.Name(), CosignFailed)
		if c.says(CosignFailed) {
			c.of.s.log.Warn("a witness could not cosign; it is tried again, and delays nothing", "witness", c.Name(),
				"organization", organization, "again", pause.Round(time.Millisecond).String(), "error", err)
		}
		c.of.send(job.Organization, c.done(job.Organization, c.of.every))
	}
}

func (c *cosigning) away(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused.After(now)
}

// answered notes that the witness is there.
func (c *cosigning) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures > 0 { // it was away: what it lacks is searched from the beginning
		c.failures, c.paused, c.cursor, c.searchAt = 0, time.Time{}, consent.NoID, time.Time{}
		c.resets++
	}
}

// failed leaves the witness alone for a time that doubles, and is never the same for all servers.
func (c *cosigning) failed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := min(mostPause, leastPause<<min(c.failures, 10))
	pause = pause/2 + rand.N(pause/2)
	c.failures++
	c.paused, c.searchAt = time.Now().Add(pause), time.Time{}
	c.resets++
	return pause
}

// done lets a ledger be sent again, after a rest, and gives when that ends. Where a newer checkpoint came while it was
// sent, and nothing rests, that one is sent next.
func (c *cosigning) done(organization consent.ID, rest time.Duration) time.Time {
	now := time.Now()
	if rest > 0 {
		rest += rand.N(rest / 10)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	newer := c.busy[organization]
	delete(c.busy, organization)
	delete(c.rests, organization)
	if rest == 0 {
		if newer {
			c.of.send(organization, now)
		}
		return now
	}
	if len(c.rests) >= mostResting {
		for o, until := range c.rests {
			if !until.After(now) {
				delete(c.rests, o)
			}
		}
	}
	if len(c.rests) < mostResting { // else it is found by the search, which is slow enough
		c.rests[organization] = now.Add(rest)
	}
	return now.Add(rest)
}

// says tells whether a line is due in the log.
func (c *cosigning) says(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.said[what]) >= cosignQuiet {
		c.said[what] = now
		return true
	}
	return false
}

// cosign has the witness cosign, going on from what it says that it has seen, and keeps what it gave. Errors:
// errForked, errSuperseded, witness.ErrUnknown, and those of the witness and of the store.
func (c *cosigning) cosign(ctx context.Context, job toCosign) error {
	old := job.known
	for range cosignTries {
		proof, err := c.proof(ctx, job.Checkpoint, old)
		if err != nil {
			return err
		}
		line, err := c.Cosign(ctx, old, proof, job.Note)
		var seen *witness.SizeError
		switch {
		case err == nil:
			return c.keep(ctx, job.Checkpoint, line)
		case errors.Is(err, witness.ErrInconsistent):
			return fmt.Errorf("%w: %w", errForked, err)
		case !errors.As(err, &seen):
			return err
		case seen.Size >= job.Size:
			if err := c.superseded(ctx, job.Checkpoint, seen.Size); err != nil {
				return err
			}
		}
		old = seen.Size
	}
	return errors.New("the witness says each time that it has seen another size")
}

// superseded looks whether another server has sent a checkpoint of so many entries, which is not less than this one
// has: errSuperseded. errForked where there is none of so many.
func (c *cosigning) superseded(ctx context.Context, sent *consent.Checkpoint, seen int64) error {
	err := c.of.s.signer.view(ctx, func(ctx context.Context, r Reader) error {
		newest, err := r.Checkpoint(ctx, sent.Organization)
		if err != nil {
			return err
		}
		if newest == nil || newest.Size < seen {
			return fmt.Errorf("%w: it has seen %d entries", errForked, seen)
		}
		kept, err := r.Cosignatures(ctx, sent.Organization)
		for i := range kept {
			if kept[i].Witness == c.Key && knownSize(&kept[i], sent) >= sent.Size {
				return errSuperseded
			}
		}
		return err
	})
	if err == nil && seen > sent.Size { // what the other server got is not kept yet
		return errSuperseded
	}
	return err
}

// proof proves that a checkpoint's ledger goes on from its first old entries, by what is stored, and verifies it.
func (c *cosigning) proof(ctx context.Context, of *consent.Checkpoint, old int64) (hashes []tlog.Hash, err error) {
	if old == 0 {
		return nil, nil
	}
	said, err := noted(of.Note)
	if err != nil {
		return nil, err
	}
	tree, err := ledger.ParseTree(of.Tree)
	if err != nil || tree.Size != said.Size || tree.Root() != said.Root {
		return nil, errors.New("the tree of the checkpoint is damaged")
	}
	err = c.of.s.signer.view(ctx, func(ctx context.Context, r Reader) error {
		l := &signedLedger{of, said, tree, ledger.NewReader(tree, rowsFrom(ctx, r, of.Organization))}
		if _, err := rootAt(l, old); err != nil {
			return err
		}
		grown, err := ledger.ProveConsistency(l.reader, old, tree.Size)
		if err == nil {
			hashes = grown.Hashes
		}
		return err
	})
	return hashes, err
}

// keep stores a cosignature, unless there is one of as many entries.
func (c *cosigning) keep(ctx context.Context, of *consent.Checkpoint, line []byte) error {
	err := c.of.s.store.Update(ctx, of.Organization, func(tx Tx) error {
		return tx.Append(ctx, &consent.Changes{Cosignatures: []consent.Cosignature{{Organization: of.Organization,
			Witness: c.Key, Size: of.Size, Note: of.Note, Line: line, At: c.of.s.now()}}})
	})
	if err != nil {
		return fmt.Errorf("keep a cosignature: %w", err)
	}
	return nil
}
