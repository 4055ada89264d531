package consent

import (
	"context"
	"errors"
	"fmt"
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
	crowdWait = 100 * time.Microsecond
	crowdMost = 8 // times
)

// batcher gathers writes that wait and decides on them together, so that a
// crowd shares one commit. A lone write goes at once.
type batcher struct {
	service *Service
	queue   chan *prepared
	done    chan struct{}
	mu      sync.RWMutex // held for reading while a write is queued
	ended   bool
}

// outcome is what became of one write.
type outcome struct {
	recorded *Recorded
	err      error
}

func newBatcher(s *Service) *batcher {
	b := &batcher{service: s, queue: make(chan *prepared, queueLength), done: make(chan struct{})}
	go b.loop()
	return b
}

func (b *batcher) close() {
	b.mu.Lock()
	if !b.ended {
		b.ended = true
		close(b.queue)
	}
	b.mu.Unlock()
	<-b.done
}

func (b *batcher) closed() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.ended
}

// do queues a write and waits for what becomes of it.
func (b *batcher) do(ctx context.Context, p *prepared) (*Recorded, error) {
	p.result, p.expired = make(chan outcome, 1), ctx.Err
	if err := b.enqueue(ctx, p); err != nil {
		return nil, err
	}
	select {
	case o := <-p.result:
		return o.recorded, o.err
	case <-ctx.Done():
		return nil, &Error{Kind: Unavailable, Msg: "the time for this request is over; retry with the same Idempotency-Key", Err: ctx.Err()}
	}
}

func (b *batcher) enqueue(ctx context.Context, p *prepared) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.ended {
		return &Error{Kind: Unavailable, Msg: "the server is shutting down; retry"}
	}
	select {
	case b.queue <- p:
		return nil
	default:
	}
	select { // full: wait a while for a place
	case b.queue <- p:
		return nil
	case <-ctx.Done():
		return &Error{Kind: Unavailable, Msg: "the server is too busy; retry", Err: ctx.Err()}
	}
}

func (b *batcher) loop() {
	defer close(b.done)
	var held *prepared
	last := 0
	for {
		first := held
		held = nil
		if first == nil {
			var open bool
			if first, open = <-b.queue; !open {
				return
			}
		}
		var gathered []*prepared
		b.await(last)
		gathered, held = b.gather(first)
		last = len(gathered)
		b.write(gathered)
	}
}

// await waits, for less than a millisecond, until most of a crowd as large as the last is back.
func (b *batcher) await(last int) {
	if last < crowd {
		return
	}
	for n := 0; n < crowdMost && len(b.queue) < last*3/4; n++ {
		time.Sleep(crowdWait)
	}
}

// gather takes what waits, up to the size of a batch; held is what did not fit any more. A retry never shares
// a batch with the first try: it must find the answer that the first one keeps.
func (b *batcher) gather(first *prepared) (gathered []*prepared, held *prepared) {
	gathered = append(make([]*prepared, 0, 64), first)
	decisions := first.decisions
	retries := map[AnswerKey]bool{}
	first.isRetry(retries)
	for len(gathered) < batchRequests {
		select {
		case p, open := <-b.queue:
			if !open {
				return gathered, nil
			}
			if decisions += p.decisions; decisions > batchDecisions || p.isRetry(retries) {
				return gathered, p
			}
			gathered = append(gathered, p)
		default:
			return gathered, nil
		}
	}
	return gathered, nil
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
	outcomes, decideErr, err := b.transact(waiting)
	if decideErr && len(waiting) > 1 {
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

// transact runs a batch's transaction. decideErr says that it was not the store that failed, so nothing was done.
func (b *batcher) transact(requests []*prepared) (outcomes []outcome, decideErr bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	created := false
	err = b.service.store.Update(ctx, func(tx Tx) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic in a batch: %v", r)
			}
			decideErr = err != nil
		}()
		run := newBatch(b.service, requests)
		if err := run.load(ctx, tx); err != nil {
			return err
		}
		if err := run.decide(); err != nil {
			return err
		}
		outcomes, created = run.outcomes, len(run.changes.Purposes) > 0
		if run.changes.empty() {
			return errNothing
		}
		return tx.Append(ctx, &run.changes)
	})
	if errors.Is(err, errNothing) {
		return outcomes, false, nil
	}
	if created {
		b.service.cache.drop()
	}
	return outcomes, decideErr, classify(ctx, err)
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to write")

func (c *Changes) empty() bool {
	return len(c.Subjects)+len(c.Identifiers)+len(c.Merges)+len(c.Events)+len(c.Consents)+len(c.Answers)+len(c.Purposes) == 0
}
