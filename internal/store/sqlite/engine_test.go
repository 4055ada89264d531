package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/migrations"
	"github.com/consentd/consentd/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// openEngine opens a fresh store and gives its engine too.
func openEngine(t *testing.T) (*store.Store, *Engine) {
	t.Helper()
	return openStore(t, t.TempDir())
}

// openStore opens a data folder until the test ends.
func openStore(t *testing.T, dir string) (*store.Store, *Engine) {
	t.Helper()
	e, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(e)
	closeAtEnd(t, s)
	return s, e
}

// closeAtEnd closes a store when the test ends.
func closeAtEnd(t *testing.T, s service.Store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func pragma(t *testing.T, e *Engine, statement string) {
	t.Helper()
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := sqlitex.ExecuteTransient(e.writer, "PRAGMA "+statement, nil); err != nil {
		t.Fatal(err)
	}
}

// checkRunning is checkDurable of an engine that runs.
func checkRunning(e *Engine) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	return e.checkDurable()
}

// TestDurabilityIsReadBack breaks each setting on purpose: the check that runs at the start must say so.
func TestDurabilityIsReadBack(t *testing.T) {
	_, e := openEngine(t)
	if err := checkRunning(e); err != nil {
		t.Fatal(err)
	}
	for wrong, right := range map[string]string{"synchronous = NORMAL": "synchronous = FULL",
		"synchronous = OFF":  "synchronous = FULL",
		"foreign_keys = OFF": "foreign_keys = ON", "secure_delete = OFF": "secure_delete = ON"} {
		pragma(t, e, wrong)
		if err := checkRunning(e); err == nil || !strings.Contains(err.Error(), strings.Fields(wrong)[0]) {
			t.Errorf("%s: %v", wrong, err)
		}
		pragma(t, e, right)
	}
	if err := checkRunning(e); err != nil {
		t.Error(err)
	}
}

