package bench

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// TestCompare compares a build with itself for moments: every figure is there, whatever it is.
func TestCompare(t *testing.T) {
	consentd := filepath.Join(t.TempDir(), "consentd")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", consentd, "../../cmd/consentd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const (
		ratio   = `[0-9]+\.[0-9]+`
		figures = `( +[0-9.]*[1-9][0-9.]*){4}` // four, and none of them 0
	)
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := Compare(context.Background(), CompareOptions{Builds: []string{consentd, consentd},
				Postgres: engine == "PostgreSQL", Dir: t.TempDir(), Turn: 100 * time.Millisecond, Rounds: 2, People: 1000,
				Out: &out})
			if err != nil {
				t.Fatal(err)
			}
			for _, load := range []string{"single-event writes, 64", "batches of 100, 8", "reads of a person's levels, 64"} {
				wanted := `(?m)^` + load + ` connections\n.*\n  1` + figures + `\n` +
					`  2` + figures + ` +` + ratio + ` ± ` + ratio + ` +` + ratio + `$`
				if !regexp.MustCompile(wanted).Match(out.Bytes()) {
					t.Errorf("no figures of %s", load)
				}
			}
			if t.Failed() {
				t.Logf("it printed\n%s", out.String())
			}
		})
	}
}

func TestParseCPUTime(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"7 (consentd) S 1 7 7 0 -1 4194560 100 0 3 0 150 25 9 9 20 0 8 0 123 45 67": 1750 * time.Millisecond,
		"7 (a ) b) R 1 7 7 0 -1 4194560 100 0 3 0 1 2 9 9 20":                       30 * time.Millisecond,
		"7 (consentd) S 1 7": 0,
		"":                   0,
	} {
		if got := parseCPUTime([]byte(stat)); got != want {
			t.Errorf("%q: %s, want %s", stat, got, want)
		}
	}
}
