-- +goose Up
-- By which decisions are found whose time is over. Most purposes have one duration, so it grows at its end. No look-up
-- by id says that there is an expiry, so that none can take this index for its key.
CREATE INDEX events_by_expiry ON events (organization_id, expires_at, event_id) WHERE expires_at IS NOT NULL;

-- +goose Down
DROP INDEX events_by_expiry;
