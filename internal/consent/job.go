package consent

import "time"

// Job is work that is due at a time: whatever server finds it then does it. One that is due again and again has an id
// that its kind gives (RecurringJob), and so is there once.
type Job struct {
	Organization ID // NoID: the instance's own
	ID           ID
	Kind         string    // says what is to be done
	Payload      []byte    // what it is about, in its kind's words; never anything about a person
	RunAt        time.Time // when it is due; of one that is held: when it is due again, unless its holder ends it
	Attempts     int       // how often it was begun since it last went well
	Holder       ID        // the token of whoever runs it; NoID: nobody does
	Error        string    // what the last attempt failed with
	CreatedAt    time.Time
	ParkedAt     time.Time // when it was given up; zero: it was not
}

// JobKey names a job.
type JobKey struct{ Organization, ID ID }

// Key gives the job's.
func (j *Job) Key() JobKey { return JobKey{j.Organization, j.ID} }

// RecurringJob gives the job of a kind of the instance's own that is due again and again. A kind has 1 to 16 bytes, so
// that it is the id.
func RecurringJob(kind string, at time.Time) Job {
	j := Job{Kind: kind, RunAt: at, CreatedAt: at}
	if kind == "" || copy(j.ID[:], kind) != len(kind) {
		panic("consent: the kind of a recurring job has 1 to 16 bytes")
	}
	return j
}

// JobClaim has a job held from its RunAt on, as it was read, until another time: whoever claims it meanwhile does not
// get it.
type JobClaim struct {
	Job
	Token ID
	Until time.Time
}

// HeldJob is what becomes of a job that somebody holds. Nothing is written where somebody else does by now.
type HeldJob struct {
	JobKey
	Token ID
	// Done removes it. Else it is due at RunAt, held until then where Hold is set, or parked.
	Done, Hold, Park bool
	RunAt            time.Time
	Attempts         int
	Error            string
}

// JobCount is how many jobs of a kind there are that are due, and parked.
type JobCount struct {
	Kind        string
	Due, Parked int64
}
