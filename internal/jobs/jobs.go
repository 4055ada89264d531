// Package jobs knows how work that is due is claimed, run, tried again and given up, beside other servers that do the
// same. What is to be done it does not know, nor where jobs are kept but by Store.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// What came of an attempt, for Options.Observe.
const (
	Done   = "done"
	Failed = "failed" // it is tried again
	Parked = "parked" // it was given up
	Lost   = "lost"   // another server took it meanwhile, or this one ends
)

const (
	pollEvery = time.Second // a lone look at an index
	// lease is how long a job is held that nobody hears of any more. It is held longer three times as often.
	lease = 30 * time.Second
	// page is how many jobs are read at once, and pages how often before the next look goes on behind them.
	page, pages = 100, 10
	// leastWait and mostWait are how long a job waits after a failure; it doubles in between.
	leastWait, mostWait = 5 * time.Second, time.Hour
	maxError            = 500 // bytes
)

// Kind is what is done for jobs of one kind.
type Kind struct {
	// Run does a job. It may run twice at once, where a server was not heard of for a minute, and again after it was done.
	// again: what is left is due that much later, as a first try; with an error: as a further try, and nothing is logged.
	// Its error is kept, so that it must not tell of a person.
	Run func(ctx context.Context, j *consent.Job) (again time.Duration, err error)
	// Early, where set, names jobs behind one (the zero value: from the beginning), in an order of its own, limit at most,
	// for which there is work before they are due. One that failed rests all the same, and one that is not there is made.
	Early func(ctx context.Context, after consent.JobKey, limit int) ([]consent.JobKey, error)
	// Every, where set, is of a job of the instance's own that there is once (consent.RecurringJob): it is due again that
	// much later, once it went well.
	Every time.Duration
	// Tries is how often a job is begun before it is parked; 0: as often as it takes.
	Tries int
	// AtOnce is how many of them this server runs at once; 0: one.
	AtOnce int
}

// Store keeps jobs. Its methods are those of a service that retries nothing itself.
type Store interface {
	// AddJobs puts jobs on record that are not there yet.
	AddJobs(ctx context.Context, jobs []consent.Job) error
	// DueJobs gives jobs that are due behind one, in order, limit at most.
	DueJobs(ctx context.Context, after *consent.Job, limit int) ([]consent.Job, error)
	// Job gives a job; nil: there is none.
	Job(ctx context.Context, of consent.JobKey) (*consent.Job, error)
	// ClaimJob holds a job as it was read; nil: somebody else has it.
	ClaimJob(ctx context.Context, claim consent.JobClaim) (*consent.Job, error)
	// EndJob puts a held job on record, and tells whether it was held still.
	EndJob(ctx context.Context, j consent.HeldJob) (bool, error)
}

// Options are what a Runner is made of.
type Options struct {
	Store Store
	Kinds map[string]Kind // jobs of other kinds are left alone: another version of the server knows them
	Now   func() time.Time
	NewID func() consent.ID
	Log   *slog.Logger
	// Observe, where set, is told what came of each attempt, and how long it took.
	Observe func(kind, outcome string, took time.Duration)
	// PollEvery and Lease stand instead of a second and half a minute; for tests.
	PollEvery, Lease time.Duration
}

// Runner runs what is due, from New to Close. Its methods may be called at once from many goroutines.
type Runner struct {
	o       Options
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // has room for one

	mu   sync.Mutex
	runs map[string]int          // how many of each kind
	held map[consent.JobKey]bool // that this server runs
}

