package move

import (
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// table is one that a move copies.
type table struct {
	name    string
	columns []column
	key     int      // its primary key is that many leading columns
	only    []string // conditions on the rows that are copied
}

// column has a type by the name that PostgreSQL gives it.
type column struct{ name, kind string }

// tables are all tables with all of their columns, parents first: the one list of what a move copies and
// compares. A test holds it against both schemas.
var tables = []*table{
	// The row of the empty name is PostgreSQL's own, see its migration.
	newTable("instance_secrets", 1, `name text, value bytea`, "name <> ''"),
	newTable("slugs", 1, `slug text, organization_id uuid`),
	newTable("organizations", 1, `organization_id uuid, name text, slug text, primary_domain text, status text, test bool,
		created_at timestamptz, updated_at timestamptz, details text`),
	newTable("projects", 2, `organization_id uuid, project_no int4, project_id uuid, name text, slug text,
		whole_address bool, created_at timestamptz, updated_at timestamptz, details text`),
	newTable("purposes", 3, `organization_id uuid, project_no int4, purpose_no int4, purpose_id uuid, purpose_key text,
		category text, subcategory text, label text, version int4, name text, description text, url text, legal_basis text,
		document_hash bytea, texts_hash bytea, read_only bool, valid_states text, status text, duration text, required bool,
		require_reaccept bool, held_from timestamptz, revision int4, created_at timestamptz, updated_at timestamptz`),
	newTable("purpose_versions", 4, `organization_id uuid, project_no int4, purpose_no int4, version int4, name text,
		description text, url text, legal_basis text, document_hash bytea, texts_hash bytea, require_reaccept bool,
		held_from timestamptz`),
	newTable("api_keys", 2, `organization_id uuid, key_id uuid, name text, scopes text, secret_hash bytea,
		created_at timestamptz, expires_at timestamptz, revoked_at timestamptz`),
	newTable("texts", 2, `organization_id uuid, hash bytea, text text`),
	newTable("subject_texts", 3, `organization_id uuid, hash bytea, subject_id uuid, text_sealed bytea`),
	newTable("subjects", 2, `organization_id uuid, subject_id uuid, type text, merged_into uuid, created_at timestamptz,
		version int4, changed_at timestamptz, changed_by uuid, data bytea, profile bytea, erased_at timestamptz,
		erased_sequence int8, erased_events int8, erased_suppress bool`),
	newTable("subject_archive", 3, `organization_id uuid, subject_id uuid, version int4, changed_at timestamptz,
		changed_by uuid, data bytea, profile bytea`),
	newTable("identifiers", 4, `organization_id uuid, kind text, project_no int4, value_index bytea,
		subject_id uuid, origin_id uuid, value_sealed bytea`),
	newTable("identifier_claims", 5, `organization_id uuid, kind text, project_no int4, value_index bytea,
		origin_id uuid, subject_id uuid`),
	newTable("subject_merges", 4, `organization_id uuid, into_id uuid, from_id uuid, merge_no int8, merged_at timestamptz,
		recorded_at timestamptz, after_sequence int8, undone_at timestamptz, undone_after int8`),
	newTable("events", 2, `organization_id uuid, event_id uuid, sequence int8, subject_id uuid, project_no int4,
		purpose_no int4, purpose_version int4, state int2, action int2, weight int2, grants bool, occurred_at timestamptz,
		recorded_at timestamptz, expires_at timestamptz, previous_id uuid, key_id uuid, domain text, country text,
		protocol text, body bytea, ident bytea`),
	newTable("ledger_entries", 2, `organization_id uuid, event_id uuid, sequence int8, kind int2, recorded_at timestamptz,
		subject_id uuid, leaf bytea, body bytea, ident bytea, erased_by int8`),
	newTable("consents", 4, `organization_id uuid, subject_id uuid, project_no int4, purpose_no int4, event_id uuid,
		last_event_id uuid, purpose_version int4, state int2, weight int2, grants bool, active bool,
		occurred_at timestamptz, expires_at timestamptz, since timestamptz`),
	newTable("restrictions", 2, `organization_id uuid, subject_id uuid, restricted_at timestamptz, sequence int8`),
	newTable("suppressions", 2, `organization_id uuid, hash bytea, suppressed_at timestamptz`),
	newTable("ledger_heads", 1, `organization_id uuid, sequence int8, last_event_id uuid, tree bytea, suppressed int8`),
	newTable("subject_keys", 2, `organization_id uuid, subject_id uuid, wrapped_key bytea`),
	newTable("ledger_rows", 3, `organization_id uuid, level int4, number int8, hashes bytea`),
	newTable("ledger_checkpoints", 1, `organization_id uuid, size int8, last_event_id uuid, tree bytea, note bytea,
		key_id int8, signed_at timestamptz`),
	newTable("ledger_keys", 2, `organization_id uuid, from_size int8, verifier_key text, signed_from timestamptz`),
	newTable("ledger_cosignatures", 2, `organization_id uuid, witness text, size int8, note bytea, cosignature bytea,
		cosigned_at timestamptz`),
	newTable("counts", 2, `organization_id uuid, name text, amount int8`),
	newTable("kept_answers", 3, `organization_id uuid, key_id uuid, hash bytea, fingerprint bytea, sealed bytea,
		expires_at timestamptz, about bytea`),
	newTable("jobs", 2, `organization_id uuid, job_id uuid, kind text, run_at timestamptz, attempts int4, holder uuid,
		error text, created_at timestamptz, parked_at timestamptz, payload bytea`),
	newTable("webhooks", 2, `organization_id uuid, webhook_id uuid, url text, events text, description text, disabled text,
		secret_sealed bytea, previous_sealed bytea, previous_until timestamptz, created_at timestamptz,
		updated_at timestamptz, revision int4, sequence int8, last_event_id uuid, expired_at timestamptz,
		expired_event_id uuid, next_expiry timestamptz, failing_since timestamptz`),
	newTable("webhook_deliveries", 3, `organization_id uuid, webhook_id uuid, delivery_id uuid, type text, entry_id uuid,
		sequence int8, created_at timestamptz, attempts int4, next_try_at timestamptz, state int2, status int4, error text,
		took int8, tried_at timestamptz`),
	newTable("imports", 2, `organization_id uuid, import_id uuid, source text, project_no int4, fingerprint text,
		dry_run bool, notify bool, next_line int8, accepted int8, duplicates int8, rejected int8, errors_kept int8,
		would text, created_at timestamptz, updated_at timestamptz, finished_at timestamptz,
		entry_sequence int8, sweep_at timestamptz`),
	newTable("import_lines", 2, `organization_id uuid, line_key bytea`),
	newTable("import_errors", 3, `organization_id uuid, import_id uuid, line int8, field text, detail text`),
	newTable("import_notes", 3, `organization_id uuid, import_id uuid, name bytea, value bytea`),
}

// newTable makes a table of its columns as "name type, …".
func newTable(name string, key int, columns string, only ...string) *table {
	t := &table{name: name, key: key, only: only}
	for c := range strings.SplitSeq(columns, ",") {
		part := strings.Fields(c)
		t.columns = append(t.columns, column{part[0], part[1]})
	}
	return t
}

// tenant tells that each row is an organization's; the other tables are the instance's.
func (t *table) tenant() bool { return t.columns[0].name == "organization_id" }

// organization gives that of a row by its first column; all zeros: the row is the instance's.
func (t *table) organization(first any) []byte {
	if id, ok := first.([]byte); ok && t.tenant() {
		return id
	}
	return consent.NoID[:]
}

// names gives the first columns.
func (t *table) names(n int) []string {
	names := make([]string, n)
	for i, c := range t.columns[:n] {
		names[i] = c.name
	}
	return names
}

// from is the part of a statement that names the table and the rows that are copied.
func (t *table) from(conditions ...string) string {
	if conditions = append(conditions, t.only...); len(conditions) == 0 {
		return " FROM " + t.name
	}
	return " FROM " + t.name + " WHERE " + strings.Join(conditions, " AND ")
}

// selectRows reads rows in the order of the key: behind a key where after is true, and up to another where upTo is. The
// parameters are the columns of those keys. Both engines take it.
func (t *table) selectRows(after, upTo bool) string {
	key := strings.Join(t.names(t.key), ", ")
	var conditions []string
	if after {
		conditions = append(conditions, "("+key+") > ("+parameters(1, t.key)+")")
	}
	if upTo {
		conditions = append(conditions, "("+key+") <= ("+parameters(1+len(conditions)*t.key, t.key)+")")
	}
	return "/* move_select */ SELECT " + strings.Join(t.names(len(t.columns)), ", ") + t.from(conditions...) +
		" ORDER BY " + key
}

// selectLast reads the key of the last row.
func (t *table) selectLast() string {
	key := t.names(t.key)
	return "/* move_last */ SELECT " + strings.Join(key, ", ") + t.from() + " ORDER BY " + strings.Join(key, " DESC, ") +
		" DESC LIMIT 1"
}

// insert adds a row that may be there already.
func (t *table) insert() string {
	n := len(t.columns)
	return "/* move_insert */ INSERT INTO " + t.name + " (" + strings.Join(t.names(n), ", ") + ") VALUES (" +
		parameters(1, n) + ") ON CONFLICT (" + strings.Join(t.names(t.key), ", ") + ") DO NOTHING"
}

// count counts the rows that are copied.
func (t *table) count() string { return "/* move_count */ SELECT count(*)" + t.from() }

// parameters are so many from $first on.
func parameters(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("$", first+i)
	}
	return strings.Join(list, ", ")
}
