package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// When progress is shown: nobody needs it of what ends at once.
const (
	meterFirst    = time.Second
	meterTerminal = time.Second     // where one line changes
	meterLines    = 5 * time.Second // where each stays
	meterStill    = 2 * time.Second // when it is said that nothing moves
)

// doctorMeter shows how far the doctor is, and that it still runs where nothing moves.
type doctorMeter struct {
	out   io.Writer
	width int // of the terminal that out is; 0: it is none
	ended chan struct{}
	runs  sync.WaitGroup

	mu    sync.Mutex
	at    doctorProgress
	moved time.Time // when at changed last
	shown int       // characters of the line that is there
}

// doctorProgress is what the doctor does, and how much it has looked at.
type doctorProgress struct {
	step, organization                  string // "": nothing that takes long; none
	organizations, of, events, consents int64
}

// newDoctorMeter begins to show progress; end ends it.
func newDoctorMeter(out io.Writer, width int) *doctorMeter {
	m := &doctorMeter{out: out, width: width, ended: make(chan struct{}), moved: time.Now()}
	m.runs.Go(m.run)
	return m
}

// terminalWidth gives how many characters a line has; 0: it is no terminal.
func terminalWidth(out *os.File) int {
	size, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col < 20 { // it does not say
		return 80
	}
	return int(size.Col)
}

func (m *doctorMeter) run() {
	next := time.NewTimer(meterFirst)
	defer next.Stop()
	every := meterLines
	if m.width > 0 {
		every = meterTerminal
	}
	for {
		select {
		case <-m.ended:
			return
		case <-next.C:
			m.mu.Lock()
			m.show()
			m.mu.Unlock()
			next.Reset(every)
		}
	}
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

func (m *doctorMeter) end() {
	close(m.ended)
	m.runs.Wait()
	m.clear()
}

// clear leaves an empty line where one was that changes.
func (m *doctorMeter) clear() {
	if m.shown > 0 {
		fmt.Fprint(m.out, "\r"+strings.Repeat(" ", m.shown)+"\r")
		m.shown = 0
	}
}

// show writes a line; whoever calls it holds the lock.
func (m *doctorMeter) show() {
	if m.at.step == "" {
		return
	}
	line := m.at.line(time.Since(m.moved))
	if m.width == 0 {
		fmt.Fprintln(m.out, line)
		return
	}
	line = line[:min(len(line), m.width-1)]
	fmt.Fprint(m.out, "\r"+line+strings.Repeat(" ", max(0, m.shown-len(line))))
	m.shown = len(line)
}

// line says how far it is, and for how long nothing has moved.
func (p doctorProgress) line(still time.Duration) string {
	line := p.step
	if p.of > 0 {
		line += fmt.Sprintf(": %d of %d organizations, %d events and %d consents checked", p.organizations, p.of, p.events, p.consents)
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
