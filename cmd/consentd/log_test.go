package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentd/consentd/internal/config"
)

// counted is a log file that counts system calls.
type counted struct {
	mu     sync.Mutex
	text   strings.Builder
	writes int
}

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	return c.text.Write(p)
}

func (c *counted) have(t *testing.T, writes, lines int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := strings.Count(c.text.String(), "\n"); c.writes != writes || got != lines {
		t.Errorf("%d writes of %d lines, want %d of %d:\n%s", c.writes, got, writes, lines, c.text.String())
	}
}

func TestLogWaitsButNotWithErrors(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			out := &counted{}
			log, flush := newLog(out, &config.Config{LogLevel: slog.LevelInfo, LogFormat: format})
			log.Debug("below the level")
			for range 10 {
				log.Info("request")
			}
			out.have(t, 0, 0)
			time.Sleep(logDelay)
			synctest.Wait()
			out.have(t, 1, 10)
			log.With("a", 1).WithGroup("g").Info("request")
			log.With("a", 1).WithGroup("g").Error("at once", "b", 2)
			out.have(t, 2, 12)
			log.Info("last")
			flush()
			out.have(t, 3, 13)
			time.Sleep(10 * logDelay)
			synctest.Wait()
			out.have(t, 3, 13)
			log.Info(strings.Repeat("x", maxLogWaiting))
			out.have(t, 4, 14)
			time.Sleep(logDelay)
		})
	}
}

// TestLogFromManyLosesNothing logs from several goroutines and counts lines.
func TestLogFromManyLosesNothing(t *testing.T) {
	out := &counted{}
	log, flush := newLog(out, &config.Config{LogFormat: "text"})
	var loggers sync.WaitGroup
	for g := range 8 {
		loggers.Go(func() {
			for i := range 1000 {
				log.Log(t.Context(), slog.Level(4*(i%100/99)), fmt.Sprint(g, " ", i))
			}
		})
	}
	loggers.Wait()
	flush()
	if lines := strings.Count(out.text.String(), "\n"); lines != 8000 {
		t.Errorf("%d lines of 8000", lines)
	}
	if out.writes > 500 {
		t.Errorf("%d writes for 8000 lines", out.writes)
	}
	time.Sleep(2 * logDelay) // a timer may still run
}
