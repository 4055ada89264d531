package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// importProgress shows how far an import is, by how much of the file was read.
type importProgress struct {
	progress
	began time.Time
}

// progressEvery is how often a line says how far an import is, where there is no terminal.
const progressEvery = 10 * time.Second

func (p *importProgress) begin(r *importRun) {
	p.began, p.every = time.Now(), progressEvery
	first := r.state.NextLine - 1
	width := 0
	if file, ok := r.err.(*os.File); ok {
		width = terminalWidth(file)
	}
	p.start(r.err, width, func() string {
		return importLine(width, r.input.Done(), r.input.Size, r.state.NextLine-1-first, r.refused(), time.Since(p.began))
	})
}

// importLine says how much of a file was read, at which rate lines were taken, and how long it will take.
func importLine(width int, read, size, lines, refused int64, took time.Duration) string {
	var b strings.Builder
	part := 0.0
	if size > 0 {
		part = min(1, float64(read)/float64(size))
		const bar = 20
		if done := int(part * bar); width > 0 {
			fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("=", done), strings.Repeat(" ", bar-done))
		}
		fmt.Fprintf(&b, "%.0f %%, ", 100*part)
	}
	fmt.Fprintf(&b, "%s, %.0f lines/s", plural(lines, "line"), float64(lines)/max(took.Seconds(), 0.001))
	if part >= 0.01 && part < 1 { // before that it is a guess
		left := time.Duration(float64(took) * (1 - part) / part)
		fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
	}
	if refused > 0 {
		fmt.Fprintf(&b, ", %d refused", refused)
	}
	return b.String()
}
