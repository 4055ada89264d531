// Command consentd-bench measures consentd on this machine. It knows the command
// line and where scratch data goes; how it is measured, it doesn't know.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/consentd/consentd/internal/bench"
)

// commands is the table of subcommands.
type commands struct {
	Run     runCmd     `cmd:"" help:"Measure requests a second and latency of a consentd, and what the machine can do."`
	Compare compareCmd `cmd:"" help:"Compare builds of consentd with each other, in turns."`
	Echo    echoCmd    `cmd:"" hidden:"" help:"Serve what run compares SQLite with."`
	Naive   naiveCmd   `cmd:"" hidden:"" help:"Serve what run compares PostgreSQL with."`
}

const description = `Measures consentd on this machine: it starts servers with scratch data on free loopback ports,
loads them, and ends them. It touches no other server or data.

Examples:

	consentd-bench run
	consentd-bench compare before/consentd after/consentd

Exit codes: 0 done, 1 failed, 2 wrong command line.`

// Exit codes. Scripts may rely on them.
const (
	exitFailed = 1
	exitUsage  = 2
)

func newParser() *kong.Kong {
	return kong.Must(&commands{}, kong.Name("consentd-bench"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}))
}

func main() {
	parsed, err := newParser().Parse(os.Args[1:])
	if err != nil {
		fail(exitUsage, fmt.Errorf("%w\nconsentd-bench --help tells what there is", err))
	}
	// SIGHUP comes when its terminal is closed.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run()
	if err != nil && ctx.Err() != nil { // whatever broke off, that is why
		err = errors.New("stopped by a signal; nothing is left behind")
	}
	if err != nil {
		fail(exitFailed, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintf(os.Stderr, "consentd-bench: %v\n", err)
	os.Exit(code)
}

// load is what all measurements take.
type load struct {
	Engine string `help:"sqlite, or postgres: one is started and thrown away." enum:"sqlite,postgres" default:"sqlite"`
	People int    `help:"How many people the events are about (1 to 10 million)." default:"100000"`
	Dir    string `help:"Measure the disk of this folder, in scratch data that is removed." default:"." type:"existingdir"`
}

func (l *load) validate() error {
	if l.People < 1 || l.People > 10_000_000 {
		return errors.New("--people must be 1 to 10000000")
	}
	return nil
}

// inScratch calls do with an empty folder, and removes it.
func (l *load) inScratch(do func(dir string) error) error {
	parent, err := filepath.Abs(l.Dir)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, "consentd-bench-")
	if err != nil {
		return err
	}
	return errors.Join(do(dir), os.RemoveAll(dir))
}

type echoCmd struct {
	Listen string `required:""`
}

// Run serves until a signal comes.
func (e *echoCmd) Run(ctx context.Context) error { return bench.ServeEcho(ctx, e.Listen) }

type naiveCmd struct {
	Listen   string `required:""`
	Database string `required:""`
}

// Run serves until a signal comes.
func (n *naiveCmd) Run(ctx context.Context) error { return bench.ServeNaive(ctx, n.Listen, n.Database) }
