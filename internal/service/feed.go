package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/jobs"
	"github.com/consentd/consentd/internal/webhook"
)

// A feed tells a webhook what happens. The ledger is its queue: what is not told yet lies behind the webhook's place in
// it, and costs nothing. Each webhook has a job, by which one server at a time holds it; that one reads the ledger,
// sends, and puts on record what came of it together with the new place. So nothing is lost with a server that is
// killed, and what it had sent and not put on record is sent again, under the same id.

const (
	webhookJob = "webhook"
	// webhookAtOnce is how many messages are on their way to one webhook, and webhooksAtOnce of how many webhooks one
	// server tells at once.
	webhookAtOnce  = 4
	webhooksAtOnce = 256
	// feedAtOnce is how much is read at once, of the ledger, of expiries and of what is tried again.
	feedAtOnce = 256
	// keepEvery and keepMost are when results are put on record: so much of it is sent again after a crash.
	keepEvery = 200 * time.Millisecond
	keepMost  = 2000
	// feedLingers is how long a server holds a webhook for which there is nothing to do, since more may come. It looks for
	// what is to be tried again every lookAgain.
	feedLingers, lookAgain = 30 * time.Second, 5 * time.Second
	// leaveWithin is how long a server that ends may take to put results on record.
	leaveWithin = 5 * time.Second
	// idleFor is how long a webhook rests for which nothing is due; what comes ends it.
	idleFor = time.Hour
	// failsInARow are so many failures after each other that a receiver is taken to be out of order, and left alone for
	// leastRest, then for longer, up to mostRest.
	failsInARow         = 4
	leastRest, mostRest = 5 * time.Second, time.Minute
)

// errRests says that a receiver is left alone for a while.
var errRests = errors.New("the receiver does not take messages")

// feeds are those that this server runs. They are for use at once from many goroutines.
type feeds struct {
	mu      sync.Mutex
	running map[consent.ID]map[*feed]bool // by organization
	told    map[consent.ID]bool           // organizations that have a webhook; some may be missing
}

func newFeeds() *feeds {
	return &feeds{running: map[consent.ID]map[*feed]bool{}, told: map[consent.ID]bool{}}
}

// mostTold is how many organizations are remembered that have webhooks; for others it is looked once a second.
const mostTold = 10_000

// changed tells feeds of organizations that there is more in their ledgers; wake has those looked for that do not run.
func (f *feeds) changed(organizations []consent.ID, wake func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range organizations {
		for running := range f.running[o] {
			running.hurry()
		}
		if f.told[o] && len(f.running[o]) == 0 {
			wake()
		}
	}
}

// hurry has all look again at once.
func (f *feeds) hurry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, some := range f.running {
		for running := range some {
			running.hurry()
		}
	}
}

func (f *feeds) add(new *feed) (remove func()) {
	o := new.key.Organization
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[o] == nil {
		f.running[o] = map[*feed]bool{}
	}
	f.running[o][new] = true
	if len(f.told) < mostTold {
		f.told[o] = true
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.running[o], new)
		if len(f.running[o]) == 0 {
			delete(f.running, o)
		}
	}
}

// feed tells one webhook. It is used by one goroutine, but for hurry.
type feed struct {
	s     *Service
	key   consent.WebhookKey
	job   consent.JobKey
	token consent.ID
	more  chan struct{} // has room for one

	at      consent.WebhookCursor // up to where all was sent, or is among results
	started bool                  // at is set
	results []triedMessage        // that are not on record yet
	kept    time.Time             // when results were put on record
	silent  map[string]bool       // imports, and whether nobody is told of what they brought
	fails   atomic.Int32          // after each other
	trying  atomic.Bool           // the receiver was out of order: one message shows whether it is
	pace    pace
}

// triedMessage is what came of a message.
type triedMessage struct {
	consent.Delivery
	attempt consent.Attempt
	dropped bool // what it tells of is gone
}

