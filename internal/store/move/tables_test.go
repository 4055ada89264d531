package move

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

// notMoved are the tables that a move leaves alone: what tells the version of the schema, and what tells how far it is.
var notMoved = []string{"goose_db_version", "store_moves"}

// TestMoveForgetsNothing holds the list of what is moved against the schemas of both engines: tables, columns, types,
// keys, and that parents come first.
func TestMoveForgetsNothing(t *testing.T) {
	listed := map[string]string{}
	for _, table := range tables {
		for i, c := range table.columns {
			listed[table.name] += fmt.Sprintf("%s %s key=%t\n", c.name, c.kind, i < table.key)
		}
	}
	inSQLite := map[string]string{"uuid": "BLOB", "bytea": "BLOB", "text": "TEXT", "bool": "INTEGER", "int2": "INTEGER",
		"int4": "INTEGER", "int8": "INTEGER", "timestamptz": "INTEGER"}
	translated := map[string]string{}
	for name, columns := range listed {
		for line := range strings.Lines(columns) {
			kind := strings.Fields(line)[1]
			translated[name] += strings.Replace(line, " "+kind+" ", " "+inSQLite[kind]+" ", 1)
		}
	}
	if diff := cmp.Diff(sqliteSchema(t), translated); diff != "" {
		t.Errorf("SQLite's schema (-) against what is moved (+):\n%s", diff)
	}
	if diff := cmp.Diff(postgresSchema(t), listed); diff != "" {
		t.Errorf("PostgreSQL's schema (-) against what is moved (+):\n%s", diff)
	}
	for _, table := range tables {
		for _, c := range table.columns[:table.key] {
			if !slices.Contains([]string{"uuid", "bytea", "text", "int4", "int8"}, c.kind) {
				t.Errorf("the key of %s has a %s, which lastKey does not know", table.name, c.kind)
			}
		}
	}
}

func sqliteSchema(t *testing.T) map[string]string {
	t.Helper()
	e, err := sqlite.Open(context.Background(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	schema := map[string]string{}
	err = e.View(context.Background(), func(c engine.Conn) error {
		return c.Query(context.Background(),
			`SELECT s.name, i.name, i.type, i.pk > 0 FROM sqlite_schema s, pragma_table_info(s.name) i
WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite_%' ORDER BY s.name, i.cid`, nil, func(r engine.Row) error {
				var table, column, kind string
				var key bool
				err := r.Scan(&table, &column, &kind, &key)
				schema[table] += fmt.Sprintf("%s %s key=%t\n", column, kind, key)
				return err
			})
	})
	if err != nil {
		t.Fatal(err)
	}
	return without(schema)
}

func postgresSchema(t *testing.T) map[string]string {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, postgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, `SELECT c.table_name::text, c.column_name::text, c.udt_name::text, k.column_name IS NOT NULL
FROM information_schema.columns c JOIN pg_class r ON r.oid = c.table_name::regclass AND NOT r.relispartition
LEFT JOIN (information_schema.table_constraints n
JOIN information_schema.key_column_usage k USING (table_schema, constraint_name))
  ON n.constraint_type = 'PRIMARY KEY' AND n.table_name = c.table_name AND k.column_name = c.column_name
WHERE c.table_schema = 'public' ORDER BY c.table_name, c.ordinal_position`)
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]string{}
	var table, column, kind string
	var key bool
	if _, err := pgx.ForEachRow(rows, []any{&table, &column, &kind, &key}, func() error {
		schema[table] += fmt.Sprintf("%s %s key=%t\n", column, kind, key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	parentsFirst(t, c)
	return without(schema)
}

func without(schema map[string]string) map[string]string {
	maps.DeleteFunc(schema, func(table, _ string) bool { return slices.Contains(notMoved, table) })
	return schema
}

// parentsFirst asks the database which table refers to which.
func parentsFirst(t *testing.T, c *pgx.Conn) {
	t.Helper()
	rows, err := c.Query(context.Background(),
		`SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'`)
	if err != nil {
		t.Fatal(err)
	}
	place := func(name string) int {
		return slices.IndexFunc(tables, func(t *table) bool { return t.name == name })
	}
	references := 0
	var child, parent string
	if _, err := pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
		if references++; place(child) <= place(parent) {
			t.Errorf("%s refers to %s, which is moved after it", child, parent)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if references < 4 {
		t.Errorf("the database knows of %d references", references)
	}
}

// TestMovePagesUseTheKey asks SQLite how it would read a table: none may be sorted, or read from its beginning.
func TestMovePagesUseTheKey(t *testing.T) {
	f := fillFolder(t, 1)
	for _, table := range tables {
		for _, after := range []bool{false, true} {
			statement := table.selectRows(after, false)
			for _, step := range storetest.Plan(t, filepath.Join(f.dir, sqlite.FileName), statement) {
				if fine := strings.Contains(step, "SEARCH") || !after; !fine || strings.Contains(step, "TEMP") {
					t.Errorf("%s, after a key %t: %s", table.name, after, step)
				}
			}
		}
	}
}