// TestSlowTransactionIsTold holds the writer for longer than others should wait: the log says so, and which statement.
func TestSlowTransactionIsTold(t *testing.T) {
	var log bytes.Buffer
	e, err := Open(context.Background(), t.TempDir(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(e)
	closeAtEnd(t, s)
	logged := func(held time.Duration) string {
		before := log.Len()
		err := s.Update(context.Background(), consent.NoID, func(tx service.Tx) error {
			time.Sleep(held)
			return texts(10, fmt.Sprint(held))(tx)
		})
		if err != nil {
			t.Fatal(err)
		}
		return log.String()[before:]
	}
	for began := time.Now(); strings.Contains(logged(0), "slow transaction"); began = time.Now() {
		if took := time.Since(began); took <= slowTransaction { // else the machine was busy: once more
			t.Fatalf("a transaction that took %v is told:\n%s", took, log.String())
		}
	}
	slow := logged(slowTransaction + 50*time.Millisecond)
	if strings.Count(slow, "slow transaction") != 1 || !strings.Contains(slow, "slowest=insert_text ") {
		t.Errorf("it is told as:\n%s", slow)
	}
}

func texts(size int, names ...string) func(service.Tx) error {
	return func(tx service.Tx) error {
		var c consent.Changes
		for _, name := range names {
			c.Texts = append(c.Texts, consent.Text{Hash: []byte(name), Text: strings.Repeat("x", size)})
		}
		return tx.Append(context.Background(), &c)
	}
}

func textSize(t *testing.T, s service.Store, name string) (size int) {
	t.Helper()
	err := s.View(context.Background(), func(r service.Reader) error {
		text, err := r.Text(context.Background(), consent.NoID, []byte(name))
		size = len(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestFullDisk takes the free space away with max_page_count: writes are Unavailable and certainly not done, reads go
// on, readiness says so; with free space again, writes go on.
func TestFullDisk(t *testing.T) {
	s, e := openEngine(t)
	ctx := context.Background()
	if err := s.Update(ctx, consent.NoID, texts(1000, "before")); err != nil {
		t.Fatal(err)
	}
	pragma(t, e, "max_page_count = 1") // as few as it has
	err := s.Update(ctx, consent.NoID, texts(1<<20, "during"))
	if !consent.IsKind(err, consent.Unavailable) {
		t.Fatalf("a write on a full disk: %v", err)
	}
	if msg := consent.AsError(err).Msg; !strings.Contains(msg, "disk is full") {
		t.Errorf("it says %q", msg)
	}
	if err := s.Ready(); !consent.IsKind(err, consent.Unavailable) {
		t.Errorf("ready on a full disk: %v", err)
	}
	ran := false
	err = s.Update(ctx, consent.NoID, func(service.Tx) error { ran = true; return nil })
	if !consent.IsKind(err, consent.Unavailable) || ran {
		t.Errorf("the next write: %v, tried %t", err, ran)
	}
	if textSize(t, s, "before") != 1000 || textSize(t, s, "during") != 0 {
		t.Error("reads do not go on, or what was refused is there")
	}
	time.Sleep(retryFull + 20*time.Millisecond)
	if err := s.Update(ctx, consent.NoID, texts(1<<20, "during")); !consent.IsKind(err, consent.Unavailable) {
		t.Errorf("a try while it is still full: %v", err)
	}
	pragma(t, e, "max_page_count = 1000000")
	time.Sleep(retryFull + 20*time.Millisecond)
	if err := s.Update(ctx, consent.NoID, texts(1<<20, "after")); err != nil {
		t.Errorf("a write with free space again: %v", err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("ready with free space again: %v", err)
	}
	if textSize(t, s, "after") != 1<<20 || textSize(t, s, "during") != 0 {
		t.Error("what was written, or was refused, is not as it should be")
	}
}

// TestBusyDatabase: while another process writes for longer than the writer waits, a write is refused, and nothing is
// done.
func TestBusyDatabase(t *testing.T) {
	s, e := openEngine(t)
	other, err := sqlite.OpenConn(e.path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	e.writing.Lock()
	e.writer.SetBusyTimeout(10 * time.Millisecond)
	e.writing.Unlock()
	if err := s.Update(context.Background(), consent.NoID, texts(10, "a")); !consent.IsKind(err, consent.Unavailable) {
		t.Errorf("a write during another process's: %v", err)
	}
	if err := sqlitex.ExecuteTransient(other, "ROLLBACK", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), consent.NoID, texts(10, "b")); err != nil || textSize(t, s, "a") != 0 {
		t.Errorf("a write after it: %v", err)
	}
}

// TestMigrations goes up, down and up again, and a second start changes nothing.
func TestMigrations(t *testing.T) {
	_, e := openEngine(t)
	db, err := sql.Open("sqlite", "file:"+e.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := func() (all string) {
		rows, err := db.Query(`SELECT coalesce(sql, name) FROM sqlite_schema WHERE name NOT LIKE '%goose%'
AND name NOT LIKE 'sqlite_%' ORDER BY name`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var one string
			if err := rows.Scan(&one); err != nil {
				t.Fatal(err)
			}
			all += one + "\n"
		}
		return all
	}
	provider, err := migrations.Provider(goose.DialectSQLite3, db)
	if err != nil {
		t.Fatal(err)
	}
	before := schema()
	if err := e.migrate(context.Background()); err != nil || schema() != before ||
		strings.Count(before, "CREATE TABLE") < 15 {
		t.Errorf("a second start changes the schema (%v):\n%s", err, before)
	}
	if _, err := provider.DownTo(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if left := schema(); left != "" {
		t.Errorf("down leaves %s", left)
	}
	if err := e.migrate(context.Background()); err != nil || schema() != before {
		t.Errorf("up again (%v):\n%s", err, schema())
	}
	for statement := range strings.SplitSeq(before, "CREATE TABLE ") {
		if name, body, ok := strings.Cut(statement, " ("); ok && !strings.Contains(body, "STRICT") {
			t.Errorf("table %s is not STRICT", name)
		}
	}
}

// failedRestarts counts what the log says of a write-ahead log that could not start anew.
type failedRestarts struct{ atomic.Int64 }

func (f *failedRestarts) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("could not start anew")) {
		f.Add(1)
	}
	return len(line), nil
}

// readUntil reads again and again, each time from a snapshot that stays for a moment.
func readUntil(t *testing.T, s service.Store, done *atomic.Bool) {
	for !done.Load() {
		err := s.View(context.Background(), func(r service.Reader) error {
			_, err := r.Secret(context.Background(), "begins the snapshot")
			time.Sleep(20 * time.Millisecond)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestLogStartsAnew writes far more than the log's bound while short reads overlap, so that there is no moment
// in which the log would start anew by itself: it does all the same, and its file stays near the bound. On a busy
// machine readers may take longer than the writer waits for them; each time that this is told, the log grows by a step.
func TestLogStartsAnew(t *testing.T) {
	var failed failedRestarts
	log := slog.New(slog.NewTextHandler(&failed, nil))
	e, err := Open(context.Background(), t.TempDir(), Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(e)
	closeAtEnd(t, s)
	ctx := context.Background()
	const writes, most, size = 110, 400, 2 << 20
	fileSize := func() int64 {
		info, err := os.Stat(e.path + "-wal")
		if err != nil {
			t.Error(err)
			return 0
		}
		return info.Size()
	}
	anew := func() bool { return e.logLength() < fileSize()-restartStep } // the file itself never shrinks
	var begun atomic.Int64
	var done atomic.Bool
	var readers, writers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			time.Sleep(time.Duration(i) * 7 * time.Millisecond)
			readUntil(t, s, &done)
		})
	}
	for range 2 {
		writers.Go(func() {
			for n := begun.Add(1) - 1; n < writes || n < most && !anew(); n = begun.Add(1) - 1 {
				if err := s.Update(ctx, consent.NoID, texts(size, fmt.Sprint(n))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	// A write may pass the bound by its own length, and so may the one that waits behind it.
	if bound := maxWAL + failed.Load()*restartStep + 4*size; fileSize() <= maxWAL || fileSize() > bound || !anew() {
		t.Errorf("the log has %d bytes, of which %d are in use; it had to pass %d, but not %d, and to start anew",
			fileSize(), e.logLength(), maxWAL, bound)
	}
	for n := range writes {
		if got := textSize(t, s, fmt.Sprint(n)); got != size {
			t.Errorf("text %d has %d bytes", n, got)
		}
	}
}

// TestLongReadHoldsNobodyUp: where a read is in the way of a new log, writes go on.
func TestLongReadHoldsNobodyUp(t *testing.T) {
	s, e := openEngine(t)
	ctx := context.Background()
	err := s.View(ctx, func(r service.Reader) error {
		if _, err := r.Secret(ctx, "begins the snapshot"); err != nil {
			return err
		}
		for i := range 3 {
			e.restartAt = 0
			started := time.Now()
			if err := s.Update(ctx, consent.NoID, texts(1000, fmt.Sprint(i))); err != nil {
				return err
			}
			if took := time.Since(started); took > 2*time.Second {
				t.Errorf("a write took %v", took)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFailedFsyncStops: what is on disk is unknown then, so the server must not go on.
func TestFailedFsyncStops(t *testing.T) {
	stopped := errors.New("not stopped")
	e := &Engine{fatal: func(err error) { stopped = err }}
	for _, code := range []int{1034, 1290} { // SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC
		stopped = nil
		_ = e.classify(fmt.Errorf("commit: %w", sqlite.ResultCode(code).ToError()))
		if stopped == nil {
			t.Errorf("result %d does not stop the server", code)
		}
	}
	stopped = nil
	if err := e.classify(errors.New("another")); stopped != nil || err == nil {
		t.Error("another error stops the server, or is lost")
	}
}

// TestFolderNames: the database is in the folder that was named, whatever letters its name has, and nowhere else.
func TestFolderNames(t *testing.T) {
	for _, name := range []string{"a b", "q?mark", "q?vfs=unix", "ha#sh", "per%cent", "x%41", "a&b=c;d+e", "Größe",
		`back\slash`, "a:b"} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			for _, again := range []bool{false, true} {
				e, err := Open(context.Background(), filepath.Join(parent, name), Options{Exclusive: true})
				if err != nil {
					t.Fatal(err)
				}
				s := store.New(e)
				if size := textSize(t, s, "kept"); again && size != 10 {
					t.Errorf("what was kept has %d bytes", size)
				}
				if err := s.Update(context.Background(), consent.NoID, texts(10, "kept")); err != nil && !again {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			found, err := os.ReadDir(parent)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || found[0].Name() != name {
				t.Errorf("next to the folder: %v", found)
			}
		})
	}
}

// TestPageCache: cached pages are in memory that was set aside for them, not in blocks of twice their size.
func TestPageCache(t *testing.T) {
	_, e := openEngine(t)
	for range readerCount {
		if err := e.View(t.Context(), func(c engine.Conn) error {
			return c.Query(t.Context(), "SELECT count(*) FROM events", nil, nil)
		}); err != nil {
			t.Fatal(err)
		}
	}
	tls := libc.NewTLS()
	defer tls.Close()
	used := libc.Xcalloc(tls, 2, 4)
	defer libc.Xfree(tls, used)
	if code := lib.Xsqlite3_status(tls, lib.SQLITE_STATUS_PAGECACHE_USED, used, used+4, 0); code != lib.SQLITE_OK {
		t.Fatalf("error code %d", code)
	}
	if pages := binary.NativeEndian.Uint32(libc.GoBytes(used, 4)); pages == 0 {
		t.Error("no page is in the memory that was set aside")
	}
}
