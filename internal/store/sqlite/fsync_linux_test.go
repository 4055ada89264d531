package sqlite

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"

	"github.com/consentd/consentd/internal/consent"
)

// TestSyncThatFails takes the disk away from below the log: the commit is not acknowledged, and the server stops.
func TestSyncThatFails(t *testing.T) {
	s, e := openEngine(t)
	e.stop()
	<-e.stopped
	e.stop = nil
	if err := s.Update(context.Background(), consent.NoID, texts(10, "kept")); err != nil {
		t.Fatal(err)
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // takes every write, and cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	logs := 0
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range open {
		fd, _ := strconv.Atoi(entry.Name())
		if name, _ := os.Readlink("/proc/self/fd/" + entry.Name()); name == e.path+"-wal" {
			logs++
			if err := unix.Dup3(int(nowhere.Fd()), fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
	}
	if logs == 0 {
		t.Fatal("the log is not open")
	}
	var stopped error
	e.fatal = func(err error) { stopped = err }
	if err := s.Update(context.Background(), consent.NoID, texts(10, "lost")); !errors.Is(err, consent.ErrUnknown) {
		t.Errorf("the commit ended with %v", err)
	}
	if sqlite.ErrCode(stopped) != sqlite.ResultIOErrFsync {
		t.Errorf("the server stops for %v", stopped)
	}
}
