// Package scratchpg knows how to run PostgreSQL servers that are thrown away: it
// makes one in a folder of its own, breaks and mends it on demand, and sees to it
// that it ends with this process. It does not know what is kept in it, nor
// anything of tests.
//
// The servers trust whoever reaches them on the loopback interface. Their
// durability is PostgreSQL's default, because consentd refuses less, and because
// a benchmark without it measures nothing.
package scratchpg

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// superuser is the one role of every server.
const superuser = "consentd"

// Options are what a server may be started with.
type Options struct {
	// Settings are lines of postgresql.conf. Where the server listens is not
	// theirs to say.
	Settings map[string]string
}

// Server is one PostgreSQL server. It lives until Close or the end of this
// process, whichever comes first, SIGKILL included; keep hold of it for as long as
// its URL is in use. Its methods may be called from several goroutines.
type Server struct {
	folder     string
	programs   string // the folder of PostgreSQL's programs
	port       int
	supervisor *supervisor

	mu     sync.Mutex
	frozen []int // the processes that Freeze stopped
	closed bool
}

// Start makes a server with the databases that initdb makes, starts it and waits
// until it accepts connections.
func Start(o Options) (*Server, error) {
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	settings := map[string]string{"max_connections": "200"}
	for name, value := range o.Settings {
		settings[name] = value
	}
	if err := s.begin("init", settings); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newServer makes the folder and the supervisor that will remove it, no more.
func newServer() (*Server, error) {
	programs, err := findPrograms(packaged)
	if err != nil {
		return nil, err
	}
	as, err := owner()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "consentd-pg-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	supervisor, err := startSupervisor(folder, programs, as)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &Server{folder: folder, programs: programs, supervisor: supervisor}, nil
}

// begin fills the data folder by a task of the supervisor's and starts the server. The
// port that was free a moment ago may be somebody's by then, so it takes a few.
func (s *Server) begin(task string, settings map[string]string) error {
	if err := s.do(task); err != nil {
		return err
	}
	if err := s.configure(settings); err != nil {
		return err
	}
	var failed error
	for range 5 {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		if err := s.configure(s.listenSettings()); err != nil {
			return err
		}
		failed = s.do("start")
		if failed == nil || !strings.Contains(failed.Error(), "Address already in use") {
			return failed
		}
	}
	return failed
}

func (s *Server) listenSettings() map[string]string {
	return map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": s.folder,
	}
}

// configure appends to postgresql.conf, where the last word on a setting counts.
func (s *Server) configure(settings map[string]string) error {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `''`)
	var lines strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, quoted.Replace(value))
	}
	// Appended to and never made anew, the file stays its owner's.
	file, err := os.OpenFile(filepath.Join(s.folder, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	_, err = file.WriteString(lines.String())
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	return nil
}

// freePort picks from below the range that systems give to outgoing connections.
// In that range one of those could take the port while the server is stopped; a
// client that dials it over and over even ends up connected to itself.
func freePort() (int, error) {
	var failed error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		failed = err
	}
	return 0, fmt.Errorf("find a free port for PostgreSQL: %w", failed)
}

// Dir is the server's folder. What is in it: data, log, and the unix socket.
func (s *Server) Dir() string { return s.folder }

// Addr is the host and port where the server listens.
func (s *Server) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// URL is what a client needs to connect to a database as the superuser.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Host: s.Addr(), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

// Program is the path of one of PostgreSQL's programs, such as pg_dump, of the version that the server has.
func (s *Server) Program(name string) string { return filepath.Join(s.programs, name) }

// Psql runs statements, each in a transaction of its own unless they say otherwise,
// up to the first that fails. It gives the rows without headings, columns parted
// by "|".
func (s *Server) Psql(database, sql string) (string, error) {
	command := exec.Command(filepath.Join(s.programs, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", s.URL(database))
	command.Env = environment()
	command.Stdin = strings.NewReader(sql)
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("psql on database %q: %w", database, err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// Stop ends the server and waits for it; the data stays for Restart. The modes are
// pg_ctl's: "immediate" is a crash, without a checkpoint; "fast" ends sessions and
// shuts down in order.
func (s *Server) Stop(mode string) error {
	if mode != "immediate" && mode != "fast" {
		return fmt.Errorf("stop PostgreSQL: unknown mode %q; it is immediate or fast", mode)
	}
	return s.do("stop " + mode)
}

// Restart starts a stopped server on the same data and port, and waits until it
// accepts connections.
func (s *Server) Restart() error { return s.do("start") }

// Close ends the server and removes its folder. Only the first call does.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	thawed := s.thaw() // a stopped process would not hear that it is to end
	ended := s.supervisor.end()
	// The supervisor may not write in the folder above, where that is not a usual
	// temporary one; this process may.
	if err := errors.Join(thawed, ended, os.RemoveAll(s.folder)); err != nil {
		return fmt.Errorf("close PostgreSQL in %s: %w", s.folder, err)
	}
	return nil
}

// do has the supervisor carry out a task and shows the end of the log where it fails.
func (s *Server) do(task string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("PostgreSQL: %s: the server is closed", task)
	}
	if len(s.frozen) > 0 {
		return fmt.Errorf("PostgreSQL: %s: the server is frozen; Thaw it first", task)
	}
	if err := s.supervisor.do(task); err != nil {
		return fmt.Errorf("PostgreSQL: %s: %w; its log ends:\n%s", task, err, s.logTail())
	}
	return nil
}

// logTail is the end of what PostgreSQL and its programs had to say.
func (s *Server) logTail() string {
	const most = 3000
	log, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return fmt.Sprintf("(not readable: %v)", err)
	}
	return string(log[max(0, len(log)-most):])
}
