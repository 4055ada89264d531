package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/config"
)

// How long a log line may wait, and how many bytes may.
const (
	logDelay      = 100 * time.Millisecond
	maxLogWaiting = 64 << 10
)

// newLog makes the log of the server. Lines wait up to logDelay, so that an access
// line costs no system call; a warning or an error goes out at once, with all before it. flush
// writes what waits.
func newLog(w io.Writer, c *config.Config) (log *slog.Logger, flush func()) {
	out := &delayed{w: w}
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var h slog.Handler = slog.NewTextHandler(out, options)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(out, options)
	}
	return slog.New(&urgent{h, out}), out.flush
}

// urgent is a handler that lets no warning and no error wait.
type urgent struct {
	slog.Handler
	out *delayed
}

// Handle implements slog.Handler.
func (u *urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		u.out.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (u *urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &urgent{u.Handler.WithAttrs(attrs), u.out}
}

// WithGroup implements slog.Handler.
func (u *urgent) WithGroup(name string) slog.Handler {
	return &urgent{u.Handler.WithGroup(name), u.out}
}

// delayed is a writer that gathers lines. A timer runs only while lines wait.
type delayed struct {
	mu      sync.Mutex
	w       io.Writer
	waiting bytes.Buffer
}

// Write implements io.Writer.
func (d *delayed) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting.Len() == 0 {
		time.AfterFunc(logDelay, d.flush)
	}
	d.waiting.Write(line)
	if d.waiting.Len() >= maxLogWaiting {
		d.empty()
	}
	return len(line), nil
}

func (d *delayed) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.empty()
}

func (d *delayed) empty() {
	if d.waiting.Len() > 0 {
		_, _ = d.w.Write(d.waiting.Bytes()) // where the log cannot be written, nobody can be informed
		d.waiting.Reset()
	}
}
