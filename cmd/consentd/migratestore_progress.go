package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/store/move"
)

// moveProgress shows how far a move is.
type moveProgress struct {
	progress
	at    move.Progress
	began time.Time // the step
}

func newMoveProgress(out io.Writer, width int) *moveProgress {
	p := &moveProgress{}
	p.start(out, width, func() string { return progressLine(p.at, time.Since(p.began)) })
	return p
}

// update takes how far the move is; the beginning of a step is shown at once.
func (p *moveProgress) update(at move.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begins := at.Step != p.at.Step
	p.at = at
	if begins {
		p.began = time.Now()
		p.show()
	}
}

// copied reports whether the move has come as far as to copy.
func (p *moveProgress) copied() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at.Step != "" && p.at.Step != move.Counting
}

// progressLine says how far a step is that began a while ago.
func progressLine(p move.Progress, took time.Duration) string {
	if p.Step == "" {
		return ""
	}
	if p.Step == move.Counting || p.Step == move.Analyzing {
		return strings.TrimSpace(p.Step + " " + p.Table)
	}
	line := p.Step + ": "
	if p.Table != "" {
		line += p.Table + ", "
	}
	line += fmt.Sprintf("%d of %s", p.Rows, plural(p.Total, "row"))
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
