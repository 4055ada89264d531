// Package writer knows the one way in which decisions are written: it collects what waits, loads what that touches,
// decides by the rules of package consent, appends, and answers everybody after the commit. It knows no store but by
// Tx.
package writer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/limit"
	"github.com/consentd/consentd/internal/service/idempotency"
	"github.com/consentd/consentd/ledger"
)

// What one batch takes at most, and how many writes may wait for it; what comes later waits for the next.
const (
	batchRequests  = 256
	batchDecisions = 4096
	queueLength    = 2048
	batchTimeout   = 30 * time.Second
)

// Clients whose writes were committed together send their next ones within moments: a batch waits for them a little,
// so that they share a commit again. It costs a tenth less CPU a write at 64 connections. After a small batch nobody
// waits.
const (
	groupSize = 4 // requests in the last batch, from which on the next one waits
	groupWait = 800 * time.Microsecond
)

// Many write at the same time where a batch had crowd requests less than crowdedFor ago.
const (
	crowd      = 16
	crowdedFor = 100 * time.Millisecond
)

// Writer gathers writes that wait and decides on them together, so that they share a commit. A lone write goes at
// once. Its methods may be called at once from many goroutines.
type Writer struct {
	o       Options
	places  *limit.Keyed // of each queue: one whose database does not answer fills its own
	running sync.WaitGroup

	crowdedAt atomic.Int64 // when the last batch of a crowd was taken, in Unix nanoseconds

	mu     sync.Mutex
	queues map[consent.ID]*queue
	closed bool
}

// Options are what a Writer is made of.
type Options struct {
	// Commit runs write in a transaction for an organization, and returns nil when it is durable. ErrNothing from
	// write ends the transaction, and comes back.
	Commit func(ctx context.Context, organization consent.ID, write func(Tx) error) error
	// AcrossTenants tells that one transaction may write for several organizations. Then there is one queue for all,
	// else one for each that writes: its batches follow each other, and never wait for another's.
	AcrossTenants bool
	Now           func() time.Time // UTC, microseconds
	Random        func(p []byte)   // fills p with random bytes
	Secrets       Secrets
	Suppressed    Suppressed
	// Observe is told of every batch that was written.
	Observe func(requests int, took time.Duration, err error)
	// CatalogChanged is called where a batch may have made a purpose.
	CatalogChanged func()
	// Committed, where set, is told whose ledgers a batch has added to, or may have where its outcome is unknown.
	Committed func(organizations []consent.ID)

	dry bool // nothing comes of it, see DryRun
}

// Secrets makes and encrypts what subjects' entries of the ledger are committed with. It is called by many at once.
type Secrets interface {
	New(of consent.SubjectKey) (secret *ledger.Secret, wrapped []byte, err error)
	Open(of consent.SubjectKey, wrapped []byte) (*ledger.Secret, error)
}

// queue is the writes that wait for the same batch. A goroutine serves it while there are any. Guarded by Writer.mu.
type queue struct {
	waiting []*request
	wakeAt  int           // so many have to wait before wake is told; 0: nobody listens
	wake    chan struct{} // has room for one
}

// request is a write that waits.
type request struct {
	*consent.Prepared
	expired func() error // whether the caller still waits
	taken   func()       // gives back its place in the queue
	result  chan outcome // has room for one
}

// outcome is what became of one write.
type outcome struct {
	recorded *consent.Recorded
	err      error
}

// New makes a writer; Close ends it.
func New(o Options) *Writer {
	return &Writer{o: o, places: limit.NewKeyed(queueLength), queues: map[consent.ID]*queue{}}
}

// Crowded tells whether many write at this time, so that what can wait better does.
func (w *Writer) Crowded() bool {
	return time.Now().UnixNano()-w.crowdedAt.Load() < int64(crowdedFor)
}

// Close lets what waits be written; later writes are Unavailable. It may be called twice.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.running.Wait()
}

