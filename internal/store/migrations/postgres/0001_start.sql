-- +goose Up
-- The tables of migrations/sqlite, in PostgreSQL's types. Every tenant table leads with organization_id and every
-- statement names it, so that Citus can shard them by organization. What is ordered or indexed has the collation "C":
-- the same order as in SQLite, and one that no upgrade of the operating system changes.
CREATE TABLE organizations (
    organization_id  UUID NOT NULL,
    name             TEXT NOT NULL,
    slug             TEXT COLLATE "C" NOT NULL,
    primary_domain   TEXT NOT NULL,
    status           TEXT NOT NULL,
    test             BOOLEAN NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    details          TEXT NOT NULL,
    PRIMARY KEY (organization_id)
);

-- Looked up without an organization, so a table of its own.
CREATE TABLE slugs (
    slug             TEXT COLLATE "C" NOT NULL,
    organization_id  UUID NOT NULL,
    PRIMARY KEY (slug)
);

CREATE TABLE projects (
    organization_id  UUID NOT NULL,
    project_no       INTEGER NOT NULL,
    project_id       UUID NOT NULL,
    name             TEXT NOT NULL,
    slug             TEXT COLLATE "C" NOT NULL,
    whole_address    BOOLEAN NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    details          TEXT NOT NULL,
    PRIMARY KEY (organization_id, project_no),
    UNIQUE (organization_id, project_id),
    UNIQUE (organization_id, slug),
    FOREIGN KEY (organization_id) REFERENCES organizations (organization_id)
);

CREATE TABLE purposes (
    organization_id  UUID NOT NULL,
    project_no       INTEGER NOT NULL,
    purpose_no       INTEGER NOT NULL,
    purpose_id       UUID NOT NULL,
    purpose_key      TEXT COLLATE "C" NOT NULL,
    category         TEXT COLLATE "C" NOT NULL,
    subcategory      TEXT COLLATE "C" NOT NULL,
    label            TEXT COLLATE "C" NOT NULL,
    version          INTEGER NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT NOT NULL,
    url              TEXT NOT NULL,
    legal_basis      TEXT NOT NULL,
    document_hash    BYTEA,
    texts_hash       BYTEA,
    read_only        BOOLEAN NOT NULL,
    valid_states     TEXT NOT NULL,
    status           TEXT NOT NULL,
    duration         TEXT NOT NULL,
    required         BOOLEAN NOT NULL,
    require_reaccept BOOLEAN NOT NULL,
    held_from        TIMESTAMPTZ NOT NULL,
    revision         INTEGER NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id, project_no, purpose_no),
    UNIQUE (organization_id, project_no, purpose_key),
    UNIQUE (organization_id, project_no, category, subcategory, label),
    FOREIGN KEY (organization_id, project_no) REFERENCES projects (organization_id, project_no)
);

-- Versions of purposes before the current one. Each held until the next one did.
CREATE TABLE purpose_versions (
    organization_id  UUID NOT NULL,
    project_no       INTEGER NOT NULL,
    purpose_no       INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT NOT NULL,
    url              TEXT NOT NULL,
    legal_basis      TEXT NOT NULL,
    document_hash    BYTEA,
    texts_hash       BYTEA,
    require_reaccept BOOLEAN NOT NULL,
    held_from        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id, project_no, purpose_no, version),
    FOREIGN KEY (organization_id, project_no, purpose_no) REFERENCES purposes (organization_id, project_no, purpose_no)
);

-- Only a SHA-256 of a key's secret is kept. The organization of the root key is all zeros.
CREATE TABLE api_keys (
    organization_id  UUID NOT NULL,
    key_id           UUID NOT NULL,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    secret_hash      BYTEA NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ,
    revoked_at       TIMESTAMPTZ,
    PRIMARY KEY (organization_id, key_id)
);

-- Of the instance, not of a tenant. The row of the empty name is what transactions of the instance lock.
CREATE TABLE instance_secrets (
    name             TEXT COLLATE "C" NOT NULL,
    value            BYTEA NOT NULL,
    PRIMARY KEY (name)
);

INSERT INTO instance_secrets (name, value) VALUES ('', '');

