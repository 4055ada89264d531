// Package move copies all that a data folder holds into a PostgreSQL database, and compares both sides. It knows the
// tables with their columns, and not what is in them.
package move

import (
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
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
)

const (
	// moveRows is how many rows one transaction of a move writes, and one page of the comparison reads.
	moveRows = 5000
	// moveBytes bounds a page, and with it the memory that a move needs.
	moveBytes = 4 << 20
)

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
	Step                        string
	Organization, Organizations int // the n-th of so many; 0: the instance's own rows
	Table                       string
	Rows, Total                 int64 // of the step
	Before                      int64 // those of Rows that an earlier run copied
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

// Run copies everything from a data folder, which no server may use meanwhile (sqlite.ErrLocked), into an empty
// PostgreSQL database, and compares both. It may end at any moment, and the next one goes on where it was; until one
// has come to its end, no server starts on the database. An error of type *Differences says that the copy is not the
// same.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Rows <= 0 {
		o.Rows = moveRows
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
		m.source = &moveSource{c}
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

// ErrMoved says that a data folder's move has come to its end.
var ErrMoved = errors.New("this data folder was moved into the database already")

// mover is a move under way.
type mover struct {
	o      Options
	source *moveSource
	target *moveTarget
	known  survey
	at     Progress
	page   movePage
	report Report
}

func (m *mover) run(ctx context.Context) (err error) {
	if m.target, err = connectTarget(ctx, m.o.URL); err != nil { // first: a mistake in the URL shows before a long count
		return err
	}
	defer m.target.close()
	m.at.Step = Counting
	m.known, err = m.source.survey(ctx, func(table string) { m.progress(0, table, 0) })
	if err != nil {
		return err
	}
	m.report.Organizations, m.report.Rows = m.known.organizations, m.known.rows
	for i, t := range moveTables {
		m.report.Tables = append(m.report.Tables, Table{Name: t.name, Rows: m.known.counts[i]})
	}
	database := postgres.Options{URL: m.o.URL, AdminURL: m.o.AdminURL, Log: m.o.Log}
	if err := postgres.Prepare(ctx, database, m.begin); err != nil {
		return err
	}
	if err := m.copy(ctx); err != nil {
		return err
	}
	m.step(Analyzing, 0)
	postgres.Analyze(ctx, database, func(table string) { m.progress(0, table, 0) })
	if err := m.compare(ctx); err != nil {
		return err
	}
	return m.target.end(ctx)
}

// progress says how far the move is, with some more rows done.
func (m *mover) progress(organization int, table string, more int) {
	m.at.Organization, m.at.Table = organization, table
	m.at.Rows += int64(more)
	m.o.Progress(m.at)
}

// step begins the next one.
func (m *mover) step(name string, before int64) {
	m.at = Progress{Step: name, Organizations: m.known.organizations, Rows: before, Total: m.known.rows, Before: before}
	m.progress(0, "", 0)
}

// copy copies what is not there yet, organization by organization.
func (m *mover) copy(ctx context.Context) error {
	before, err := m.target.moved(ctx)
	if err != nil {
		return fmt.Errorf("read how far an earlier run came: %w", err)
	}
	m.report.Before = before
	m.step(Copying, before)
	n := 0
	return m.source.organizations(ctx, func(organization consent.ID) error {
		for done := false; !done; {
			var err error
			if done, err = m.copySome(ctx, organization, n); err != nil {
				return err
			}
		}
		n++
		return nil
	})
}

// copySome copies as many rows of an organization as one transaction takes; done: there are no more.
func (m *mover) copySome(ctx context.Context, organization consent.ID, n int) (done bool, err error) {
	rows, table := 0, ""
	err = pgx.BeginFunc(ctx, m.target.c, func(tx pgx.Tx) error {
		at, err := m.target.position(ctx, tx, organization, &m.known)
		if err != nil {
			return fmt.Errorf("read how far organization %s is: %w", organization, err)
		}
		for at.table < len(moveTables) && rows < m.o.Rows {
			table = moveTables[at.table].name
			more, err := m.copyPage(ctx, organization, &at, m.o.Rows-rows)
			if err != nil {
				return fmt.Errorf("copy %s of organization %s: %w", table, organization, err)
			}
			if rows += m.page.rows; more {
				break
			}
			at.nextTable()
		}
		done = at.table == len(moveTables)
		return m.target.keepPosition(ctx, tx, organization, at)
	})
	if err != nil {
		return false, err
	}
	m.progress(n, table, rows)
	return done, nil
}

// copyPage copies some rows of the table that an organization is at; more: there may be further ones.
func (m *mover) copyPage(ctx context.Context, organization consent.ID, at *movePosition,
	limit int) (more bool, err error) {
	t := moveTables[at.table]
	m.page.reset()
	if t.shared() && organization != consent.NoID {
		return false, nil
	}
	began := time.Now()
	defer func() { m.report.Tables[at.table].Copied += time.Since(began) }()
	err = m.source.rows(ctx, t, organization, at.key, limit,
		func(row []byte) error { return m.page.add(t, row, moveBytes) })
	if err != nil && !errors.Is(err, errPageFull) {
		return false, fmt.Errorf("read the data folder: %w", err)
	}
	more = m.page.rows == limit || err != nil
	if m.page.rows == 0 {
		return false, nil
	}
	if err := m.target.write(ctx, t, &m.page); err != nil {
		return false, fmt.Errorf("write into the database: %w", err)
	}
	at.rows += int64(m.page.rows)
	at.key, err = m.page.lastKey(t)
	return more, err
}