// Closed tells whether Close was called.
func (w *Writer) Closed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// Write puts a write on record with others, and waits for what becomes of it. Errors: Unavailable (not done, or the
// context ended), *Replayed, NotFound, Conflict, and what the store says.
func (w *Writer) Write(ctx context.Context, p *consent.Prepared) (*consent.Recorded, error) {
	key := p.Actor.Organization
	if w.o.AcrossTenants {
		key = consent.NoID
	}
	taken, err := w.places.Acquire(ctx, key)
	if err != nil {
		return nil, &consent.Error{Kind: consent.Unavailable, Msg: "the server is too busy; retry", Err: err}
	}
	r := &request{Prepared: p, expired: ctx.Err, taken: taken, result: make(chan outcome, 1)}
	if !w.enqueue(key, r) {
		taken()
		return nil, &consent.Error{Kind: consent.Unavailable, Msg: "the server is shutting down; retry"}
	}
	select {
	case o := <-r.result:
		return o.recorded, o.err
	case <-ctx.Done():
		return nil, &consent.Error{Kind: consent.Unavailable, Err: ctx.Err(),
			Msg: "the time for this request is over; retry with the same Idempotency-Key"}
	}
}

// enqueue puts a write into the queue of a key; false: the writer is closed.
func (w *Writer) enqueue(key consent.ID, r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	q := w.queues[key]
	if q == nil {
		q = &queue{wake: make(chan struct{}, 1)}
		w.queues[key] = q
		w.running.Go(func() { w.serve(key, q) })
	}
	q.waiting = append(q.waiting, r)
	if q.wakeAt > 0 && len(q.waiting) >= q.wakeAt {
		q.wakeAt = 0
		q.wake <- struct{}{}
	}
	return true
}

// serve writes a queue's batches, one after the other, until nothing waits.
func (w *Writer) serve(key consent.ID, q *queue) {
	for {
		batch := w.take(key, q)
		if len(batch) == 0 {
			return
		}
		if len(batch) >= crowd {
			w.crowdedAt.Store(time.Now().UnixNano())
		}
		w.write(batch)
		w.waitForGroup(q, len(batch))
	}
}

// take takes what waits in a queue, up to the size of a batch, and removes the queue where that is nothing. A retry
// never shares a batch with the first try: it must find the answer that the first one keeps.
func (w *Writer) take(key consent.ID, q *queue) []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, decisions := 0, 0
	retries := map[consent.IdempotencyKey]bool{}
	for ; n < min(len(q.waiting), batchRequests); n++ {
		r := q.waiting[n]
		if decisions += r.Decisions; n > 0 && decisions > batchDecisions || r.isRetry(retries) {
			break
		}
	}
	if n == 0 {
		delete(w.queues, key)
		return nil
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	for _, r := range batch {
		r.taken()
	}
	return batch
}

// isRetry tells whether a write with the same Idempotency-Key is among those seen, and adds this one.
func (r *request) isRetry(seen map[consent.IdempotencyKey]bool) bool {
	if r.Idempotency.Key == "" {
		return false
	}
	key := idempotency.Key(r.Idempotency, r.Actor)
	before := seen[key]
	seen[key] = true
	return before
}

// waitForGroup waits, for less than a millisecond, until most of a group as large as the last is back.
func (w *Writer) waitForGroup(q *queue, last int) {
	enough := last * 3 / 4
	w.mu.Lock()
	if last < groupSize || len(q.waiting) >= enough || w.closed {
		w.mu.Unlock()
		return
	}
	q.wakeAt = enough
	w.mu.Unlock()
	timer := time.NewTimer(groupWait)
	defer timer.Stop()
	select {
	case <-q.wake:
		return
	case <-timer.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	q.wakeAt = 0
	select { // it may have been told meanwhile
	case <-q.wake:
	default:
	}
}

// write decides on a batch in one transaction and answers everybody after the commit.
func (w *Writer) write(requests []*request) {
	waiting := requests[:0]
	for _, r := range requests {
		if err := r.expired(); err != nil {
			r.result <- outcome{err: &consent.Error{Kind: consent.Unavailable, Msg: "the time for this request is over",
				Err: err}}
			continue
		}
		waiting = append(waiting, r)
	}
	if len(waiting) == 0 {
		return
	}
	started := time.Now()
	outcomes, err := w.transact(waiting)
	var lacking *NoSecretError
	if errors.As(err, &lacking) { // the others need not wait until secrets can be made again
		w.write(lacking.refuse(waiting))
		return
	}
	if err != nil && len(waiting) > 1 && !consent.IsKind(err, consent.Unavailable) && !errors.Is(err, consent.ErrUnknown) {
		// One write may have spoilt it for all. It left nothing behind: each again on its own.
		for _, r := range waiting {
			w.write([]*request{r})
		}
		return
	}
	for i, r := range waiting {
		if err != nil {
			r.result <- outcome{err: err}
			continue
		}
		r.result <- outcomes[i]
	}
	if w.o.Observe != nil {
		w.o.Observe(len(waiting), time.Since(started), err)
	}
}
