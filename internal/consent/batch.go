package consent

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// What one batch takes at most; what comes later waits for the next.
const (
	batchRequests  = 256
	batchDecisions = 4096
	queueLength    = 2048
	batchTimeout   = 30 * time.Second
)

// A crowd whose last batch was committed just now sends its next writes within
// moments: a batch waits for them a little, so that they share a commit. Measured: a
// tenth less CPU a write at 64 connections. After a small batch nobody waits.
const (
	crowd     = 4 // requests in the last batch, from which on it was a crowd
	crowdWait = 800 * time.Microsecond
)

// soon is how long a write waits for its outcome before it looks at its deadline and at whether its caller has left, which
// costs a timer and a watch of its own: nearly all are answered by then.
const soon = 100 * time.Millisecond

// laneIdle is how long a lane without writes stays.
const laneIdle = time.Second

// batcher gathers writes that wait and decides on them together, so that a
// crowd shares one commit. A lone write goes at once. Where the store mixes organizations there is one lane
// for all, else one for each that writes: its batches follow each other, and never wait for another's.
type batcher struct {
	service *Service
	mixes   bool
	room    chan struct{} // holds one for each write that waits
	running sync.WaitGroup

	mu    sync.Mutex
	lanes map[ID]*lane
	ended bool
}

// lane is the writes that wait for the same batch.
type lane struct {
	waiting []*prepared // guarded by the batcher's mu, as is enough
	enough  int         // so many have to wait before the lane wakes
	wake    chan struct{}
}

// outcome is what became of one write.
type outcome struct {
	recorded *Recorded
	err      error
}

func newBatcher(s *Service) *batcher {
	return &batcher{service: s, mixes: s.store.Mixes(), room: make(chan struct{}, queueLength), lanes: map[ID]*lane{}}
}

// close lets what waits be written, and ends the lanes.
func (b *batcher) close() {
	b.mu.Lock()
	b.ended = true
	for _, l := range b.lanes {
		l.rouse()
	}
	b.mu.Unlock()
	b.running.Wait()
}

func (b *batcher) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// do queues a write and waits for what becomes of it.
func (b *batcher) do(ctx context.Context, p *prepared) (*Recorded, error) {
	p.result, p.expired = make(chan outcome, 1), ctx.Err
	select {
	case b.room <- struct{}{}:
	default:
		select { // full: wait a while for a place
		case b.room <- struct{}{}:
		case <-ctx.Done():
			return nil, &Error{Kind: Unavailable, Msg: "the server is too busy; retry", Err: ctx.Err()}
		}
	}
	if !b.enqueue(p) {
		<-b.room
		return nil, &Error{Kind: Unavailable, Msg: "the server is shutting down; retry"}
	}
	return p.outcome(ctx)
}

var soonTimers = sync.Pool{New: func() any { return time.NewTimer(soon) }}

// outcome waits for what becomes of a write.
func (p *prepared) outcome(ctx context.Context) (*Recorded, error) {
	timer := soonTimers.Get().(*time.Timer)
	timer.Reset(soon)
	select {
	case o := <-p.result:
		timer.Stop()
		soonTimers.Put(timer)
		return o.recorded, o.err
	case <-timer.C:
		soonTimers.Put(timer)
	}
	select {
	case o := <-p.result:
		return o.recorded, o.err
	case <-ctx.Done():
		return nil, &Error{Kind: Unavailable, Msg: "the time for this request is over; retry with the same Idempotency-Key", Err: ctx.Err()}
	}
}

// enqueue puts a write into its lane; false: the batcher has ended.
func (b *batcher) enqueue(p *prepared) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	key := p.actor.Organization
	if b.mixes {
		key = NoID
	}
	l := b.lanes[key]
	if l == nil {
		l = &lane{wake: make(chan struct{}, 1)}
		b.lanes[key] = l
		b.running.Go(func() { b.run(key, l) })
	}
	l.waiting = append(l.waiting, p)
	if len(l.waiting) >= l.enough {
		l.rouse()
	}
	return true
}

func (l *lane) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes a lane's batches, one after the other, until nothing came for a while.
func (b *batcher) run(key ID, l *lane) {
	if b.mixes { // the one lane waits for the disk again and again: on a thread of its own it moves no other goroutine about
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	idle, over := time.NewTimer(laneIdle), time.NewTimer(crowdWait)
	defer idle.Stop()
	defer over.Stop()
	for {
		idle.Reset(laneIdle)
		unused := false
		select {
		case <-l.wake:
		case <-idle.C:
			unused = true
		}
		for last := 0; ; {
			gathered := b.gather(l)
			if len(gathered) == 0 {
				break
			}
			last = len(gathered)
			b.write(gathered)
			b.await(l, last, over)
		}
		if (unused || b.closed()) && b.retire(key, l) {
			return
		}
	}
}

// retire ends a lane in which nothing waits.
func (b *batcher) retire(key ID, l *lane) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.waiting) > 0 || len(l.wake) > 0 && !b.ended {
		return false
	}
	delete(b.lanes, key)
	return true
}

