-- +goose Up
-- Work that is due at a time. Whoever runs a job holds it by a token (holder) until run_at, when it is due again. What
-- failed for good is parked. The organization of the instance's own jobs is all zeros.
CREATE TABLE jobs (
    organization_id UUID NOT NULL,
    job_id          UUID NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    run_at          TIMESTAMPTZ NOT NULL,
    attempts        INTEGER NOT NULL,
    holder          UUID,
    error           TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    parked_at       TIMESTAMPTZ,
    payload         BYTEA NOT NULL,
    PRIMARY KEY (organization_id, job_id)
);

CREATE INDEX jobs_due ON jobs (run_at, organization_id, job_id) WHERE parked_at IS NULL;

-- +goose Down
DROP TABLE jobs;
