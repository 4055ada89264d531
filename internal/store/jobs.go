package store

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const jobColumns = `organization_id, job_id, kind, run_at, attempts, holder, error, created_at, parked_at, payload`

func scanJob(r engine.Row, j *consent.Job) error {
	return r.Scan(&j.Organization, &j.ID, &j.Kind, &j.RunAt, &j.Attempts, &j.Holder, &j.Error, &j.CreatedAt, &j.ParkedAt,
		&j.Payload)
}

// jobsTo gives a function that puts rows into a list.
func jobsTo(jobs *[]consent.Job) func(engine.Row) error {
	return func(r engine.Row) error {
		*jobs = append(*jobs, consent.Job{})
		return scanJob(r, &(*jobs)[len(*jobs)-1])
	}
}

// selectDueJobs begins behind a job that is due, in the order of the index.
const selectDueJobs = `/* select_due_jobs */ SELECT ` + jobColumns + ` FROM jobs
WHERE parked_at IS NULL AND run_at <= $1 AND (run_at, organization_id, job_id) > ($2, $3, $4)
ORDER BY run_at, organization_id, job_id LIMIT $5`

// DueJobs implements service.Reader. It names no organization: it is what finds them, on the instance's own behalf.
func (t *tx) DueJobs(ctx context.Context, now time.Time, after *consent.Job, limit int) (jobs []consent.Job,
	err error) {
	at := after.RunAt
	if at.IsZero() {
		at = time.UnixMicro(0).UTC()
	}
	err = t.conn.SearchPrepared(ctx, selectDueJobs, []any{&now, &at, after.Organization, after.ID, limit}, jobsTo(&jobs))
	return jobs, err
}

const selectJob = `/* select_job */ SELECT ` + jobColumns + ` FROM jobs WHERE organization_id = $1 AND job_id = $2`

// Job implements service.Reader.
func (t *tx) Job(ctx context.Context, of consent.JobKey) (*consent.Job, error) {
	var j consent.Job
	found := false
	err := t.conn.Query(ctx, selectJob, []any{of.Organization, of.ID}, func(r engine.Row) error {
		found = true
		return scanJob(r, &j)
	})
	if err != nil || !found {
		return nil, err
	}
	return &j, nil
}

const selectJobs = `/* select_jobs */ SELECT ` + jobColumns + ` FROM jobs
WHERE organization_id = $1 AND job_id > $2 AND (parked_at IS NOT NULL OR NOT $3) ORDER BY job_id LIMIT $4`

// Jobs implements service.Reader.
func (t *tx) Jobs(ctx context.Context, organization, after consent.ID, parked bool, limit int) (jobs []consent.Job,
	err error) {
	err = t.conn.Query(ctx, selectJobs, []any{organization, after, parked, limit}, jobsTo(&jobs))
	return jobs, err
}

const selectJobCounts = `/* select_job_counts */ SELECT kind,
sum(CASE WHEN parked_at IS NULL AND run_at <= $1 THEN 1 ELSE 0 END),
sum(CASE WHEN parked_at IS NULL THEN 0 ELSE 1 END) FROM jobs GROUP BY kind ORDER BY kind`

// JobCounts implements service.Reader. It goes through all jobs of all organizations.
func (t *tx) JobCounts(ctx context.Context, now time.Time) (counts []consent.JobCount, err error) {
	err = t.conn.SearchPrepared(ctx, selectJobCounts, []any{&now}, func(r engine.Row) error {
		var c consent.JobCount
		err := r.Scan(&c.Kind, &c.Due, &c.Parked)
		counts = append(counts, c)
		return err
	})
	return counts, err
}

const (
	insertJob = `/* insert_job */ INSERT INTO jobs (` + jobColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (organization_id, job_id) DO NOTHING`

	// claimJob takes no job that somebody took since it was read: that one moved run_at.
	claimJob = `/* claim_job */ UPDATE jobs SET holder = $1, run_at = $2, attempts = attempts + 1
WHERE organization_id = $3 AND job_id = $4 AND run_at = $5 AND parked_at IS NULL`

	// moveJob ends an attempt, or holds it longer.
	moveJob = `/* move_job */ UPDATE jobs SET holder = $1, run_at = $2, attempts = $3, error = $4, parked_at = $5
WHERE organization_id = $6 AND job_id = $7 AND holder = $8`

	deleteHeldJob = `/* delete_held_job */ DELETE FROM jobs
WHERE organization_id = $1 AND job_id = $2 AND holder = $3`

	// retryJob leaves alone what somebody runs.
	retryJob = `/* retry_job */ UPDATE jobs SET run_at = $1, attempts = 0, parked_at = NULL
WHERE organization_id = $2 AND job_id = $3 AND holder IS NULL`

	// freeJobs leaves the attempts: what ends a server again and again is to wait longer each time.
	freeJobs = `/* free_jobs */ UPDATE jobs SET holder = NULL, run_at = $1 WHERE holder IS NOT NULL`

	dropJob = `/* drop_job */ DELETE FROM jobs WHERE organization_id = $1 AND job_id = $2`
)

func (t *tx) appendJobs(ctx context.Context, c *consent.Changes) error {
	if !c.FreedJobs.IsZero() {
		if err := t.conn.Query(ctx, freeJobs, []any{&c.FreedJobs}, nil); err != nil {
			return err
		}
	}
	if err := insert(ctx, t.conn, insertJob, c.Jobs, func(j *consent.Job, args []any) []any {
		return append(args, &j.Organization, &j.ID, j.Kind, &j.RunAt, j.Attempts, (*engine.OptionalID)(&j.Holder), j.Error,
			&j.CreatedAt, &j.ParkedAt, sealed(j.Payload))
	}); err != nil {
		return err
	}
	if err := insert(ctx, t.conn, claimJob, c.JobClaims, func(j *consent.JobClaim, args []any) []any {
		return append(args, &j.Token, &j.Until, &j.Organization, &j.ID, &j.RunAt)
	}); err != nil {
		return err
	}
	if err := t.appendHeldJobs(ctx, c.HeldJobs); err != nil {
		return err
	}
	if err := insert(ctx, t.conn, retryJob, c.RetriedJobs, func(j *consent.Job, args []any) []any {
		return append(args, &j.RunAt, &j.Organization, &j.ID)
	}); err != nil {
		return err
	}
	return insert(ctx, t.conn, dropJob, c.DroppedJobs, func(j *consent.JobKey, args []any) []any {
		return append(args, &j.Organization, &j.ID)
	})
}

func (t *tx) appendHeldJobs(ctx context.Context, held []consent.HeldJob) error {
	var done, moved []consent.HeldJob
	for _, j := range held {
		if j.Done {
			done = append(done, j)
		} else {
			moved = append(moved, j)
		}
	}
	if err := insert(ctx, t.conn, deleteHeldJob, done, func(j *consent.HeldJob, args []any) []any {
		return append(args, &j.Organization, &j.ID, &j.Token)
	}); err != nil {
		return err
	}
	return insert(ctx, t.conn, moveJob, moved, func(j *consent.HeldJob, args []any) []any {
		var holder consent.ID
		var parked time.Time
		if j.Hold {
			holder = j.Token
		}
		if j.Park {
			parked = j.RunAt
		}
		return append(args, (*engine.OptionalID)(&holder), &j.RunAt, j.Attempts, j.Error, &parked, &j.Organization, &j.ID,
			&j.Token)
	})
}
