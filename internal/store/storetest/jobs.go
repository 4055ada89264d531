package storetest

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func (f *fixture) job(of consent.JobKey) (j *consent.Job) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		j, err = r.Job(ctx, of)
		return err
	})
	return j
}

func (f *fixture) jobs(o, after consent.ID, parked bool, limit int) (all []consent.Job) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		all, err = r.Jobs(ctx, o, after, parked, limit)
		return err
	})
	return all
}

// due pages through what is due.
func (f *fixture) due(now time.Time, limit int) (all []consent.Job) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) error {
		after := &consent.Job{}
		for {
			some, err := r.DueJobs(ctx, now, after, limit)
			all = append(all, some...)
			if err != nil || len(some) < limit {
				return err
			}
			after = &some[len(some)-1]
		}
	})
	return all
}

func (f *fixture) newJob(o consent.ID, at time.Time) consent.Job {
	return consent.Job{Organization: o, ID: f.id(), Kind: "tidy é", RunAt: at, CreatedAt: noon, Payload: []byte{0, 255}}
}

// testJobs: jobs of organizations and of the instance are found when they are due, in order, in pages.
func testJobs(f *fixture) {
	a, b := f.organization(), f.organization()
	same(f, "at birth", f.due(noon, 10), []consent.Job{})
	late, early, other := f.newJob(a, noon), f.newJob(a, noon.Add(-time.Hour)), f.newJob(b, noon)
	future := f.newJob(a, noon.Add(time.Microsecond))
	own := consent.RecurringJob("sweep", noon)
	own.Payload = []byte{}
	f.append(consent.Changes{Jobs: []consent.Job{late, early, future}})
	f.append(consent.Changes{Jobs: []consent.Job{other}})
	f.append(consent.Changes{Jobs: []consent.Job{own}})
	for limit := 1; limit < 6; limit++ {
		same(f, "due", f.due(noon, limit), []consent.Job{early, own, late, other})
	}
	again := own
	again.RunAt, again.Kind = noon.Add(time.Hour), "another"
	f.append(consent.Changes{Jobs: []consent.Job{again}})
	same(f, "one that is there already", *f.job(own.Key()), own)
	same(f, "of one organization", f.jobs(a, consent.NoID, false, 10), []consent.Job{late, early, future})
	same(f, "a page of it", f.jobs(a, late.ID, false, 1), []consent.Job{early})
	same(f, "of another", f.jobs(b, consent.NoID, false, 10), []consent.Job{other})
	if j := f.job(consent.JobKey{Organization: b, ID: late.ID}); j != nil {
		f.Errorf("another organization has %v", j)
	}
	f.append(consent.Changes{DroppedJobs: []consent.JobKey{{Organization: b, ID: late.ID}, late.Key()}})
	same(f, "after one was dropped", f.due(noon, 10), []consent.Job{early, own, other})
}

