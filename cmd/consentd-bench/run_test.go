//go:build !race

// The race detector would see the programs start, and slow down what is measured.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// programs is a folder with consentd and consentd-bench, built once for all tests.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "consentd-bench-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", programs, ".", "../consentd").CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "build consentd and consentd-bench: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// command runs consentd-bench to its end.
func command(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	c := exec.Command(filepath.Join(programs, "consentd-bench"), args...)
	var printed, said bytes.Buffer
	c.Stdout, c.Stderr = &printed, &said
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), printed.String(), said.String()
}

// TestRun measures for moments: every figure is there, whatever it is, and nothing is left behind.
func TestRun(t *testing.T) {
	for engine, lines := range map[string][]string{
		"sqlite": {"single-event writes at 64 connections / echo", "events of batches of 100 / bare inserts",
			"reads of a person's levels at 64 / echo", "p99 of writes",
			"peak resident memory of the server", "start, from exec",
			"peak resident memory of a server that sends exports", "events/s of an export as NDJSON",
			"JSON echo handler", "single-event writes, 1 connection", "single-event writes, 64", "single-event writes, 256",
			"batches of 100, 8", "reads of a person's levels, 64", "bare inserts, transactions",
			"checks of a person by e-mail at 64 / echo", "people/s of checks of 100 / of single", "thousand people/s of checks",
			"peak resident memory of the server that is asked", "checks of a person, 64", "checks of 100 people a call, 8"},
		"postgres": {"single-event writes at 64 connections / one", "events of batches of 100 / bare loop",
			"one organization alone / many", "p99 of writes", "peak resident memory", "one transaction a request, 64",
			"single-event writes, 1 connection", "single-event writes, 64", "the same over 16", "single-event writes, 256",
			"reads of a person's levels, 64", "batches of 100, 8", "bare loop, ",
			"checks of a person by e-mail at 64 / pgbench", "pgbench -S -M prepared, 64"},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			code, out, errOut := command(t, "run", "--engine", engine, "--phase", "500ms", "--people", "1000",
				"--checks", "2000",
				"--events", "3000", "--grow", "0",
				"--dir", dir)
			if code != 0 {
				t.Fatalf("exit code %d\n%s", code, errOut)
			}
			for _, line := range lines {
				if !regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(line) + `.*  +[0-9.]*[1-9]`).MatchString(out) {
					t.Errorf("no figure for %q", line)
				}
			}
			if strings.Contains(out, "NaN") || strings.Contains(out, "Inf") || t.Failed() {
				t.Errorf("it printed\n%s", out)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestCompareWithNothing: a binary that is not there is named, and nothing is left behind.
func TestCompareWithNothing(t *testing.T) {
	dir, nothing := t.TempDir(), filepath.Join(t.TempDir(), "nothing")
	code, _, said := command(t, "compare", "--dir", dir, filepath.Join(programs, "consentd"), nothing)
	if code != exitFailed || !strings.Contains(said, nothing) {
		t.Errorf("exit code %d, said %q", code, said)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestWithoutConsentd: a consentd-bench that stands alone says what it lacks.
func TestWithoutConsentd(t *testing.T) {
	alone := filepath.Join(t.TempDir(), "consentd-bench")
	if err := os.Link(filepath.Join(programs, "consentd-bench"), alone); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(alone, "run").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no consentd to measure; make build makes one, and --consentd") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		args []string
		said string
	}{
		{nil, "expected"},
		{[]string{"run", "--phase", "1ms"}, "--phase must be"},
		{[]string{"run", "--people", "0"}, "--people must be"},
		{[]string{"run", "--checks=-1"}, "--checks must be"},
		{[]string{"run", "--events=-1"}, "--events must be"},
		{[]string{"run", "--engine", "mysql"}, "sqlite"},
		{[]string{"run", "--dir", filepath.Join(programs, "nothing")}, "nothing"},
		{[]string{"compare", "one"}, "two binaries"},
		{[]string{"compare", "--turn", "1ms", "one", "two"}, "--turn must be"},
		{[]string{"compare", "--rounds", "1", "one", "two"}, "--rounds must be"},
		{[]string{"run", "--consentd", filepath.Join(programs, "nothing")}, "nothing"},
	} {
		if code, _, said := command(t, tc.args...); code != exitUsage || !strings.Contains(said, tc.said) {
			t.Errorf("%q: exit code %d, said %q", tc.args, code, said)
		}
	}
}
