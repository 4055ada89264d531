package service

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/witness"
)

const (
	// cosignEvery is how often a ledger is sent to witnesses at most.
	cosignEvery = 10 * time.Second
	// mostDue is how many ledgers are remembered that are to be sent; the search finds the others.
	mostDue = 1000
	// searchUncosigned is how often all ledgers are looked through for what a witness has not cosigned, in parts with
	// a pause between them, which bounds how much a witness is asked that refuses many.
	searchUncosigned, betweenParts = time.Minute, time.Second
	uncosignedAtOnce               = 100
	// lagEvery is how often it is looked how far behind witnesses are. It may take a hundredth of the time.
	lagEvery, lagShare = 10 * time.Second, 100
	// WitnessGrace is how old a cosignature may be, while its ledger grows, before the witness counts as behind.
	WitnessGrace = 3 * cosignEvery
)

// witnesses sends checkpoints to witnesses. Each ledger's goes to all of them at the same time, so that one note has
// the cosignatures of all. It is for use at once from many goroutines.
type witnesses struct {
	s       *Service
	every   time.Duration
	all     []*cosigning
	observe func(witness, outcome string)
	wake    chan struct{} // has room for one
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	due      map[consent.ID]time.Time // when to send
	measured time.Time                // when it was looked how far behind they are, and is again
	lags     []WitnessLag
}

// WitnessLag is how far a witness is behind, by the name of Address.Name.
type WitnessLag struct {
	Witness string
	consent.WitnessLag
}

// newWitnesses makes what sends to witnesses, from start to close. It does nothing where there are none.
func newWitnesses(s *Service, o *Options) *witnesses {
	w := &witnesses{s: s, every: o.CosignEvery, observe: o.Witnessed, wake: make(chan struct{}, 1),
		due: map[consent.ID]time.Time{}}
	if w.every == 0 {
		w.every = cosignEvery
	}
	if w.observe == nil {
		w.observe = func(string, string) {}
	}
	for _, address := range o.Witnesses {
		w.all = append(w.all, newCosigning(w, witness.New(address)))
	}
	return w
}

// start begins to send.
func (w *witnesses) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	for _, c := range w.all {
		for range cosignersAtOnce {
			w.running.Go(func() { c.run(ctx) })
		}
	}
	if len(w.all) > 0 {
		w.running.Go(func() { w.run(ctx) })
	}
}

// close ends it. What is not cosigned yet will be, by whichever server is started next.
func (w *witnesses) close() {
	w.stop()
	w.running.Wait()
	for _, c := range w.all {
		c.Close()
	}
}

// signed notes that a ledger has a new checkpoint.
func (w *witnesses) signed(organization consent.ID) { w.send(organization, time.Now()) }

func (w *witnesses) send(organization consent.ID, at time.Time) {
	if len(w.all) == 0 {
		return
	}
	w.mu.Lock()
	if known, ok := w.due[organization]; len(w.due) < mostDue && !ok || ok && at.Before(known) {
		w.due[organization] = at
	}
	w.mu.Unlock()
	w.poke()
}

// poke has run look again what is due.
func (w *witnesses) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next takes a ledger that is due; NoID: none is before so long.
func (w *witnesses) next(now time.Time) (organization consent.ID, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait = searchUncosigned
	for o, at := range w.due {
		if !at.After(now) {
			delete(w.due, o)
			return o, 0
		}
		wait = min(wait, at.Sub(now))
	}
	return consent.NoID, wait
}

// run has ledgers sent until the context ends.
func (w *witnesses) run(ctx context.Context) {
	for ctx.Err() == nil {
		again := w.measure(ctx)
		for _, c := range w.all {
			again = min(again, w.search(ctx, c))
		}
		organization, wait := w.next(time.Now())
		if organization == consent.NoID {
			w.rest(ctx, min(wait, again))
			continue
		}
		if !w.try(ctx, organization) {
			w.rest(ctx, failedRest)
		}
	}
}

// try hands a ledger over, and tells whether the store could be read.
func (w *witnesses) try(ctx context.Context, organization consent.ID) bool {
	err := w.recovering(func() error { return w.hand(ctx, organization) })
	if err != nil && ctx.Err() == nil {
		w.s.log.Warn("a checkpoint could not be read, to send it to witnesses; it is tried again",
			"organization", organization.String(), "error", err)
	}
	return err == nil
}

func (w *witnesses) rest(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
	case <-ctx.Done():
	}
}

