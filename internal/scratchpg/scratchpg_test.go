package scratchpg

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if exit := os.Getenv(exitVariable); exit != "" {
		runAndExit(exit)
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, settings map[string]string) *Server {
	t.Helper()
	s, err := Start(Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s) })
	return s
}

// closed ends a server and looks that nothing of it is left.
func closed(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !gone(s.Dir()) {
		t.Errorf("%s is still there after Close", s.Dir())
	}
	if listens(s.Addr()) {
		t.Errorf("%s still listens after Close", s.Addr())
	}
}

func gone(folder string) bool {
	_, err := os.Stat(folder)
	return errors.Is(err, fs.ErrNotExist)
}

func listens(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, s *Server, sql, want string) {
	t.Helper()
	got, err := s.Psql("postgres", sql)
	must(t, err)
	if got != want {
		t.Errorf("%s gives %q, want %q", sql, got, want)
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"log_line_prefix": `it's \ here`})
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"max_connections": "200", "server_encoding": "UTF8", "lc_collate": "C",
		"unix_socket_directories": s.Dir(),
	} {
		query(t, s, "SHOW "+setting, want)
	}
	query(t, s, "SHOW log_line_prefix", `it's \ here`)
	query(t, s, "SELECT current_user, 1; SELECT 2", "consentd|1\n2")
	if want := "postgres://consentd@" + s.Addr() + "/a%20b?sslmode=disable"; s.URL("a b") != want {
		t.Errorf("URL is %s, want %s", s.URL("a b"), want)
	}
	_, err := s.Psql("postgres", "SELECT 1; SELECT nothing; SELECT 3")
	if err == nil || !strings.Contains(err.Error(), `column "nothing" does not exist`) {
		t.Errorf("a statement that fails gives %v", err)
	}
}

func TestDataOutliveAStop(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	query(t, s, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)", "")
	for _, mode := range []string{"immediate", "fast"} {
		addr := s.Addr()
		must(t, s.Stop(mode))
		if listens(addr) {
			t.Errorf("stopped %s, the server still listens", mode)
		}
		if err := s.Stop(mode); err == nil {
			t.Error("stopping a stopped server passes for done")
		}
		if err := s.Freeze(); err == nil {
			t.Error("freezing a stopped server passes for done")
		}
		must(t, s.Restart())
		if s.Addr() != addr {
			t.Errorf("after a stop the server listens on %s, before on %s", s.Addr(), addr)
		}
		query(t, s, "SELECT n FROM kept", "1")
	}
	if err := s.Stop("smart"); err == nil {
		t.Error("an unknown mode is taken")
	}
}

func TestCloseIsTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	closed(t, s)
	closed(t, s)
	for name, use := range map[string]func() error{
		"Restart": s.Restart, "Promote": s.Promote, "Freeze": s.Freeze,
		"Stop": func() error { return s.Stop("fast") },
	} {
		if err := use(); err == nil {
			t.Errorf("%s works on a closed server", name)
		}
	}
}

func TestAFailureShowsTheLog(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil {
		closed(t, s)
		t.Fatal("a setting that PostgreSQL does not know is taken")
	}
	if !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("the error does not show why: %v", err)
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	open := make(chan error, 1)
	go func() {
		_, err := s.Psql("postgres", "SELECT 'open', pg_sleep(0.5)")
		open <- err
	}()
	waitFor(t, "the session to be open", func() bool {
		count, err := s.Psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT ''open''%'")
		must(t, err)
		return count == "1"
	})
	must(t, s.Freeze())
	fresh := make(chan error, 1)
	go func() {
		_, err := s.Psql("postgres", "SELECT 1")
		fresh <- err
	}()
	select {
	case err := <-open:
		t.Errorf("frozen, an open session was answered (%v)", err)
	case err := <-fresh:
		t.Errorf("frozen, a new session was answered (%v)", err)
	case <-time.After(time.Second):
	}
	if err := s.Freeze(); err == nil {
		t.Error("a frozen server freezes again")
	}
	if err := s.Stop("fast"); err == nil || !strings.Contains(err.Error(), "Thaw") {
		t.Errorf("stopping a frozen server gives %v", err)
	}
	must(t, s.Thaw())
	must(t, <-open)
	must(t, <-fresh)

	must(t, s.Freeze())
	closed(t, s)
}

func TestStandby(t *testing.T) {
	t.Parallel()
	primary := start(t, map[string]string{"work_mem": "5MB"})
	if _, err := primary.Standby("it's"); err == nil {
		t.Error("a name that needs quoting is taken")
	}
	standby, err := primary.Standby("second")
	must(t, err)
	t.Cleanup(func() { closed(t, standby) })
	if standby.Addr() == primary.Addr() || standby.Dir() == primary.Dir() {
		t.Fatal("the standby is not a server of its own")
	}
	query(t, primary, "ALTER SYSTEM SET synchronous_standby_names = 'second'; SELECT pg_reload_conf()", "t")
	waitFor(t, "the standby to be synchronous", func() bool {
		state, err := primary.Psql("postgres", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'second'")
		must(t, err)
		return state == "sync"
	})
	query(t, primary, "SET synchronous_commit = remote_apply; CREATE TABLE copied (n int)", "")
	query(t, standby, "SELECT count(*), pg_is_in_recovery() FROM copied", "0|t")

	must(t, primary.Stop("immediate"))
	must(t, standby.Promote())
	query(t, standby, "INSERT INTO copied VALUES (1) RETURNING n, pg_is_in_recovery()", "1|f")
	query(t, standby, "SHOW work_mem", "5MB")
}

func TestFindPrograms(t *testing.T) {
	place := t.TempDir()
	install := func(folder, says string) string {
		folder = filepath.Join(place, folder)
		must(t, os.Mkdir(folder, 0o755))
		for _, program := range programs {
			must(t, os.WriteFile(filepath.Join(folder, program), []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755))
		}
		return folder
	}
	finds := func(want string) {
		t.Helper()
		got, err := findPrograms([]string{filepath.Join(place, "pg*")})
		if want == "" && err == nil || want != "" && err != nil || got != want {
			t.Errorf("found %q (%v), want %q", got, err, want)
		}
	}
	t.Setenv("PATH", "")
	finds("")
	install("pg9", "postgres (PostgreSQL) 9.6.24")
	t.Setenv("PATH", install("links", "postgres (PostgreSQL) 14.2"))
	finds("")
	older := install("pg15", "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")
	finds(older)
	newest := install("pg17", "postgres (PostgreSQL) 17beta1")
	finds(newest)
	must(t, os.Remove(filepath.Join(newest, "psql")))
	finds(older)
	must(t, os.Remove(filepath.Join(place, "links", "postgres")))
	other := filepath.Join(install("other", "postgres (PostgreSQL) 16.1"), "postgres")
	must(t, os.Symlink(other, filepath.Join(place, "links", "postgres")))
	finds(filepath.Join(place, "other"))
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
