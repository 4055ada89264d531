package service

import (
	"context"
	"maps"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/jobs"
	"github.com/consentd/consentd/internal/webhook"
)

// Recurring jobs of the instance, by their kinds. A kind stays what it is: servers of other versions know it too.
const (
	sweepAnswersJob    = "sweep-answers"
	sweepDeliveriesJob = "sweep-deliveries"
	sweepImportsJob    = "sweep-imports"
	dropDeliveriesJob  = "drop-deliveries" // of a webhook that was removed, which the payload names
)

// sweepEvery is how often what is not needed any more is removed.
const sweepEvery = 10 * time.Minute

// ErrNoJob is said of a job that is not there.
var ErrNoJob = &consent.Error{Kind: consent.NotFound, Msg: "job not found"}

// startJobs begins to run what is due, beside other servers.
func (s *Service) startJobs(o *Options) {
	kinds := map[string]jobs.Kind{
		sweepAnswersJob: {Every: sweepEvery, Run: func(ctx context.Context, _ *consent.Job) (time.Duration, error) {
			return 0, s.DropExpiredRecords(ctx)
		}},
		sweepDeliveriesJob: {Every: sweepEvery, Run: func(ctx context.Context, _ *consent.Job) (time.Duration, error) {
			return 0, s.DropOldDeliveries(ctx)
		}},
		sweepImportsJob: {Every: sweepEvery, Run: func(ctx context.Context, _ *consent.Job) (time.Duration, error) {
			return 0, s.SweepImports(ctx)
		}},
	}
	kinds[dropDeliveriesJob] = jobs.Kind{Run: func(ctx context.Context, j *consent.Job) (time.Duration, error) {
		return 0, s.dropDeliveries(ctx, j)
	}}
	s.sender = webhook.New(webhook.Options{Allow: o.WebhookAllow})
	if s.message, s.delivered = o.Message, o.Delivered; s.delivered == nil {
		s.delivered = func(webhook.Result) {}
	}
	if s.message != nil {
		kinds[webhookJob] = s.webhookKind()
	}
	maps.Copy(kinds, o.JobKinds)
	if o.OnlyServer {
		s.freeJobs()
	}
	s.jobs = jobs.New(jobs.Options{Store: jobStore{s}, Kinds: kinds, Now: s.now, NewID: s.newID, Log: s.log,
		Observe: o.JobRun, PollEvery: o.JobPoll, Lease: o.JobLease})
	s.wakeFeeds = func() {
		s.feeds.hurry()
		s.jobs.Wake()
	}
}

// freeJobs has jobs due at once that a killed server held.
func (s *Service) freeJobs() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	if err := s.store.Update(ctx, consent.NoID, func(tx Tx) error {
		return tx.Append(ctx, &consent.Changes{FreedJobs: s.now()})
	}); err != nil {
		s.log.Warn("jobs of a server that ended could not be freed; they are due when their time is over", "error", err)
	}
}

// jobStore is jobs.Store over the service's.
type jobStore struct{ s *Service }

// AddJobs implements jobs.Store.
func (j jobStore) AddJobs(ctx context.Context, new []consent.Job) error {
	return j.s.store.Update(ctx, owner(new), func(tx Tx) error {
		var lacking []consent.Job
		for i := range new { // most servers find them there, and write nothing
			there, err := tx.Job(ctx, new[i].Key())
			if err != nil {
				return err
			}
			if there == nil {
				lacking = append(lacking, new[i])
			}
		}
		return tx.Append(ctx, &consent.Changes{Jobs: lacking})
	})
}

// owner gives whose some jobs are, which are all of one organization or all the instance's.
func owner(all []consent.Job) consent.ID {
	if len(all) == 0 {
		return consent.NoID
	}
	return all[0].Organization
}

// Job implements jobs.Store.
func (j jobStore) Job(ctx context.Context, of consent.JobKey) (found *consent.Job, err error) {
	err = j.s.store.ViewOnce(ctx, func(r Reader) (err error) {
		found, err = r.Job(ctx, of)
		return err
	})
	return found, err
}

// DueJobs implements jobs.Store.
func (j jobStore) DueJobs(ctx context.Context, after *consent.Job, limit int) (due []consent.Job, err error) {
	err = j.s.store.ViewOnce(ctx, func(r Reader) (err error) {
		due, err = r.DueJobs(ctx, j.s.now(), after, limit)
		return err
	})
	return due, err
}

