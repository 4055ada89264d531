-- +goose Up
-- A move from a data folder (consentd migrate-store). It has one row, of the organization of all zeros: each transaction
-- of the move locks it, and until it has ended, no server starts.
CREATE TABLE store_moves (
    organization_id  UUID NOT NULL,
    source           BYTEA NOT NULL,
    source_state     BYTEA NOT NULL,
    rows_moved       BIGINT NOT NULL,
    began_at         TIMESTAMPTZ NOT NULL,
    ended_at         TIMESTAMPTZ,
    PRIMARY KEY (organization_id)
);

-- +goose Down
DROP TABLE store_moves;
