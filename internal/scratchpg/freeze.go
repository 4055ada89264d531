package scratchpg

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Freeze stops the server's processes (SIGSTOP): it holds its connections and its
// port, and answers nobody, as a host does that hangs or is cut off. Thaw continues
// them.
func (s *Server) Freeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.frozen) > 0 {
		return errors.New("freeze PostgreSQL: it is closed or frozen already")
	}
	postmaster, err := s.postmaster()
	if err == nil {
		err = s.freeze(postmaster)
	}
	for err == nil {
		// A stop takes effect a moment after it was sent: the postmaster may still
		// make a child in between.
		time.Sleep(time.Millisecond)
		var more bool
		if more, err = s.freezeChildren(postmaster); err == nil && !more {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("freeze PostgreSQL: %w", err), s.thaw())
}

// freezeChildren tells whether there were any that were not frozen yet.
func (s *Server) freezeChildren(postmaster int) (more bool, err error) {
	children, err := childrenOf(postmaster)
	if err != nil {
		return false, err
	}
	for _, child := range children {
		if slices.Contains(s.frozen, child) {
			continue
		}
		more = true
		// One that its parent reaped before it was itself stopped needs no stop.
		if err := s.freeze(child); err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, err
		}
	}
	return more, nil
}

func (s *Server) freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	s.frozen = append(s.frozen, pid)
	return nil
}

// Thaw continues a frozen server (SIGCONT).
func (s *Server) Thaw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.thaw(); err != nil {
		return fmt.Errorf("thaw PostgreSQL: %w", err)
	}
	return nil
}

// thaw continues the postmaster last. Until then it reaps none of its children, so
// none of their ids has become another process's.
func (s *Server) thaw() error {
	var failed error
	for _, pid := range slices.Backward(s.frozen) {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			failed = errors.Join(failed, fmt.Errorf("continue process %d: %w", pid, err))
		}
	}
	s.frozen = nil
	return failed
}

// childrenOf lists the processes that a process started itself.
func childrenOf(parent int) ([]int, error) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return childrenByPs(parent)
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var children []int
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		// "PID (NAME) STATE PARENT …"; a name may hold anything, ")" too.
		rest := stat[bytes.LastIndexByte(stat, ')')+1:]
		fields := strings.Fields(string(rest))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("list processes: %s: %w", file, err)
		}
		children = append(children, pid)
	}
	return children, nil
}

// childrenByPs is for systems without /proc, such as macOS.
func childrenByPs(parent int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes by ps: %w", err)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		if _, err := fmt.Sscan(line, &pid, &ppid); err != nil {
			return nil, fmt.Errorf("list processes by ps: %q: %w", line, err)
		}
		if ppid == parent {
			children = append(children, pid)
		}
	}
	return children, nil
}
