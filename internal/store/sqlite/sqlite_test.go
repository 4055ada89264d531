package sqlite_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) service.Store {
		s := open(t, t.TempDir(), sqlite.Options{})
		t.Cleanup(func() { closed(t, s) })
		return s
	})
}

// TestCachedPersons holds a store to the contract that answers from memory.
func TestCachedPersons(t *testing.T) {
	storetest.Run(t, func(t *testing.T) service.Store {
		e, err := sqlite.Open(context.Background(), t.TempDir(), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := store.CachePersons(store.New(e), e)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func openStore(ctx context.Context, dir string, o sqlite.Options) (*store.Store, error) {
	e, err := sqlite.Open(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	return store.New(e), nil
}

func open(t *testing.T, dir string, o sqlite.Options) *store.Store {
	t.Helper()
	s, err := openStore(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func keep(t *testing.T, s *store.Store, name string) {
	t.Helper()
	err := s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
		return tx.Append(context.Background(), &consent.Changes{Secrets: []consent.Secret{{Name: name,
			Value: make([]byte, 4096)}}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, s *store.Store, name string) bool {
	t.Helper()
	var value []byte
	err := s.View(context.Background(), func(r service.Reader) (err error) {
		value, err = r.Secret(context.Background(), name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value != nil
}

// TestLock: one server a folder; a tool may open it beside the server.
func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	first := open(t, dir, sqlite.Options{Exclusive: true})
	_, err := openStore(context.Background(), dir, sqlite.Options{Exclusive: true})
	if !errors.Is(err, sqlite.ErrLocked) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a second server: %v", err)
	}
	tool := open(t, dir, sqlite.Options{})
	keep(t, first, "by the server")
	keep(t, tool, "by the tool")
	if !has(t, tool, "by the server") {
		t.Error("the tool does not see what the server wrote")
	}
	closed(t, tool)
	keep(t, first, "after the tool")
	closed(t, first)
	again := open(t, dir, sqlite.Options{Exclusive: true})
	for _, name := range []string{"by the server", "by the tool", "after the tool"} {
		if !has(t, again, name) {
			t.Errorf("what was kept %s is gone", name)
		}
	}
	closed(t, again)
}

// TestReopen opens and closes often: nothing is lost, and no log is left behind.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		s := open(t, dir, sqlite.Options{Exclusive: true})
		for n := range i {
			if !has(t, s, strings.Repeat("x", n+1)) {
				t.Errorf("round %d: what round %d kept is gone", i, n)
			}
		}
		keep(t, s, strings.Repeat("x", i+1))
		closed(t, s)
		if info, err := os.Stat(filepath.Join(dir, sqlite.FileName+"-wal")); err == nil && info.Size() > 0 {
			t.Errorf("round %d left a log of %d bytes", i, info.Size())
		}
	}
}

// TestDamagedFile: what is no database, or one that is broken, is refused with the file's name.
func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"no database": func([]byte) []byte { return []byte(strings.Repeat("this is no database ", 1000)) },
		"broken head": func(content []byte) []byte { copy(content, "nonsense nonsense"); return content },
		"broken tree": func(content []byte) []byte {
			for i := 100; i < len(content); i++ {
				content[i] = 0xaa
			}
			return content
		},
		"cut off": func(content []byte) []byte { return content[:5000] },
	} {
		dir := t.TempDir()
		s := open(t, dir, sqlite.Options{})
		keep(t, s, "a")
		closed(t, s)
		path := filepath.Join(dir, sqlite.FileName)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(content), 0o600); err != nil {
			t.Fatal(err)
		}
		broken, err := openStore(context.Background(), dir, sqlite.Options{Exclusive: true})
		if err == nil {
			err = broken.View(context.Background(), func(r service.Reader) error {
				_, err := r.Secret(context.Background(), "a")
				return err
			})
			_ = broken.Close()
		} else if !strings.Contains(err.Error(), sqlite.FileName) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
		if err == nil {
			t.Errorf("%s: opened and read as if nothing were", name)
			continue
		}
		if err := os.Remove(path); err != nil { // and the lock was given back
			t.Fatal(err)
		}
		closed(t, open(t, dir, sqlite.Options{Exclusive: true}))
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(context.Background(), filepath.Join(file, "below"),
		sqlite.Options{Exclusive: true}); err == nil {
		t.Error("a folder below a file was opened")
	}
}

// TestLinkToNothing: a data folder may be a link, and one that leads nowhere is told of in words.
func TestLinkToNothing(t *testing.T) {
	dir := t.TempDir()
	link, to := filepath.Join(dir, "link"), filepath.Join(dir, "volume")
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(context.Background(), link, sqlite.Options{}); err == nil ||
		!strings.Contains(err.Error(), "link to "+to) {
		t.Errorf("%v", err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, link, sqlite.Options{}))
}

// TestSchemaOfANewerVersion: the old servers of an upgrade go on with it, and say so.
func TestSchemaOfANewerVersion(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir, sqlite.Options{}))
	db, err := zombiezen.OpenConn(filepath.Join(dir, sqlite.FileName), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(db, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)",
		nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	closed(t, open(t, dir, sqlite.Options{Log: slog.New(slog.NewTextHandler(&said, nil))}))
	if !strings.Contains(said.String(), "version=9999") {
		t.Errorf("it said %q", said.String())
	}
}

// TestEarlierSchema: a folder of before the first release, whose first migration was another, is refused with words
// that help.
func TestEarlierSchema(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir, sqlite.Options{}))
	c, err := zombiezen.OpenConn(filepath.Join(dir, sqlite.FileName), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sqlitex.ExecuteTransient(c, "ALTER TABLE events DROP COLUMN weight", nil),
		c.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = openStore(context.Background(), dir, sqlite.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "empty data folder") {
		t.Errorf("opened with %v", err)
	}
}
