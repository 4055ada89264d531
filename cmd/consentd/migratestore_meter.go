package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/store"
)

// moveMeter shows how far a move is.
type moveMeter struct {
	meter
	at    store.MoveProgress
	began time.Time // the step
}

func newMoveMeter(out io.Writer, width int) *moveMeter {
	m := &moveMeter{}
	m.start(out, width, func() string { return progressLine(m.at, time.Since(m.began)) })
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

// progressLine says how far a step is that began a while ago.
func progressLine(p store.MoveProgress, took time.Duration) string {
	if p.Step == "" {
		return ""
	}
	if p.Step == store.MoveCounts || p.Step == store.MoveAnalyzes {
		return strings.TrimSpace(p.Step + " " + p.Table)
	}
	where := fmt.Sprintf("organization %d of %d", p.Organization, p.Organizations)
	if p.Organization == 0 {
		where = "the instance itself"
	}
	line := fmt.Sprintf("%s: %s, %s, %d of %s", p.Step, where, p.Table, p.Rows, plural(p.Total, "row"))
	if p.Table == "" {
		line = fmt.Sprintf("%s: %d of %s in %s", p.Step, p.Rows, plural(p.Total, "row"), plural(p.Organizations,
			"organization"))
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