// New starts a runner.
func New(o Options) *Runner {
	if o.PollEvery == 0 {
		o.PollEvery = pollEvery
	}
	if o.Lease == 0 {
		o.Lease = lease
	}
	if o.Observe == nil {
		o.Observe = func(string, string, time.Duration) {}
	}
	r := &Runner{o: o, wake: make(chan struct{}, 1), runs: map[string]int{},
		held: map[consent.JobKey]bool{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.running.Go(r.look)
	return r
}

// Wake has the runner look at once, since something is due now.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close ends what runs, so that other servers may begin it again at once, and waits for that. It may be called twice.
func (r *Runner) Close() {
	r.stop()
	r.running.Wait()
}

// look begins what is due, until the runner is closed.
func (r *Runner) look() {
	after, there, failed := &consent.Job{}, false, false
	for r.ctx.Err() == nil {
		var err error
		if !there {
			err = r.addRecurring()
			there = err == nil
		}
		if err == nil {
			after, err = r.begin(after)
		}
		if err == nil {
			err = r.beginEarly()
		}
		if err != nil && r.ctx.Err() == nil && !failed {
			r.o.Log.Warn("it could not be found out which jobs are due; it is tried again", "error", err)
		}
		failed = err != nil
		timer := time.NewTimer(r.o.PollEvery/2 + rand.N(r.o.PollEvery)) // so that servers do not all ask at once
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.ctx.Done():
		}
		timer.Stop()
	}
}

// addRecurring has the jobs there that are due again and again.
func (r *Runner) addRecurring() error {
	var recurring []consent.Job
	for name, kind := range r.o.Kinds {
		if kind.Every > 0 {
			recurring = append(recurring, consent.RecurringJob(name, r.o.Now()))
		}
	}
	return r.o.Store.AddJobs(r.ctx, recurring)
}

// begin claims and starts what is due behind a job, as far as there is room, and gives behind which one to go on: the
// zero value where there was nothing more.
func (r *Runner) begin(after *consent.Job) (last *consent.Job, err error) {
	for range pages {
		due, err := r.o.Store.DueJobs(r.ctx, after, page)
		if err != nil {
			return &consent.Job{}, err
		}
		for i := range due {
			if kind, ok := r.o.Kinds[due[i].Kind]; ok && r.room(due[i].Key(), due[i].Kind, kind) {
				r.running.Go(func() { r.run(&due[i], kind) })
			}
		}
		if len(due) < page {
			return &consent.Job{}, nil
		}
		after = &due[len(due)-1]
	}
	return after, nil
}

// beginEarly starts jobs for which there is work before they are due.
func (r *Runner) beginEarly() error {
	for name, kind := range r.o.Kinds {
		if kind.Early == nil {
			continue
		}
		for after, more := (consent.JobKey{}), true; more; {
			keys, err := kind.Early(r.ctx, after, page)
			if err != nil {
				return err
			}
			if more = len(keys) == page; more {
				after = keys[page-1]
			}
			for _, key := range keys {
				if r.room(key, name, kind) {
					r.running.Go(func() { r.runEarly(key, name, kind) })
				}
			}
		}
	}
	return nil
}

// runEarly runs a job that is not due yet, unless it is held, or rests after it failed.
func (r *Runner) runEarly(key consent.JobKey, name string, kind Kind) {
	j, err := r.o.Store.Job(r.ctx, key)
	if err == nil && j == nil {
		now := r.o.Now()
		j = &consent.Job{Organization: key.Organization, ID: key.ID, Kind: name, RunAt: now, CreatedAt: now}
		err = r.o.Store.AddJobs(r.ctx, []consent.Job{*j})
	}
	switch {
	case err != nil && r.ctx.Err() == nil:
		r.o.Log.Warn("a job could not be looked up; it is tried again", "kind", name, "job", key.ID.String(), "error", err)
	case err != nil:
	case j.ParkedAt.IsZero() && (!j.RunAt.After(r.o.Now()) || j.Holder == consent.NoID && j.Attempts == 0):
		r.run(j, kind)
		return
	}
	r.leave(key, name)
}

// leave gives a job's place back.
func (r *Runner) leave(key consent.JobKey, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[name]--
	delete(r.held, key)
}

// room takes a place for a job, where there is one and this server does not run the job already: however its time
// passes, it does not take over from itself.
func (r *Runner) room(key consent.JobKey, name string, kind Kind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[key] || r.runs[name] >= max(1, kind.AtOnce) {
		return false
	}
	r.runs[name]++
	r.held[key] = true
	return true
}

// run claims a job, does it, and puts on record what came of it.
func (r *Runner) run(due *consent.Job, kind Kind) {
	defer r.leave(due.Key(), due.Kind)
	token := r.o.NewID()
	held, err := r.o.Store.ClaimJob(r.ctx, consent.JobClaim{Job: *due, Token: token, Until: r.o.Now().Add(r.o.Lease)})
	if err != nil && r.ctx.Err() == nil {
		r.o.Log.Warn("a job could not be claimed; it is tried again", "kind", due.Kind, "job", due.ID.String(), "error", err)
	}
	if err != nil || held == nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	var holding sync.WaitGroup
	holding.Go(func() { r.hold(ctx, held, token, cancel) })
	began := time.Now()
	again, err := attempt(ctx, kind, held)
	lost := ctx.Err() != nil
	cancel()
	holding.Wait()
	outcome := r.end(held, token, kind, again, err, lost)
	r.o.Observe(held.Kind, outcome, time.Since(began))
}

// attempt makes an error of a panic.
func attempt(ctx context.Context, kind Kind, j *consent.Job) (again time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return kind.Run(ctx, j)
}

// hold keeps a job for as long as it runs, and ends that where somebody else has it.
func (r *Runner) hold(ctx context.Context, j *consent.Job, token consent.ID, lost func()) {
	tick := time.NewTicker(r.o.Lease / 3)
	defer tick.Stop()
	until := time.Now().Add(r.o.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		still, err := r.o.Store.EndJob(ctx, consent.HeldJob{JobKey: j.Key(), Token: token, Hold: true,
			RunAt: r.o.Now().Add(r.o.Lease), Attempts: j.Attempts, Error: j.Error})
		switch {
		case err == nil && still:
			until = time.Now().Add(r.o.Lease)
		case err == nil, time.Now().After(until):
			lost()
			return
		}
	}
}

// end puts on record what came of an attempt.
func (r *Runner) end(j *consent.Job, token consent.ID, kind Kind, again time.Duration, failed error,
	lost bool) (outcome string) {
	now := r.o.Now()
	then := consent.HeldJob{JobKey: j.Key(), Token: token}
	switch {
	case lost && failed != nil: // it is due at once, unless somebody else has it
		outcome, then.RunAt, then.Attempts, then.Error = Lost, now, j.Attempts-1, j.Error
	case failed != nil && again > 0:
		outcome, then.RunAt, then.Attempts, then.Error = Failed, now.Add(again), j.Attempts, cut(failed.Error())
	case failed == nil && again > 0:
		outcome, then.RunAt = Done, now.Add(again)
	case failed == nil && kind.Every > 0:
		outcome, then.RunAt = Done, now.Add(kind.Every-kind.Every/10+rand.N(kind.Every/5))
	case failed == nil:
		outcome, then.Done = Done, true
	case kind.Tries > 0 && j.Attempts >= kind.Tries:
		outcome, then.Park, then.RunAt, then.Attempts = Parked, true, now, j.Attempts
	default:
		outcome, then.RunAt, then.Attempts = Failed, now.Add(wait(j.Attempts)), j.Attempts
	}
	if outcome == Parked || outcome == Failed && again == 0 {
		then.Error = cut(failed.Error())
		r.o.Log.Warn("a job failed", "kind", j.Kind, "organization", j.Organization.String(), "job", j.ID.String(),
			"attempts", j.Attempts, "parked", then.Park, "error", failed)
	}
	// What was done is put on record also where the server ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.o.Lease/3)
	defer cancel()
	if _, err := r.o.Store.EndJob(ctx, then); err != nil {
		r.o.Log.Warn("what came of a job could not be put on record; it runs again when its time is over",
			"kind", j.Kind, "job", j.ID.String(), "outcome", outcome, "error", err)
	}
	return outcome
}

// wait is how long a job waits after so many attempts failed.
func wait(attempts int) time.Duration {
	longest := min(mostWait, leastWait<<min(max(attempts-1, 0), 20))
	return longest - longest/10 + rand.N(longest/5)
}

// cut cuts an error's text to what is kept, at the border of a character.
func cut(text string) string {
	for i := range text {
		if i > maxError {
			return text[:i]
		}
	}
	return text
}
