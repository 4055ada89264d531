package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// The events are partitioned by ranges of ids, and ids begin with the time: a partition is a month. Queries touch
// each partition that may have rows, so there are at most maxPartitions: what retention does not drop is joined, a
// calendar year at a time.

const (
	monthsAhead   = 3
	maxPartitions = 36
	joinAfter     = 12 // months that stay as they are, if there are few enough
	// partitionsEvery is how often they are looked at; with months of lead there is no hurry.
	partitionsEvery = time.Hour
	// partitionsRetry is how often after a failure, such as while a node of Citus is down.
	partitionsRetry = 30 * time.Second
)

// partition is a range of the events by time; from zero: from the beginning.
type partition struct {
	name     string
	from, to time.Time
}

// partitionPlan is what is to be done to the partitions.
type partitionPlan struct {
	create, drop []partition
	join         []partition // neighbours, to become joined
	joined       partition
}

// planPartitions decides; it is pure. first is when the first event was recorded that is to be taken in, zero: none
// before now; retention is in months, 0: for ever. have is in order.
func planPartitions(have []partition, now, first time.Time, retention int) (plan partitionPlan) {
	month := monthOf(now)
	start := month
	if len(have) > 0 {
		start = have[len(have)-1].to
	} else {
		if most := month.AddDate(0, -(maxPartitions - monthsAhead - 2), 0); !first.IsZero() && first.Before(month) {
			start = monthOf(first)
			if start.Before(most) {
				start = most
			}
		}
		plan.create = append(plan.create, partition{name: "events_before", to: start})
	}
	for at := start; !at.After(month.AddDate(0, monthsAhead, 0)); at = at.AddDate(0, 1, 0) {
		plan.create = append(plan.create, partition{at.Format("events_2006_01"), at, at.AddDate(0, 1, 0)})
	}
	live := slices.Clone(have)
	if retention > 0 {
		until := month.AddDate(0, -retention, 0)
		live = slices.DeleteFunc(live, func(p partition) bool {
			if !p.to.After(until) {
				plan.drop = append(plan.drop, p)
				return true
			}
			return false
		})
	}
	if len(live)+len(plan.create) > maxPartitions {
		plan.join, plan.joined = toJoin(live, month)
	}
	return plan
}

// toJoin chooses neighbours that become one partition: the months of the oldest calendar year, or, after decades,
// the years.
func toJoin(live []partition, month time.Time) (join []partition, joined partition) {
	join = oldestYear(live, month.AddDate(0, -joinAfter, 0))
	if len(join) == 0 {
		join = oldestYear(live, month.AddDate(0, -1, 0))
	}
	if len(join) > 0 {
		return join, partition{join[0].from.Format("events_2006"), join[0].from, join[len(join)-1].to}
	}
	for _, p := range live {
		if !p.from.IsZero() && !p.single() {
			join = append(join, p)
		}
	}
	if len(join) < 2 {
		return nil, partition{}
	}
	from, to := join[0].from, join[len(join)-1].to
	return join, partition{from.Format("events_2006_to_") + to.AddDate(0, 0, -1).Format("2006"), from, to}
}

// oldestYear finds the months of the first calendar year that ended before an instant.
func oldestYear(live []partition, before time.Time) (months []partition) {
	for _, p := range live {
		if !p.single() || time.Date(p.from.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).After(before) {
			continue
		}
		if len(months) > 0 && months[0].from.Year() != p.from.Year() {
			if len(months) > 1 {
				break
			}
			months = nil // a month alone stays alone
		}
		months = append(months, p)
	}
	if len(months) < 2 {
		return nil
	}
	return months
}

// single tells whether it is one month.
func (p partition) single() bool { return !p.from.IsZero() && p.to.Equal(p.from.AddDate(0, 1, 0)) }

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// firstID is the least id of an instant.
func firstID(t time.Time) (id consent.ID) {
	binary.BigEndian.PutUint64(id[:8], uint64(t.UnixMilli())<<16)
	return id
}

func timeOf(id consent.ID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// bounds are those of the partition in SQL.
func (p partition) bounds() string {
	from := "MINVALUE"
	if !p.from.IsZero() {
		from = "'" + firstID(p.from).String() + "'"
	}
	return "FROM (" + from + ") TO ('" + firstID(p.to).String() + "')"
}

var boundOf = regexp.MustCompile(`FROM \((?:'([^']*)'|MINVALUE)\) TO \('([^']*)'\)`)

// partitionsOf reads what partitions there are, in order.
func partitionsOf(ctx context.Context, c *pgx.Conn) ([]partition, error) {
	rows, err := c.Query(ctx, `SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass`)
	if err != nil {
		return nil, err
	}
	have, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p partition, err error) {
		var bound string
		if err := row.Scan(&p.name, &bound); err != nil {
			return p, err
		}
		found := boundOf.FindStringSubmatch(bound)
		if found == nil {
			return p, fmt.Errorf("partition %s has the bounds %s, which consentd did not make", p.name, bound)
		}
		if from, ok := consent.ParseID(found[1]); ok {
			p.from = timeOf(from)
		}
		if to, ok := consent.ParseID(found[2]); ok {
			p.to = timeOf(to)
		}
		return p, nil
	})
	slices.SortFunc(have, func(a, b partition) int { return a.to.Compare(b.to) })
	return have, err
}

