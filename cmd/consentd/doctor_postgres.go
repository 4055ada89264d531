package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

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
	if postgres.NodeUnreachable(err) {
		d.cannot("database", err)
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
	d.citus(ctx, e)
	if d.stopped {
		return
	}
	if d.schema(ctx, i) {
		d.keys(ctx, i)
		d.journal(ctx, i)
		d.checkpoints(ctx, i)
		d.witnesses(ctx, i)
		d.ledgers(ctx, i)
	} else if !d.stopped {
		d.warn("ledgers", "not looked at", "mend what failed above first")
	}
}

// citus looks at the cluster, where there is one.
func (d *doctor) citus(ctx context.Context, e *postgres.Engine) {
	const check = "citus"
	d.progress.step("asking the nodes of Citus")
	c, err := e.Cluster(ctx)
	if d.ends(ctx, check, notDone) {
		return
	}
	before := d.fails + d.warns + d.errors
	if err != nil {
		d.cannot(check, err)
	}
	if c == nil {
		return
	}
	if len(c.Down) > 0 {
		d.fail(check, "a worker does not answer: "+strings.Join(c.Down, "; "), "bring it back, or its standby in its place "+
			"(citus_update_node); until then its organizations are not served, and no partition is made")
	}
	local := "tables are on the coordinator alone: " + strings.Join(c.Local, ", ")
	switch {
	case len(c.Local) > 0 && c.OtherNodes:
		d.fail(check, local, "run consentd citus init; until then no server starts on several nodes")
	case len(c.Local) > 0:
		d.warn(check, local, "run consentd citus init, which distributes them")
	}
	for _, statement := range c.JIT {
		d.warn(check, "workers use JIT, which takes most of the time of a page there", "run "+statement+"; on the "+
			"coordinator as a superuser, which consentd citus init does too where it may, and restart the servers; if it "+
			"stays so, run it on each worker")
	}
	if d.fails+d.warns+d.errors == before {
		d.ok(check, fmt.Sprintf("%s up, all tables distributed, no JIT", plural(c.Workers, "worker")))
	}
}
