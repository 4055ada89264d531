// Package pgtest knows how a test gets a PostgreSQL database of its own, quickly:
// one server a test process, one template database for each way to prepare one, a
// copy of it a test. It does not know what is in them.
//
// A test that cannot have its database fails.
package pgtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/consentd/consentd/internal/scratchpg"
)

// shared is the server of this process, which nobody closes: it ends with the
// process.
var shared = sync.OnceValues(func() (*scratchpg.Server, error) {
	return scratchpg.Start(scratchpg.Options{})
})

// Server gives this process's server, started at the first call. A test that stops,
// freezes or configures a server needs one of its own, from scratchpg.
func Server(t testing.TB) *scratchpg.Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Database makes a database for one test and gives its URL; it is dropped when the
// test ends, with whatever sessions it has by then. It is a copy of the template
// that prepare filled when the first test of this process asked for one of that
// name, so prepare must be the same at each call and must leave no session open.
// The template "" is empty; nothing prepares it.
func Database(t testing.TB, template string, prepare func(url string) error) (url string) {
	t.Helper()
	s := Server(t)
	name, err := made.database(s, template, prepare)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(s, name); err != nil {
			t.Error(err)
		}
	})
	return s.URL(name)
}

var made = databases{templates: map[string]error{}}

// databases records what was made on this process's server.
type databases struct {
	// mu lets one database be made at a time: PostgreSQL copies no template that
	// somebody is connected to, and prepare is.
	mu        sync.Mutex
	templates map[string]error // how preparing each of them ended
	count     int
}

func (d *databases) database(s *scratchpg.Server, template string, prepare func(url string) error) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	source := "template0" // PostgreSQL's own; nobody can connect to it
	if template != "" {
		source = "template_" + template
		failed, known := d.templates[template]
		if !known {
			failed = makeTemplate(s, source, prepare)
			d.templates[template] = failed
		}
		if failed != nil {
			return "", failed
		}
	}
	d.count++
	name := fmt.Sprintf("test_%d", d.count)
	return name, create(s, name, source)
}

func makeTemplate(s *scratchpg.Server, name string, prepare func(url string) error) error {
	if err := create(s, name, "template0"); err != nil {
		return err
	}
	if err := prepare(s.URL(name)); err != nil {
		return fmt.Errorf("prepare database %s: %w", name, err)
	}
	return nil
}

func create(s *scratchpg.Server, name, template string) error {
	if _, err := s.Psql("postgres", "CREATE DATABASE "+quoted(name)+" TEMPLATE "+quoted(template)); err != nil {
		return fmt.Errorf("make database %s from %s: %w", name, template, err)
	}
	return nil
}

func drop(s *scratchpg.Server, name string) error {
	if _, err := s.Psql("postgres", "DROP DATABASE "+quoted(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

func quoted(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}
