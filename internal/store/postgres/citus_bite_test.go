package postgres

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/pgtest"
)

// refused are statements that each rule has to refuse.
var refused = map[string][]string{
	"parse": {"SELECT FROM WHERE"},
	"organization": {
		"SELECT * FROM events",
		"SELECT * FROM events WHERE event_id = $1",
		"SELECT * FROM events WHERE organization_id > $1",
		"SELECT * FROM events WHERE organization_id = $1 OR event_id = $2",
		"SELECT * FROM events WHERE NOT (organization_id = $1)",
		"SELECT * FROM events WHERE organization_id IN ($1, $2)",
		"SELECT * FROM events WHERE organization_id = '01900000-0000-7000-8000-000000000000'",
		"SELECT * FROM events WHERE organization_id = lower($1)",
		"SELECT * FROM events WHERE organization_id = organization_id",
		"SELECT * FROM events_2026_03 WHERE event_id = $1",
		"SELECT * FROM events e WHERE events.organization_id = $1",
		"SELECT * FROM slugs WHERE organization_id = $1",
		"SELECT * FROM projects WHERE slug = $1",
		// Two tables of which one is not held.
		"SELECT * FROM events e, consents c WHERE e.organization_id = $1",
		"SELECT * FROM events e, consents c WHERE organization_id = $1",
		"SELECT * FROM events e JOIN consents c ON c.subject_id = e.subject_id WHERE e.organization_id = $1",
		"SELECT * FROM events e JOIN consents c ON e.organization_id = c.organization_id",
		"SELECT * FROM events e JOIN consents c USING (organization_id) WHERE e.organization_id = $1",
		"SELECT * FROM events e LEFT JOIN consents c ON e.organization_id = $1 AND c.organization_id = $1",
		"SELECT * FROM events e RIGHT JOIN consents c ON e.organization_id = $1 AND c.organization_id = $1",
		"SELECT * FROM events e FULL JOIN consents c ON e.organization_id = $1 AND c.organization_id = $1",
		// Queries in queries.
		"SELECT * FROM events WHERE organization_id = $1 AND subject_id IN (SELECT subject_id FROM subjects)",
		"SELECT * FROM events e WHERE e.organization_id = $1 AND EXISTS (SELECT 1 FROM subjects s WHERE s.subject_id = " +
			"e.subject_id)",
		"SELECT * FROM events e WHERE EXISTS (SELECT 1 FROM subjects s WHERE s.organization_id = e.organization_id)",
		"SELECT (SELECT count(*) FROM events) FROM subjects WHERE organization_id = $1",
		"SELECT * FROM (SELECT * FROM events) AS e WHERE organization_id = $1",
		"SELECT event_id FROM events WHERE organization_id = $1 UNION ALL SELECT event_id FROM events",
		"WITH e AS (SELECT * FROM events) SELECT * FROM e WHERE organization_id = $1",
		"WITH events AS (SELECT * FROM events) SELECT * FROM events WHERE organization_id = $1",
		"WITH RECURSIVE c (id) AS (SELECT event_id FROM consents WHERE organization_id = $1 UNION ALL SELECT previous_id " +
			"FROM c JOIN events e ON e.event_id = c.id) SELECT id FROM c",
		"SELECT * FROM subjects s CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.subject_id = s.subject_id OFFSET 0) " +
			"AS e WHERE s.organization_id = $1",
		"SELECT many.n FROM unnest($2::uuid[]) WITH ORDINALITY AS many (p2, n) CROSS JOIN LATERAL (SELECT event_id FROM " +
			"events WHERE organization_id = many.p2) AS found",
		"SELECT event_id FROM events WHERE organization_id = $1 ORDER BY (SELECT min(event_id) FROM events)",
		"CREATE VIEW v AS SELECT event_id FROM events",
		// Changes.
		"UPDATE subjects SET type = $1 WHERE subject_id = $2",
		"UPDATE subjects SET type = $1",
		"UPDATE subjects s SET type = m.type FROM subjects m WHERE s.organization_id = $1 AND m.subject_id = $2",
		"DELETE FROM subjects WHERE subject_id = $1",
		"DELETE FROM subjects s USING consents c WHERE c.organization_id = $1",
		"DELETE FROM subjects WHERE organization_id = $1 AND subject_id IN (SELECT from_id FROM subject_merges WHERE " +
			"into_id = $2)",
		"WITH gone AS (DELETE FROM texts RETURNING hash) SELECT hash FROM gone",
		"INSERT INTO texts (hash, text) VALUES ($1, $2)",
		"INSERT INTO texts VALUES ($1, $2, $3)",
		"INSERT INTO texts (organization_id, hash, text) VALUES ('01900000-0000-7000-8000-000000000000', $1, $2)",
		"INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, $3), ($4, $5, $6)",
		"INSERT INTO texts (organization_id, hash, text) SELECT many.* FROM unnest($1::uuid[], $2::bytea[], $3::text[]) " +
			"AS many",
		"INSERT INTO texts (hash, organization_id, text) SELECT many.*, $1 FROM unnest($2::bytea[], $3::text[]) AS many",
		"INSERT INTO texts (organization_id, hash, text) SELECT $1::uuid, hash, text FROM texts",
		"INSERT INTO texts (organization_id, hash, text) SELECT $1::uuid, $2, $3 UNION SELECT $4, $5, $6",
		"INSERT INTO texts (organization_id, hash, text) SELECT o.organization_id, $1, $2 FROM organizations o",
		"INSERT INTO texts (organization_id, hash, text) SELECT many.p1, $2, $3 FROM organizations o CROSS JOIN " +
			"unnest($1::uuid[]) AS many (p1) WHERE o.organization_id = $2",
		"MERGE INTO texts t USING (VALUES ($1)) AS v (id) ON t.organization_id = v.id WHEN MATCHED THEN DELETE",
		"COPY texts FROM STDIN",
	},
	"one organization": {
		"SELECT * FROM events e JOIN consents c ON c.organization_id = $2 WHERE e.organization_id = $1",
		"SELECT * FROM events WHERE organization_id = $1 AND subject_id IN (SELECT subject_id FROM subjects WHERE " +
			"organization_id = $2)",
		"SELECT * FROM slugs s JOIN organizations o ON o.organization_id = $1 WHERE s.slug = $2",
		"SELECT * FROM slugs s, instance_secrets i WHERE s.slug = $1 AND i.name = $1",
	},
	"lock": {
		"SELECT * FROM kept_answers WHERE expires_at < $1 FOR UPDATE SKIP LOCKED",
		"SELECT * FROM instance_secrets FOR NO KEY UPDATE",
		"SELECT * FROM subjects s, consents c WHERE s.organization_id = $1 FOR SHARE OF s",
	},
	"known tables": {
		"SELECT * FROM errands WHERE organization_id = $1",
		"CREATE TABLE errands (organization_id uuid PRIMARY KEY)",
		"SELECT * FROM information_schema.tables",
	},
	"one phase": {
		"INSERT INTO texts (organization_id, hash, text) SELECT $1::uuid, many.* FROM unnest($2::bytea[], $3::text[]) AS many",
		"INSERT INTO texts (hash, organization_id, text) SELECT many.p2, $1, many.p3 FROM organizations o CROSS JOIN " +
			"unnest($2::bytea[], $3::text[]) AS many (p2, p3) WHERE o.organization_id = $1",
		"INSERT INTO texts (organization_id, hash, text) SELECT coalesce(o.organization_id, $1), $2, $3 FROM " +
			"organizations o WHERE o.organization_id = $1",
	},
	"moved row": {
		"UPDATE subjects SET organization_id = $2 WHERE organization_id = $1",
		"UPDATE slugs SET slug = $2 WHERE slug = $1",
		"INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, $3) ON CONFLICT (organization_id, hash) DO " +
			"UPDATE SET organization_id = excluded.organization_id",
	},
	"immutable": {
		"INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, $3) ON CONFLICT (organization_id, hash) DO " +
			"UPDATE SET text = now()::text",
		"INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, clock_timestamp()::text)",
		"INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, $3) RETURNING statement_timestamp()",
		"INSERT INTO texts (organization_id, hash, text) SELECT $1::uuid, many.p2, gen_random_uuid()::text FROM " +
			"unnest($2::bytea[]) AS many (p2)",
		"UPDATE subjects SET changed_at = COALESCE(changed_at, current_timestamp) WHERE organization_id = $1",
		"UPDATE subjects SET changed_at = CASE WHEN version > 1 THEN localtimestamp END WHERE organization_id = $1",
		"UPDATE subjects SET data = concat(data, $2) WHERE organization_id = $1",
		"DELETE FROM kept_answers WHERE organization_id = $1 AND random() < $2",
		"MERGE INTO texts t USING (VALUES ($1)) AS v (id) ON t.organization_id = v.id WHEN MATCHED THEN UPDATE SET text = " +
			"now()::text",
		"SELECT * FROM kept_answers WHERE organization_id = $1 AND expires_at < now()",
		"SELECT pg_catalog.to_char(created_at, 'YYYY') FROM subjects WHERE organization_id = $1",
		"SELECT somebodys_function(name) FROM organizations WHERE organization_id = $1",
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY, made_at timestamptz DEFAULT now())",
		"ALTER TABLE texts ADD COLUMN id uuid DEFAULT gen_random_uuid()",
		"ALTER TABLE texts ALTER COLUMN id SET DEFAULT uuid_generate_v4()",
	},
	"upsert": {
		"INSERT INTO counts (organization_id, name, amount) VALUES ($1, $2, (SELECT sum(amount) FROM counts WHERE " +
			"organization_id = $1))",
		"INSERT INTO counts (organization_id, name, amount) VALUES ($1, $2, $3) ON CONFLICT (organization_id, name) DO " +
			"UPDATE SET amount = (SELECT 1)",
	},
	"change in a query": {
		"WITH gone AS (DELETE FROM texts WHERE organization_id = $1 RETURNING hash) SELECT hash FROM gone",
		"WITH made AS (INSERT INTO counts (organization_id, name) VALUES ($1, $2) RETURNING name) SELECT name FROM made",
		"WITH set AS (UPDATE texts SET text = $2 WHERE organization_id = $1) DELETE FROM subjects WHERE organization_id = $1",
	},
	"columns of a CTE": {
		"WITH c (id) AS (SELECT event_id FROM consents WHERE organization_id = $1) SELECT id FROM c",
		"WITH c (a, event_id) AS (SELECT subject_id, event_id FROM consents WHERE organization_id = $1) SELECT a FROM c",
		"WITH c (subject_id, event_id) AS (SELECT event_id, subject_id FROM consents WHERE organization_id = $1) SELECT 1",
		"WITH c (event_id) AS (SELECT event_id, subject_id FROM consents WHERE organization_id = $1) SELECT subject_id " +
			"FROM c",
		"WITH c (n) AS (SELECT count(*) FROM consents WHERE organization_id = $1) SELECT n FROM c",
		"WITH c (subject_id) AS (SELECT * FROM consents WHERE organization_id = $1) SELECT subject_id FROM c",
		"WITH c (n) AS (VALUES (1)) SELECT n FROM c",
		"WITH RECURSIVE c (id) AS (SELECT event_id FROM consents WHERE organization_id = $1 UNION ALL SELECT " +
			"e.previous_id AS id FROM c JOIN events e ON e.organization_id = $1 AND e.event_id = c.id) SELECT id FROM c",
		"WITH c (id) AS (SELECT event_id FROM consents WHERE organization_id = $1 UNION SELECT event_id AS id FROM " +
			"consents WHERE organization_id = $1 UNION SELECT event_id AS id FROM consents WHERE organization_id = $1) " +
			"SELECT id FROM c",
		"SELECT * FROM (WITH c (id) AS (SELECT event_id FROM consents WHERE organization_id = $1) SELECT id FROM c) AS s",
	},
	"code": {
		"CREATE TRIGGER t BEFORE INSERT ON texts FOR EACH ROW EXECUTE FUNCTION f()",
		"CREATE RULE r AS ON DELETE TO texts DO INSTEAD NOTHING",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"DO 'BEGIN END'",
		"CALL f()",
	},
	"row security": {
		"CREATE POLICY p ON texts USING (true)",
		"ALTER TABLE texts ENABLE ROW LEVEL SECURITY",
		"ALTER TABLE texts FORCE ROW LEVEL SECURITY",
	},
	"sequence": {
		"CREATE SEQUENCE s",
		"CREATE TABLE texts (organization_id uuid, id serial, PRIMARY KEY (organization_id, id))",
		"CREATE TABLE texts (organization_id uuid, id bigserial, PRIMARY KEY (organization_id, id))",
		"CREATE TABLE texts (organization_id uuid, id int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (organization_id, id))",
		"CREATE TABLE texts (organization_id uuid, id int DEFAULT nextval('s'), PRIMARY KEY (organization_id, id))",
		"ALTER TABLE texts ADD COLUMN id bigserial",
		"ALTER TABLE texts ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY",
		"INSERT INTO texts (organization_id, hash) VALUES ($1, nextval('s'))",
	},
	"key": {
		"CREATE TABLE texts (organization_id uuid, hash bytea PRIMARY KEY)",
		"CREATE TABLE texts (organization_id uuid, hash bytea, PRIMARY KEY (hash))",
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY, hash bytea UNIQUE)",
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY, hash bytea, UNIQUE (hash))",
		"CREATE TABLE slugs (slug text, organization_id uuid, PRIMARY KEY (organization_id))",
		"CREATE UNIQUE INDEX i ON texts (hash)",
		"CREATE UNIQUE INDEX i ON texts (lower(text)) INCLUDE (organization_id)",
		"ALTER TABLE texts ADD CONSTRAINT c UNIQUE (hash)",
		"ALTER TABLE texts ADD CONSTRAINT c UNIQUE USING INDEX i",
		"ALTER TABLE texts ADD CONSTRAINT c EXCLUDE (hash WITH =)",
	},
	"foreign key": {
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY, subject_id uuid REFERENCES subjects (subject_id))",
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY REFERENCES organizations)",
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY, subject_id uuid, FOREIGN KEY (subject_id) REFERENCES " +
			"subjects (subject_id))",
		"CREATE TABLE texts (organization_id uuid PRIMARY KEY, a uuid, FOREIGN KEY (organization_id, a) REFERENCES " +
			"subjects (subject_id, organization_id))",
		"ALTER TABLE texts ADD CONSTRAINT c FOREIGN KEY (organization_id, a) REFERENCES subjects (organization_id, " +
			"subject_id) ON DELETE SET NULL (a)",
		"ALTER TABLE texts ADD CONSTRAINT c FOREIGN KEY (organization_id, a) REFERENCES subjects (organization_id, " +
			"subject_id) ON UPDATE SET DEFAULT",
		"ALTER TABLE slugs ADD CONSTRAINT c FOREIGN KEY (organization_id) REFERENCES organizations (organization_id)",
	},
	"alter": {
		"ALTER TABLE texts ADD COLUMN a int, ADD COLUMN b int",
		"ALTER TABLE texts ADD COLUMN a int CHECK (a > 0)",
		"ALTER TABLE texts ADD COLUMN a int UNIQUE",
		"ALTER TABLE texts ADD CHECK (a > 0)",
		"ALTER TABLE texts ALTER COLUMN organization_id TYPE text",
		"ALTER TABLE texts DROP COLUMN organization_id",
		"ALTER TABLE events DETACH PARTITION events_2026_03 CONCURRENTLY",
	},
	"partition": {
		"CREATE TABLE events_other PARTITION OF events DEFAULT",
		"CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('0') TO ('1') PARTITION BY RANGE (event_id)",
	},
}

