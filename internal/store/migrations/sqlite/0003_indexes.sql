-- +goose Up
-- Indexes that PostgreSQL's planner took for the wrong look-ups. SQLite takes the one that covers most: nothing to do.
SELECT 1;

-- +goose Down
SELECT 1;