// checkPartitions says where the next months have no partition: events could not be written then.
func checkPartitions(ctx context.Context, c *pgx.Conn, now time.Time) error {
	var there bool
	if err := c.QueryRow(ctx, "SELECT to_regclass('events') IS NOT NULL").Scan(&there); err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if !there {
		return errors.New("the database has no schema of consentd's yet: start consentd serve with it, or name another " +
			"database")
	}
	have, err := partitionsOf(ctx, c)
	if err != nil {
		return fmt.Errorf("read the partitions: %w", err)
	}
	if len(have) == 0 || have[len(have)-1].to.Before(monthOf(now).AddDate(0, 2, 0)) {
		return errors.New("there is no partition for the events of next month: start consentd serve, which makes it, and " +
			"see why the running ones did not")
	}
	return nil
}

// makePartitions does what the plan says; whoever calls it has the schema's lock.
func (e *Engine) makePartitions(ctx context.Context, c *pgx.Conn, now, first time.Time) error {
	have, err := partitionsOf(ctx, c)
	if err != nil {
		return fmt.Errorf("read the partitions: %w", err)
	}
	plan := planPartitions(have, now, first, e.o.Retention)
	if e.citus && len(plan.create)+len(plan.drop) > 0 {
		if err := workersUp(ctx, c); err != nil {
			return err
		}
	}
	if len(plan.create) > 0 {
		statements := []string{"SET LOCAL lock_timeout = '10s'"}
		for _, p := range plan.create {
			statements = append(statements, "CREATE TABLE "+p.name+" PARTITION OF events FOR VALUES "+p.bounds())
		}
		if err := inTransaction(ctx, c, statements...); err != nil {
			return fmt.Errorf("create %s: %w", plan.create[0].name, err)
		}
	}
	for _, p := range plan.drop {
		if err := dropPartition(ctx, c, p); err != nil {
			return fmt.Errorf("drop %s: %w", p.name, err)
		}
		e.log.Info("events dropped, since their time of retention is over", "partition", p.name, "before", p.to)
	}
	if len(plan.join) == 0 {
		return nil
	}
	return e.joinPartitions(ctx, c, plan.join, plan.joined)
}

// ReplacePartitions makes partitions for events that were recorded from first to last, in a database that has none yet;
// c holds the schema's lock (Prepare). Where the partitions that are there would keep the first months in one, they are
// dropped before.
func ReplacePartitions(ctx context.Context, c *pgx.Conn, o Options, first, last time.Time) error {
	e := newEngine(o)
	var err error
	if e.citus, _, err = extension(ctx, c, "citus"); err != nil {
		return err
	}
	if err := dropEmptyPartitions(ctx, c, first); err != nil {
		return err
	}
	now := time.Now()
	if last.After(now) { // the clock of the server that recorded it was ahead once
		now = last
	}
	return e.makePartitions(ctx, c, now, first)
}

func dropEmptyPartitions(ctx context.Context, c *pgx.Conn, first time.Time) error {
	have, err := partitionsOf(ctx, c)
	if err != nil || len(have) == 0 || first.IsZero() || !first.Before(have[0].to) {
		return err
	}
	statements := []string{"SET LOCAL lock_timeout = '10s'"}
	for _, p := range have {
		statements = append(statements, "DROP TABLE "+p.name)
	}
	return inTransaction(ctx, c, statements...)
}

