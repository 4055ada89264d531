-- +goose Up
-- The tables of migrations/sqlite. A webhook's row is changed at every step through the ledger: room is left in each
-- page, and no index is on what changes.
CREATE TABLE webhooks (
    organization_id  UUID NOT NULL,
    webhook_id       UUID NOT NULL,
    url              TEXT NOT NULL,
    events           TEXT NOT NULL,
    description      TEXT NOT NULL,
    disabled         TEXT COLLATE "C" NOT NULL,
    secret_sealed    BYTEA NOT NULL,
    previous_sealed  BYTEA,
    previous_until   TIMESTAMPTZ,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    revision         INTEGER NOT NULL,
    sequence         BIGINT NOT NULL,
    last_event_id    UUID,
    expired_at       TIMESTAMPTZ NOT NULL,
    expired_event_id UUID,
    next_expiry      TIMESTAMPTZ,
    failing_since    TIMESTAMPTZ,
    PRIMARY KEY (organization_id, webhook_id)
) WITH (fillfactor = 50);

CREATE TABLE webhook_deliveries (
    organization_id  UUID NOT NULL,
    webhook_id       UUID NOT NULL,
    delivery_id      UUID NOT NULL,
    type             TEXT NOT NULL,
    entry_id         UUID,
    sequence         BIGINT NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    attempts         INTEGER NOT NULL,
    next_try_at      TIMESTAMPTZ,
    state            SMALLINT NOT NULL,
    status           INTEGER NOT NULL,
    error            TEXT NOT NULL,
    took             BIGINT NOT NULL,
    tried_at         TIMESTAMPTZ,
    PRIMARY KEY (organization_id, webhook_id, delivery_id)
);

-- They begin with the organization (see 0003_indexes), but only a statement about what they hold can use them.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (organization_id, webhook_id, next_try_at)
WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (organization_id, created_at) WHERE next_try_at IS NULL;
CREATE INDEX webhook_deliveries_parked ON webhook_deliveries (organization_id, delivery_id) WHERE state = 2;

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
