package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"

	"github.com/consentd/consentd/internal/store/engine"
)

// File is the database of a data folder opened to be checked, beside a running server or without one. It changes
// nothing, also not the schema.
type File struct{ conn *conn }

var _ engine.Viewer = (*File)(nil)

// Inspect opens the database of a data folder for checks; fs.ErrNotExist where it has none.
func Inspect(dir string) (*File, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	// It is opened for writing, since the log of a running server is read by way of the memory that both share.
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", FileName, err)
	}
	c.SetBusyTimeout(busyTimeout)
	f := &File{&conn{c: c}}
	if err := f.conn.run("PRAGMA query_only = ON"); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	}
	return f, nil
}

// Damaged tells whether an error says that SQLite finds its file damaged, or that it is none of its files.
func Damaged(err error) bool {
	code := sqlite.ErrCode(err).ToPrimary()
	return code == sqlite.ResultCorrupt || code == sqlite.ResultNotADB
}

// Close implements engine.Viewer.
func (f *File) Close() error { return f.conn.c.Close() }

// View implements engine.Viewer.
func (f *File) View(ctx context.Context, read func(engine.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.conn.run("BEGIN"); err != nil {
		return err
	}
	err := read(f.conn)
	if end := f.conn.run("ROLLBACK"); err == nil {
		err = end
	}
	return err
}

// Integrity gives what SQLite finds wrong with the file, at most 20 lines; whole looks at indexes too, which takes
// longer.
func (f *File) Integrity(ctx context.Context, whole bool) ([]string, error) {
	check := "PRAGMA quick_check(20)"
	if whole {
		check = "PRAGMA integrity_check(20)"
	}
	found, err := f.lines(ctx, check)
	if len(found) == 1 && found[0] == "ok" {
		found = nil
	}
	return found, err
}

// ForeignKeys names the tables with rows that refer to nothing, at most 20.
func (f *File) ForeignKeys(ctx context.Context) ([]string, error) {
	return f.lines(ctx, "PRAGMA foreign_key_check")
}

// lines gives the first column of an answer, at most 20 rows of it.
func (f *File) lines(ctx context.Context, statement string) (found []string, err error) {
	err = f.conn.Search(ctx, statement, nil, func(r engine.Row) error {
		if len(found) == 20 {
			return nil
		}
		var line string
		err := r.Scan(&line)
		found = append(found, line)
		return err
	})
	return found, err
}
