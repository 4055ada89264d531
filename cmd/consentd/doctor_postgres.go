package main

import (
	"context"
	"log/slog"

	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/postgres"
)

const restoreDatabase = "stop the servers, and restore the last backup into another database; then compare " +
	"(docs/operating.md)"

const againDatabase = "run it again, and see that the database is up, on Citus each of its nodes, and what its log " +
	"says; if it stays so, report this line: it is then a mistake in consentd"

// postgres checks the database and what is in it.
func (d *doctor) postgres(ctx context.Context) {
	d.restore, d.again = restoreDatabase, againDatabase
	d.ok("data", "in "+d.cfg.Place())
	d.progress.step("opening the database")
	e, err := postgres.Inspect(ctx, postgresOptions(d.cfg, slog.New(slog.DiscardHandler), false))
	if err != nil && d.ends(ctx, "database", notDone) {
		return
	}
	if err != nil {
		d.fail("database", err.Error(), "mend it, or name another database with --database; docs/operating.md tells how it "+
			"is set up")
		return
	}
	i := store.Inspect(e)
	defer i.Close()
	d.ok("database", "it takes writes and keeps what it acknowledged; the next months have their partitions")
	if d.schema(ctx, i) {
		d.ledgers(ctx, i)
	} else if !d.stopped {
		d.warn("ledgers", "not looked at", "mend what failed above first")
	}
}
