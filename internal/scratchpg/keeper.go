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

//go:embed keeper.sh
var keeperScript string

// taskTimeout is for one task. The longest, starting and stopping, give up after 60 s
// by themselves.
const taskTimeout = 90 * time.Second

// keeper is the shell that runs one server's programs, ends it and removes its
// folder when the pipe to it closes. A process that is killed closes its pipes, and
// a shell needs no goroutine of ours to watch it.
type keeper struct {
	command *exec.Cmd
	tasks   io.WriteCloser
	answers *os.File
	lines   *bufio.Reader
	lost    error // why its answers can no longer be told from one another
}

func startKeeper(folder, programs string, as *syscall.Credential) (*keeper, error) {
	if err := os.Chown(folder, int(as.Uid), int(as.Gid)); err != nil {
		return nil, fmt.Errorf("give the folder to PostgreSQL's user: %w", err)
	}
	answers, answer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe from PostgreSQL's keeper: %w", err)
	}
	defer answer.Close()
	command := exec.Command("sh", "-c", keeperScript, "keeper", programs, folder)
	command.Dir = folder
	command.Env = environment()
	command.Stdout = answer
	// A session of its own: what the terminal or go test sends to this process's
	// group would end the keeper before its work is done. Standard error goes
	// nowhere, or go test would wait for whoever holds it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as}
	tasks, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		_ = answers.Close()
		return nil, fmt.Errorf("start PostgreSQL's keeper in %s as user id %d "+
			"(set TMPDIR to a folder that this user can reach): %w", folder, as.Uid, err)
	}
	return &keeper{command: command, tasks: tasks, answers: answers, lines: bufio.NewReader(answers)}, nil
}

// do has one task carried out and waits for it.
func (k *keeper) do(task string) error {
	if k.lost != nil {
		return k.lost
	}
	answer, err := k.ask(task)
	if err != nil {
		k.lost = fmt.Errorf("the keeper does not answer: %w", err)
		return k.lost
	}
	if answer != "0" {
		return fmt.Errorf("exit status %s", answer)
	}
	return nil
}

func (k *keeper) ask(task string) (string, error) {
	if err := k.answers.SetReadDeadline(time.Now().Add(taskTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(k.tasks, task+"\n"); err != nil {
		return "", err
	}
	answer, err := k.lines.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// end lets the keeper do its last work and waits for it.
func (k *keeper) end() error {
	closed := k.tasks.Close()
	// It holds its end of the pipe until it is gone; Wait knows no deadline.
	waited := k.answers.SetReadDeadline(time.Now().Add(taskTimeout))
	if waited == nil {
		_, waited = io.Copy(io.Discard, k.lines)
	}
	if waited != nil {
		waited = fmt.Errorf("the keeper does not end: %w", waited)
		// Its session is its own, so the group is the keeper and its programs.
		_ = syscall.Kill(-k.command.Process.Pid, syscall.SIGKILL)
	}
	return errors.Join(closed, waited, k.command.Wait(), k.answers.Close())
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

// environment is this process's own, without what would bend PostgreSQL's
// programs: its own variables, and the language of its messages. A frozen server
// lets a client in that then waits for ever, hence the limit.
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
