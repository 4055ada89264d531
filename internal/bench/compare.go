package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/consentd/consentd/internal/scratchpg"
)

// CompareOptions say which builds to compare, and how.
type CompareOptions struct {
	Builds   []string // consentd binaries, one or more; the first is what the others are compared with
	Postgres bool     // over a PostgreSQL that is started and thrown away, a database each; else over SQLite
	Dir      string   // scratch space on the disk to be measured; it is emptied by the caller
	Turn     time.Duration
	Rounds   int // how many turns each build has of each load, two or more
	People   int // how many people the events are about
	Out      io.Writer
}

// compareLoads are what each build is loaded with.
var compareLoads = []struct {
	name        string
	connections int
	of          func(*tenant, *people) generator
}{
	{"single-event writes", 64, (*tenant).writes},
	{"batches of 100", 8, (*tenant).batches},
	{"reads of a person's levels", 64, (*tenant).reads},
}

// Compare starts a server of each build on a store of its own, and loads them in turns. It prints the rates and
// latencies of each build, the CPU time that its server took for a request, and both over those of the first build.
// It stops early when ctx ends.
func Compare(ctx context.Context, o CompareOptions) error {
	store, closeStores, err := o.stores()
	if err != nil {
		return err
	}
	defer closeStores()
	fmt.Fprintf(o.Out, "comparing on %s/%s, %d cores, %d turns of %s; servers, generator and disk share this machine\n",
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.Rounds, o.Turn)
	person := newPeople(o.People)
	tenants := make([]*tenant, len(o.Builds))
	for i, build := range o.Builds {
		fmt.Fprintf(o.Out, "  %d  %s\n", i+1, build)
		settings, err := store(i)
		if err != nil {
			return err
		}
		if tenants[i], err = startTenant(ctx, build, settings, person); err != nil {
			return err
		}
		defer tenants[i].server.stop()
	}
	for _, l := range compareLoads {
		builds := make([]*measured, len(tenants))
		for i, t := range tenants {
			builds[i] = &measured{compared: compared{next: l.of(t, person)}, server: t.server}
		}
		if err := o.load(ctx, l.connections, builds); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		fmt.Fprintf(o.Out, "\n%s, %d connections\n", l.name, l.connections)
		if err := printBuilds(o.Out, builds); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// stores gives what makes an empty store for each build and names it by settings, and what ends them all.
func (o *CompareOptions) stores() (store func(build int) (settings []string, err error), end func(), err error) {
	if !o.Postgres {
		return func(build int) ([]string, error) {
			return []string{"CONSENTD_DATA=" + filepath.Join(o.Dir, fmt.Sprintf("data-%d", build+1))}, nil
		}, func() {}, nil
	}
	server, err := scratchpg.Start(scratchpg.Options{Settings: postgresSettings})
	if err != nil {
		return nil, nil, err
	}
	return func(build int) ([]string, error) {
			return newDatabase(server, fmt.Sprintf("build_%d", build+1), o.Dir)
		},
		func() { _ = server.Close() }, nil
}

// measured is the load of one build, with the CPU time that its server took for it.
type measured struct {
	compared
	server *child
	cpu    time.Duration // in all turns of all builds: it works on after its own
}

// load loads the builds in turns, after a turn each that is not counted: a fresh log grows.
func (o *CompareOptions) load(ctx context.Context, connections int, builds []*measured) error {
	loads := make([]*compared, len(builds))
	for i, b := range builds {
		loads[i] = &b.compared
		if _, err := load(ctx, connections, o.Turn, b.next); err != nil {
			return err
		}
	}
	before := make([]time.Duration, len(builds))
	for i, b := range builds {
		before[i] = b.server.cpuTime()
	}
	if err := inTurns(ctx, o.Rounds, connections, o.Turn, loads...); err != nil {
		return err
	}
	for i, b := range builds {
		b.cpu = b.server.cpuTime() - before[i]
	}
	return nil
}

// cpuPerRequest counts all requests, as the CPU time does, and not only those whose latency is counted.
func (m *measured) cpuPerRequest() time.Duration {
	sent := 0
	for _, run := range m.runs {
		sent += run.sent
	}
	return m.cpu / time.Duration(max(sent, 1))
}

// printBuilds prints a line a build.
func printBuilds(out io.Writer, builds []*measured) error {
	fmt.Fprintf(out, "  %12s %10s %10s %15s   %-17s %s\n", "requests/s", "p50 ms", "p99 ms", "CPU µs/request",
		"requests/s of 1", "CPU of 1")
	for i, b := range builds {
		all, err := b.all()
		if err != nil {
			return err
		}
		cpu := b.cpuPerRequest()
		fmt.Fprintf(out, "  %d %10.0f %10.2f %10.2f %15.1f", i+1, all.rate, milliseconds(all.p50), milliseconds(all.p99),
			cpu.Seconds()*1e6)
		if i > 0 {
			over := b.over(&builds[0].compared)
			fmt.Fprintf(out, "   %.3f ± %-9.3f", over.mean, over.deviation)
			if first := builds[0].cpuPerRequest(); first > 0 { // else the system does not tell
				fmt.Fprintf(out, " %.3f", cpu.Seconds()/first.Seconds())
			}
		}
		fmt.Fprintln(out)
	}
	return nil
}
