-- +goose Up
-- What is brought in from other systems. An import says how far it has come: each part of its lines moves that in the
-- transaction that records them. would is what a dry run counted,
-- as JSON; empty: it is none. entry_sequence is that of the entry that tells of its end; 0: there is none.
CREATE TABLE imports (
    organization_id BLOB NOT NULL,
    import_id       BLOB NOT NULL,
    source          TEXT NOT NULL,
    project_no      INTEGER NOT NULL,
    fingerprint     TEXT NOT NULL,
    dry_run         INTEGER NOT NULL,
    notify          INTEGER NOT NULL,
    next_line       INTEGER NOT NULL,
    accepted        INTEGER NOT NULL,
    duplicates      INTEGER NOT NULL,
    rejected        INTEGER NOT NULL,
    errors_kept     INTEGER NOT NULL,
    would           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    finished_at     INTEGER,
    entry_sequence  INTEGER NOT NULL,
    sweep_at        INTEGER,
    PRIMARY KEY (organization_id, import_id)
) STRICT, WITHOUT ROWID;

-- Of whatever import something is to be removed, and when.
CREATE INDEX imports_to_sweep ON imports (sweep_at, organization_id) WHERE sweep_at IS NOT NULL;

-- The lines that an organization has had, by whatever import: a keyed hash of each, so that none is taken twice.
CREATE TABLE import_lines (
    organization_id BLOB NOT NULL,
    line_key        BLOB NOT NULL,
    PRIMARY KEY (organization_id, line_key)
) STRICT, WITHOUT ROWID;

-- Why lines were refused. Nothing of what they say is in here.
CREATE TABLE import_errors (
    organization_id BLOB NOT NULL,
    import_id       BLOB NOT NULL,
    line            INTEGER NOT NULL,
    field           TEXT NOT NULL,
    detail          TEXT NOT NULL,
    PRIMARY KEY (organization_id, import_id, line)
) STRICT, WITHOUT ROWID;

-- What a dry run has to know of the lines before, until it ends.
CREATE TABLE import_notes (
    organization_id BLOB NOT NULL,
    import_id       BLOB NOT NULL,
    name            BLOB NOT NULL,
    value           BLOB NOT NULL,
    PRIMARY KEY (organization_id, import_id, name)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE import_notes;
DROP TABLE import_errors;
DROP TABLE import_lines;
DROP TABLE imports;
