package storetest

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
)

// Main runs the tests of a package. It keeps what engines without a log of their own write, and shows it where a test
// failed.
func Main(m *testing.M) {
	var log logBuffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	status := m.Run()
	if status != 0 {
		fmt.Fprintf(os.Stderr, "the engines' log:\n%s", log.b.Bytes())
	}
	os.Exit(status)
}

// logBuffer keeps what is written, from any number of goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