// taken are statements in which no rule may find anything.
var taken = []string{
	"BEGIN", "SELECT set_config('enable_seqscan', 'on', true)", "SELECT pg_is_in_recovery()",
	"SELECT count(*), max(event_id) FROM events WHERE organization_id = $1",
	"SELECT * FROM events AS e WHERE $1 = e.organization_id AND (e.state = $2 OR e.state = $3)",
	"SELECT * FROM events e JOIN consents c ON c.organization_id = e.organization_id WHERE e.organization_id = $1",
	"SELECT * FROM events e LEFT JOIN consents c ON c.organization_id = $1 AND c.subject_id = e.subject_id WHERE " +
		"e.organization_id = $1",
	"SELECT * FROM events e WHERE e.organization_id = $1 AND EXISTS (SELECT 1 FROM subjects s WHERE s.organization_id " +
		"= e.organization_id)",
	"SELECT * FROM subjects s CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.organization_id = s.organization_id " +
		"OFFSET 0) AS e WHERE s.organization_id = $1",
	"WITH events AS (SELECT event_id FROM consents WHERE organization_id = $1) SELECT * FROM events",
	"WITH RECURSIVE c AS (SELECT event_id AS id FROM consents WHERE organization_id = $1 UNION ALL SELECT previous_id " +
		"FROM c JOIN events e ON e.organization_id = $1 AND e.event_id = c.id) SELECT id FROM c",
	"WITH c (id, subject_id) AS (SELECT e.event_id AS id, e.subject_id FROM events e WHERE e.organization_id = $1 UNION " +
		"SELECT last_event_id, subject_id FROM consents WHERE organization_id = $1) SELECT id FROM c",
	"SELECT * FROM slugs WHERE slug = $1",
	"SELECT name FROM instance_secrets WHERE name = '' FOR NO KEY UPDATE",
	"SELECT sequence FROM ledger_heads WHERE organization_id = $1 FOR NO KEY UPDATE",
	"UPDATE subjects SET merged_into = $1 WHERE organization_id = $2 AND subject_id = $3",
	"DELETE FROM subjects WHERE organization_id = $1 AND subject_id IN (SELECT from_id FROM subject_merges WHERE " +
		"organization_id = $1)",
	"INSERT INTO texts (hash, organization_id, text) VALUES ($1, $2, $3), ($4, $2, $5) ON CONFLICT (organization_id, " +
		"hash) DO UPDATE SET text = coalesce(excluded.text, '')",
	"INSERT INTO texts (organization_id, hash, text) SELECT o.organization_id, many.* FROM organizations o CROSS JOIN " +
		"unnest($2::bytea[], $3::text[]) AS many WHERE o.organization_id = $1 ON CONFLICT DO NOTHING RETURNING hash",
	"INSERT INTO instance_secrets (name, value) VALUES ('', '')",
	"CREATE TABLE texts (organization_id uuid NOT NULL, hash bytea NOT NULL, subject_id uuid, PRIMARY KEY (hash, " +
		"organization_id), " +
		"FOREIGN KEY (subject_id, organization_id) REFERENCES subjects (subject_id, organization_id) ON DELETE CASCADE, " +
		"CHECK (hash <> ''))",
	"CREATE TABLE slugs (slug text PRIMARY KEY, organization_id uuid DEFAULT NULL)",
	"CREATE UNIQUE INDEX i ON texts (lower(text), organization_id)", "CREATE INDEX i ON texts (text)",
	"CREATE TABLE events_2026_03 PARTITION OF events FOR VALUES FROM ('0') TO ('1')",
	"ALTER TABLE events DETACH PARTITION events_2026_03", "DROP TABLE events_2026_03",
	"ALTER TABLE texts ADD COLUMN a int NOT NULL DEFAULT 0", "ALTER TABLE texts ADD CONSTRAINT c CHECK (a > 0)",
}