// recovering makes an error of a panic.
func (w *witnesses) recovering(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while sending to witnesses: %v", r)
		}
	}()
	return do()
}

// hand gives the newest checkpoint of a ledger to the witnesses that lack it, unless one has cosigned of the ledger
// just now, whichever server had sent that: then it waits.
func (w *witnesses) hand(ctx context.Context, organization consent.ID) error {
	var newest *consent.Checkpoint
	var kept []consent.Cosignature
	err := w.s.signer.view(ctx, func(ctx context.Context, r Reader) (err error) {
		if newest, err = r.Checkpoint(ctx, organization); err != nil || newest == nil {
			return err
		}
		kept, err = r.Cosignatures(ctx, organization)
		return err
	})
	if err != nil || newest == nil {
		return err
	}
	var last time.Time
	for i := range kept {
		if kept[i].At.After(last) {
			last = kept[i].At
		}
	}
	wait := w.every - w.s.now().Sub(last)
	for _, c := range w.all {
		at := slices.IndexFunc(kept, func(s consent.Cosignature) bool { return s.Witness == c.Key })
		known := int64(0)
		if at >= 0 {
			known = knownSize(&kept[at], newest)
		}
		switch {
		case known >= newest.Size:
		case wait > 0:
			w.send(organization, time.Now().Add(min(wait, w.every)))
			return nil
		default:
			c.take(toCosign{newest, known})
		}
	}
	return nil
}

// knownSize is how many entries of a checkpoint's ledger a witness has seen as far as it is known: a ledger that got
// another name is another one to witnesses.
func knownSize(kept *consent.Cosignature, newest *consent.Checkpoint) int64 {
	then, err := noted(kept.Note)
	now, err2 := noted(newest.Note)
	if err != nil || err2 != nil || then.Origin != now.Origin {
		return 0
	}
	return kept.Size
}

// search looks through a part of all ledgers for those that a witness has not cosigned, where it is time for that: at
// start, of servers that ended, after a witness was away, and of what was not remembered. It gives when to come again.
func (w *witnesses) search(ctx context.Context, c *cosigning) time.Duration {
	part := c.searches(time.Now())
	if part.wait > 0 {
		return part.wait
	}
	var found []consent.ID
	err := w.recovering(func() error {
		return w.s.signer.view(ctx, func(ctx context.Context, r Reader) (err error) {
			found, err = r.Uncosigned(ctx, c.Key, part.after, uncosignedAtOnce)
			return err
		})
	})
	if err != nil {
		if ctx.Err() == nil {
			w.s.log.Warn("ledgers could not be searched for what is not cosigned; it is tried again", "error", err)
		}
		return c.searched(part, part.after, searchUncosigned)
	}
	for _, organization := range found { // not by way of due, which may be full of ledgers that wait
		if !c.resting(organization, time.Now()) && !w.try(ctx, organization) {
			return c.searched(part, part.after, searchUncosigned)
		}
	}
	if len(found) < uncosignedAtOnce {
		return c.searched(part, consent.NoID, searchUncosigned)
	}
	return c.searched(part, found[len(found)-1], betweenParts)
}

// measure looks how far behind witnesses are, where it is time for that, and gives when to come again.
func (w *witnesses) measure(ctx context.Context) time.Duration {
	w.mu.Lock()
	wait := time.Until(w.measured)
	w.mu.Unlock()
	if wait > 0 {
		return wait
	}
	began := time.Now()
	lags := make([]WitnessLag, len(w.all))
	err := w.recovering(func() error {
		return w.s.signer.view(ctx, func(ctx context.Context, r Reader) (err error) {
			for i, c := range w.all {
				lags[i].Witness = c.Name()
				lags[i].WitnessLag, err = r.WitnessLag(ctx, c.Key, w.s.now().Add(-min(WitnessGrace, 3*w.every)))
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil && ctx.Err() == nil {
		w.s.log.Warn("it could not be read how far behind witnesses are; it is tried again", "error", err)
	}
	wait = max(min(lagEvery, w.every), lagShare*time.Since(began))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.measured = time.Now().Add(wait)
	if err == nil {
		w.lags = lags
	}
	return wait
}

// WitnessLags tells how far each witness is behind, as it was a little ago; of none before the first look.
func (s *Service) WitnessLags() []WitnessLag {
	s.witnesses.mu.Lock()
	defer s.witnesses.mu.Unlock()
	return slices.Clone(s.witnesses.lags)
}
