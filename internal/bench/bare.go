package bench

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// bareBatch is how many events one bare transaction inserts; bareLimit bounds how many are read into memory.
const (
	bareBatch = 256
	bareLimit = 250_000
)

// bareRow is everything that one event wrote.
type bareRow struct {
	event, consent      []any
	subject, identifier []any // of events that made a person
}

// bareInserts takes the rows that the server wrote, inserts them again into an
// empty database of the same schema with nothing in between, one transaction
// after another, durable like the server's, and gives events a second.
func bareInserts(ctx context.Context, from, to string, phase time.Duration) (float64, error) {
	rows, err := readRows(from)
	if err != nil {
		return 0, fmt.Errorf("read the server's rows: %w", err)
	}
	c, err := sqlite.OpenConn(to, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for _, pragma := range []string{
		"synchronous = FULL", "secure_delete = ON", "foreign_keys = ON", "cache_size = -24576"} {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+pragma, nil); err != nil {
			return 0, err
		}
	}
	started, done := time.Now(), 0
	for done+bareBatch <= len(rows) && time.Since(started) < phase && ctx.Err() == nil {
		if err := insertBatch(c, rows[done:done+bareBatch]); err != nil {
			return 0, err
		}
		done += bareBatch
	}
	if done == 0 {
		return 0, fmt.Errorf("the server wrote only %d events: too few to compare", len(rows))
	}
	return float64(done) / time.Since(started).Seconds(), nil
}

const (
	bareEvent = `INSERT INTO events
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`
	bareConsent = `INSERT INTO consents VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (organization_id, subject_id, project_no, purpose_no) DO UPDATE SET event_id = excluded.event_id,
last_event_id = excluded.last_event_id, purpose_version = excluded.purpose_version, state = excluded.state,
weight = excluded.weight, grants = excluded.grants, active = excluded.active, occurred_at = excluded.occurred_at,
expires_at = excluded.expires_at, since = excluded.since`
	bareSubject    = `INSERT INTO subjects VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	bareIdentifier = `INSERT INTO identifiers VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

func insertBatch(c *sqlite.Conn, rows []bareRow) (err error) {
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer end(&err)
	for i := range rows {
		r := &rows[i]
		for _, part := range []struct {
			statement string
			args      []any
		}{{bareSubject, r.subject}, {bareIdentifier, r.identifier}, {bareEvent, r.event}, {bareConsent, r.consent}} {
			if part.args == nil {
				continue
			}
			if err := insertRow(c, part.statement, part.args); err != nil {
				return err
			}
		}
	}
	return nil
}

func insertRow(c *sqlite.Conn, statement string, args []any) error {
	s, err := c.Prepare(statement)
	if err != nil {
		return err
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case []byte:
			s.BindBytes(i+1, v)
		case int64:
			s.BindInt64(i+1, v)
		case string:
			s.BindText(i+1, v)
		default:
			s.BindNull(i + 1)
		}
	}
	if _, err := s.Step(); err != nil {
		return err
	}
	return s.Reset()
}

// readRows reads the first events in the order in which they were written, each with the rest of what it wrote.
func readRows(path string) ([]bareRow, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	subjects, err := readTable(c, `SELECT * FROM subjects`, 0)
	if err != nil {
		return nil, err
	}
	identifiers, err := readTable(c, `SELECT * FROM identifiers`, 0)
	if err != nil {
		return nil, err
	}
	events, err := readTable(c, `SELECT * FROM events ORDER BY organization_id, event_id LIMIT $1`, bareLimit)
	if err != nil {
		return nil, err
	}
	bySubject, byOwner := map[string][]any{}, map[string][]any{}
	for _, s := range subjects {
		bySubject[string(s[1].([]byte))] = s
	}
	for _, i := range identifiers {
		byOwner[string(i[4].([]byte))] = i
	}
	rows := make([]bareRow, len(events))
	for i, e := range events {
		id := string(e[3].([]byte))
		rows[i] = bareRow{event: e, subject: bySubject[id], identifier: byOwner[id],
			consent: []any{e[0], e[3], e[4], e[5], e[1], e[1], e[6], e[7], e[9], e[10], int64(1), e[11], e[13], e[11]}}
		delete(bySubject, id) // only the first event of a person makes one
		delete(byOwner, id)
	}
	return rows, nil
}

func readTable(c *sqlite.Conn, query string, limit int) (rows [][]any, err error) {
	o := &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		row := make([]any, s.ColumnCount())
		for i := range row {
			switch s.ColumnType(i) {
			case sqlite.TypeInteger:
				row[i] = s.ColumnInt64(i)
			case sqlite.TypeText:
				row[i] = s.ColumnText(i)
			case sqlite.TypeBlob:
				b := make([]byte, s.ColumnLen(i))
				s.ColumnBytes(i, b)
				row[i] = b
			}
		}
		rows = append(rows, row)
		return nil
	}}
	if limit > 0 {
		o.Args = []any{limit}
	}
	return rows, sqlitex.ExecuteTransient(c, query, o)
}
