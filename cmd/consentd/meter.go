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
)

// meter shows how far long work is: on a terminal in one line that changes, else in a line now and then.
type meter struct {
	out   io.Writer
	width int           // of the terminal that out is; 0: it is none
	line  func() string // what to show, "": nothing; called with the lock held
	ended chan struct{}
	runs  sync.WaitGroup

	mu    sync.Mutex
	shown int // characters of the line that is there
}

// start begins to show what line says; end ends it.
func (m *meter) start(out io.Writer, width int, line func() string) {
	m.out, m.width, m.line, m.ended = out, width, line, make(chan struct{})
	m.runs.Go(m.run)
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

func (m *meter) run() {
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

// show writes the line; whoever calls it holds the lock.
func (m *meter) show() {
	line := m.line()
	if line == "" {
		return
	}
	if m.width == 0 {
		fmt.Fprintln(m.out, line)
		return
	}
	line = line[:min(len(line), m.width-1)]
	fmt.Fprint(m.out, "\r"+line+strings.Repeat(" ", max(0, m.shown-len(line))))
	m.shown = len(line)
}

// clear leaves an empty line where one was that changes; whoever calls it holds the lock, or is alone.
func (m *meter) clear() {
	if m.shown > 0 {
		fmt.Fprint(m.out, "\r"+strings.Repeat(" ", m.shown)+"\r")
		m.shown = 0
	}
}

// end ends the meter and takes its line away.
func (m *meter) end() {
	close(m.ended)
	m.runs.Wait()
	m.clear()
}
