package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/consentd/consentd/internal/bench"
)

type runCmd struct {
	load
	Consentd string        `help:"What to measure; by default the consentd next to consentd-bench." type:"existingfile"`
	Phase    time.Duration `help:"How long each load runs (0.5s to 1m)." default:"5s"`
	Checks   int           `help:"How many people checks have on record; 0: they are not measured." default:"1000000"`
	Events   int           `help:"With sqlite: how many events an export has; 0: it is not measured." default:"1000000"`
	Grow     int           `help:"With postgres: how many events to record to see growth; 0: none." default:"5000000"`
}

// Help implements kong.HelpProvider.
func (runCmd) Help() string {
	return `Starts a server with scratch data on a free loopback port, loads it, and prints how it compares with a handler
that does nothing and with bare inserts into SQLite, or, for PostgreSQL, with a handler that does one transaction a
request and with a bare loop of the same statements. PostgreSQL must be installed; make test does it. What is compared
with the handler that does nothing runs in turns with it, for twice --phase in all. Each figure says what it should
reach; the exit code is 0 also where one is missed, since a busy machine misses all.

Examples:

	consentd-bench run
	consentd-bench run --phase 10s --dir /var/tmp
	consentd-bench run --checks 0                    # without a million people on record
	consentd-bench run --engine postgres --grow 0`
}

// Validate implements kong.Validatable.
func (r *runCmd) Validate() error {
	if r.Phase < 500*time.Millisecond || r.Phase > time.Minute {
		return errors.New("--phase must be 0.5s to 1m")
	}
	if r.Checks < 0 || r.Checks > 10_000_000 {
		return errors.New("--checks must be 0 to 10000000")
	}
	if r.Events < 0 {
		return errors.New("--events must be 0 or more")
	}
	return r.validate()
}

// Run measures.
func (r *runCmd) Run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if r.Consentd == "" {
		r.Consentd = filepath.Join(filepath.Dir(self), "consentd")
		if _, err := os.Stat(r.Consentd); err != nil {
			return fmt.Errorf("there is no consentd to measure; make build makes one, and --consentd names another: %w", err)
		}
	}
	return r.inScratch(func(dir string) error {
		o := bench.Options{Consentd: r.Consentd, Bench: self, Dir: dir, Phase: r.Phase, People: r.People,
			Checks: r.Checks, Events: r.Events, Out: os.Stdout}
		if r.Engine == "postgres" {
			return bench.RunPostgres(ctx, o, r.Grow)
		}
		return bench.Run(ctx, o)
	})
}