-- Texts that several people were shown, and those of purposes, once by their SHA-256.
CREATE TABLE texts (
    organization_id  UUID NOT NULL,
    hash             BYTEA NOT NULL,
    text             TEXT NOT NULL,
    PRIMARY KEY (organization_id, hash)
);

-- Texts that one person alone was shown, encrypted by the person's key: they go when the person is erased.
CREATE TABLE subject_texts (
    organization_id  UUID NOT NULL,
    hash             BYTEA NOT NULL,
    subject_id       UUID NOT NULL,
    text_sealed      BYTEA NOT NULL,
    PRIMARY KEY (organization_id, hash, subject_id)
);
-- Not organization first, lest it be taken for what the key is for.
CREATE INDEX subject_texts_by_subject ON subject_texts (subject_id, organization_id);

-- data is searched without regard to case, in the letters of every language: hence its collation.
-- Of who was erased the id is left, with when that was, its entry in the ledger, how many events it took, and whether
-- the identifiers were suppressed.
CREATE TABLE subjects (
    organization_id  UUID NOT NULL,
    subject_id       UUID NOT NULL,
    type             TEXT NOT NULL,
    merged_into      UUID,
    created_at       TIMESTAMPTZ NOT NULL,
    version          INTEGER NOT NULL,
    changed_at       TIMESTAMPTZ NOT NULL,
    changed_by       UUID NOT NULL,
    data             BYTEA,
    profile          BYTEA,
    erased_at        TIMESTAMPTZ,
    erased_sequence  BIGINT,
    erased_events    BIGINT,
    erased_suppress  BOOLEAN,
    PRIMARY KEY (organization_id, subject_id)
);

-- By which a journal of erasures is kept up with.
CREATE INDEX subjects_erased ON subjects (erased_at, organization_id, subject_id) WHERE erased_at IS NOT NULL;

CREATE TABLE subject_archive (
    organization_id  UUID NOT NULL,
    subject_id       UUID NOT NULL,
    version          INTEGER NOT NULL,
    changed_at       TIMESTAMPTZ NOT NULL,
    changed_by       UUID NOT NULL,
    data             BYTEA,
    profile          BYTEA,
    PRIMARY KEY (organization_id, subject_id, version),
    FOREIGN KEY (organization_id, subject_id) REFERENCES subjects (organization_id, subject_id) ON DELETE CASCADE
);

-- Who has an identifier, which is found by a keyed hash and shown by decrypting value_sealed. origin_id is whose it was before merges gave it to that one; NULL: it was never another's.
CREATE TABLE identifiers (
    organization_id  UUID NOT NULL,
    kind             TEXT COLLATE "C" NOT NULL,
    project_no       INTEGER NOT NULL,
    value_index      BYTEA NOT NULL,
    subject_id       UUID NOT NULL,
    origin_id        UUID,
    value_sealed     BYTEA NOT NULL,
    PRIMARY KEY (organization_id, kind, project_no, value_index)
);

-- Subjects are made in order of time, so this index grows at its end.
CREATE INDEX identifiers_of_subject ON identifiers (organization_id, subject_id);

-- Who named an identifier that is somebody else's: a no of theirs is heard where it is asked about. origin_id named it,
-- and subject_id is who that one turned out to be.
CREATE TABLE identifier_claims (
    organization_id  UUID NOT NULL,
    kind             TEXT COLLATE "C" NOT NULL,
    project_no       INTEGER NOT NULL,
    value_index      BYTEA NOT NULL,
    origin_id        UUID NOT NULL,
    subject_id       UUID NOT NULL,
    PRIMARY KEY (organization_id, kind, project_no, value_index, origin_id)
);

CREATE INDEX identifier_claims_of_subject ON identifier_claims (organization_id, subject_id);

-- Who turned out to be somebody else, by whom it was recorded first; one that was undone stays on record.
CREATE TABLE subject_merges (
    organization_id  UUID NOT NULL,
    into_id          UUID NOT NULL,
    from_id          UUID NOT NULL,
    merge_no         BIGINT NOT NULL,
    merged_at        TIMESTAMPTZ NOT NULL,
    recorded_at      TIMESTAMPTZ NOT NULL,
    after_sequence   BIGINT NOT NULL,
    undone_at        TIMESTAMPTZ,
    undone_after     BIGINT,
    PRIMARY KEY (organization_id, into_id, from_id, merge_no)
);