// await waits, for less than a millisecond, until most of a crowd as large as the last is back.
func (b *batcher) await(l *lane, last int, over *time.Timer) {
	if last < crowd || !b.need(l, last*3/4) {
		return
	}
	over.Reset(crowdWait)
	select {
	case <-l.wake:
	case <-over.C:
	}
	over.Stop()
	b.need(l, 0)
}

// need makes a lane wake only once so many wait; false: they do already.
func (b *batcher) need(l *lane, enough int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.waiting) >= enough || b.ended {
		enough = 0
	}
	if l.enough = enough; enough == 0 {
		return false
	}
	select { // what waits now is known
	case <-l.wake:
	default:
	}
	return true
}

// gather takes what waits in a lane, up to the size of a batch. A retry never shares
// a batch with the first try: it must find the answer that the first one keeps.
func (b *batcher) gather(l *lane) []*prepared {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, decisions := 0, 0
	retries := map[AnswerKey]bool{}
	for ; n < min(len(l.waiting), batchRequests); n++ {
		p := l.waiting[n]
		if decisions += p.decisions; n > 0 && decisions > batchDecisions || p.isRetry(retries) {
			break
		}
	}
	gathered := l.waiting[:n:n]
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
	for range n {
		<-b.room
	}
	return gathered
}

// isRetry tells whether a write with the same Idempotency-Key is among those seen, and adds this one.
func (p *prepared) isRetry(seen map[AnswerKey]bool) bool {
	if p.once.Key == "" {
		return false
	}
	key := p.once.answerKey(p.actor)
	before := seen[key]
	seen[key] = true
	return before
}

// write decides on a batch in one transaction and answers everybody after the commit.
func (b *batcher) write(requests []*prepared) {
	waiting := requests[:0]
	for _, p := range requests {
		if err := p.expired(); err != nil {
			p.result <- outcome{err: &Error{Kind: Unavailable, Msg: "the time for this request is over", Err: err}}
			continue
		}
		waiting = append(waiting, p)
	}
	if len(waiting) == 0 {
		return
	}
	started := time.Now()
	outcomes, err := b.transact(waiting)
	if err != nil && len(waiting) > 1 && !IsKind(err, Unavailable) && !errors.Is(err, ErrUnknown) {
		// One write may have spoilt it for all. It left nothing behind: each again on its own.
		for _, p := range waiting {
			b.write([]*prepared{p})
		}
		return
	}
	for i, p := range waiting {
		if err != nil {
			p.result <- outcome{err: err}
			continue
		}
		p.result <- outcomes[i]
	}
	if b.service.observe != nil {
		b.service.observe(len(waiting), time.Since(started), err)
	}
}

// transact runs a batch's transaction.
func (b *batcher) transact(requests []*prepared) (outcomes []outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	created := false
	var run *batch
	err = b.service.commit(ctx, requests[0].actor.Organization, func(tx Tx) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic in a batch: %v", r)
			}
		}()
		run = newBatch(b.service, requests)
		if err := run.load(ctx, tx); err != nil {
			return err
		}
		if err := run.decide(); err != nil {
			return err
		}
		outcomes, created = run.outcomes, len(run.changes.Purposes) > 0
		if run.changes.empty() && !run.confirms() {
			return errNothing
		}
		return tx.Append(ctx, &run.changes)
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	if err == nil {
		run.done()
	}
	if created {
		b.service.cache.drop()
	}
	return outcomes, classify(ctx, err)
}

// confirms tells whether somebody is told that something is on record. It is committed also where it is so already:
// what was read may not be as durable as a commit makes it, see settled.
func (b *batch) confirms() bool {
	var replayed *Replayed
	return slices.ContainsFunc(b.outcomes, func(o outcome) bool { return o.err == nil || errors.As(o.err, &replayed) })
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to write")

func (c *Changes) empty() bool {
	return len(c.Subjects)+len(c.Identifiers)+len(c.Claims)+len(c.Merges)+len(c.Events)+len(c.Consents)+
		len(c.Answers)+len(c.Purposes) == 0
}
