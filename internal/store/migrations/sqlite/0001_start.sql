-- +goose Up
-- Every tenant table leads with organization_id and every statement names it, so that the same schema can be
-- sharded by organization. Times are microseconds since 1970 in UTC; ids are the 16 bytes of a UUID.
CREATE TABLE organizations (
    organization_id BLOB NOT NULL,
    name            TEXT NOT NULL,
    slug            TEXT NOT NULL,
    primary_domain  TEXT NOT NULL,
    status          TEXT NOT NULL,
    test            INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    details         TEXT NOT NULL,
    PRIMARY KEY (organization_id)
) STRICT, WITHOUT ROWID;

-- Looked up without an organization, so a table of its own.
CREATE TABLE slugs (
    slug            TEXT NOT NULL,
    organization_id BLOB NOT NULL,
    PRIMARY KEY (slug)
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    organization_id BLOB NOT NULL,
    project_no      INTEGER NOT NULL,
    project_id      BLOB NOT NULL,
    name            TEXT NOT NULL,
    slug            TEXT NOT NULL,
    whole_address   INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    details         TEXT NOT NULL,
    PRIMARY KEY (organization_id, project_no),
    UNIQUE (organization_id, project_id),
    UNIQUE (organization_id, slug),
    FOREIGN KEY (organization_id) REFERENCES organizations (organization_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE purposes (
    organization_id  BLOB NOT NULL,
    project_no       INTEGER NOT NULL,
    purpose_no       INTEGER NOT NULL,
    purpose_id       BLOB NOT NULL,
    purpose_key      TEXT NOT NULL,
    category         TEXT NOT NULL,
    subcategory      TEXT NOT NULL,
    label            TEXT NOT NULL,
    version          INTEGER NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT NOT NULL,
    url              TEXT NOT NULL,
    legal_basis      TEXT NOT NULL,
    document_hash    BLOB,
    texts_hash       BLOB,
    read_only        INTEGER NOT NULL,
    valid_states     TEXT NOT NULL,
    status           TEXT NOT NULL,
    duration         TEXT NOT NULL,
    required         INTEGER NOT NULL,
    require_reaccept INTEGER NOT NULL,
    held_from        INTEGER NOT NULL,
    revision         INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    PRIMARY KEY (organization_id, project_no, purpose_no),
    UNIQUE (organization_id, project_no, purpose_key),
    UNIQUE (organization_id, project_no, category, subcategory, label),
    FOREIGN KEY (organization_id, project_no) REFERENCES projects (organization_id, project_no)
) STRICT, WITHOUT ROWID;

-- Versions of purposes before the current one. Each held until the next one did.
CREATE TABLE purpose_versions (
    organization_id  BLOB NOT NULL,
    project_no       INTEGER NOT NULL,
    purpose_no       INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT NOT NULL,
    url              TEXT NOT NULL,
    legal_basis      TEXT NOT NULL,
    document_hash    BLOB,
    texts_hash       BLOB,
    require_reaccept INTEGER NOT NULL,
    held_from        INTEGER NOT NULL,
    PRIMARY KEY (organization_id, project_no, purpose_no, version),
    FOREIGN KEY (organization_id, project_no, purpose_no) REFERENCES purposes (organization_id, project_no, purpose_no)
) STRICT, WITHOUT ROWID;

-- Only a SHA-256 of a key's secret is kept. The organization of the root key is all zeros.
CREATE TABLE api_keys (
    organization_id BLOB NOT NULL,
    key_id          BLOB NOT NULL,
    name            TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    secret_hash     BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    revoked_at      INTEGER,
    PRIMARY KEY (organization_id, key_id)
) STRICT, WITHOUT ROWID;

-- Of the instance, not of a tenant.
CREATE TABLE instance_secrets (
    name  TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

-- Texts that several people were shown, and those of purposes, once by their SHA-256.
CREATE TABLE texts (
    organization_id BLOB NOT NULL,
    hash            BLOB NOT NULL,
    text            TEXT NOT NULL,
    PRIMARY KEY (organization_id, hash)
) STRICT;

-- Texts that one person alone was shown, encrypted by the person's key: they go when the person is erased.
CREATE TABLE subject_texts (
    organization_id BLOB NOT NULL,
    hash            BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    text_sealed     BLOB NOT NULL,
    PRIMARY KEY (organization_id, hash, subject_id)
) STRICT;
-- Not organization first, lest it be taken for what the key is for.
CREATE INDEX subject_texts_by_subject ON subject_texts (subject_id, organization_id);

-- Of who was erased the id is left, with when that was, its entry in the ledger, how many events it took, and whether
-- the identifiers were suppressed.
CREATE TABLE subjects (
    organization_id BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    type            TEXT NOT NULL,
    merged_into     BLOB,
    created_at      INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    changed_by      BLOB NOT NULL,
    data            BLOB,
    profile         BLOB,
    erased_at       INTEGER,
    erased_sequence INTEGER,
    erased_events   INTEGER,
    erased_suppress INTEGER,
    PRIMARY KEY (organization_id, subject_id)
) STRICT, WITHOUT ROWID;

-- By which a journal of erasures is kept up with.
CREATE INDEX subjects_erased ON subjects (erased_at, organization_id, subject_id) WHERE erased_at IS NOT NULL;

CREATE TABLE subject_archive (
    organization_id BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    version         INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    changed_by      BLOB NOT NULL,
    data            BLOB,
    profile         BLOB,
    PRIMARY KEY (organization_id, subject_id, version),
    FOREIGN KEY (organization_id, subject_id) REFERENCES subjects (organization_id, subject_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Who has an identifier, which is found by a keyed hash and shown by decrypting value_sealed. origin_id is whose it was before merges gave it to that one; NULL: it was never another's.
CREATE TABLE identifiers (
    organization_id BLOB NOT NULL,
    kind            TEXT NOT NULL,
    project_no      INTEGER NOT NULL,
    value_index     BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    origin_id       BLOB,
    value_sealed    BLOB NOT NULL,
    PRIMARY KEY (organization_id, kind, project_no, value_index)
) STRICT, WITHOUT ROWID;

-- Subjects are made in order of time, so this index grows at its end.
CREATE INDEX identifiers_of_subject ON identifiers (organization_id, subject_id, origin_id);

-- Who named an identifier that is somebody else's: a no of theirs is heard where it is asked about. origin_id named it,
-- and subject_id is who that one turned out to be.
CREATE TABLE identifier_claims (
    organization_id BLOB NOT NULL,
    kind            TEXT NOT NULL,
    project_no      INTEGER NOT NULL,
    value_index     BLOB NOT NULL,
    origin_id       BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    PRIMARY KEY (organization_id, kind, project_no, value_index, origin_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX identifier_claims_of_subject ON identifier_claims (organization_id, subject_id);

-- Who turned out to be somebody else, by whom it was recorded first; one that was undone stays on record.
CREATE TABLE subject_merges (
    organization_id BLOB NOT NULL,
    into_id         BLOB NOT NULL,
    from_id         BLOB NOT NULL,
    merge_no        INTEGER NOT NULL,
    merged_at       INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    after_sequence  INTEGER NOT NULL,
    undone_at       INTEGER,
    undone_after    INTEGER,
    PRIMARY KEY (organization_id, into_id, from_id, merge_no)
) STRICT, WITHOUT ROWID;

-- The ledger. No random index: a subject's timeline is a chain, from consents.last_event_id through
-- previous_id. body and ident are canonical JSON (RFC 8785), kept byte for byte.
CREATE TABLE events (
    organization_id BLOB NOT NULL,
    event_id        BLOB NOT NULL,
    sequence        INTEGER NOT NULL,
    subject_id      BLOB NOT NULL,
    project_no      INTEGER NOT NULL,
    purpose_no      INTEGER NOT NULL,
    purpose_version INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    action          INTEGER NOT NULL,
    weight          INTEGER NOT NULL,
    grants          INTEGER NOT NULL,
    occurred_at     INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    expires_at      INTEGER,
    previous_id     BLOB,
    key_id          BLOB NOT NULL,
    domain          TEXT NOT NULL,
    country         TEXT NOT NULL,
    protocol        TEXT NOT NULL,
    body            BLOB NOT NULL,
    ident           BLOB NOT NULL,
    PRIMARY KEY (organization_id, event_id)
) STRICT, WITHOUT ROWID;

-- The entries of the ledger that are no decisions, in one line with the events by id and sequence. subject_id says with
-- whose secret an entry is committed; all zeros: with the organization's own. Of what was recorded about somebody who
-- was erased the leaf stays, with the sequence of the erasure that took it, and nothing else.
CREATE TABLE ledger_entries (
    organization_id BLOB NOT NULL,
    event_id        BLOB NOT NULL,
    sequence        INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    subject_id      BLOB,
    leaf            BLOB,
    body            BLOB,
    ident           BLOB,
    erased_by       INTEGER,
    PRIMARY KEY (organization_id, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_entries_of_subject ON ledger_entries (organization_id, subject_id) WHERE leaf IS NULL;

-- For lists by when events occurred. Most are recorded as they occur, so it grows at its end, as the events do.
CREATE INDEX events_by_time ON events (organization_id, occurred_at, event_id, project_no);

-- A fold of the events, kept so that a question costs one look-up. No other index: an update stays in its page.
CREATE TABLE consents (
    organization_id BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    project_no      INTEGER NOT NULL,
    purpose_no      INTEGER NOT NULL,
    event_id        BLOB NOT NULL,
    last_event_id   BLOB,
    purpose_version INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    weight          INTEGER NOT NULL,
    grants          INTEGER NOT NULL,
    active          INTEGER NOT NULL,
    occurred_at     INTEGER NOT NULL,
    expires_at      INTEGER,
    since           INTEGER,
    PRIMARY KEY (organization_id, subject_id, project_no, purpose_no)
) STRICT, WITHOUT ROWID;

-- Of whom nothing may be used but what they ask for (GDPR Art. 18), since when, and by which entry of the ledger. Few
-- are, so that looking here costs a check little.
CREATE TABLE restrictions (
    organization_id BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    restricted_at   INTEGER NOT NULL,
    sequence        INTEGER NOT NULL,
    PRIMARY KEY (organization_id, subject_id)
) STRICT, WITHOUT ROWID;

-- Of identifiers whose person was erased and wants no more: a keyed hash, and nothing that tells whose.
CREATE TABLE suppressions (
    organization_id BLOB NOT NULL,
    hash            BLOB NOT NULL,
    suppressed_at   INTEGER NOT NULL,
    PRIMARY KEY (organization_id, hash)
) STRICT, WITHOUT ROWID;

-- Where a ledger ends: its last entry, and the right edge of the tree over all entries (NULL: there is none). suppressed
-- is how many suppressions there are, since every batch reads this row anyway.
CREATE TABLE ledger_heads (
    organization_id BLOB NOT NULL,
    sequence        INTEGER NOT NULL,
    last_event_id   BLOB,
    tree            BLOB,
    suppressed      INTEGER,
    PRIMARY KEY (organization_id),
    FOREIGN KEY (organization_id) REFERENCES organizations (organization_id)
) STRICT, WITHOUT ROWID;

-- What a subject's entries of the ledger are committed with, encrypted by a key that is not in here. It stays when the
-- subject's record is removed: only with it anybody can tell what the entries commit to.
CREATE TABLE subject_keys (
    organization_id BLOB NOT NULL,
    subject_id      BLOB NOT NULL,
    wrapped_key     BLOB NOT NULL,
    PRIMARY KEY (organization_id, subject_id)
) STRICT, WITHOUT ROWID;

-- The complete rows of the tree: 32 hashes each, which never change.
CREATE TABLE ledger_rows (
    organization_id BLOB NOT NULL,
    level           INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    hashes          BLOB NOT NULL,
    PRIMARY KEY (organization_id, level, number)
) STRICT;

-- The newest signed checkpoint of each ledger: it covers size entries, of which last_event_id is the last, and tree is
-- the right edge of the tree over them.
CREATE TABLE ledger_checkpoints (
    organization_id BLOB NOT NULL,
    size            INTEGER NOT NULL,
    last_event_id   BLOB NOT NULL,
    tree            BLOB NOT NULL,
    note            BLOB NOT NULL,
    key_id          INTEGER NOT NULL,
    signed_at       INTEGER NOT NULL,
    PRIMARY KEY (organization_id)
) STRICT, WITHOUT ROWID;

-- By which keys checkpoints are verified, each from the first size that it signed on.
CREATE TABLE ledger_keys (
    organization_id BLOB NOT NULL,
    from_size       INTEGER NOT NULL,
    verifier_key    TEXT NOT NULL,
    signed_from     INTEGER NOT NULL,
    PRIMARY KEY (organization_id, from_size)
) STRICT, WITHOUT ROWID;

-- The newest cosignature that each witness gave of a checkpoint: note is that one as the ledger's key signed it, and
-- cosignature the witness's line.
CREATE TABLE ledger_cosignatures (
    organization_id BLOB NOT NULL,
    witness         TEXT NOT NULL,
    size            INTEGER NOT NULL,
    note            BLOB NOT NULL,
    cosignature     BLOB NOT NULL,
    cosigned_at     INTEGER NOT NULL,
    PRIMARY KEY (organization_id, witness)
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
    organization_id BLOB NOT NULL,
    name            TEXT NOT NULL,
    amount          INTEGER NOT NULL,
    PRIMARY KEY (organization_id, name)
) STRICT, WITHOUT ROWID;

-- Answers to writes that carried an Idempotency-Key, encrypted by the caller's credential. about are the ids of the
-- subjects that one tells of, behind each other; when one of them is erased, what is sealed goes, and the rest stays.
CREATE TABLE kept_answers (
    organization_id BLOB NOT NULL,
    key_id          BLOB NOT NULL,
    hash            BLOB NOT NULL,
    fingerprint     BLOB NOT NULL,
    sealed          BLOB NOT NULL,
    expires_at      INTEGER NOT NULL,
    about           BLOB,
    PRIMARY KEY (organization_id, key_id, hash)
) STRICT;

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
