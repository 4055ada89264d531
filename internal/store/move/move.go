// Package move copies all that a data folder holds into a PostgreSQL database, and compares both sides. It knows the
// tables with their columns, and not what is in them.
package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// pageRows is how many rows one transaction writes, and one page of the comparison has.
const pageRows = 5000

// Options say what is moved where.
type Options struct {
	From          string // the data folder
	URL, AdminURL string // of the database, as in postgres.Options
	Rows          int    // in one transaction; 0: 5000
	Log           *slog.Logger
	// Progress is told how far the move is, often, and one call after the other; nil: nobody is.
	Progress func(Progress)
}

// The steps of a move, in their order.
const (
	Counting  = "counting"
	Copying   = "copying"
	Analyzing = "analyzing"
	Comparing = "comparing"
)

// Progress is how far a move is.
type Progress struct {
	Step, Table string
	Rows, Total int64 // of the step
	Before      int64 // those of Rows that an earlier run copied
}

// Report is what a move did.
type Report struct {
	Organizations int
	Rows          int64
	Before        int64 // those of Rows that an earlier run copied
	Tables        []Table
}

// Table is what a move did with a table, and how long it took this time.
type Table struct {
	Name             string
	Rows             int64
	Copied, Compared time.Duration
}

// ErrMoved says that a data folder's move has come to its end.
var ErrMoved = errors.New("this data folder was moved into the database already")

// Run copies everything from a data folder, which no server may use meanwhile (sqlite.ErrLocked), into an empty
// PostgreSQL database, and compares both. It may end at any moment, and the next one goes on where it was; until one
// has come to its end, no server starts on the database. An error of type *Differences says that the copy is not the
// same.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Rows <= 0 {
		o.Rows = pageRows
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	m := &mover{o: o}
	if _, err := os.Stat(filepath.Join(o.From, sqlite.FileName)); errors.Is(err, fs.ErrNotExist) {
		return m.report, fmt.Errorf("there is no %s in %s: name the data folder of the server", sqlite.FileName, o.From)
	}
	folder, err := sqlite.Open(ctx, o.From, sqlite.Options{Exclusive: true, Log: o.Log, Moving: true})
	if err != nil {
		return m.report, err
	}
	// Nothing is written in this transaction: it is what keeps everybody else from writing, and shows one state.
	err = folder.Update(ctx, consent.NoID, func(c engine.Conn) error {
		m.source = &source{c, o.Rows}
		return m.run(ctx)
	})
	if end := folder.Close(); err == nil && end != nil {
		err = fmt.Errorf("everything was moved, but the data folder could not be closed: %w", end)
	}
	if err == nil || errors.Is(err, ErrMoved) {
		err = errors.Join(err, sqlite.MarkMoved(o.From))
	}
	return m.report, err
}

// mover is a move under way.
type mover struct {
	o      Options
	source *source
	target *pgx.Conn
	known  survey
	at     Progress
	report Report
}

func (m *mover) run(ctx context.Context) (err error) {
	if m.target, err = connect(ctx, m.o.URL); err != nil { // first: a mistake in the URL shows before a long count
		return err
	}
	defer func() { _ = m.target.Close(context.Background()) }()
	m.at.Step = Counting
	if m.known, err = m.source.survey(ctx, func(table string) { m.progress(table, 0) }); err != nil {
		return err
	}
	m.report.Organizations, m.report.Rows = m.known.organizations, m.known.rows
	for i, t := range tables {
		m.report.Tables = append(m.report.Tables, Table{Name: t.name, Rows: m.known.counts[i]})
	}
	if m.report.Before, err = m.begin(ctx); err != nil {
		return err
	}
	m.step(Copying, m.report.Before)
	for i, t := range tables {
		began := time.Now()
		if err := m.copy(ctx, t); err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
		m.report.Tables[i].Copied = time.Since(began)
	}
	m.step(Analyzing, 0)
	m.analyze(ctx)
	if err := m.compare(ctx); err != nil {
		return err
	}
	return end(ctx, m.target)
}

// step begins the next one.
func (m *mover) step(name string, before int64) {
	m.at = Progress{Step: name, Rows: before, Total: m.known.rows, Before: before}
	m.progress("", 0)
}

// progress says how far the move is, with some more rows done.
func (m *mover) progress(table string, more int64) {
	m.at.Table, m.at.Rows = table, m.at.Rows+more
	m.o.Progress(m.at)
}

// copy copies the rows of a table that are not there yet. Pages are written in the order of the key, so an earlier run
// ended behind the last row that is there. The few rows of the instance are tried again from the first on: Citus may
// have committed some of a page only.
func (m *mover) copy(ctx context.Context, t *table) (err error) {
	var after []any
	if t.tenant() {
		if after, err = lastKey(ctx, m.target, t); err != nil {
			return fmt.Errorf("read how far the database is: %w", err)
		}
	}
	return m.source.pages(ctx, t, after, func(page [][]any) error {
		added, err := write(ctx, m.target, t, page)
		if err == nil {
			m.progress(t.name, added)
		}
		return err
	})
}

// analyze tells the planner what the tables hold now. The database would find out by itself, after a while; so where it
// fails, the log says so and nothing else happens.
func (m *mover) analyze(ctx context.Context) {
	c, err := connect(ctx, cmp.Or(m.o.AdminURL, m.o.URL))
	if err == nil {
		defer func() { _ = c.Close(context.Background()) }()
	}
	for i := 0; i < len(tables) && err == nil; i++ {
		m.progress(tables[i].name, 0)
		_, err = c.Exec(ctx, "ANALYZE "+tables[i].name)
	}
	if err != nil && ctx.Err() == nil {
		m.o.Log.Warn("the new tables could not be analyzed; the database does so by itself after a while", "error", err)
	}
}
