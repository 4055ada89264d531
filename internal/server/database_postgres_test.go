package server_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/webtest"
)

// postgresDatabase is a database on a server.
type postgresDatabase struct {
	url    string
	citus  bool
	tables []string
	conn   *pgx.Conn
}

func copiedPostgres(t testing.TB, seed func(database) error) database {
	return &postgresDatabase{url: pgtest.Database(t, "seeded",
		func(url string) error { return seed(&postgresDatabase{url: url}) })}
}

// seededCitus furnishes each time: a distributed database has no copies.
func seededCitus(t testing.TB, seed func(database) error) database {
	g := &postgresDatabase{url: webtest.CitusDatabase(t), citus: true}
	if err := seed(g); err != nil {
		t.Fatalf("seed a database: %v", err)
	}
	return g
}

// postgresStore is a store with the engine that it is over, which counts.
type postgresStore struct {
	service.Store
	engine *postgres.Engine
}

// open leaves room for the servers of other tests: the database server lets 200 connections in.
func (g *postgresDatabase) open() (service.Store, error) {
	e, err := postgres.Open(context.Background(), postgres.Options{URL: g.url, MaxConns: 8, Log: quiet()})
	if err != nil {
		return nil, err
	}
	return postgresStore{store.BatchPersons(store.New(e)), e}, nil
}

// query runs statements, whose rows come as PostgreSQL writes them.
func (g *postgresDatabase) query(statements ...string) ([]*pgconn.Result, error) {
	ctx := context.Background()
	if g.conn == nil {
		conn, err := pgx.Connect(ctx, g.url)
		if err != nil {
			return nil, err
		}
		g.conn = conn
	}
	return g.conn.PgConn().Exec(ctx, strings.Join(statements, "; ")).ReadAll()
}

func (g *postgresDatabase) count(statement string) (int, error) {
	found, err := g.query(statement)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(found[0].Rows[0][0]))
}

func (g *postgresDatabase) inspect() (*store.Inspection, error) {
	e, err := postgres.Inspect(context.Background(), postgres.Options{URL: g.url, Log: quiet()})
	if err != nil {
		return nil, err
	}
	return store.Inspect(e), nil
}

// state is the snapshot: which transactions of the whole server count as done. On Citus it is that of every node.
func (g *postgresDatabase) state() (string, error) {
	snapshot := "SELECT pg_current_snapshot()"
	if g.citus {
		snapshot = "SELECT string_agg(nodeid || ' ' || result, ', ' ORDER BY nodeid) FROM run_command_on_all_nodes('" +
			snapshot + "')"
	}
	found, err := g.query(snapshot)
	if err != nil {
		return "", err
	}
	return string(found[0].Rows[0][0]), nil
}

// allTables leaves partitions out: whoever reads what they are of reads them.
const allTables = `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace
	AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1`

func (g *postgresDatabase) read() (map[string]string, error) {
	if g.tables == nil {
		found, err := g.query(allTables)
		if err != nil {
			return nil, err
		}
		for _, row := range found[0].Rows {
			g.tables = append(g.tables, string(row[0]))
		}
	}
	statements := []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
	for _, table := range g.tables {
		statements = append(statements, "SELECT * FROM "+table)
	}
	found, err := g.query(append(statements, "COMMIT")...)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i, table := range g.tables {
		var rows []string
		for _, row := range found[i+1].Rows {
			rows = append(rows, postgresRow(found[i+1].FieldDescriptions, row))
		}
		if g.citus { // its shards answer in any order; elsewhere a row that is written again is seen by its place
			slices.Sort(rows)
		}
		out[table] = strings.Join(rows, "")
	}
	return out, nil
}

// postgresRow writes ids and bytes as SQLite's rows have them.
func postgresRow(columns []pgconn.FieldDescription, values [][]byte) string {
	var row strings.Builder
	for i, value := range values {
		text := string(value)
		switch columns[i].DataTypeOID {
		case pgtype.UUIDOID:
			text = strings.ReplaceAll(text, "-", "")
		case pgtype.ByteaOID:
			text = strings.TrimPrefix(text, `\x`)
		}
		row.WriteString(text + "|")
	}
	return row.String() + "\n"
}

func (g *postgresDatabase) leave() error {
	if g.conn == nil {
		return nil
	}
	defer func() { g.conn = nil }()
	return g.conn.Close(context.Background())
}