-- The ledger. No random index: a subject's timeline is a chain, from consents.last_event_id through
-- previous_id. body and ident are canonical JSON (RFC 8785), kept byte for byte. Ids begin with the time, so a range of
-- them is a month; the server makes the partitions.
CREATE TABLE events (
    organization_id  UUID NOT NULL,
    event_id         UUID NOT NULL,
    sequence         BIGINT NOT NULL,
    subject_id       UUID NOT NULL,
    project_no       INTEGER NOT NULL,
    purpose_no       INTEGER NOT NULL,
    purpose_version  INTEGER NOT NULL,
    state            SMALLINT NOT NULL,
    action           SMALLINT NOT NULL,
    weight           SMALLINT NOT NULL,
    grants           BOOLEAN NOT NULL,
    occurred_at      TIMESTAMPTZ NOT NULL,
    recorded_at      TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ,
    previous_id      UUID,
    key_id           UUID NOT NULL,
    domain           TEXT NOT NULL,
    country          TEXT NOT NULL,
    protocol         TEXT NOT NULL,
    body             BYTEA NOT NULL,
    ident            BYTEA NOT NULL,
    PRIMARY KEY (organization_id, event_id)
) PARTITION BY RANGE (event_id);

-- The entries of the ledger that are no decisions, in one line with the events by id and sequence. subject_id says with
-- whose secret an entry is committed; all zeros: with the organization's own. Of what was recorded about somebody who
-- was erased the leaf stays, with the sequence of the erasure that took it, and nothing else.
CREATE TABLE ledger_entries (
    organization_id  UUID NOT NULL,
    event_id         UUID NOT NULL,
    sequence         BIGINT NOT NULL,
    kind             SMALLINT NOT NULL,
    recorded_at      TIMESTAMPTZ NOT NULL,
    subject_id       UUID,
    leaf             BYTEA,
    body             BYTEA,
    ident            BYTEA,
    erased_by        BIGINT,
    PRIMARY KEY (organization_id, event_id)
);

CREATE INDEX ledger_entries_of_subject ON ledger_entries (organization_id, subject_id) WHERE leaf IS NULL;

-- For lists by when events occurred. Most are recorded as they occur, so it grows at its end, as the events do.
CREATE INDEX events_by_time ON events (organization_id, occurred_at, event_id, project_no);

-- A fold of the events, kept so that a question costs one look-up. No other index: an update stays in its page.
CREATE TABLE consents (
    organization_id  UUID NOT NULL,
    subject_id       UUID NOT NULL,
    project_no       INTEGER NOT NULL,
    purpose_no       INTEGER NOT NULL,
    event_id         UUID NOT NULL,
    last_event_id    UUID,
    purpose_version  INTEGER NOT NULL,
    state            SMALLINT NOT NULL,
    weight           SMALLINT NOT NULL,
    grants           BOOLEAN NOT NULL,
    active           BOOLEAN NOT NULL,
    occurred_at      TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ,
    since            TIMESTAMPTZ,
    PRIMARY KEY (organization_id, subject_id, project_no, purpose_no)
) WITH (fillfactor = 80);

-- Of whom nothing may be used but what they ask for (GDPR Art. 18), since when, and by which entry of the ledger. Few
-- are, so that looking here costs a check little.
CREATE TABLE restrictions (
    organization_id  UUID NOT NULL,
    subject_id       UUID NOT NULL,
    restricted_at    TIMESTAMPTZ NOT NULL,
    sequence         BIGINT NOT NULL,
    PRIMARY KEY (organization_id, subject_id)
);

-- Of identifiers whose person was erased and wants no more: a keyed hash, and nothing that tells whose.
CREATE TABLE suppressions (
    organization_id  UUID NOT NULL,
    hash             BYTEA NOT NULL,
    suppressed_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id, hash)
);

