-- +goose Up
-- A planner whose statistics do not know an organization yet expects one row of it. Every index that begins with the
-- organization then looks as good as the right one, and PostgreSQL takes the newest of those: it read all that an
-- organization has to find one row. So only one index of a table can be used for each look-up.
--
-- The first line is for Citus, which refuses to index the partitions after it changed shards side by side. PostgreSQL
-- keeps a setting of that form and does nothing with it.
SET LOCAL citus.multi_shard_modify_mode = 'sequential';

DROP INDEX identifiers_of_subject;
CREATE INDEX identifiers_of_subject ON identifiers (subject_id, organization_id);

DROP INDEX identifier_claims_of_subject;
CREATE INDEX identifier_claims_of_subject ON identifier_claims (subject_id, organization_id);

-- Every event has a project, so all are in it. A look-up by id does not say so, and cannot take this index for its key.
DROP INDEX events_by_time;
CREATE INDEX events_by_time ON events (organization_id, occurred_at, event_id, project_no) WHERE project_no >= 0;

-- +goose Down
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
DROP INDEX events_by_time;
CREATE INDEX events_by_time ON events (organization_id, occurred_at, event_id, project_no);
DROP INDEX identifier_claims_of_subject;
CREATE INDEX identifier_claims_of_subject ON identifier_claims (organization_id, subject_id);
DROP INDEX identifiers_of_subject;
CREATE INDEX identifiers_of_subject ON identifiers (organization_id, subject_id);