// ClaimJob implements jobs.Store.
func (j jobStore) ClaimJob(ctx context.Context, claim consent.JobClaim) (held *consent.Job, err error) {
	err = j.s.store.Update(ctx, claim.Organization, func(tx Tx) error {
		if err := tx.Append(ctx, &consent.Changes{JobClaims: []consent.JobClaim{claim}}); err != nil {
			return err
		}
		held, err = tx.Job(ctx, claim.Key())
		return err
	})
	if err != nil || held == nil || held.Holder != claim.Token {
		return nil, err
	}
	return held, nil
}

// EndJob implements jobs.Store.
func (j jobStore) EndJob(ctx context.Context, then consent.HeldJob) (held bool, err error) {
	err = j.s.store.Update(ctx, then.Organization, func(tx Tx) error {
		if err := tx.Append(ctx, &consent.Changes{HeldJobs: []consent.HeldJob{then}}); err != nil || !then.Hold {
			return err
		}
		now, err := tx.Job(ctx, then.JobKey)
		held = now != nil && now.Holder == then.Token
		return err
	})
	return held, err
}

// Jobs lists jobs of the actor's organization (of an operator without one: of the instance) behind an id, in order of
// id; parked: those alone that were given up. Errors: Forbidden.
func (s *Service) Jobs(ctx context.Context, a consent.Actor, parked bool, after consent.ID, limit int) (
	found []consent.Job, err error) {
	if err := s.mayJobs(ctx, a, consent.OrganizationsRead); err != nil {
		return nil, err
	}
	err = s.viewOnce(ctx, func(r Reader) (err error) {
		found, err = r.Jobs(ctx, a.Organization, after, parked, limit)
		return err
	})
	return found, err
}

// mayJobs tells whether an actor has a scope in an organization that there is; an operator may be in none.
func (s *Service) mayJobs(ctx context.Context, a consent.Actor, scope consent.Scope) error {
	if err := a.Require(scope); err != nil || a.Organization == consent.NoID {
		return err
	}
	_, err := s.catalog(ctx, a.Organization)
	return err
}

// RetryJob has a job run at an instant (zero: at once), as if it was never tried. One that runs goes on. The answer to
// keep is rendered from a *Job. Errors: Forbidden, NotFound.
func (s *Service) RetryJob(ctx context.Context, a consent.Actor, id consent.ID, at time.Time,
	idem consent.Idempotency) (*consent.Job, error) {
	if at.IsZero() {
		at = s.now()
	}
	j, err := s.changeJob(ctx, a, id, idem, func(j *consent.Job) consent.Changes {
		j.RunAt = at
		return consent.Changes{RetriedJobs: []consent.Job{*j}}
	})
	if err == nil && s.jobs != nil {
		s.jobs.Wake()
	}
	return j, err
}

// DropJob removes a job for good; one that recurs is made again by the next server that starts. Errors: Forbidden,
// NotFound.
func (s *Service) DropJob(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency) error {
	_, err := s.changeJob(ctx, a, id, idem, func(j *consent.Job) consent.Changes {
		return consent.Changes{DroppedJobs: []consent.JobKey{j.Key()}}
	})
	return err
}

// changeJob gives a job as it is after a change; of one that is dropped, as it was.
func (s *Service) changeJob(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency,
	change func(*consent.Job) consent.Changes) (j *consent.Job, err error) {
	if err := s.mayJobs(ctx, a, consent.OrganizationsWrite); err != nil {
		return nil, err
	}
	err = s.update(ctx, a, idem, func(tx Tx) (any, error) {
		key := consent.JobKey{Organization: a.Organization, ID: id}
		if j, err = tx.Job(ctx, key); err != nil {
			return nil, err
		}
		if j == nil {
			return nil, ErrNoJob
		}
		changes := change(j)
		if err := tx.Append(ctx, &changes); err != nil {
			return nil, err
		}
		now, err := tx.Job(ctx, key)
		if now != nil {
			j = now
		}
		return j, err
	})
	return j, err
}

// JobCounts counts the jobs of each kind, of all organizations.
func (s *Service) JobCounts(ctx context.Context) (counts []consent.JobCount, err error) {
	err = s.viewOnce(ctx, func(r Reader) (err error) {
		counts, err = r.JobCounts(ctx, s.now())
		return err
	})
	return counts, err
}
