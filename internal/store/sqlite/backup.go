package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Backup copies the database of a data folder to a new file, as it is at one moment, beside a running server or
// without one. The copy is compact, for its owner alone, on disk and found sound when it returns. fs.ErrNotExist: the
// folder has no database; fs.ErrExist: the file is there already.
func Backup(ctx context.Context, dir, to string) (err error) {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite takes an empty file
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(to) // half a copy helps nobody
		}
	}()
	// a running server's log is read by its shared memory
	c, err := sqlite.OpenConn(filepath.Join(dir, FileName), sqlite.OpenReadWrite)
	if err != nil {
		return fmt.Errorf("open %s: %w", FileName, err)
	}
	defer c.Close()
	c.SetInterrupt(ctx.Done())
	c.SetBusyTimeout(busyTimeout)
	if err := sqlitex.ExecuteTransient(c, "VACUUM INTO ?", &sqlitex.ExecOptions{Args: []any{to}}); err != nil {
		return fmt.Errorf("copy %s: %w", FileName, err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("bring the copy to disk: %w", err)
	}
	if err := syncFolder(filepath.Dir(to)); err != nil {
		return fmt.Errorf("bring the copy's name to disk: %w", err)
	}
	return sound(to)
}

// syncFolder brings the names in a folder to disk.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// sound reads a whole copy once.
func sound(path string) error {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	defer c.Close()
	found, err := (&File{&conn{c: c}}).Integrity(context.Background(), false)
	if err != nil {
		return fmt.Errorf("read the copy: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("the copy is not sound: %v", found)
	}
	return nil
}
