package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/scratchpg"
)

// postgresSettings are what docs/operating.md recommends for a machine that PostgreSQL shares. Durability is the
// default: fsync, full_page_writes and synchronous_commit are on.
var postgresSettings = map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "wal_compression": "on"}

const (
	tenants  = 16      // organizations of the load that is spread over many
	growFrom = 10_000  // events, from which on growth is measured
	growStep = 200_000 // events of each of the two measurements of growth
)

// postgresRun is what RunPostgres measures.
type postgresRun struct {
	run
	Grow             int // events
	server           *scratchpg.Server
	naive, one, many result
	batch            float64 // events in a commit of the batches
	bareRate         float64
	early, late      time.Duration // a thousand events
	sizes            string
}

// RunPostgres measures a server over a PostgreSQL of its own, which it starts and throws away. grow is to how many
// events the growth of the time per event is followed; 0: not at all.
func RunPostgres(ctx context.Context, o Options, grow int) error {
	fmt.Fprintf(o.Out, "measuring on %s/%s, %d cores, %s a load; server, PostgreSQL, generator and disk share this machine\n",
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.Phase)
	server, err := scratchpg.Start(scratchpg.Options{Settings: postgresSettings})
	if err != nil {
		return err
	}
	defer server.Close()
	r := &postgresRun{run: run{Options: o}, Grow: grow, server: server}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{{"one transaction a request", r.measureNaive}, {"consentd, one organization", r.measureOne}, {"consentd, many organizations", r.measureMany},
		{"consentd, batches of 100", r.measureBatches}, {"bare loop of the same statements", r.measureBare}, {"growth", r.measureGrowth}} {
		fmt.Fprintf(o.Out, "… %s\n", step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	r.printPostgres()
	return nil
}

// database makes an empty database, and gives the setting that names it.
func (r *postgresRun) database(name string) (string, error) {
	_, err := r.server.Psql("postgres", `CREATE DATABASE "`+name+`"`)
	return "CONSENTD_DATABASE_URL=" + r.server.URL(name), err
}

// withDatabase runs a load against a fresh server on a fresh database.
func (r *postgresRun) withDatabase(ctx context.Context, name string, p *people, do func(*site) error) error {
	setting, err := r.database(name)
	if err != nil {
		return err
	}
	return r.with(ctx, setting, p, do)
}

// measureNaive loads the handler that does one transaction a request. The schema is consentd's.
func (r *postgresRun) measureNaive(ctx context.Context) error {
	if err := r.withDatabase(ctx, "naive", newPeople(hot), func(*site) error { return nil }); err != nil {
		return err
	}
	child, err := startChild(ctx, r.Binary, nil, "bench", "--naive-server", r.server.URL("naive"))
	if err != nil {
		return err
	}
	defer child.stop()
	person := newPeople(r.People)
	single := func(w *worker) *call { return w.post(child.url+"/naive", nil, person.event(w.random)) }
	if _, err := load(ctx, 64, r.Phase, single); err != nil { // as long before as for consentd
		return err
	}
	r.naive, err = load(ctx, 64, r.Phase, single)
	return err
}

func (r *postgresRun) measureOne(ctx context.Context) error {
	person := newPeople(r.People)
	return r.withDatabase(ctx, "one", person, func(s *site) error {
		single := func(w *worker) *call { return w.post(s.events, s.concordHeaders, person.event(w.random)) }
		read := func(w *worker) *call { return w.get(s.levels(person.known(w.random)), s.slashHeaders) }
		var warm result
		for _, phase := range []struct {
			into        *result
			connections int
			next        func(*worker) *call
		}{{&warm, 64, single}, {&r.one, 64, single}, {&r.write1, 1, single}, {&r.write256, 256, single}, {&r.reads, 64, read}} {
			var err error
			if *phase.into, err = load(ctx, phase.connections, r.Phase, phase.next); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *postgresRun) measureMany(ctx context.Context) error {
	person := newPeople(max(r.People/tenants, 1))
	return r.withDatabase(ctx, "many", person, func(first *site) (err error) {
		sites := []*site{first}
		for len(sites) < tenants {
			s, err := furnish(first.base, rootKey)
			if err != nil {
				return err
			}
			sites = append(sites, s)
		}
		single := func(w *worker) *call {
			s := sites[w.random.IntN(tenants)]
			return w.post(s.events, s.concordHeaders, person.event(w.random))
		}
		if _, err = load(ctx, 64, r.Phase, single); err != nil {
			return err
		}
		r.many, err = load(ctx, 64, r.Phase, single)
		return err
	})
}

func (r *postgresRun) measureBatches(ctx context.Context) error {
	person := newPeople(r.People)
	return r.withDatabase(ctx, "batches", person, func(s *site) (err error) {
		requests, commits, err := s.server.batches()
		if err != nil {
			return err
		}
		r.batches, err = load(ctx, 8, r.Phase, func(w *worker) *call {
			return w.post(s.events, s.concordHeaders, person.events(w.random, 100))
		})
		if err != nil {
			return err
		}
		r.batchEvents = 100 * r.batches.rate
		requestsAfter, commitsAfter, err := s.server.batches()
		r.batch = 100 * (requestsAfter - requests) / max(commitsAfter-commits, 1)
		return err
	})
}

// measureBare writes the rows that the batches wrote into an empty database of the same schema.
func (r *postgresRun) measureBare(ctx context.Context) error {
	if err := r.withDatabase(ctx, "bare", newPeople(hot), func(*site) error { return nil }); err != nil {
		return err
	}
	rate, err := bareLoop(ctx, r.server.URL("batches"), r.server.URL("bare"), int(r.batch), r.Phase)
	r.bareRate = rate
	return err
}

// measureGrowth fills a database and compares how long an event takes early and late.
func (r *postgresRun) measureGrowth(ctx context.Context) error {
	if r.Grow < growFrom+2*growStep {
		return nil
	}
	person := newPeople(r.Grow / 5)
	return r.withDatabase(ctx, "growth", newPeople(hot), func(s *site) (err error) {
		g := &growth{until: int64(r.Grow), marks: map[int64]time.Time{}, out: r.Out}
		var done sync.WaitGroup
		for i := range 8 {
			w := newWorker(uint64(i))
			done.Go(func() {
				defer w.client.CloseIdleConnections()
				for g.failed.Load() == nil && ctx.Err() == nil && g.events.Load() < g.until {
					if err := w.send(w.post(s.events, s.concordHeaders, person.events(w.random, 100))); err != nil {
						g.failed.Store(&err)
						return
					}
					g.wrote(100)
				}
			})
		}
		done.Wait()
		if failed := g.failed.Load(); failed != nil {
			return *failed
		}
		r.early = g.between(growFrom, growFrom+growStep)
		r.late = g.between(g.until-growStep, g.until)
		if r.sizes, err = r.server.Psql("growth", fmt.Sprintf(sizesOf, r.Grow)); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// sizesOf gives the bytes an event of each table: rows, primary key, other indexes; partitions count as their table.
const sizesOf = `SELECT format('  %%-16s rows %%6s  key %%6s  other indexes %%6s  all %%6s', coalesce(p.relname, c.relname),
round(sum(pg_table_size(c.oid)) / %[1]d, 1), round(sum(k.key) / %[1]d, 1), round(sum(k.other) / %[1]d, 1),
round(sum(pg_total_relation_size(c.oid)) / %[1]d, 1))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
LEFT JOIN pg_inherits h ON h.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = h.inhparent
CROSS JOIN LATERAL (SELECT coalesce(sum(pg_relation_size(i.indexrelid)) FILTER (WHERE i.indisprimary), 0) AS key,
coalesce(sum(pg_relation_size(i.indexrelid)) FILTER (WHERE NOT i.indisprimary), 0) AS other FROM pg_index i WHERE i.indrelid = c.oid) k
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

func (r *postgresRun) printPostgres() {
	fmt.Fprintln(r.Out, "\nratios")
	lines := []fmt.Stringer{
		&ratio{"single-event writes at 64 connections / one transaction a request", average{mean: r.one.rate / r.naive.rate}, 1.5},
		&ratio{"events of batches of 100 / bare loop at the same batch size", average{mean: r.batchEvents / r.bareRate}, 0.9},
		&ratio{"one organization alone / many organizations, at 64", average{mean: r.one.rate / r.many.rate}, 0.8},
		&limit{"p99 of writes at 64 connections", r.one.p99.Seconds() * 1e3, 30, "ms"},
		&limit{"peak resident memory of consentd", float64(r.peak) / (1 << 20), 150, "MiB"},
	}
	if r.late > 0 {
		lines = append(lines, &limit{fmt.Sprintf("time per event after %d events / after %d", r.Grow, growFrom), r.late.Seconds() / r.early.Seconds(), 1.2, ""})
	}
	for _, x := range lines {
		fmt.Fprintln(r.Out, x)
	}
	fmt.Fprintf(r.Out, "\n%-44s %12s %10s %10s\n", "figures", "requests/s", "p50 ms", "p99 ms")
	for _, f := range []figure{
		{"one transaction a request, 64 connections", r.naive, ""},
		{"single-event writes, 1 connection", r.write1, ""},
		{"single-event writes, 64 connections", r.one, ""},
		{"the same over 16 organizations", r.many, ""},
		{"single-event writes, 256 connections", r.write256, ""},
		{"reads of a person's levels, 64 connections", r.reads, ""},
		{"batches of 100, 8 connections", r.batches, fmt.Sprintf("  %.0f events/s, %.0f a commit", r.batchEvents, r.batch)},
	} {
		fmt.Fprintf(r.Out, "  %-42s %12.0f %10.2f %10.2f%s\n", f.what, f.load.rate, f.load.p50.Seconds()*1e3, f.load.p99.Seconds()*1e3, f.extra)
	}
	fmt.Fprintf(r.Out, "  %-42s %12s %10s %10s  %.0f events/s\n", fmt.Sprintf("bare loop, %.0f events a transaction", r.batch), "", "", "", r.bareRate)
	if r.late > 0 {
		fmt.Fprintf(r.Out, "  %-42s %12s %10s %10s  %.1f ms then %.1f ms a thousand events\n", "growth, batches of 100", "", "", "", r.early.Seconds()*1e3, r.late.Seconds()*1e3)
		fmt.Fprintf(r.Out, "\nbytes an event, of %d events about %d people\n%s\n", r.Grow, r.Grow/5, r.sizes)
	}
}
