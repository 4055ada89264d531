package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/scratchpg"
)

// postgresSettings are what docs/operating.md recommends for a machine that PostgreSQL shares. Durability is the
// default: fsync, full_page_writes and synchronous_commit are on.
var postgresSettings = map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB",
	"checkpoint_timeout": "15min", "wal_compression": "on"}

const (
	tenantCount = 16      // organizations of the load that is spread over many
	growFrom    = 10_000  // events, from which on growth is measured
	growStep    = 200_000 // events of each of the two measurements of growth
)

// postgresRun is what RunPostgres measures.
type postgresRun struct {
	run
	grow             int // events
	server           *scratchpg.Server
	naive, one, many result
	eventsPerCommit  float64 // of the batches
	bareRate         float64
	pgbench          average       // transactions a second
	early, late      time.Duration // a thousand events
	sizes            string
}

// RunPostgres measures a server over a PostgreSQL of its own, which it starts and throws away. grow is to how many
// events the growth of the time per event is followed; 0: not at all.
func RunPostgres(ctx context.Context, o Options, grow int) error {
	server, err := scratchpg.Start(scratchpg.Options{Settings: postgresSettings})
	if err != nil {
		return err
	}
	defer server.Close()
	r := &postgresRun{run: run{Options: o}, grow: grow, server: server}
	err = o.measure(ctx, "server, PostgreSQL, generator and disk",
		step{"one transaction a request", r.measureNaive},
		step{"consentd, one organization", r.measureOne},
		step{"consentd, many organizations", r.measureMany},
		step{"consentd, batches of 100", r.measureBatches},
		step{"bare loop of the same statements", r.measureBare},
		step{"imports", r.measureImports},
		step{"checks and pgbench", r.measureChecks},
		step{"growth", r.measureGrowth})
	if err == nil {
		r.print()
	}
	return err
}

// newDatabase makes an empty database, and gives the settings that name it, with a key file in a folder.
func newDatabase(server *scratchpg.Server, name, dir string) ([]string, error) {
	_, err := server.Psql("postgres", `CREATE DATABASE "`+name+`"`)
	return []string{"CONSENTD_DATABASE_URL=" + server.URL(name), "CONSENTD_KEK_FILE=" + filepath.Join(dir, "kek")}, err
}

// withDatabase runs a load against a fresh server on a fresh database.
func (r *postgresRun) withDatabase(ctx context.Context, name string, p *people, do func(*tenant) error) error {
	settings, err := newDatabase(r.server, name, r.Dir)
	if err != nil {
		return err
	}
	return r.with(ctx, settings, p, do)
}

// measureNaive loads the handler that does one transaction a request. The schema is consentd's.
func (r *postgresRun) measureNaive(ctx context.Context) error {
	if err := r.withDatabase(ctx, "naive", newPeople(hot), func(*tenant) error { return nil }); err != nil {
		return err
	}
	child, err := startChild(ctx, r.Bench, nil, "naive", "--database", r.server.URL("naive"))
	if err != nil {
		return err
	}
	defer child.stop()
	person := newPeople(r.People)
	r.naive, err = loadWarm(ctx, 64, r.Phase, func(w *worker) *call {
		return w.post(child.url+"/naive", nil, person.events(w.random, 1))
	})
	return err
}

func (r *postgresRun) measureOne(ctx context.Context) error {
	person := newPeople(r.People)
	return r.withDatabase(ctx, "one", person, func(t *tenant) (err error) {
		if r.one, err = loadWarm(ctx, 64, r.Phase, t.writes(person)); err != nil {
			return err
		}
		if r.write1, err = load(ctx, 1, r.Phase, t.writes(person)); err != nil {
			return err
		}
		if r.write256, err = load(ctx, 256, r.Phase, t.writes(person)); err != nil {
			return err
		}
		r.reads, err = load(ctx, 64, r.Phase, t.reads(person))
		return err
	})
}

func (r *postgresRun) measureMany(ctx context.Context) error {
	person := newPeople(max(r.People/tenantCount, 1))
	return r.withDatabase(ctx, "many", person, func(first *tenant) (err error) {
		writes := []generator{first.writes(person)}
		for len(writes) < tenantCount {
			t, err := newTenant(first.server)
			if err != nil {
				return err
			}
			writes = append(writes, t.writes(person))
		}
		r.many, err = loadWarm(ctx, 64, r.Phase, func(w *worker) *call { return writes[w.random.IntN(tenantCount)](w) })
		return err
	})
}

