package sqlite

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestLogThatCannotGrow lets no file become longer: a commit that does not fit is refused and certainly not done,
// and with free space again writes go on.
func TestLogThatCannotGrow(t *testing.T) {
	s, e := openEngine(t)
	ctx := context.Background()
	if err := s.Update(ctx, consent.NoID, texts(1000, "before")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(e.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	restore := limitFiles(t, uint64(info.Size())+300_000)
	err = s.Update(ctx, consent.NoID, texts(1<<20, "during"))
	restore()
	if !consent.IsKind(err, consent.Unavailable) {
		t.Fatalf("a commit that does not fit: %v", err)
	}
	if textSize(t, s, "before") != 1000 || textSize(t, s, "during") != 0 {
		t.Error("what was written, or was refused, is not as it should be")
	}
	e.full.Store(0) // as if the second were over
	if err := s.Update(ctx, consent.NoID, texts(1<<20, "after")); err != nil {
		t.Fatalf("a write with free space again: %v", err)
	}
	if textSize(t, s, "before") != 1000 || textSize(t, s, "during") != 0 || textSize(t, s, "after") != 1<<20 {
		t.Error("with free space again: what was written, or was refused, is not as it should be")
	}
}

// limitFiles bounds how long files may become, for the whole process until it is restored; Go does not die of SIGXFSZ
// while it is ignored (setrlimit(2)).
func limitFiles(t *testing.T, most uint64) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}
