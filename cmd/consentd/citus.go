package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/consentd/consentd/internal/store/postgres"
)

// citusCmd prepares a cluster of Citus.
type citusCmd struct {
	Settings
	Init citusInitCmd `cmd:"" help:"Make the tables and distribute them over the nodes of Citus."`
}

// Help implements kong.HelpProvider.
func (citusCmd) Help() string {
	return `For a database that has outgrown one PostgreSQL server. Every organization is kept whole on one node; many
organizations are spread over many. docs/scaling.md tells when that pays and how the nodes are set up.

Example:

	consentd citus init --database postgres://consentd@coordinator:5432/consent`
}

type citusInitCmd struct{}

// Help implements kong.HelpProvider.
func (citusInitCmd) Help() string {
	return `Makes the tables, or brings them up to date, and distributes each of them, one line a table. What is
distributed already stays as it is, so it may run again, also after a failure in the middle and after an upgrade of
consentd with new tables.

It works on the coordinator: --admin-database, or --database where that is not given. The database has the extension
citus, and is empty or holds data of consentd's, which is copied to the nodes: then stop the servers first, and have a
backup. In a database that holds tables of others, such as one whose name was mistyped, it makes and changes nothing.

In the end it switches JIT off for the roles of both URLs (ALTER ROLE … SET jit = off), which Citus passes on to the
workers: settings of a session do not reach them, and there JIT takes most of the time of a page. Where it may not, it
prints the statement for a superuser. Sessions that are there already keep what they had: restart the servers.

Examples:

	consentd citus init --database postgres://consentd@coordinator:5432/consent
	CONSENTD_DATABASE_URL_FILE=/run/secrets/database \
	  CONSENTD_ADMIN_DATABASE_URL_FILE=/run/secrets/coordinator consentd citus init

Then start servers with the coordinator as --admin-database and all nodes, separated by commas, in --database.

Environment: CONSENTD_DATABASE_URL, CONSENTD_ADMIN_DATABASE_URL and CONSENTD_CONFIG, as for consentd serve.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration.`
}

// Run distributes the tables.
func (c *citusInitCmd) Run(of *citusCmd) error {
	cfg, err := of.load()
	if err != nil {
		return err
	}
	if cfg.Database == "" {
		return &exitError{exitUsage, errors.New("citus init needs a database: give --database or " +
			"CONSENTD_DATABASE_URL, and --admin-database where that is not the coordinator of Citus")}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	say := func(line string) { fmt.Println(line) }
	if err := postgres.InitCitus(ctx, postgresOptions(cfg, log, false), say); err != nil {
		return fmt.Errorf("citus init: %w", err)
	}
	return nil
}
