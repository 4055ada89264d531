package move

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
)

// Differences is the error of a move whose copy is not the same as the source.
type Differences struct {
	Found []Difference // the first of them
	More  int
}

// Difference is a table of an organization that is not the same on both sides.
type Difference struct {
	Organization   consent.ID // all zeros: the instance
	Table          string
	Source, Target int64 // rows
}

// shownDifferences is how many are told one by one.
const shownDifferences = 20

// Error has a line for each difference.
func (d *Differences) Error() string {
	var b strings.Builder
	b.WriteString("the database does not hold what the data folder holds:\n")
	for _, one := range d.Found {
		fmt.Fprintf(&b, "  organization %s, table %s: ", one.Organization, one.Table)
		if one.Source == one.Target {
			fmt.Fprintf(&b, "%d rows on both sides, of which some differ\n", one.Source)
		} else {
			fmt.Fprintf(&b, "%d rows in the data folder, %d in the database\n", one.Source, one.Target)
		}
	}
	if d.More > 0 {
		fmt.Fprintf(&b, "  and %d more\n", d.More)
	}
	b.WriteString("Something else wrote into the database, a disk is failing, or it is a fault of consentd's. The data " +
		"folder is as it was: " +
		"drop the database, create it anew, and run the same command again; report it where it happens twice")
	return b.String()
}

func (d *Differences) add(one Difference) {
	if len(d.Found) == shownDifferences {
		d.More++
		return
	}
	d.Found = append(d.Found, one)
}

// compare reads both sides again, whole, and holds them against each other, row by row.
func (m *mover) compare(ctx context.Context) error {
	m.step(Comparing, 0)
	found := &Differences{}
	seen := make([]int64, len(tables))
	for i, t := range tables {
		began := time.Now()
		c := &comparison{target: m.target, table: t, found: found}
		if err := m.compareTable(ctx, c); err != nil {
			return fmt.Errorf("compare %s: %w", t.name, err)
		}
		seen[i], m.report.Tables[i].Compared = c.seen, time.Since(began)
	}
	for i, t := range tables {
		m.progress(t.name, 0)
		var n int64
		if err := m.target.QueryRow(ctx, t.count()).Scan(&n); err != nil {
			return fmt.Errorf("count %s in the database: %w", t.name, err)
		}
		if n != seen[i] {
			return fmt.Errorf("compare %s: something writes into the table while it is compared; stop it, and run the same "+
				"command again", t.name)
		}
	}
	if len(found.Found) > 0 {
		return found
	}
	return nil
}

// compareTable compares each page of the data folder with the rows that the database has behind the page before and up
// to the last key of this one. At the end come the rows that the database has behind them all.
func (m *mover) compareTable(ctx context.Context, c *comparison) error {
	var last []any
	err := m.source.pages(ctx, c.table, nil, func(page [][]any) error {
		before := last
		last = page[len(page)-1][:c.table.key]
		if err := c.page(ctx, page, before, last); err != nil {
			return err
		}
		m.progress(c.table.name, int64(len(page)))
		return nil
	})
	if err == nil {
		err = c.page(ctx, nil, last, nil)
	}
	c.settle()
	return err
}

// comparison is that of one table. Rows come in the order of their organizations, so one of these is open at a time.
type comparison struct {
	target  *pgx.Conn
	table   *table
	found   *Differences
	seen    int64 // rows of the database
	open    Difference
	differs bool // a row of the open organization does
}

// page compares a page of the data folder with the rows of the database behind one key and up to another. The rows of
// an organization are paired one by one, since both sides have the same order.
func (c *comparison) page(ctx context.Context, page [][]any, after, upTo []any) error {
	args := slices.Concat([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, after, upTo)
	rows, err := c.target.Query(ctx, c.table.selectRows(after != nil, upTo != nil), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		c.seen++
		row := rows.RawValues()
		organization := c.table.organization(row[0])
		for len(page) > 0 && bytes.Compare(c.table.organization(page[0][0]), organization) < 0 {
			c.add(c.table.organization(page[0][0]), page[0], nil)
			page = page[1:]
		}
		if len(page) > 0 && bytes.Equal(c.table.organization(page[0][0]), organization) {
			c.add(organization, page[0], row)
			page = page[1:]
		} else {
			c.add(organization, nil, row)
		}
	}
	for _, values := range page {
		c.add(c.table.organization(values[0]), values, nil)
	}
	return rows.Err()
}

// add takes a pair of rows of an organization, one of which may be nil: it is missing.
func (c *comparison) add(organization []byte, values []any, row [][]byte) {
	if c.open.Table == "" || !bytes.Equal(c.open.Organization[:], organization) {
		c.settle()
		c.open, c.differs = Difference{Organization: consent.ID(organization), Table: c.table.name}, false
	}
	if values != nil {
		c.open.Source++
	}
	if row != nil {
		c.open.Target++
	}
	c.differs = c.differs || values == nil || row == nil || !sameRow(values, row)
}

// settle decides about the open organization, of which there are no more rows.
func (c *comparison) settle() {
	if c.differs {
		c.found.add(c.open)
	}
}

// sameRow holds values of the data folder against a row as PostgreSQL sends it in binary.
func sameRow(values []any, row [][]byte) bool {
	for i, raw := range row {
		same := raw != nil
		switch v := values[i].(type) {
		case nil:
			same = raw == nil
		case []byte:
			same = same && bytes.Equal(raw, v)
		case bool:
			same = same && (raw[0] != 0) == v
		case int64:
			same = same && number(raw) == v
		case time.Time:
			const epoch = 946684800 * 1_000_000 // PostgreSQL's, in microseconds since 1970
			same = same && number(raw) == v.UnixMicro()-epoch
		}
		if !same {
			return false
		}
	}
	return true
}

// number reads an int2, int4 or int8.
func number(raw []byte) int64 {
	switch len(raw) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(raw)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(raw)))
	}
	return int64(binary.BigEndian.Uint64(raw))
}
