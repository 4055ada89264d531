//go:build !race

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestBench measures for moments: every figure is there, whatever it is, and nothing is left behind.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	p := command(t, nil, "bench", "--phase", "500ms", "--people", "1000", "--dir", dir)
	if p.code != 0 {
		t.Fatalf("bench: %d\n%s", p.code, p.errOut.String())
	}
	out := p.out.String()
	for _, line := range []string{"single-event writes at 64 connections / echo", "events of batches of 100 / bare inserts", "reads of a person's levels at 64 / echo",
		"p99 of writes", "peak resident memory", "start, from exec", "JSON echo handler", "single-event writes, 1 connection", "single-event writes, 64",
		"single-event writes, 256", "batches of 100, 8", "reads of a person's levels, 64", "bare inserts, transactions"} {
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
}
