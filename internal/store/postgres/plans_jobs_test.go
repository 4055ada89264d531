package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// readJobs asks for jobs as a server and its operator do.
func (p *people) readJobs(ctx context.Context, r service.Reader) error {
	found, err := r.Jobs(ctx, p.organization, consent.NoID, false, 10)
	if err == nil && len(found) == 0 {
		err = errors.New("there are no jobs")
	}
	_, err2 := r.Jobs(ctx, p.organization, consent.NoID, true, 10)
	_, err3 := r.Job(ctx, consent.JobKey{Organization: p.organization, ID: p.organization})
	_, err4 := r.DueJobs(ctx, time.Now(), &consent.Job{}, 10)
	_, err5 := r.JobCounts(ctx, time.Now())
	expired, err6 := r.Expiries(ctx, p.organization, consent.Expiry{At: time.Unix(0, 0)}, time.Now().Add(time.Minute), 10)
	if err6 == nil && len(expired) == 0 {
		err6 = errors.New("nothing expires")
	}
	_, err7 := r.AnyExpiry(ctx, p.organization, time.Now(), time.Now().AddDate(1, 0, 0))
	return errors.Join(err, err2, err3, err4, err5, err6, err7)
}

// worked are jobs, one for each person, that are held, held longer, ended, tried again and dropped.
func (p *people) worked() (c consent.Changes) {
	now := time.Now()
	for range p.subjects {
		j := consent.Job{Organization: p.organization, ID: consent.ID(uuid.Must(uuid.NewV7())), Kind: "tidy", RunAt: now,
			CreatedAt: now}
		c.Jobs = append(c.Jobs, j)
		c.JobClaims = append(c.JobClaims, consent.JobClaim{Job: j, Token: j.ID, Until: now})
		c.HeldJobs = append(c.HeldJobs, consent.HeldJob{JobKey: j.Key(), Token: j.ID, Hold: true, RunAt: now},
			consent.HeldJob{JobKey: j.Key(), Token: p.organization, Done: true})
		c.RetriedJobs = append(c.RetriedJobs, j)
		c.DroppedJobs = append(c.DroppedJobs, j.Key())
	}
	return c
}
