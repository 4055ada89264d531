package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
)

// TestMain keeps what stores without a log of their own say, and shows it where a test failed.
func TestMain(m *testing.M) {
	var said keptLog
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil)))
	status := m.Run()
	if status != 0 {
		fmt.Fprintf(os.Stderr, "the stores' log:\n%s", said.b.Bytes())
	}
	os.Exit(status)
}

// keptLog keeps what is written, from any number of goroutines.
type keptLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *keptLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
