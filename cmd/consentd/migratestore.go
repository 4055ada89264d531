package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/store/move"
	"github.com/consentd/consentd/internal/store/sqlite"
)

type moveCmd struct {
	Settings
	From    string `required:"" help:"Data folder to move, as sqlite:DIR." placeholder:"sqlite:DIR"`
	To      string `help:"Empty PostgreSQL database to move into. Default: CONSENTD_DATABASE_URL." placeholder:"URL"`
	AdminTo string `help:"The same for the schema; on Citus the coordinator. Default: --to." placeholder:"URL"`
	Batch   int    `help:"Rows in one transaction." hidden:""`
}

// Help implements kong.HelpProvider.
func (moveCmd) Help() string {
	return `Copies everything from a data folder into an empty PostgreSQL database: organizations, keys, people, the whole
ledger, idempotency records. Then it reads both sides again and compares them, row by row; a difference is reported
by its organization and table. The data folder stays as it is. Without --to and --admin-to the database is the one of
CONSENTD_DATABASE_URL and CONSENTD_ADMIN_DATABASE_URL; give it by CONSENTD_DATABASE_URL_FILE where the URL holds a
password.

What to do, in this order:

	createdb --encoding UTF8 --template template0 consentd     # empty; start no server on it yet
	systemctl stop consentd                                    # nobody may write meanwhile
	consentd migrate-store --from sqlite:/var/lib/consentd --to postgres://consentd@db/consentd
	consentd serve --database postgres://consentd@db/consentd

It may be stopped at any moment, by Ctrl-C, a crash or kill -9: the same command goes on where it was. Until it has come
to its end, no server starts on the database. It refuses a folder that a server uses, a database that is not empty, and
to go on with another folder than the one it began with, or with one that was written to since.

Keep the data folder until you are sure, and then delete it: it holds personal data.

Examples:

	consentd migrate-store --from sqlite:./data --to postgres://consentd@db/consentd
	CONSENTD_DATABASE_URL_FILE=/run/secrets/database \
	  consentd migrate-store --from sqlite:/var/lib/consentd
	consentd migrate-store --from sqlite:./data --to postgres://consentd@worker1,worker2/consentd \
	  --admin-to postgres://consentd@coordinator/consentd

Progress goes to stderr: every second on a terminal, else every 5 s. What was moved goes to stdout, at the end.

Exit codes: 0 moved, and the same on both sides; 1 refused, failed, stopped by a signal, or not the same; 2 wrong
command line; 3 a server runs on the data folder.`
}

// Run moves a data folder into a database.
func (c *moveCmd) Run() error {
	dir, err := folderOf(c.From)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	cfg, err := c.target()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once; that does no harm either
	progress := newMoveProgress(os.Stderr, terminalWidth(os.Stderr))
	began := time.Now()
	report, err := move.Run(ctx, move.Options{From: dir, URL: cfg.Database, AdminURL: cfg.AdminDatabase, Rows: c.Batch,
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Progress: progress.update})
	progress.end()
	if errors.Is(err, move.ErrMoved) {
		fmt.Printf("%v.\n", err)
		return nil
	}
	if err != nil {
		return explain(err, ctx.Err() != nil, progress.copied(), dir, cfg.Place())
	}
	return printMove(os.Stdout, report, time.Since(began), dir, cfg.Place())
}

// folderOf gives the folder of --from.
func folderOf(from string) (string, error) {
	dir, ok := strings.CutPrefix(from, "sqlite:")
	if !ok || dir == "" || strings.HasPrefix(dir, "//") {
		return "", errors.New("--from does not name a data folder; allowed: sqlite:DIR, such as sqlite:./data or " +
			"sqlite:/var/lib/consentd")
	}
	return dir, nil
}

// target gives the configuration with the database to move into. A database on the command line never goes with
// another one's coordinator from the environment.
func (c *moveCmd) target() (*config.Config, error) {
	flags := c.given()
	if c.To != "" {
		flags["database"] = c.To
	}
	if c.AdminTo != "" {
		flags["admin-database"] = c.AdminTo
	}
	cfg, err := config.Load(flags, os.Environ())
	if err != nil {
		return nil, errors.New(strings.NewReplacer("flag --database", "flag --to", "flag --admin-database",
			"flag --admin-to").Replace(err.Error()))
	}
	if cfg.Database == "" {
		return nil, errors.New("no database to move into: name it with --to, CONSENTD_DATABASE_URL or " +
			"CONSENTD_DATABASE_URL_FILE")
	}
	if c.To != "" && c.AdminTo == "" {
		cfg.AdminDatabase = ""
	}
	return cfg, nil
}

// explain makes of a move's error what the operator needs. begun: rows may have been copied.
func explain(err error, signalled, begun bool, dir, place string) error {
	var differences *move.Differences
	switch {
	case errors.Is(err, sqlite.ErrLocked):
		return &exitError{exitLocked, fmt.Errorf("data folder %s: a server, or another migrate-store, is running on it: "+
			"stop it first", dir)}
	case errors.As(err, &differences):
		return fmt.Errorf("move %s to %s: %w", dir, place, err)
	case signalled && !begun:
		return errors.New("stopped by a signal, before anything was copied")
	case signalled:
		err = errors.New("stopped by a signal")
	}
	if begun {
		err = fmt.Errorf("%w\nThe move is not finished, and what is there stays: the same command goes on where it was", err)
	}
	return fmt.Errorf("move %s to %s: %w", dir, place, err)
}

// printMove says what was moved, and what comes next.
func printMove(out io.Writer, report move.Report, took time.Duration, dir, place string) error {
	fmt.Fprintf(out, "Moved %s, %s, from %s to %s in %s", plural(report.Organizations, "organization"),
		plural(report.Rows, "row"),
		dir, place, took.Round(time.Second/10))
	if report.Before > 0 {
		fmt.Fprintf(out, "; from an earlier run: %s", plural(report.Before, "row"))
	}
	fmt.Fprint(out, ".\nRead again and compared, organization by organization and table by table: both sides are the "+
		"same.\n\n")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "TABLE\tROWS\tSECONDS TO COPY\tTO COMPARE\t\n")
	for _, table := range report.Tables {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t\n", table.Name, table.Rows, table.Copied.Seconds(), table.Compared.Seconds())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `
What to do next:
  1. Put the key file %s where the servers will be, and keep a copy of it apart from backups.
  2. Start the server on the database: consentd serve --database URL --kek-file FILE, or with CONSENTD_KEK_FILE, and
     CONSENTD_DATABASE_URL or CONSENTD_DATABASE_URL_FILE. API keys, the root key too, are the same as before.
  3. Start no server on %s again: what it takes would not be in the database.
  4. Keep %s until you are sure, and then delete it: it holds personal data.
`, filepath.Join(dir, keyFileName), dir, dir)
	return err
}