func (f *feed) hurry() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// webhookKind is the kind of jobs by which webhooks are told.
func (s *Service) webhookKind() jobs.Kind {
	return jobs.Kind{AtOnce: webhooksAtOnce, Run: s.runFeed,
		Early: func(ctx context.Context, after consent.JobKey, limit int) (keys []consent.JobKey, err error) {
			var behind []consent.WebhookKey
			err = s.store.ViewOnce(ctx, func(r Reader) (err error) {
				behind, err = r.WebhooksBehind(ctx, s.now(), consent.WebhookKey{Organization: after.Organization,
					Webhook: after.ID}, limit)
				return err
			})
			for _, w := range behind {
				keys = append(keys, consent.JobKey{Organization: w.Organization, ID: w.Webhook})
			}
			return keys, err
		}}
}

// runFeed tells a webhook all that there is, and what comes within a while.
func (s *Service) runFeed(ctx context.Context, j *consent.Job) (again time.Duration, err error) {
	f := &feed{s: s, key: consent.WebhookKey{Organization: j.Organization, Webhook: j.ID}, job: j.Key(), token: j.Holder,
		more: make(chan struct{}, 1), silent: map[string]bool{}, kept: time.Now()}
	f.trying.Store(j.Attempts > 1)
	defer s.feeds.add(f)()
	for idleSince := time.Now(); ; {
		part, err := f.read(ctx)
		if err != nil {
			return 0, err
		}
		if part.gone {
			return 0, nil
		}
		f.pace.begin(part.head, time.Now())
		f.send(ctx, part)
		if f.s.writer.Crowded() {
			sleep(ctx, f.pace.yield(f.at.Sequence-part.before.Sequence, time.Now()))
		}
		if ctx.Err() != nil {
			return 0, f.leave(ctx)
		}
		rests := f.rests()
		if rests || part.keep || len(f.results) >= keepMost || time.Since(f.kept) >= keepEvery {
			if err := f.keep(ctx); err != nil {
				return 0, err
			}
		}
		if rests {
			rest := min(mostRest, leastRest<<min(j.Attempts-1, 10))
			return rest - rest/10 + rand.N(rest/5), fmt.Errorf("%w; it is tried again", errRests)
		}
		if !part.idle {
			idleSince = time.Now()
			continue
		}
		more, err := f.waits(ctx, part.next)
		if ctx.Err() != nil {
			return 0, f.leave(ctx)
		}
		if err != nil {
			return 0, err
		}
		if more {
			idleSince = time.Now()
		} else if time.Since(idleSince) >= feedLingers {
			return idleFor, nil
		}
	}
}

// leave puts on record what came of messages before the server ends, so that few are sent twice.
func (f *feed) leave(ended context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), leaveWithin)
	defer cancel()
	if len(f.results) == 0 {
		return ended.Err()
	}
	return errors.Join(ended.Err(), f.keep(ctx))
}

// rests tells whether the receiver is out of order.
func (f *feed) rests() bool {
	return int(f.fails.Load()) >= failsInARow || f.trying.Load() && f.fails.Load() > 0
}

// waits waits until there may be more to tell, and puts results on record meanwhile. more: something came.
func (f *feed) waits(ctx context.Context, next time.Time) (more bool, err error) {
	until := time.Now().Add(lookAgain)
	if !next.IsZero() {
		until = time.Now().Add(min(lookAgain, max(next.Sub(f.s.now()), 0)))
	}
	for {
		wait := time.Until(until)
		if len(f.results) > 0 {
			wait = min(wait, keepEvery-time.Since(f.kept))
		}
		timer := time.NewTimer(wait)
		select {
		case <-f.more:
			timer.Stop()
			return true, nil
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		}
		if len(f.results) > 0 && time.Since(f.kept) >= keepEvery {
			if err := f.keep(ctx); err != nil {
				return false, err
			}
		}
		if !time.Now().Before(until) {
			return false, nil
		}
	}
}

