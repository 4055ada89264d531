package service_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/jobs"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// runsJobs starts a server more over the harness's store, which runs jobs of some kinds.
func (h *harness) runsJobs(t *testing.T, lease time.Duration, kinds map[string]jobs.Kind) *service.Service {
	t.Helper()
	s := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		RunJobs: true, JobKinds: kinds, JobPoll: 10 * time.Millisecond, JobLease: lease})
	t.Cleanup(s.Close)
	return s
}

// enqueue puts jobs on record in a transaction that does, or does not, come to its end.
func (h *harness) enqueue(t *testing.T, end error, all ...consent.Job) {
	t.Helper()
	err := h.store.Update(t.Context(), all[0].Organization, func(tx service.Tx) error {
		if err := tx.Append(t.Context(), &consent.Changes{Jobs: all}); err != nil {
			return err
		}
		return end
	})
	if !errors.Is(err, end) {
		t.Fatal(err)
	}
}

func (h *harness) jobOf(t *testing.T, key consent.JobKey) (j *consent.Job) {
	t.Helper()
	h.view(t, func(r service.Reader) (err error) {
		j, err = r.Job(t.Context(), key)
		return err
	})
	return j
}

func jobsOf(o consent.ID, kind string, n int) []consent.Job {
	all := make([]consent.Job, n)
	for i := range all {
		all[i] = consent.Job{Organization: o, ID: consent.ID{1, byte(i >> 8), byte(i)}, Kind: kind,
			RunAt: time.Now().Add(-time.Minute).Truncate(time.Microsecond), CreatedAt: noon}
	}
	return all
}

// TestJobsRunOnce: of many servers one does each job, and what was rolled back is never done.
func TestJobsRunOnce(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t).Organization
	const n = 250
	var ran [n]atomic.Int32
	kind := map[string]jobs.Kind{"count": {AtOnce: 8, Run: func(_ context.Context, j *consent.Job) (time.Duration, error) {
		ran[int(j.ID[1])<<8+int(j.ID[2])].Add(1)
		return 0, nil
	}}}
	undone := errors.New("rolled back")
	h.enqueue(t, undone, jobsOf(a, "count", n)[:7]...)
	for range 3 {
		h.runsJobs(t, time.Minute, kind)
	}
	time.Sleep(100 * time.Millisecond)
	for i := range ran {
		if ran[i].Load() != 0 {
			t.Fatal("a job of a transaction was done that was rolled back")
		}
	}
	h.enqueue(t, nil, jobsOf(a, "count", n)...)
	left := func() (left []consent.Job) {
		h.view(t, func(r service.Reader) (err error) {
			left, err = r.Jobs(t.Context(), a, consent.NoID, false, n)
			return err
		})
		return left
	}
	awaitLong(t, "all are done", func() bool { return len(left()) == 0 })
	for i := range ran {
		if got := ran[i].Load(); got != 1 {
			t.Errorf("job %d was done %d times", i, got)
		}
	}
}