// TestCitusRulesBite holds each rule against what it has to refuse, and all of them against what is fine.
func TestCitusRulesBite(t *testing.T) {
	l := newLinter(t)
	for _, rule := range citusRules {
		if len(refused[rule.name]) == 0 {
			t.Errorf("nothing tries the rule %q", rule.name)
		}
	}
	for rule, statements := range refused {
		for _, statement := range statements {
			found := l.lint(statement)
			if !slices.ContainsFunc(found, func(f finding) bool { return f.rule == rule }) {
				t.Errorf("the rule %q takes %s\nfound %q", rule, statement, found)
			}
		}
	}
	for _, statement := range taken {
		if found := l.lint(statement); len(found) > 0 {
			t.Errorf("%s\nfound %q", statement, found)
		}
	}
}

// newLinter asks PostgreSQL which of its functions are immutable.
func newLinter(t *testing.T) *linter {
	t.Helper()
	l := &linter{immutable: map[string]bool{}}
	rows, err := connect(t, pgtest.Server(t).URL("postgres")).Query(context.Background(), `SELECT proname::text,
bool_and(provolatile = 'i') FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname`)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var immutable bool
	_, err = pgx.ForEachRow(rows, []any{&name, &immutable}, func() error {
		l.immutable[name] = immutable
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
