package move

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// moveTable is what is known of a table that a move copies.
type moveTable struct {
	name    string
	columns []moveColumn
	key     int    // its primary key is that many leading columns
	only    string // a condition on the rows that are copied; "": all
}

// moveColumn has a type by the name that PostgreSQL gives it.
type moveColumn struct{ name, kind string }

// moveTables are all tables with all of their columns, parents first: the one list of what a move copies and
// compares. A test holds it against both schemas.
var moveTables = []*moveTable{
	// The row of the empty name is PostgreSQL's own, see its migration.
	movable("instance_secrets", 1, `name text, value bytea`).but("name <> ''"),
	movable("slugs", 1, `slug text, organization_id uuid`),
	movable("organizations", 1, `organization_id uuid, name text, slug text, primary_domain text, status text, test bool,
		created_at timestamptz, updated_at timestamptz, details text`),
	movable("projects", 2, `organization_id uuid, project_no int4, project_id uuid, name text, slug text,
		whole_address bool, created_at timestamptz, updated_at timestamptz, details text`),
	movable("purposes", 3, `organization_id uuid, project_no int4, purpose_no int4, purpose_id uuid, purpose_key text,
		category text, subcategory text, label text, version int4, name text, description text, url text, document_hash bytea,
		read_only bool, valid_states text, status text, duration text, required bool, require_reaccept bool,
		created_at timestamptz, updated_at timestamptz`),
	movable("api_keys", 2, `organization_id uuid, key_id uuid, name text, scopes text, secret_hash bytea,
		created_at timestamptz, expires_at timestamptz, revoked_at timestamptz`),
	movable("texts", 2, `organization_id uuid, hash bytea, text text`),
	movable("subjects", 2, `organization_id uuid, subject_id uuid, type text, merged_into uuid, created_at timestamptz,
		version int4, changed_at timestamptz, changed_by uuid, data text, profile text`),
	movable("subject_archive", 3, `organization_id uuid, subject_id uuid, version int4, changed_at timestamptz,
		changed_by uuid, data text, profile text`),
	movable("identifiers", 4, `organization_id uuid, kind text, project_no int4, value text, subject_id uuid`),
	movable("identifier_claims", 5, `organization_id uuid, kind text, project_no int4, value text, subject_id uuid`),
	movable("subject_merges", 3, `organization_id uuid, into_id uuid, from_id uuid, merged_at timestamptz,
		after_sequence int8`),
	movable("events", 2, `organization_id uuid, event_id uuid, sequence int8, subject_id uuid, project_no int4,
		purpose_no int4, state int2, action int2, weight int2, grants bool, occurred_at timestamptz, recorded_at timestamptz,
		expires_at timestamptz, previous_id uuid, key_id uuid, domain text, country text, body bytea, ident bytea`),
	movable("consents", 4, `organization_id uuid, subject_id uuid, project_no int4, purpose_no int4, event_id uuid,
		last_event_id uuid, state int2, weight int2, grants bool, active bool, occurred_at timestamptz,
		expires_at timestamptz, since timestamptz`),
	movable("ledger_heads", 1, `organization_id uuid, sequence int8, last_event_id uuid`),
	movable("counts", 2, `organization_id uuid, name text, amount int8`),
	movable("kept_answers", 3, `organization_id uuid, key_id uuid, hash bytea, fingerprint bytea, sealed bytea,
		expires_at timestamptz`),
}

// movable makes a table of its columns as "name type, …".
func movable(name string, key int, columns string) *moveTable {
	t := &moveTable{name: name, key: key}
	for column := range strings.SplitSeq(columns, ",") {
		part := strings.Fields(column)
		t.columns = append(t.columns, moveColumn{part[0], part[1]})
	}
	return t
}

func (t *moveTable) but(only string) *moveTable {
	t.only = only
	return t
}

// moveTypes are PostgreSQL's types by their names.
var moveTypes = map[string]uint32{"uuid": pgtype.UUIDOID, "text": pgtype.TextOID, "bytea": pgtype.ByteaOID,
	"bool": pgtype.BoolOID,
	"int2": pgtype.Int2OID, "int4": pgtype.Int4OID, "int8": pgtype.Int8OID, "timestamptz": pgtype.TimestamptzOID}

// shared tells that the table is the instance's and not parted by organization.
func (t *moveTable) shared() bool { return t.columns[0].name != "organization_id" }

// names lists the columns from one to before another.
func (t *moveTable) names(from, to int) string {
	names := make([]string, 0, to-from)
	for _, c := range t.columns[from:to] {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// parameters are $from+1 to $to.
func parameters(from, to int) string {
	names := make([]string, 0, to-from)
	for n := from + 1; n <= to; n++ {
		names = append(names, fmt.Sprint("$", n))
	}
	return strings.Join(names, ", ")
}

// page reads rows in the order of the key: of the organization $1 where the table is parted by them, and, where after
// is true, behind the key that the parameters are. Both engines take it.
func (t *moveTable) page(after bool, limit int) string {
	var conditions []string
	own := 0 // how many columns of the key name the organization
	if !t.shared() {
		own = 1
		conditions = append(conditions, "organization_id = $1")
	}
	if t.only != "" {
		conditions = append(conditions, t.only)
	}
	if after {
		conditions = append(conditions, "("+t.names(own, t.key)+") > ("+parameters(own, t.key)+")")
	}
	statement := "/* move_page */ SELECT " + t.names(0, len(t.columns)) + " FROM " + t.name
	if len(conditions) > 0 {
		statement += " WHERE " + strings.Join(conditions, " AND ")
	}
	if own < t.key {
		statement += " ORDER BY " + t.names(own, t.key)
	}
	return statement + fmt.Sprint(" LIMIT ", limit)
}

// count counts the rows that a move copies.
func (t *moveTable) count() string {
	statement := "/* move_count */ SELECT count(*) FROM " + t.name
	if t.only != "" {
		statement += " WHERE " + t.only
	}
	return statement
}

// nextOrganization gives the least organization behind $1 that has a row in any table. Of each table one row is read: a
// min() that has the condition below pushed into it reads all that are behind.
var nextOrganization = func() string {
	var each []string
	for _, t := range moveTables {
		if !t.shared() {
			each = append(each, "SELECT id FROM (SELECT organization_id AS id FROM "+t.name+" WHERE organization_id > $1 "+
				"ORDER BY organization_id LIMIT 1)")
		}
	}
	return "/* move_next_organization */ SELECT min(id) FROM (" + strings.Join(each, " UNION ALL ") + ")"
}()
