-- +goose Up
-- Who is told of what happens. The ledger is the queue: each webhook has a place in it. disabled is why it is told
-- nothing, empty while it is told.
CREATE TABLE webhooks (
    organization_id  BLOB NOT NULL,
    webhook_id       BLOB NOT NULL,
    url              TEXT NOT NULL,
    events           TEXT NOT NULL,
    description      TEXT NOT NULL,
    disabled         TEXT NOT NULL,
    secret_sealed    BLOB NOT NULL,
    previous_sealed  BLOB,
    previous_until   INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    revision         INTEGER NOT NULL,
    sequence         INTEGER NOT NULL,
    last_event_id    BLOB,
    expired_at       INTEGER NOT NULL,
    expired_event_id BLOB,
    next_expiry      INTEGER,
    failing_since    INTEGER,
    PRIMARY KEY (organization_id, webhook_id)
) STRICT, WITHOUT ROWID;

-- Messages that were tried, or are to be; nothing of what they say. A time of the next try: it is to be tried.
CREATE TABLE webhook_deliveries (
    organization_id BLOB NOT NULL,
    webhook_id      BLOB NOT NULL,
    delivery_id     BLOB NOT NULL,
    type            TEXT NOT NULL,
    entry_id        BLOB,
    sequence        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    next_try_at     INTEGER,
    state           INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    error           TEXT NOT NULL,
    took            INTEGER NOT NULL,
    tried_at        INTEGER,
    PRIMARY KEY (organization_id, webhook_id, delivery_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (organization_id, webhook_id, next_try_at)
WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (organization_id, created_at) WHERE next_try_at IS NULL;
CREATE INDEX webhook_deliveries_parked ON webhook_deliveries (organization_id, delivery_id) WHERE state = 2;

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
