package storetest

import (
	"testing"

	"zombiezen.com/go/sqlite"
)

// Plan gives the steps by which SQLite would run a statement on a database, a line each.
func Plan(t testing.TB, path, statement string) []string {
	t.Helper()
	return Explain(t, path, "EXPLAIN QUERY PLAN "+statement, 3)
}

// Explain gives one column of what SQLite answers to a statement that explains.
func Explain(t testing.TB, path, statement string, column int) (lines []string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	plan, _, err := c.PrepareTransient(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plan.Finalize() }()
	for {
		more, err := plan.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return lines
		}
		lines = append(lines, plan.ColumnText(column))
	}
}