// TestJobIsTakenOver: what a server does that was killed is done by another when its lease ends, and not before.
func TestJobIsTakenOver(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t).Organization
	j := jobsOf(a, "work", 1)[0]
	h.enqueue(t, nil, j)
	const lease = 500 * time.Millisecond
	until := time.Now().Add(lease).Truncate(time.Microsecond)
	err := h.store.Update(t.Context(), a, func(tx service.Tx) error { // by a server that is not heard of again
		return tx.Append(t.Context(), &consent.Changes{JobClaims: []consent.JobClaim{{Job: j, Token: consent.ID{9},
			Until: until}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan time.Time, 10)
	h.runsJobs(t, lease, map[string]jobs.Kind{"work": {Run: func(_ context.Context, got *consent.Job) (time.Duration,
		error) {
		if got.Attempts != 2 {
			t.Errorf("attempt %d", got.Attempts)
		}
		ran <- time.Now()
		return 0, nil
	}}})
	if at := <-ran; at.Before(until) {
		t.Error("it was taken from a server that held it")
	}
}

// TestJobIsHeldWhileItRuns: a job that takes longer than a lease stays with who runs it, who is told where it does not.
func TestJobIsHeldWhileItRuns(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t).Organization
	j := jobsOf(a, "long", 1)[0]
	h.enqueue(t, nil, j)
	var running, most atomic.Int32
	var lost sync.WaitGroup
	lost.Add(1)
	once := sync.OnceFunc(lost.Done)
	kinds := map[string]jobs.Kind{"long": {Run: func(ctx context.Context, _ *consent.Job) (time.Duration, error) {
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		defer running.Add(-1)
		select {
		case <-ctx.Done():
			once()
			return 0, ctx.Err()
		case <-time.After(2 * time.Second):
			return 0, nil
		}
	}}}
	for range 2 {
		h.runsJobs(t, 300*time.Millisecond, kinds)
	}
	awaitLong(t, "it runs", func() bool { return running.Load() == 1 })
	time.Sleep(time.Second)
	if most.Load() != 1 {
		t.Fatal("it ran twice at once")
	}
	actor, err := h.root.In(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.svc.DropJob(t.Context(), actor, j.ID, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	lost.Wait()
	if left := h.jobOf(t, j.Key()); left != nil {
		t.Errorf("it is back: %+v", left)
	}
}

// TestJobFailsForGood: a job that fails is tried again later, keeps why it failed, and is parked in the end, until
// somebody has it tried again; a panic is a failure.
func TestJobFailsForGood(t *testing.T) {
	h := newHarness(t)
	actor := h.organization(t)
	a := actor.Organization
	j := jobsOf(a, "bad", 1)[0]
	var mended atomic.Bool
	outcomes := make(chan string, 100)
	s := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		RunJobs: true, JobPoll: 10 * time.Millisecond, JobRun: func(kind, outcome string, _ time.Duration) {
			if kind == "bad" {
				outcomes <- outcome
			}
		}, JobKinds: map[string]jobs.Kind{"bad": {Tries: 2, Run: func(_ context.Context, j *consent.Job) (time.Duration,
			error) {
			if mended.Load() {
				return 0, nil
			}
			if j.Attempts == 1 {
				panic("é" + strings.Repeat("é", 1000))
			}
			return 0, fmt.Errorf("attempt %d", j.Attempts)
		}}}})
	t.Cleanup(s.Close)
	h.enqueue(t, nil, j)
	if got := <-outcomes; got != jobs.Failed {
		t.Fatal(got)
	}
	awaitLong(t, "it is free", func() bool { return h.jobOf(t, j.Key()).Holder == consent.NoID })
	after := h.jobOf(t, j.Key())
	if wait := time.Until(after.RunAt); wait < 3*time.Second || wait > 6*time.Second || after.Attempts != 1 ||
		!strings.HasPrefix(after.Error, "panic: éé") || len(after.Error) > 510 {
		t.Errorf("in %s: %+v", wait, after)
	}
	soon := *after // as if five seconds went by
	soon.RunAt = time.Now().Truncate(time.Microsecond)
	err := h.store.Update(t.Context(), a, func(tx service.Tx) error {
		return tx.Append(t.Context(), &consent.Changes{DroppedJobs: []consent.JobKey{j.Key()}, Jobs: nil})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.enqueue(t, nil, soon)
	if got := <-outcomes; got != jobs.Parked {
		t.Fatal(got)
	}
	awaitLong(t, "it is parked", func() bool { return !h.jobOf(t, j.Key()).ParkedAt.IsZero() })
	parked, err := h.svc.Jobs(t.Context(), actor, true, consent.NoID, 10)
	if err != nil || len(parked) != 1 || parked[0].Error != "attempt 2" || parked[0].Attempts != 2 {
		t.Fatalf("%+v %v", parked, err)
	}
	mended.Store(true)
	if _, err := s.RetryJob(t.Context(), actor, j.ID, time.Time{}, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	if got := <-outcomes; got != jobs.Done {
		t.Fatal(got)
	}
	awaitLong(t, "it is done", func() bool { return h.jobOf(t, j.Key()) == nil })
	for what, err := range map[string]error{"drop": s.DropJob(t.Context(), actor, j.ID, consent.Idempotency{}),
		"another's": s.DropJob(t.Context(), h.organization(t), consent.RecurringJob("sweep-answers", noon).ID,
			consent.Idempotency{})} {
		isKind(t, what, err, consent.NotFound, "")
	}
}

// TestRecurringJob: a job of the instance is there once whatever servers start, and is due again after each time; with
// again it goes on at once.
func TestRecurringJob(t *testing.T) {
	h := newHarness(t)
	var runs atomic.Int32
	kinds := map[string]jobs.Kind{"often": {Every: 100 * time.Millisecond, Run: func(context.Context, *consent.Job) (
		time.Duration, error) {
		if runs.Add(1) == 1 {
			return time.Microsecond, nil
		}
		return 0, nil
	}}}
	for range 3 {
		h.runsJobs(t, time.Minute, kinds)
	}
	awaitLong(t, "it runs again and again", func() bool { return runs.Load() > 5 })
	h.view(t, func(r service.Reader) error {
		all, err := r.Jobs(t.Context(), consent.NoID, consent.NoID, false, 10)
		if len(all) != 4 { // with the service's own
			t.Errorf("%d jobs: %+v", len(all), all)
		}
		return err
	})
}

// TestJobsOfOneKindDelayNoOther: however many of one kind are due, and take long, others are begun.
func TestJobsOfOneKindDelayNoOther(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t).Organization
	h.enqueue(t, nil, jobsOf(a, "slow", 700)...)
	other := jobsOf(a, "quick", 1)[0]
	other.ID[0], other.RunAt = 2, time.Now().Truncate(time.Microsecond)
	h.enqueue(t, nil, other)
	done := make(chan struct{})
	h.runsJobs(t, time.Minute, map[string]jobs.Kind{
		"slow": {AtOnce: 2, Run: func(ctx context.Context, _ *consent.Job) (time.Duration, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}},
		"quick": {Run: func(context.Context, *consent.Job) (time.Duration, error) {
			close(done)
			return 0, nil
		}},
	})
	<-done
}

// TestKilledJobsAreFreed: the only server of a store begins at once what the one before it held when it was killed, and
// remembers that it was tried.
func TestKilledJobsAreFreed(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t).Organization
	left := jobsOf(a, "left", 1)
	h.enqueue(t, nil, left...)
	if err := h.store.Update(t.Context(), a, func(tx service.Tx) error {
		return tx.Append(t.Context(), &consent.Changes{JobClaims: []consent.JobClaim{{Job: left[0], Token: consent.ID{9},
			Until: time.Now().Add(time.Hour)}}})
	}); err != nil {
		t.Fatal(err)
	}
	attempts := make(chan int, 1)
	s := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		RunJobs: true, OnlyServer: true, JobPoll: 10 * time.Millisecond, JobKinds: map[string]jobs.Kind{
			"left": {Run: func(_ context.Context, j *consent.Job) (time.Duration, error) {
				attempts <- j.Attempts
				return 0, nil
			}}}})
	defer s.Close()
	select {
	case n := <-attempts:
		if n != 2 {
			t.Errorf("it is attempt %d", n)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("what a killed server held is not begun")
	}
}

// TestClockGoesOn: a server whose clock is put forward does not take over from itself what it runs.
func TestClockGoesOn(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t).Organization
	var running, most atomic.Int32
	stop := make(chan struct{})
	s := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		Clock: h.clock.now, RunJobs: true, JobPoll: time.Millisecond, JobKinds: map[string]jobs.Kind{
			"long": {AtOnce: 20, Run: func(ctx context.Context, _ *consent.Job) (time.Duration, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				select {
				case <-stop:
				case <-ctx.Done():
				}
				return 0, nil
			}}}})
	defer s.Close()
	long := jobsOf(a, "long", 1)
	long[0].RunAt = h.clock.now()
	h.enqueue(t, nil, long...)
	for range 300 {
		h.clock.add(time.Minute)
		time.Sleep(time.Millisecond)
	}
	close(stop)
	if most.Load() != 1 {
		t.Errorf("it ran %d times at once", most.Load())
	}
}
