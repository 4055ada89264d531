package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/store"
)

// moveMeter shows how far a move is: on a terminal in one line that changes every second, else in a line every 5 s.
type moveMeter struct {
	out      *os.File
	terminal bool
	stopped  chan struct{}
	running  sync.WaitGroup

	mu    sync.Mutex
	at    store.MoveProgress
	began time.Time // the step
	shown int       // characters of the line that is there
}

func newMoveMeter(out *os.File) *moveMeter {
	m := &moveMeter{out: out, stopped: make(chan struct{})}
	every := 5 * time.Second
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		m.terminal, every = true, time.Second
	}
	m.running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-m.stopped:
				return
			case <-tick.C:
				m.mu.Lock()
				m.show()
				m.mu.Unlock()
			}
		}
	})
	return m
}

// tell takes how far the move is; the beginning of a step is shown at once.
func (m *moveMeter) tell(p store.MoveProgress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	begins := p.Step != m.at.Step
	m.at = p
	if begins {
		m.began = time.Now()
		m.show()
	}
}

// copied tells whether the move has come as far as to copy.
func (m *moveMeter) copied() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at.Step != "" && m.at.Step != store.MoveCounts
}

// end ends the line, and the meter.
func (m *moveMeter) end() {
	close(m.stopped)
	m.running.Wait()
	if m.terminal && m.shown > 0 {
		fmt.Fprintln(m.out)
	}
}

// show writes a line; whoever calls it holds the lock.
func (m *moveMeter) show() {
	if m.at.Step == "" {
		return
	}
	line := progressLine(m.at, time.Since(m.began))
	if !m.terminal {
		fmt.Fprintln(m.out, line)
		return
	}
	fmt.Fprint(m.out, "\r"+line+strings.Repeat(" ", max(0, m.shown-len(line))))
	m.shown = len(line)
}

// progressLine says how far a step is that began a while ago.
func progressLine(p store.MoveProgress, took time.Duration) string {
	if p.Step == store.MoveCounts || p.Step == store.MoveAnalyzes {
		return strings.TrimSpace(p.Step + " " + p.Table)
	}
	where := fmt.Sprintf("organization %d of %d", p.Organization, p.Organizations)
	if p.Organization == 0 {
		where = "the instance itself"
	}
	line := fmt.Sprintf("%s: %s, %s, %d of %d rows", p.Step, where, p.Table, p.Rows, p.Total)
	if p.Table == "" {
		line = fmt.Sprintf("%s: %d of %d rows in %d organizations", p.Step, p.Rows, p.Total, p.Organizations)
	}
	done := p.Rows - p.Before
	if done <= 0 || took <= 0 {
		return line
	}
	rate := float64(done) / took.Seconds()
	line += fmt.Sprintf(", %.0f rows/s", rate)
	if 100*done >= p.Total-p.Before { // before that it is a guess
		left := time.Duration(float64(p.Total-p.Rows) / rate * float64(time.Second))
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return line
}
