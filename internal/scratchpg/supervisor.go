package scratchpg

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed supervisor.sh
var supervisorScript string

// taskTimeout is for one task. The longest, starting and stopping, give up after 60 s
// by themselves.
const taskTimeout = 90 * time.Second

// supervisor is the shell that runs one server's programs, ends it and removes its
// folder when the pipe to it closes. A process that is killed closes its pipes, and
// a shell needs no goroutine of ours to watch it.
type supervisor struct {
	command *exec.Cmd
	tasks   io.WriteCloser
	answers *os.File
	lines   *bufio.Reader
	lost    error // why its answers can no longer be told from one another
}

func startSupervisor(folder, programs string, as *syscall.Credential) (*supervisor, error) {
	if err := os.Chown(folder, int(as.Uid), int(as.Gid)); err != nil {
		return nil, fmt.Errorf("give the folder to PostgreSQL's user: %w", err)
	}
	answers, answer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe from PostgreSQL's supervisor: %w", err)
	}
	defer answer.Close()
	command := exec.Command("sh", "-c", supervisorScript, "supervisor", programs, folder)
	command.Dir = folder
	command.Env = environment()
	command.Stdout = answer
	// A session of its own: what the terminal or go test sends to this process's
	// group would end the supervisor before its work is done. Standard error goes
	// nowhere, or go test would wait for whoever holds it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as}
	tasks, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		_ = answers.Close()
		return nil, fmt.Errorf("start PostgreSQL's supervisor in %s as user id %d (set TMPDIR to a folder that this user "+
			"can reach): %w", folder, as.Uid, err)
	}
	return &supervisor{command: command, tasks: tasks, answers: answers, lines: bufio.NewReader(answers)}, nil
}

// do has one task carried out and waits for it.
func (s *supervisor) do(task string) error {
	if s.lost != nil {
		return s.lost
	}
	answer, err := s.ask(task)
	if err != nil {
		s.lost = fmt.Errorf("the supervisor does not answer: %w", err)
		return s.lost
	}
	if answer != "0" {
		return fmt.Errorf("exit status %s", answer)
	}
	return nil
}

func (s *supervisor) ask(task string) (string, error) {
	if err := s.answers.SetReadDeadline(time.Now().Add(taskTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(s.tasks, task+"\n"); err != nil {
		return "", err
	}
	answer, err := s.lines.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// end lets the supervisor do its last work and waits for it.
func (s *supervisor) end() error {
	closed := s.tasks.Close()
	// It holds its end of the pipe until it is gone; Wait knows no deadline.
	waited := s.answers.SetReadDeadline(time.Now().Add(taskTimeout))
	if waited == nil {
		_, waited = io.Copy(io.Discard, s.lines)
	}
	if waited != nil {
		waited = fmt.Errorf("the supervisor does not end: %w", waited)
		// Its session is its own, so the group is the supervisor and its programs.
		_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL)
	}
	return errors.Join(closed, waited, s.command.Wait(), s.answers.Close())
}

// owner is the user that PostgreSQL runs as: this process's own, or one without
// rights where that is root, which PostgreSQL refuses.
func owner() (*syscall.Credential, error) {
	if uid := os.Geteuid(); uid != 0 {
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(os.Getegid()), NoSetGroups: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the id of user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the group of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it " +
		"as: add one, or do not run this as root")
}

// environment is this process's own, without what changes how PostgreSQL's programs
// behave: its own variables, and the language of its messages. A frozen server
// accepts a connection and never answers, hence the limit.
func environment() []string {
	env := []string{"LC_ALL=C", "PGCONNECT_TIMEOUT=10"}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable, "LC_ALL=") {
			env = append(env, variable)
		}
	}
	return env
}

// postmaster is the process id of the running server.
func (s *Server) postmaster() (int, error) {
	content, err := os.ReadFile(filepath.Join(s.folder, "data", "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("is PostgreSQL running? %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("PostgreSQL's process id: %w", err)
	}
	return pid, nil
}
