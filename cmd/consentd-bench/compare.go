package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/consentd/consentd/internal/bench"
)

type compareCmd struct {
	load
	Turn   time.Duration `help:"How long a build is loaded before it is the next one's turn (0.1s to 1m)." default:"1s"`
	Rounds int           `help:"How many turns each build has of each load (2 to 1000)." default:"12"`
	Builds []string      `arg:"" name:"binary" help:"A consentd; the others are compared with the first." type:"path"`
}

// Help implements kong.HelpProvider.
func (compareCmd) Help() string {
	return `Starts a server of each build with scratch data, and loads them in turns with single events, batches of 100 and
reads, so that what else the machine does meets all of them alike. Half a turn before each is not counted. It prints
what each build comes to, the CPU time that its server takes for a request (PostgreSQL's own is not in it), and both
over those of the first build, with the standard error over the rounds. Name a build twice to see how much is chance.

Examples:

	consentd-bench compare before/consentd after/consentd
	consentd-bench compare --engine postgres --turn 3s before/consentd after/consentd
	consentd-bench compare --rounds 40 before/consentd before/consentd after/consentd`
}

// Validate implements kong.Validatable.
func (c *compareCmd) Validate() error {
	switch {
	case len(c.Builds) < 2:
		return errors.New("name two binaries or more")
	case c.Turn < 100*time.Millisecond || c.Turn > time.Minute:
		return errors.New("--turn must be 0.1s to 1m")
	case c.Rounds < 2 || c.Rounds > 1000:
		return errors.New("--rounds must be 2 to 1000")
	}
	return c.validate()
}

// Run measures.
func (c *compareCmd) Run(ctx context.Context) error {
	return c.inScratch(func(dir string) error {
		return bench.Compare(ctx, bench.CompareOptions{Builds: c.Builds, Postgres: c.Engine == "postgres", Dir: dir,
			Turn: c.Turn, Rounds: c.Rounds, People: c.People, Out: os.Stdout})
	})
}
