-- +goose Up
-- What is brought in from other systems. An import says how far it has come: each part of its lines moves that in the
-- transaction that records them. would is what a dry run counted,
-- as JSON; empty: it is none. entry_sequence is that of the entry that tells of its end; 0: there is none.
CREATE TABLE imports (
    organization_id UUID NOT NULL,
    import_id       UUID NOT NULL,
    source          TEXT NOT NULL,
    project_no      INTEGER NOT NULL,
    fingerprint     TEXT NOT NULL,
    dry_run         BOOLEAN NOT NULL,
    notify          BOOLEAN NOT NULL,
    next_line       BIGINT NOT NULL,
    accepted        BIGINT NOT NULL,
    duplicates      BIGINT NOT NULL,
    rejected        BIGINT NOT NULL,
    errors_kept     BIGINT NOT NULL,
    would           TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    finished_at     TIMESTAMPTZ,
    entry_sequence  BIGINT NOT NULL,
    sweep_at        TIMESTAMPTZ,
    PRIMARY KEY (organization_id, import_id)
) WITH (fillfactor = 50);

-- Of whatever import something is to be removed, and when.
CREATE INDEX imports_to_sweep ON imports (sweep_at, organization_id) WHERE sweep_at IS NOT NULL;

-- The lines that an organization has had, by whatever import: a keyed hash of each, so that none is taken twice.
CREATE TABLE import_lines (
    organization_id UUID NOT NULL,
    line_key        BYTEA NOT NULL,
    PRIMARY KEY (organization_id, line_key)
);

-- Why lines were refused. Nothing of what they say is in here.
CREATE TABLE import_errors (
    organization_id UUID NOT NULL,
    import_id       UUID NOT NULL,
    line            BIGINT NOT NULL,
    field           TEXT NOT NULL,
    detail          TEXT NOT NULL,
    PRIMARY KEY (organization_id, import_id, line)
);

-- What a dry run has to know of the lines before, until it ends.
CREATE TABLE import_notes (
    organization_id UUID NOT NULL,
    import_id       UUID NOT NULL,
    name            BYTEA NOT NULL,
    value           BYTEA NOT NULL,
    PRIMARY KEY (organization_id, import_id, name)
);

-- +goose Down
DROP TABLE import_notes;
DROP TABLE import_errors;
DROP TABLE import_lines;
DROP TABLE imports;
