package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/bench"
)

type benchCmd struct {
	Phase       time.Duration `help:"How long each load runs (0.5s to 1m); those that are compared with the echo handler run in turns, twice as long in all." default:"5s"`
	People      int           `help:"How many people the events are about (1 to 10 million)." default:"100000"`
	Dir         string        `help:"Measure the disk of this folder; scratch data is made below it and removed." default:"." type:"existingdir"`
	Engine      string        `help:"sqlite, or postgres: a PostgreSQL server is started for it and thrown away (it must be installed; make test installs it)." enum:"sqlite,postgres" default:"sqlite"`
	Grow        int           `help:"With postgres: to how many events the growth of the time per event is followed; 0: not at all." default:"5000000"`
	EchoServer  bool          `hidden:""`
	NaiveServer string        `hidden:""`
	Listen      string        `hidden:""`
}

// Help implements kong.HelpProvider.
func (benchCmd) Help() string {
	return `Starts a server of its own with scratch data on a free loopback port, loads it, and prints how it compares with a
handler that does nothing and with bare inserts into SQLite, or, for PostgreSQL, with a handler that does one
transaction a request and with a bare loop of the same statements. It ends by itself, and touches no other server or data.
Each figure says what it should reach; the exit code is 0 also where one is missed, since a busy machine misses all.

Examples:

	consentd bench
	consentd bench --phase 10s --dir /var/tmp
	consentd bench --engine postgres --grow 0`
}

// Run measures.
func (b *benchCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // the last: its terminal was closed
	defer stop()
	if b.EchoServer {
		return bench.ServeEcho(ctx, b.Listen)
	}
	if b.NaiveServer != "" {
		return bench.ServeNaive(ctx, b.Listen, b.NaiveServer)
	}
	if b.Phase < 500*time.Millisecond || b.Phase > time.Minute {
		return &exitError{exitUsage, errors.New("--phase must be 0.5s to 1m")}
	}
	if b.People < 1 || b.People > 10_000_000 {
		return &exitError{exitUsage, errors.New("--people must be 1 to 10000000")}
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(b.Dir)
	if err != nil {
		return err
	}
	scratch, remove, err := bench.Scratch(dir)
	if err != nil {
		return err
	}
	defer remove()
	o := bench.Options{Binary: binary, Dir: scratch, Phase: b.Phase, People: b.People, Out: os.Stdout}
	measure := bench.Run
	if b.Engine == "postgres" {
		measure = func(ctx context.Context, o bench.Options) error { return bench.RunPostgres(ctx, o, b.Grow) }
	}
	err = measure(ctx, o)
	if ctx.Err() != nil { // whatever broke off, that is why
		return errors.New("stopped by a signal; nothing is left behind")
	}
	return err
}
