package main

import (
	"fmt"
	"io"
	"time"
)

// progressStill is when it is said that nothing moves.
const progressStill = 2 * time.Second

// doctorProgress shows how far the doctor is, and that it still runs where nothing moves.
type doctorProgress struct {
	progress
	at    doctorStatus
	moved time.Time // when at changed last
}

// doctorStatus is what the doctor does, and how much it has looked at.
type doctorStatus struct {
	step, organization                          string // "": nothing that takes long; none
	organizations, of, events, consents, sealed int64
}

// newDoctorProgress begins to show progress; end ends it.
func newDoctorProgress(out io.Writer, width int) *doctorProgress {
	p := &doctorProgress{moved: time.Now()}
	p.start(out, width, func() string { return p.at.line(time.Since(p.moved)) })
	return p
}

// update changes what is known of the progress.
func (p *doctorProgress) update(change func(*doctorStatus)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.at)
	p.moved = time.Now()
}

func (p *doctorProgress) step(name string) { p.update(func(s *doctorStatus) { s.step = name }) }

// pause takes the line away while something else is written to the same terminal.
func (p *doctorProgress) pause(write func()) {
	if p == nil {
		write()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	write()
}

// line says how far it is, and for how long nothing has moved.
func (p doctorStatus) line(still time.Duration) string {
	line := p.step
	if line == "" {
		return ""
	}
	if p.of > 0 {
		texts := ""
		if p.sealed > 0 {
			texts = ", " + plural(p.sealed, "sealed row")
		}
		line += fmt.Sprintf(": %d of %s%s, %s and %s checked", p.organizations, plural(p.of, "organization"), texts,
			plural(p.events, "event"), plural(p.consents, "consent"))
	}
	if still < progressStill {
		return line
	}
	line += fmt.Sprintf("; still running, %s", still.Round(time.Second))
	if p.organization != "" {
		line += " at " + p.organization
	}
	return line
}