// testHeldJobs: of two who claim a job one gets it, whoever lost it changes nothing, and it is due again when its
// holder is not heard of any more.
func testHeldJobs(f *fixture) {
	a := f.organization()
	j := f.newJob(a, noon)
	f.append(consent.Changes{Jobs: []consent.Job{j}})
	first, second := f.id(), f.id()
	claim := func(j consent.Job, by consent.ID, until time.Time) {
		f.append(consent.Changes{JobClaims: []consent.JobClaim{{Job: j, Token: by, Until: until}}})
	}
	claim(j, first, noon.Add(time.Minute))
	claim(j, second, noon.Add(2*time.Minute))
	held := j
	held.Holder, held.RunAt, held.Attempts = first, noon.Add(time.Minute), 1
	same(f, "claimed twice", *f.job(j.Key()), held)
	same(f, "due while it is held", f.due(noon, 10), []consent.Job{})
	ends := func(by consent.ID, then consent.HeldJob) {
		then.JobKey, then.Token = j.Key(), by
		f.append(consent.Changes{HeldJobs: []consent.HeldJob{then}})
	}
	for _, then := range []consent.HeldJob{{Done: true}, {Park: true, RunAt: noon}, {RunAt: noon, Error: "mine"},
		{Hold: true, RunAt: noon}} {
		ends(second, then)
	}
	f.append(consent.Changes{RetriedJobs: []consent.Job{j}})
	same(f, "after another ended it", *f.job(j.Key()), held)
	ends(first, consent.HeldJob{Hold: true, RunAt: noon.Add(3 * time.Minute), Attempts: 1})
	held.RunAt = noon.Add(3 * time.Minute)
	same(f, "held longer", f.due(noon.Add(3*time.Minute), 10), []consent.Job{held})

	claim(held, second, noon.Add(5*time.Minute))
	ends(first, consent.HeldJob{Done: true})
	held.Holder, held.RunAt, held.Attempts = second, noon.Add(5*time.Minute), 2
	same(f, "taken over", *f.job(j.Key()), held)
	ends(second, consent.HeldJob{RunAt: noon.Add(time.Hour), Attempts: 2, Error: "é failed"})
	free := held
	free.Holder, free.RunAt, free.Error = consent.NoID, noon.Add(time.Hour), "é failed"
	same(f, "to be tried again", *f.job(j.Key()), free)

	claim(free, first, noon.Add(2*time.Hour))
	ends(first, consent.HeldJob{Park: true, RunAt: noon.Add(90 * time.Minute), Attempts: 3, Error: "for good"})
	parked := free
	parked.RunAt, parked.ParkedAt = noon.Add(90*time.Minute), noon.Add(90*time.Minute)
	parked.Attempts, parked.Error = 3, "for good"
	same(f, "parked", f.jobs(a, consent.NoID, true, 10), []consent.Job{parked})
	same(f, "due while parked", f.due(noon.Add(24*time.Hour), 10), []consent.Job{})
	claim(parked, second, noon.Add(time.Hour))
	same(f, "claimed while parked", *f.job(j.Key()), parked)
	f.append(consent.Changes{Jobs: []consent.Job{f.newJob(a, noon.Add(48*time.Hour)), f.newJob(a, noon)}})
	same(f, "parked among others", f.jobs(a, consent.NoID, true, 10), []consent.Job{parked})
	f.view(func(ctx context.Context, r service.Reader) error {
		counts, err := r.JobCounts(ctx, noon.Add(time.Hour))
		same(f, "counts", counts, []consent.JobCount{{Kind: j.Kind, Due: 1, Parked: 1}})
		return err
	})
	parked.RunAt = noon
	f.append(consent.Changes{RetriedJobs: []consent.Job{parked}})
	parked.ParkedAt, parked.Attempts = time.Time{}, 0
	same(f, "tried again", *f.job(j.Key()), parked)
	claim(parked, first, noon.Add(time.Hour))
	if !f.store.Shared() {
		f.append(consent.Changes{FreedJobs: noon.Add(-time.Hour)})
		freed := parked
		freed.RunAt, freed.Attempts = noon.Add(-time.Hour), 1
		same(f, "freed", *f.job(j.Key()), freed)
		claim(freed, first, noon.Add(time.Hour))
	}
	ends(first, consent.HeldJob{Done: true})
	if left := f.job(j.Key()); left != nil {
		f.Errorf("what was done is left: %v", left)
	}
}

// testExpiries: decisions are found by when their time is over, each once, of one organization.
func testExpiries(f *fixture) {
	a, b := f.organization(), f.organization()
	record := func(o consent.ID, at time.Time) consent.Expiry {
		e := f.event(o, f.subject(o), 1, 1, func(e *consent.Event) { e.ExpiresAt = at })
		f.append(consent.Changes{Events: []consent.Event{e}})
		return consent.Expiry{At: at, Event: e.ID, Sequence: e.Sequence, Consent: consent.ConsentKey{Organization: o,
			Subject: e.Subject, Project: e.Project, Purpose: e.Purpose}}
	}
	late, first, second := record(a, noon.Add(time.Hour)), record(a, noon), record(a, noon)
	record(a, time.Time{})
	record(b, noon)
	f.view(func(ctx context.Context, r service.Reader) error {
		var all []consent.Expiry
		for after := (consent.Expiry{At: noon.Add(-time.Microsecond)}); ; {
			some, err := r.Expiries(ctx, a, after, noon.Add(time.Minute), 1)
			if err != nil {
				return err
			}
			if len(some) == 0 {
				break
			}
			all, after = append(all, some[0]), some[0]
		}
		same(f, "expired", all, []consent.Expiry{first, second})
		for at, want := range map[[2]time.Time]bool{{noon, late.At}: true, {noon, late.At.Add(-time.Microsecond)}: false,
			{late.At, late.At.AddDate(9, 0, 0)}: false, {noon.Add(-time.Microsecond), noon}: true} {
			any, err := r.AnyExpiry(ctx, a, at[0], at[1])
			if err != nil {
				return err
			}
			same(f, at[0].String()+" to "+at[1].String(), any, want)
		}
		return nil
	})
}