func (r *postgresRun) measureBatches(ctx context.Context) error {
	person := newPeople(r.People)
	return r.withDatabase(ctx, "batches", person, func(t *tenant) (err error) {
		requests, commits, err := t.server.commits()
		if err != nil {
			return err
		}
		if r.batches, err = load(ctx, 8, r.Phase, t.batches(person)); err != nil {
			return err
		}
		r.batchEvents = batchSize * r.batches.rate
		requestsAfter, commitsAfter, err := t.server.commits()
		r.eventsPerCommit = batchSize * (requestsAfter - requests) / max(commitsAfter-commits, 1)
		return err
	})
}

// measureBare writes the rows that the batches wrote into an empty database of the same schema.
func (r *postgresRun) measureBare(ctx context.Context) error {
	if err := r.withDatabase(ctx, "bare", newPeople(hot), func(*tenant) error { return nil }); err != nil {
		return err
	}
	rate, err := bareLoop(ctx, r.server.URL("batches"), r.server.URL("bare"), int(r.eventsPerCommit), r.Phase)
	r.bareRate = rate
	return err
}

// measureImports brings lines in for as long as two loads, then writes their events into an empty database of the same
// schema, as many at a time.
func (r *postgresRun) measureImports(ctx context.Context) error {
	person := newPeople(r.People)
	if err := r.withDatabase(ctx, "imports", person, func(t *tenant) (err error) {
		if r.imports.lines, err = t.bring(ctx, person, 2*r.Phase); err != nil {
			return err
		}
		r.imports.peak = t.server.peakMemory()
		return nil
	}); err != nil {
		return err
	}
	if err := r.withDatabase(ctx, "bare-of-imports", newPeople(hot), func(*tenant) error { return nil }); err != nil {
		return err
	}
	var err error
	r.imports.bare, err = bareLoop(ctx, r.server.URL("imports"), r.server.URL("bare-of-imports"), linesOfPart, r.Phase)
	return err
}