// inTransaction runs statements in one transaction.
func inTransaction(ctx context.Context, c *pgx.Conn, statements ...string) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropPartition drops a month, with the entries from before its end that are no decisions, and takes it out of the kept
// counts. Its events are counted under a lock that keeps out erasures alone, since nobody else writes into months that
// are over; the lock that keeps everybody out is taken afterwards.
func dropPartition(ctx context.Context, c *pgx.Conn, p partition) error {
	end := firstID(p.to)
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for _, statement := range []string{"SET LOCAL lock_timeout = '10s'", "LOCK TABLE " + p.name + " IN SHARE MODE"} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		counts, err := countDropped(ctx, tx, "SELECT organization_id, project_no, count(*) FROM "+p.name+
			" WHERE project_no >= 0 GROUP BY organization_id, project_no") // all are, so that an index will do
		if err != nil {
			return err
		}
		others, err := countDropped(ctx, tx, "SELECT organization_id, 0, count(*) FROM ledger_entries "+
			"WHERE event_id < $1 GROUP BY organization_id", [16]byte(end))
		if err != nil {
			return err
		}
		// Before the detaching, behind which everybody waits.
		if _, err := tx.Exec(ctx, "DELETE FROM ledger_entries WHERE event_id < $1", [16]byte(end)); err != nil {
			return err
		}
		for _, statement := range []string{"ALTER TABLE events DETACH PARTITION " + p.name, "DROP TABLE " + p.name} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		var last pgx.Batch // one round trip: everybody waits meanwhile
		for _, n := range append(counts, others...) {
			if n.project > 0 {
				last.Queue(engine.AddCount, [16]byte(n.organization), consent.EventCount(n.project), -n.entries)
			}
			last.Queue(engine.AddCount, [16]byte(n.organization), engine.DroppedCount, n.entries)
		}
		return tx.SendBatch(ctx, &last).Close()
	})
}

// droppedCount is how many entries of an organization go with a month; project 0: they are no decisions.
type droppedCount struct {
	organization consent.ID
	project      int
	entries      int64
}

func countDropped(ctx context.Context, tx pgx.Tx, statement string, args ...any) ([]droppedCount, error) {
	rows, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n droppedCount, err error) {
		err = row.Scan((*[16]byte)(&n.organization), &n.project, &n.entries)
		return n, err
	})
}

// joinPartitions copies months that are over into one partition and puts it in their place, in one transaction. The
// lock that keeps readers out is taken at its end only.
func (e *Engine) joinPartitions(ctx context.Context, c *pgx.Conn, months []partition, joined partition) error {
	if e.citus {
		e.log.Warn("there are more than 36 partitions of events, and on Citus they are not joined: set --retention, or " +
			"join them by hand (docs/scaling.md)")
		return nil
	}
	began := time.Now()
	names := make([]string, len(months))
	statements := []string{"SET LOCAL lock_timeout = '10s'", "SET LOCAL maintenance_work_mem = '64MB'"}
	for i, p := range months {
		names[i] = p.name
	}
	statements = append(statements, "LOCK TABLE "+strings.Join(names, ", ")+" IN SHARE MODE",
		"CREATE TABLE "+joined.name+" (LIKE events INCLUDING ALL)")
	for _, name := range names {
		statements = append(statements, "INSERT INTO "+joined.name+" SELECT * FROM "+name)
	}
	// The constraint spares a second look at every row while the lock is held.
	statements = append(statements, "ALTER TABLE "+joined.name+" ADD CONSTRAINT "+joined.name+
		"_range CHECK (event_id >= '"+firstID(joined.from).String()+"' AND event_id < '"+firstID(joined.to).String()+"')")
	for _, name := range names {
		statements = append(statements, "ALTER TABLE events DETACH PARTITION "+name)
	}
	statements = append(statements, "ALTER TABLE events ATTACH PARTITION "+joined.name+" FOR VALUES "+joined.bounds(),
		"DROP TABLE "+strings.Join(names, ", "))
	if err := inTransaction(ctx, c, statements...); err != nil {
		return fmt.Errorf("join %s to %s: %w", names[0], names[len(names)-1], err)
	}
	e.log.Info("partitions joined", "into", joined.name, "partitions", len(months), "ms", time.Since(began).Milliseconds())
	return nil
}

// keepPartitions looks after the partitions for as long as the server runs; of many servers, one does at a time. What
// failed is tried again every partitionsRetry, and logged once.
func (e *Engine) keepPartitions(running context.Context) {
	for failed := e.behind.Load() || e.moveUnknown.Load(); ; {
		wait := partitionsEvery
		if failed {
			wait = e.partitionsRetry
		}
		select {
		case <-running.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
		err := e.lookAfterPartitions(running)
		switch {
		case running.Err() != nil:
			return
		case err != nil && !failed:
			e.log.Error("the partitions of events could not be looked after; it is tried again", "error", err)
		case err == nil && failed:
			e.log.Info("the partitions of events are looked after again")
		}
		failed = err != nil
	}
}

func (e *Engine) lookAfterPartitions(ctx context.Context) error {
	c, err := connectOnce(ctx, e.o.AdminURL)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	if e.moveUnknown.Load() {
		if err := e.lookForMove(ctx, c); err != nil || e.moveUnfinished.Load() {
			return err
		}
	}
	mine := false
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(schemaLock)).Scan(&mine); err != nil || !mine {
		return err
	}
	return e.makePartitions(ctx, c, time.Now(), time.Time{})
}
