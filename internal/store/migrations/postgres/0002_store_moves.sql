-- +goose Up
-- How far a move from a data folder has come (consentd migrate-store): of each organization, the table that it is at
-- and the key of the last row that is here. A page of rows and this row are one transaction, on one node of Citus.
-- The organization of all zeros stands for the move itself: while it has not ended, no server starts.
CREATE TABLE store_moves (
    organization_id  UUID NOT NULL,
    source           BYTEA NOT NULL,
    source_state     BYTEA NOT NULL,
    table_name       TEXT NOT NULL,
    last_key         BYTEA NOT NULL,
    rows_moved       BIGINT NOT NULL,
    began_at         TIMESTAMPTZ NOT NULL,
    ended_at         TIMESTAMPTZ,
    PRIMARY KEY (organization_id)
);

-- +goose Down
DROP TABLE store_moves;