-- Where a ledger ends: its last entry, and the right edge of the tree over all entries (NULL: there is none). suppressed
-- is how many suppressions there are, since every batch reads this row anyway.
CREATE TABLE ledger_heads (
    organization_id  UUID NOT NULL,
    sequence         BIGINT NOT NULL,
    last_event_id    UUID,
    tree             BYTEA,
    suppressed       BIGINT,
    PRIMARY KEY (organization_id),
    FOREIGN KEY (organization_id) REFERENCES organizations (organization_id)
) WITH (fillfactor = 50);

-- What a subject's entries of the ledger are committed with, encrypted by a key that is not in here. It stays when the
-- subject's record is removed: only with it anybody can tell what the entries commit to.
CREATE TABLE subject_keys (
    organization_id  UUID NOT NULL,
    subject_id       UUID NOT NULL,
    wrapped_key      BYTEA NOT NULL,
    PRIMARY KEY (organization_id, subject_id)
);

-- The complete rows of the tree: 32 hashes each, which never change.
CREATE TABLE ledger_rows (
    organization_id  UUID NOT NULL,
    level            INTEGER NOT NULL,
    number           BIGINT NOT NULL,
    hashes           BYTEA NOT NULL,
    PRIMARY KEY (organization_id, level, number)
);

-- The newest signed checkpoint of each ledger: it covers size entries, of which last_event_id is the last, and tree is
-- the right edge of the tree over them.
CREATE TABLE ledger_checkpoints (
    organization_id  UUID NOT NULL,
    size             BIGINT NOT NULL,
    last_event_id    UUID NOT NULL,
    tree             BYTEA NOT NULL,
    note             BYTEA NOT NULL,
    key_id           BIGINT NOT NULL,
    signed_at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id)
) WITH (fillfactor = 50);

-- By which keys checkpoints are verified, each from the first size that it signed on.
CREATE TABLE ledger_keys (
    organization_id  UUID NOT NULL,
    from_size        BIGINT NOT NULL,
    verifier_key     TEXT NOT NULL,
    signed_from      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id, from_size)
);

-- The newest cosignature that each witness gave of a checkpoint: note is that one as the ledger's key signed it, and
-- cosignature the witness's line.
CREATE TABLE ledger_cosignatures (
    organization_id  UUID NOT NULL,
    witness          TEXT COLLATE "C" NOT NULL,
    size             BIGINT NOT NULL,
    note             BYTEA NOT NULL,
    cosignature      BYTEA NOT NULL,
    cosigned_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id, witness)
) WITH (fillfactor = 50);

CREATE TABLE counts (
    organization_id  UUID NOT NULL,
    name             TEXT COLLATE "C" NOT NULL,
    amount           BIGINT NOT NULL,
    PRIMARY KEY (organization_id, name)
) WITH (fillfactor = 50);

-- Answers to writes that carried an Idempotency-Key, encrypted by the caller's credential. about are the ids of the
-- subjects that one tells of, behind each other; when one of them is erased, what is sealed goes, and the rest stays.
CREATE TABLE kept_answers (
    organization_id  UUID NOT NULL,
    key_id           UUID NOT NULL,
    hash             BYTEA NOT NULL,
    fingerprint      BYTEA NOT NULL,
    sealed           BYTEA NOT NULL,
    expires_at       TIMESTAMPTZ NOT NULL,
    about            BYTEA,
    PRIMARY KEY (organization_id, key_id, hash)
);

CREATE INDEX kept_answers_by_expiry ON kept_answers (expires_at, organization_id);

-- +goose Down
DROP TABLE kept_answers;
DROP TABLE counts;
DROP TABLE ledger_cosignatures;
DROP TABLE ledger_keys;
DROP TABLE ledger_checkpoints;
DROP TABLE ledger_rows;
DROP TABLE subject_keys;
DROP TABLE ledger_heads;
DROP TABLE suppressions;
DROP TABLE restrictions;
DROP TABLE consents;
DROP TABLE ledger_entries;
DROP TABLE events;
DROP TABLE subject_merges;
DROP TABLE identifier_claims;
DROP TABLE identifiers;
DROP TABLE subject_archive;
DROP TABLE subjects;
DROP TABLE subject_texts;
DROP TABLE texts;
DROP TABLE instance_secrets;
DROP TABLE api_keys;
DROP TABLE purpose_versions;
DROP TABLE purposes;
DROP TABLE projects;
DROP TABLE slugs;
DROP TABLE organizations;
