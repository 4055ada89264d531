package main

import (
	"fmt"
	"io"
	"time"
)

// meterStill is when it is said that nothing moves.
const meterStill = 2 * time.Second

// doctorMeter shows how far the doctor is, and that it still runs where nothing moves.
type doctorMeter struct {
	meter
	at    doctorProgress
	moved time.Time // when at changed last
}

// doctorProgress is what the doctor does, and how much it has looked at.
type doctorProgress struct {
	step, organization                  string // "": nothing that takes long; none
	organizations, of, events, consents int64
}

// newDoctorMeter begins to show progress; end ends it.
func newDoctorMeter(out io.Writer, width int) *doctorMeter {
	m := &doctorMeter{moved: time.Now()}
	m.start(out, width, func() string { return m.at.line(time.Since(m.moved)) })
	return m
}

// tell changes what is known of the progress.
func (m *doctorMeter) tell(change func(*doctorProgress)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.at)
	m.moved = time.Now()
}

func (m *doctorMeter) step(name string) { m.tell(func(p *doctorProgress) { p.step = name }) }

// aside takes the line away while something else is written to the same terminal.
func (m *doctorMeter) aside(write func()) {
	if m == nil {
		write()
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	write()
}

// line says how far it is, and for how long nothing has moved.
func (p doctorProgress) line(still time.Duration) string {
	line := p.step
	if line == "" {
		return ""
	}
	if p.of > 0 {
		line += fmt.Sprintf(": %d of %s, %s and %s checked", p.organizations, plural(p.of, "organization"),
			plural(p.events, "event"), plural(p.consents, "consent"))
	}
	if still < meterStill {
		return line
	}
	line += fmt.Sprintf("; still running, %s", still.Round(time.Second))
	if p.organization != "" {
		line += " at " + p.organization
	}
	return line
}
