package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// opens are the ways to open a journal.
var opens = map[string]func(string) error{
	"erasures":            func(path string) error { _, err := Open(path); return err },
	"erasures to read":    func(path string) error { _, err := OpenToRead(path); return err },
	"checkpoints":         func(path string) error { _, err := OpenCheckpoints(path); return err },
	"checkpoints to read": func(path string) error { _, err := OpenCheckpointsToRead(path); return err },
}

// TestWritableByOthers: a file that others may write is not believed; one that they may read is, as a copy that was put
// back may be.
func TestWritableByOthers(t *testing.T) {
	for name, open := range opens {
		for mode, taken := range map[fs.FileMode]bool{0o600: true, 0o644: true, 0o620: false, 0o602: false, 0o666: false} {
			path := filepath.Join(t.TempDir(), "journal")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			err := open(path)
			if taken != (err == nil) || err != nil && !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("%s with mode %04o: %v", name, mode, err)
			}
		}
	}
}

// TestLinks: a link to nothing is no file that is not there yet: what it leads to may be on a disk that is not mounted.
func TestLinks(t *testing.T) {
	for name, open := range opens {
		dir := t.TempDir()
		to, path := filepath.Join(dir, "to"), filepath.Join(dir, "journal")
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		if err := open(path); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "link") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: it was made: %v", name, err)
		}
		if err := os.WriteFile(to, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(path); err != nil {
			t.Errorf("%s, a link to a file: %v", name, err)
		}
	}
}
