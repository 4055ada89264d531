package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nameIn is the database that a URL leads to.
func nameIn(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(u.Path, "/")
}

func psql(t *testing.T, database, sql string) string {
	t.Helper()
	out, err := Server(t).Psql(database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func exists(t *testing.T, database string) bool {
	t.Helper()
	return psql(t, "postgres", "SELECT count(*) FROM pg_database WHERE datname = '"+database+"'") == "1"
}

func TestDatabaseIsACopyOfItsOwn(t *testing.T) {
	s := Server(t)
	var prepared atomic.Int32
	template := `a "template" ` + rand.Text() // another one under go test -count=2
	prepare := func(url string) error {
		prepared.Add(1)
		_, err := s.Psql(nameIn(url), "CREATE TABLE notes (n int); INSERT INTO notes VALUES (1)")
		return err
	}
	var names []string
	t.Run("tests", func(t *testing.T) {
		for i := range 6 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				name := nameIn(Database(t, template, prepare))
				names = append(names, name)
				t.Parallel() // all are there by the time that they are used
				psql(t, name, "INSERT INTO notes VALUES (2)")
				if got := psql(t, name, "SELECT n FROM notes ORDER BY n"); got != "1\n2" {
					t.Errorf("the database holds %q, want the template's row and this test's", got)
				}
			})
		}
	})
	if n := prepared.Load(); n != 1 {
		t.Errorf("the template was prepared %d times", n)
	}
	for _, name := range names {
		if exists(t, name) {
			t.Errorf("%s outlived its test", name)
		}
	}
}

func TestDatabasesSideBySide(t *testing.T) {
	s := Server(t)
	prepare := func(url string) error {
		_, err := s.Psql(nameIn(url), "CREATE TABLE notes (n int)")
		return err
	}
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			name := nameIn(Database(t, "side by side", prepare))
			psql(t, name, "INSERT INTO notes VALUES (1)")
		})
	}
}

func TestEmptyDatabase(t *testing.T) {
	name := nameIn(Database(t, "", nil))
	if got := psql(t, name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != "0" {
		t.Errorf("an empty database has %s tables", got)
	}
}

// TestDropEndsSessions: a test that leaves a connection open must not keep its
// database from being dropped.
func TestDropEndsSessions(t *testing.T) {
	var name string
	t.Run("leaves a session", func(t *testing.T) {
		name = nameIn(Database(t, "", nil))
		s := Server(t)
		go func() { _, _ = s.Psql(name, "SELECT pg_sleep(20)") }() // ends with the session
		const sessions = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%sleep%%' AND datname = '%s'"
		for psql(t, "postgres", fmt.Sprintf(sessions, name)) != "1" {
			time.Sleep(10 * time.Millisecond)
		}
	})
	if exists(t, name) {
		t.Errorf("%s is still there", name)
	}
}

// TestPrepareThatFailsFailsEveryTest: half a template must not pass for a whole one
// with the next test that asks.
func TestPrepareThatFailsFailsEveryTest(t *testing.T) {
	s := Server(t)
	template := "broken " + rand.Text()
	reason := errors.New("no table today")
	fail := func(string) error { return reason }
	succeed := func(string) error { return nil }
	for _, prepare := range []func(string) error{fail, succeed} {
		if _, err := made.database(s, template, prepare); !errors.Is(err, reason) {
			t.Errorf("a template that could not be prepared gives %v, want %v", err, reason)
		}
	}
}

// BenchmarkDatabase is what a test pays for having a database.
func BenchmarkDatabase(b *testing.B) {
	s := Server(b)
	prepare := func(url string) error {
		_, err := s.Psql(nameIn(url), "CREATE TABLE notes (n int)")
		return err
	}
	for b.Loop() {
		name, err := made.database(s, "benchmark", prepare)
		if err == nil {
			err = drop(s, name)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