// send sends a part, so many messages at once. What it does not get to, since the receiver is out of order, stays in
// the ledger.
func (f *feed) send(ctx context.Context, p *feedPart) {
	var mu sync.Mutex
	var sending sync.WaitGroup
	canceled := len(p.steps)
	places := make(chan struct{}, webhookAtOnce)
	f.at = p.before
	f.started = true
	for i := range p.steps {
		step := &p.steps[i]
		if f.rests() || ctx.Err() != nil {
			break
		}
		for n := range step.out {
			o := &step.out[n]
			places <- struct{}{}
			sending.Go(func() {
				defer func() { <-places }()
				r := f.one(ctx, p, o)
				mu.Lock()
				defer mu.Unlock()
				if r.attempt.Error == string(webhook.Canceled) { // nobody knows: it is sent again
					canceled = min(canceled, i)
					return
				}
				f.results = append(f.results, r)
			})
			if f.trying.Load() { // one shows whether the receiver is there again
				sending.Wait()
			}
		}
		f.at = step.then
	}
	sending.Wait()
	if canceled == 0 {
		f.at = p.before
	} else if canceled < len(p.steps) {
		f.at = p.steps[canceled-1].then
	}
}

// one sends a message.
func (f *feed) one(ctx context.Context, p *feedPart, o *outgoing) triedMessage {
	r := triedMessage{Delivery: o.Delivery}
	if o.Message == nil {
		r.dropped = true
		return r
	}
	body, err := f.s.message(&o.Message.Notice)
	if err != nil {
		r.dropped = true
		f.s.log.Error("a message to a webhook could not be made; it is left out", "organization",
			f.key.Organization.String(), "webhook", f.key.Webhook.String(), "type", string(o.Type), "entry", o.Entry.String(),
			"error", err)
		return r
	}
	now := f.s.now()
	came := f.s.sender.Send(ctx, p.endpoint, webhook.Message{ID: o.Delivery.ID.String(), At: now, Body: body})
	r.attempt = consent.Attempt{At: now, Took: came.Took, Status: came.Status, Error: string(came.Reason),
		Taken: came.Taken()}
	f.s.delivered(came)
	switch {
	case came.Taken():
		f.fails.Store(0)
		f.trying.Store(false)
	case came.Reason != webhook.Canceled:
		f.fails.Add(1)
	}
	return r
}

// keep puts on record what came of messages, and up to where all was sent.
func (f *feed) keep(ctx context.Context) error {
	err := f.s.store.Update(ctx, f.key.Organization, func(tx Tx) error {
		held, err := tx.Job(ctx, f.job)
		if err != nil {
			return err
		}
		if held == nil || held.Holder != f.token {
			return errors.New("another server tells this webhook")
		}
		w, err := asStored(tx).Webhook(ctx, f.key)
		if err != nil || w == nil {
			return err
		}
		before := w.Disabled
		changes := consent.Changes{Deliveries: f.settle(w)}
		to := w.Later(f.at)
		to.FailingSince = w.FailingSince
		changes.MovedWebhooks = []consent.MovedWebhook{{WebhookKey: f.key, WebhookCursor: to}}
		if w.Disabled != before {
			changes.DisabledWebhooks = []consent.Webhook{*w}
		}
		return tx.Append(ctx, &changes)
	})
	if err != nil {
		return fmt.Errorf("keep what came of messages to a webhook: %w", err)
	}
	f.results, f.kept = f.results[:0], time.Now()
	return nil
}

// settle gives the deliveries as they are after their tries.
func (f *feed) settle(w *consent.Webhook) []consent.Delivery {
	all := make([]consent.Delivery, len(f.results))
	for i := range f.results {
		r := &f.results[i]
		all[i] = r.Delivery
		if r.dropped {
			all[i].State, all[i].NextTryAt = consent.DeliveryDropped, time.Time{}
			continue
		}
		all[i].Settle(w, r.attempt, rand.Float64())
	}
	return all
}

// changed tells who works on ledgers that there is more in some.
func (s *Service) changed(organizations []consent.ID) {
	s.signer.changed(organizations)
	if s.jobs != nil {
		s.feeds.changed(organizations, s.jobs.Wake)
	}
}
