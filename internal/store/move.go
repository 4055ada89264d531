package store

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
)

const (
	// moveRows is how many rows one transaction of a move writes, and one page of the comparison reads.
	moveRows = 5000
	// moveBytes bounds a page, and with it the memory that a move needs.
	moveBytes = 4 << 20
)

// MoveOptions say what is moved where.
type MoveOptions struct {
	From          string // the data folder
	URL, AdminURL string // of the database, as in PostgresOptions
	Rows          int    // in one transaction; 0: 5000
	Log           *slog.Logger
	// Progress is told how far the move is, often, and one call after the other; nil: nobody is.
	Progress func(MoveProgress)
}

// The steps of a move, in their order.
const (
	MoveCounts   = "counting"
	MoveCopies   = "copying"
	MoveAnalyzes = "analyzing"
	MoveCompares = "comparing"
)

// MoveProgress is how far a move is.
type MoveProgress struct {
	Step                        string
	Organization, Organizations int // the n-th of so many; 0: the instance's own rows
	Table                       string
	Rows, Total                 int64 // of the step
	Before                      int64 // those of Rows that an earlier run copied
}

// MoveReport is what a move did.
type MoveReport struct {
	Organizations int
	Rows          int64
	Before        int64 // those of Rows that an earlier run copied
	Tables        []MovedTable
}

// MovedTable is what a move did with a table, and how long it took this time.
type MovedTable struct {
	Name             string
	Rows             int64
	Copied, Compared time.Duration
}

// Move copies everything from a data folder, which no server may use meanwhile (ErrLocked), into an empty PostgreSQL
// database, and compares both. It may end at any moment, and the next one goes on where it was; until one has come to
// its end, no server starts on the database. An error of type *MoveDifferences says that the copy is not the same.
func Move(ctx context.Context, o MoveOptions) (MoveReport, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Rows <= 0 {
		o.Rows = moveRows
	}
	if o.Progress == nil {
		o.Progress = func(MoveProgress) {}
	}
	m := &mover{o: o}
	if _, err := os.Stat(filepath.Join(o.From, SQLiteFile)); errors.Is(err, fs.ErrNotExist) {
		return m.report, fmt.Errorf("there is no %s in %s: name the data folder of the server", SQLiteFile, o.From)
	}
	s, err := OpenSQLite(ctx, o.From, SQLiteOptions{Exclusive: true, Log: o.Log, moves: true})
	if err != nil {
		return m.report, err
	}
	// Nothing is written in this transaction: it is what keeps everybody else from writing, and shows one state.
	err = s.engine.update(ctx, consent.NoID, func(c conn) error {
		m.source = &moveSource{c.(*sqliteConn)}
		return m.run(ctx)
	})
	if end := s.Close(); err == nil && end != nil {
		err = fmt.Errorf("everything was moved, but the data folder could not be closed: %w", end)
	}
	if err == nil || errors.Is(err, ErrMoved) {
		err = errors.Join(err, leave(o.From))
	}
	return m.report, err
}

// ErrMoved says that a data folder's move has come to its end.
var ErrMoved = errors.New("this data folder was moved into the database already")

// movedFile is put into a data folder whose move has come to its end: a server that started on it again would take
// decisions that nobody finds.
const movedFile = "moved-to-postgres"

// Moved tells whether a data folder's move has come to its end, so that nobody should use it any more.
func Moved(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, movedFile))
	return err == nil
}

// leave puts the mark into a data folder.
func leave(dir string) error {
	const text = "The data of this folder was moved into a PostgreSQL database; consentd serve refuses it.\nRemove this file to use the folder all the same.\n"
	if err := os.WriteFile(filepath.Join(dir, movedFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("everything was moved, but the data folder could not be marked: %w", err)
	}
	return nil
}

// mover is a move under way.
type mover struct {
	o      MoveOptions
	source *moveSource
	target *moveTarget
	known  survey
	at     MoveProgress
	page   movePage
	report MoveReport
}

func (m *mover) run(ctx context.Context) (err error) {
	if m.target, err = connectTarget(ctx, m.o.URL); err != nil { // first: a mistake in the URL shows before a long count
		return err
	}
	defer m.target.close()
	m.at.Step = MoveCounts
	m.known, err = m.source.survey(ctx, func(table string) { m.tell(0, table, 0) })
	if err != nil {
		return err
	}
	m.report.Organizations, m.report.Rows = m.known.organizations, m.known.rows
	for i, t := range moveTables {
		m.report.Tables = append(m.report.Tables, MovedTable{Name: t.name, Rows: m.known.counts[i]})
	}
	e := newPostgresEngine(PostgresOptions{URL: m.o.URL, AdminURL: m.o.AdminURL, Log: m.o.Log, move: m})
	if err := e.prepareDatabase(ctx); err != nil {
		return err
	}
	if err := m.copy(ctx); err != nil {
		return err
	}
	m.step(MoveAnalyzes, 0)
	e.analyze(ctx, func(table string) { m.tell(0, table, 0) })
	if err := m.compare(ctx); err != nil {
		return err
	}
	return m.target.end(ctx)
}

// tell says how far the move is, with some more rows done.
func (m *mover) tell(organization int, table string, more int) {
	m.at.Organization, m.at.Table = organization, table
	m.at.Rows += int64(more)
	m.o.Progress(m.at)
}

// step begins the next one.
func (m *mover) step(name string, before int64) {
	m.at = MoveProgress{Step: name, Organizations: m.known.organizations, Rows: before, Total: m.known.rows, Before: before}
	m.tell(0, "", 0)
}

// copy copies what is not there yet, organization by organization.
func (m *mover) copy(ctx context.Context) error {
	before, err := m.target.moved(ctx)
	if err != nil {
		return fmt.Errorf("read how far an earlier run came: %w", err)
	}
	m.report.Before = before
	m.step(MoveCopies, before)
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
	m.tell(n, table, rows)
	return done, nil
}

// copyPage copies some rows of the table that an organization is at; more: there may be further ones.
func (m *mover) copyPage(ctx context.Context, organization consent.ID, at *movePosition, limit int) (more bool, err error) {
	t := moveTables[at.table]
	m.page.reset()
	if t.shared() && organization != consent.NoID {
		return false, nil
	}
	began := time.Now()
	defer func() { m.report.Tables[at.table].Copied += time.Since(began) }()
	err = m.source.rows(ctx, t, organization, at.key, limit, func(row []byte) error { return m.page.add(t, row, moveBytes) })
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
