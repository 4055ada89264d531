package move

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/postgres"
)

var binaryFormat = []int16{1}

// moveTarget is the database that a move writes, over one connection.
type moveTarget struct{ c *pgx.Conn }

// targetSettings keep a long statement from being cut off, and pages from being read by anything but the key's index.
var targetSettings = map[string]string{"application_name": postgres.MoveApplication, "statement_timeout": "0",
	"lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "jit": "off", "enable_seqscan": "off",
	"enable_bitmapscan": "off"}

func connectTarget(ctx context.Context, url string) (*moveTarget, error) {
	cfg, err := postgres.ParseURL(url)
	if err != nil {
		return nil, err
	}
	maps.Copy(cfg.RuntimeParams, targetSettings)
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return &moveTarget{c}, nil
}

func (g *moveTarget) close() { _ = g.c.Close(context.Background()) }

// rows is moveSource's, of the database.
func (g *moveTarget) rows(ctx context.Context, t *moveTable, organization consent.ID, after []byte, limit int,
	visit func(row []byte) error) error {
	args, done, err := t.arguments(organization, after)
	if done || err != nil {
		return err
	}
	oids := make([]uint32, len(args))
	for i := range args {
		oids[i] = moveTypes[t.columns[i].kind]
	}
	answer := g.c.PgConn().ExecParams(ctx, t.page(after != nil, limit), args, oids, binaryFormat, binaryFormat)
	var buffer []byte
	for err == nil && answer.NextRow() {
		buffer = appendValues(buffer[:0], answer.Values())
		err = visit(buffer)
	}
	if _, end := answer.Close(); err == nil {
		err = end
	}
	return err
}

func appendValues(b []byte, values [][]byte) []byte {
	for _, value := range values {
		if value == nil {
			b = binary.BigEndian.AppendUint32(b, nullLength)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
	}
	return b
}

// movePosition is how far an organization has been copied.
type movePosition struct {
	table int    // index of the table that it is at; behind the last: all is copied
	key   []byte // of the last row that was copied of it; nil: none was
	rows  int64  // of all its tables
}

func (p *movePosition) nextTable() { p.table, p.key = p.table+1, nil }

const insertMove = `/* insert_move */ INSERT INTO store_moves (organization_id, source, source_state, table_name,
last_key, rows_moved, began_at)
VALUES ($1, $2, $3, $4, '', 0, $5) ON CONFLICT (organization_id) DO NOTHING`

const selectPosition = `/* select_move_position */ SELECT table_name, last_key, rows_moved FROM store_moves
WHERE organization_id = $1 FOR UPDATE`

// position reads how far an organization is and locks it: where a move was killed, what it was about to commit is
// waited for.
func (g *moveTarget) position(ctx context.Context, tx pgx.Tx, organization consent.ID,
	of *survey) (at movePosition, err error) {
	_, err = tx.Exec(ctx, insertMove, [16]byte(organization), of.identity[:], of.state[:], moveTables[0].name, time.Now())
	if err != nil {
		return at, err
	}
	var table string
	if err := tx.QueryRow(ctx, selectPosition, [16]byte(organization)).Scan(&table, &at.key, &at.rows); err != nil {
		return at, err
	}
	if len(at.key) == 0 {
		at.key = nil
	}
	for at.table < len(moveTables) && moveTables[at.table].name != table {
		at.table++
	}
	if at.table == len(moveTables) && table != "" {
		return at, fmt.Errorf("the move is at table %q, which this consentd does not know: go on with the version that "+
			"began it", table)
	}
	return at, nil
}

const updatePosition = `/* update_move_position */ UPDATE store_moves
SET table_name = $1, last_key = $2, rows_moved = $3 WHERE organization_id = $4`

func (g *moveTarget) keepPosition(ctx context.Context, tx pgx.Tx, organization consent.ID, at movePosition) error {
	table, key := "", []byte{}
	if at.table < len(moveTables) {
		table, key = moveTables[at.table].name, append(key, at.key...)
	}
	_, err := tx.Exec(ctx, updatePosition, table, key, at.rows, [16]byte(organization))
	return err
}

// write puts a page of rows into a table, within a transaction.
func (g *moveTarget) write(ctx context.Context, t *moveTable, page *movePage) error {
	if t.shared() {
		return g.insert(ctx, t, page)
	}
	done, err := g.c.PgConn().CopyFrom(ctx, bytes.NewReader(page.finished()),
		"COPY "+t.name+" ("+t.names(0, len(t.columns))+") FROM STDIN (FORMAT binary)")
	if err == nil && done.RowsAffected() != int64(page.rows) {
		err = fmt.Errorf("%d of %d rows were taken", done.RowsAffected(), page.rows)
	}
	return err
}

// insert writes rows of a table that has no tenant, which may be there already: on Citus such a table may be of
// another node than the move's position, or of none, so that one of the two can be committed alone.
func (g *moveTarget) insert(ctx context.Context, t *moveTable, page *movePage) error {
	oids := make([]uint32, len(t.columns))
	for i, c := range t.columns {
		oids[i] = moveTypes[c.kind]
	}
	statement := "INSERT INTO " + t.name + " (" + t.names(0, len(t.columns)) + ") VALUES (" +
		parameters(0, len(t.columns)) + ") ON CONFLICT (" + t.names(0, t.key) + ") DO NOTHING"
	batch := &pgconn.Batch{}
	for rest := page.copy[len(copyHead):]; len(rest) > 0; {
		values, size, err := split(rest[2:], len(t.columns))
		if err != nil {
			return err
		}
		rest = rest[2+size:]
		batch.ExecParams(statement, values, oids, binaryFormat, binaryFormat)
	}
	return g.c.PgConn().ExecBatch(ctx, batch).Close()
}

// movePage is some rows as COPY takes them (https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format"): a
// head, each row behind the number of its fields, and an end.
type movePage struct {
	copy []byte
	rows int
	last int // where the last row begins
}

const (
	copyHead = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyEnd  = "\xff\xff"
)

func (p *movePage) reset() { p.copy, p.rows = append(p.copy[:0], copyHead...), 0 }

func (p *movePage) finished() []byte { return append(p.copy, copyEnd...) }

// errPageFull ends the reading of a page that has no room for another row.
var errPageFull = errors.New("the page is full")

// add appends a row, unless it makes the page larger than it may be; one row always fits.
func (p *movePage) add(t *moveTable, row []byte, most int) error {
	if p.rows > 0 && len(p.copy)+len(row) > most {
		return errPageFull
	}
	p.copy = binary.BigEndian.AppendUint16(p.copy, uint16(len(t.columns)))
	p.last = len(p.copy)
	p.copy = append(p.copy, row...)
	p.rows++
	return nil
}

// lastKey gives the key of the last row.
func (p *movePage) lastKey(t *moveTable) ([]byte, error) {
	row := p.copy[p.last:]
	_, size, err := split(row, t.key)
	return bytes.Clone(row[:size]), err
}
