package main

import (
	"cmp"
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
	progressFirst      = time.Second
	progressOnTerminal = time.Second     // where one line changes
	progressLines      = 5 * time.Second // where each stays
)

// progress shows how far long work is: on a terminal in one line that changes, else in a line now and then.
type progress struct {
	out   io.Writer
	width int           // of the terminal that out is; 0: it is none
	line  func() string // what to show, "": nothing; called with the lock held
	every time.Duration // between lines where it is no terminal; 0: progressLines
	ended chan struct{}
	runs  sync.WaitGroup

	mu    sync.Mutex
	shown int // characters of the line that is there
}

// start begins to show what line says; end ends it.
func (p *progress) start(out io.Writer, width int, line func() string) {
	p.out, p.width, p.line, p.ended = out, width, line, make(chan struct{})
	p.runs.Go(p.run)
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

func (p *progress) run() {
	next := time.NewTimer(progressFirst)
	defer next.Stop()
	every := cmp.Or(p.every, progressLines)
	if p.width > 0 {
		every = progressOnTerminal
	}
	for {
		select {
		case <-p.ended:
			return
		case <-next.C:
			p.mu.Lock()
			p.show()
			p.mu.Unlock()
			next.Reset(every)
		}
	}
}

// show writes the line; whoever calls it holds the lock.
func (p *progress) show() {
	line := p.line()
	if line == "" {
		return
	}
	if p.width == 0 {
		fmt.Fprintln(p.out, line)
		return
	}
	line = line[:min(len(line), p.width-1)]
	fmt.Fprint(p.out, "\r"+line+strings.Repeat(" ", max(0, p.shown-len(line))))
	p.shown = len(line)
}

// clear leaves an empty line where one was that changes; whoever calls it holds the lock, or is alone.
func (p *progress) clear() {
	if p.shown > 0 {
		fmt.Fprint(p.out, "\r"+strings.Repeat(" ", p.shown)+"\r")
		p.shown = 0
	}
}

// end stops showing, and takes the line away.
func (p *progress) end() {
	close(p.ended)
	p.runs.Wait()
	p.clear()
}
