package scratchpg

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

var standbyName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Standby makes a second server that follows this one, and waits until it streams
// and accepts connections to read. The name is its application_name, which is what
// synchronous_standby_names speaks of. It has this server's settings, and keeps
// them when it is promoted.
func (s *Server) Standby(name string) (*Server, error) {
	if !standbyName.MatchString(name) {
		return nil, fmt.Errorf("standby %q: the name must be made of a to z, 0 to 9 and _", name)
	}
	standby, err := newServer()
	if err != nil {
		return nil, err
	}
	source := fmt.Sprintf("host=127.0.0.1 port=%d user=%s sslmode=disable application_name=%s", s.port, superuser, name)
	err = standby.begin("copy "+source, nil)
	if err == nil {
		err = s.awaitStreaming(name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("standby %s: %w", name, err), standby.Close())
	}
	return standby, nil
}

func (s *Server) awaitStreaming(name string) error {
	const limit = 30 * time.Second
	for began := time.Now(); time.Since(began) < limit; time.Sleep(20 * time.Millisecond) {
		state, err := s.Psql("postgres", "SELECT state FROM pg_stat_replication WHERE application_name = '"+name+"'")
		if err != nil {
			return err
		}
		if state == "streaming" {
			return nil
		}
	}
	return fmt.Errorf("does not stream after %s", limit)
}

// Promote makes a standby a server of its own that accepts writes, and waits for it.
func (s *Server) Promote() error { return s.do("promote") }