// measureGrowth fills a database and compares how long an event takes early and late.
func (r *postgresRun) measureGrowth(ctx context.Context) error {
	if r.grow < growFrom+2*growStep {
		return nil
	}
	person := newPeople(r.grow / 5)
	return r.withDatabase(ctx, "growth", newPeople(hot), func(t *tenant) (err error) {
		next := t.batches(person)
		g := &growth{until: int64(r.grow), marks: map[int64]time.Time{}, out: r.Out}
		var done sync.WaitGroup
		for i := range 8 {
			w := newWorker(uint64(i))
			done.Go(func() {
				defer w.client.CloseIdleConnections()
				for g.failed.Load() == nil && ctx.Err() == nil && g.events.Load() < g.until {
					if err := w.send(next(w)); err != nil {
						g.failed.Store(&err)
						return
					}
					g.wrote(batchSize)
				}
			})
		}
		done.Wait()
		if failed := g.failed.Load(); failed != nil {
			return *failed
		}
		r.early = g.between(growFrom, growFrom+growStep)
		r.late = g.between(g.until-growStep, g.until)
		if r.sizes, err = r.server.Psql("growth", fmt.Sprintf(sizesOf, r.grow)); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// sizesOf gives the bytes an event of each table: rows, primary key, other indexes; partitions count as their table.
const sizesOf = `SELECT format('  %%-16s rows %%6s  key %%6s  other indexes %%6s  all %%6s', 
coalesce(p.relname, c.relname), round(sum(pg_table_size(c.oid)) / %[1]d, 1), round(sum(k.key) / %[1]d, 1),
round(sum(k.other) / %[1]d, 1), round(sum(pg_total_relation_size(c.oid)) / %[1]d, 1))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
LEFT JOIN pg_inherits h ON h.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = h.inhparent
CROSS JOIN LATERAL (SELECT coalesce(sum(pg_relation_size(i.indexrelid)) FILTER (WHERE i.indisprimary), 0) AS key,
coalesce(sum(pg_relation_size(i.indexrelid)) FILTER (WHERE NOT i.indisprimary), 0) AS other
FROM pg_index i WHERE i.indrelid = c.oid) k
WHERE c.relkind = 'r' GROUP BY coalesce(p.relname, c.relname) HAVING sum(pg_total_relation_size(c.oid)) > 1000000
ORDER BY sum(pg_total_relation_size(c.oid)) DESC`

// growth notes when each ten thousandth event was acknowledged.
type growth struct {
	until  int64
	events atomic.Int64
	failed atomic.Pointer[error]
	mu     sync.Mutex
	marks  map[int64]time.Time
	out    io.Writer
}

func (g *growth) wrote(n int64) {
	now := g.events.Add(n)
	if now%growFrom != 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marks[now] = time.Now()
	if now%500_000 == 0 {
		fmt.Fprintf(g.out, "  %d events\n", now)
	}
}

// between gives the time of a thousand events.
func (g *growth) between(from, to int64) time.Duration {
	return g.marks[to].Sub(g.marks[from]) / time.Duration((to-from)/1000)
}

func (r *postgresRun) print() {
	ratios := []fmt.Stringer{
		&ratio{"single-event writes at 64 connections / one transaction a request",
			average{mean: r.one.rate / r.naive.rate}, 1.5},
		&ratio{"events of batches of 100 / bare loop at the same batch size", average{mean: r.batchEvents / r.bareRate}, 0.9},
		&ratio{"lines of an import / bare loop at the same batch size", average{mean: r.imports.lines / r.imports.bare}, 0.7},
		&ratio{"one organization alone / many organizations, at 64", average{mean: r.one.rate / r.many.rate}, 0.8},
		&limit{"p99 of writes at 64 connections", milliseconds(r.one.p99), 30, "ms"},
		&limit{"peak resident memory of consentd", float64(r.peak) / (1 << 20), 150, "MiB"},
	}
	figures := []*figure{
		{"one transaction a request, 64 connections", r.naive, ""},
		{"single-event writes, 1 connection", r.write1, ""},
		{"single-event writes, 64 connections", r.one, ""},
		{"the same over 16 organizations", r.many, ""},
		{"single-event writes, 256 connections", r.write256, ""},
		{"reads of a person's levels, 64 connections", r.reads, ""},
		{"batches of 100, 8 connections", r.batches,
			fmt.Sprintf("%.0f events/s, %.0f a commit", r.batchEvents, r.eventsPerCommit)},
		{fmt.Sprintf("bare loop, %.0f events a transaction", r.eventsPerCommit), result{},
			fmt.Sprintf("%.0f events/s", r.bareRate)},
		{"lines of an import, 20,000 a call", result{}, fmt.Sprintf("%.0f lines/s", r.imports.lines)},
		{fmt.Sprintf("bare loop, %d of their events a transaction", linesOfPart), result{},
			fmt.Sprintf("%.0f events/s", r.imports.bare)},
	}
	if r.Checks > 0 {
		ratios = append(ratios, &ratio{"checks of a person by e-mail at 64 / pgbench -S -M prepared at 64",
			average{mean: r.checks.one.rate / r.pgbench.mean}, 0.40},
			&limit{"peak resident memory of the server that is asked", float64(r.checks.peak) / (1 << 20), 150, "MiB"})
		figures = append(append(figures, r.checks.figures()...), &figure{"pgbench -S -M prepared, 64 connections", result{},
			fmt.Sprintf("%.0f transactions/s", r.pgbench.mean)})
	}
	if r.late > 0 {
		ratios = append(ratios, &limit{fmt.Sprintf("time per event after %d events / after %d", r.grow, growFrom),
			r.late.Seconds() / r.early.Seconds(), 1.2, ""})
		figures = append(figures, &figure{"growth, batches of 100", result{},
			fmt.Sprintf("%.1f ms then %.1f ms a thousand events", milliseconds(r.early), milliseconds(r.late))})
	}
	r.printRatios(ratios...)
	r.printFigures(figures...)
	if r.late > 0 {
		fmt.Fprintf(r.Out, "\nbytes an event, of %d events about %d people\n%s\n", r.grow, r.grow/5, r.sizes)
	}
}
