-- +goose Up
-- By which decisions are found whose time is over. Most purposes have one duration, so it grows at its end. No look-up
-- by id says that there is an expiry, so that none can take this index for its key.
--
-- The first line is for Citus, as in 0003.
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
CREATE INDEX events_by_expiry ON events (organization_id, expires_at, event_id) WHERE expires_at IS NOT NULL;

-- +goose Down
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
DROP INDEX events_by_expiry;
