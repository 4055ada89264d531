// Package bench measures a consentd server on its own machine: it knows how to
// start one, load it over loopback, and compare it with what the machine does
// without it. It knows nothing of how the server works inside.
package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"
)

// Options say what to measure.
type Options struct {
	Consentd string        // the binary to measure
	Bench    string        // the consentd-bench binary, which serves what consentd is compared with
	Dir      string        // scratch space on the disk to be measured; it is emptied by the caller
	Phase    time.Duration // how long each load runs; those that are compared run twice as long in all, in turns
	People   int           // how many people the events are about
	Checks   int           // how many people are on record where checks are measured; 0: they are not
	Events   int           // how many events an export has; 0: it is not measured
	Out      io.Writer
}

// step is one part of a measurement.
type step struct {
	name string
	do   func(context.Context) error
}

// measure takes the steps one after the other, and says so. It stops early when ctx ends. sharing names the
// processes that share the machine.
func (o *Options) measure(ctx context.Context, sharing string, steps ...step) error {
	fmt.Fprintf(o.Out, "measuring on %s/%s, %d cores, %s a load; %s share this machine\n",
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.Phase, sharing)
	for _, s := range steps {
		fmt.Fprintf(o.Out, "… %s\n", s.name)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// Run measures a server over SQLite once, and prints ratios first. It stops early when ctx ends.
func Run(ctx context.Context, o Options) error {
	r := &run{Options: o}
	err := o.measure(ctx, "server, generator and disk",
		step{"consentd and the echo handler, in turns", r.measureSingle},
		step{"batches", r.measureBatches},
		step{"bare inserts", r.measureBare},
		step{"imports", r.measureImports},
		step{"writes with a webhook and without, in turns", r.measureWebhooks},
		step{"checks", r.measureChecks},
		step{"exports", r.measureExport})
	if err == nil {
		r.print()
	}
	return err
}

type run struct {
	Options
	write1, write64, write256, batches, reads, echo result
	writesOverEcho, readsOverEcho                   average
	bareEvents                                      float64 // per second
	batchEvents                                     float64
	started                                         time.Duration
	peak                                            int64 // bytes
	checks                                          checks
	imports                                         imported
	told                                            told
	exports                                         []float64 // events per second of each
	exportPeak                                      int64     // bytes
}

// measureSingle loads a server with single events and reads, in turns with the handler that does nothing.
func (r *run) measureSingle(ctx context.Context) error {
	person := newPeople(r.People)
	child, err := startChild(ctx, r.Bench, nil, "echo")
	if err != nil {
		return err
	}
	defer child.stop()
	return r.with(ctx, r.folder("data"), person, func(t *tenant) error {
		echo := &compared{next: func(w *worker) *call { return w.post(child.url+"/echo", nil, person.events(w.random, 1)) }}
		writes := &compared{next: t.writes(person)}
		reads := &compared{next: t.reads(person)}
		// First uncounted: a fresh write-ahead log grows, and growing costs more than writing again.
		if _, err := load(ctx, 256, r.Phase, writes.next); err != nil {
			return err
		}
		var err error
		if r.write1, err = load(ctx, 1, r.Phase, writes.next); err != nil {
			return err
		}
		if err := inTurns(ctx, turns, 64, 2*r.Phase/turns, echo, writes, reads); err != nil {
			return err
		}
		for of, into := range map[*compared]*result{echo: &r.echo, writes: &r.write64, reads: &r.reads} {
			if *into, err = of.all(); err != nil {
				return err
			}
		}
		r.writesOverEcho = writes.over(echo)
		r.readsOverEcho = reads.over(echo)
		r.write256, err = load(ctx, 256, r.Phase, writes.next)
		return err
	})
}

// measureBatches loads a server of its own with batches; its rows are then inserted bare.
func (r *run) measureBatches(ctx context.Context) error {
	person := newPeople(r.People)
	return r.with(ctx, r.folder(batchData), person, func(t *tenant) (err error) {
		r.batches, err = load(ctx, 8, r.Phase, t.batches(person))
		r.batchEvents = batchSize * r.batches.rate
		return err
	})
}

const batchData = "data-of-batches"

// folder is the settings that name a data folder.
func (r *run) folder(name string) []string {
	return []string{"CONSENTD_DATA=" + filepath.Join(r.Dir, name)}
}

// database is the file that a server over SQLite keeps in its data folder.
func (r *run) database(folder string) string { return filepath.Join(r.Dir, folder, "consentd.db") }

// with runs a load against a fresh server, whose store settings name.
func (r *run) with(ctx context.Context, data []string, p *people, do func(*tenant) error) error {
	t, err := startTenant(ctx, r.Consentd, data, p)
	if err != nil {
		return err
	}
	defer t.server.stop()
	r.started = max(r.started, t.server.started)
	if err := do(t); err != nil {
		return err
	}
	r.peak = max(r.peak, t.server.peakMemory())
	return t.server.stop()
}

// measureBare writes the rows that the batches wrote into a database that a fresh server made and left.
func (r *run) measureBare(ctx context.Context) error {
	const empty = "bare"
	if err := r.with(ctx, r.folder(empty), newPeople(hot), func(*tenant) error { return nil }); err != nil {
		return err
	}
	rate, err := bareInserts(ctx, r.database(batchData), r.database(empty), r.Phase)
	r.bareEvents = rate
	return err
}

func (r *run) print() {
	r.printRatios(append([]fmt.Stringer{
		&ratio{"single-event writes at 64 connections / echo handler at 64", r.writesOverEcho, 0.40},
		&ratio{"events of batches of 100 / bare inserts of the same rows", average{mean: r.batchEvents / r.bareEvents}, 0.85},
		&ratio{"lines of an import / bare inserts of the same rows", average{mean: r.imports.lines / r.imports.bare}, 0.80},
		&ratio{"writes at 64 connections with a webhook / without", r.told.overNone, 0.85},
		&ratio{"reads of a person's levels at 64 / echo handler at 64", r.readsOverEcho, 0.70},
		&limit{"p99 of writes at 64 connections", milliseconds(r.write64.p99), 25, "ms"},
		&limit{"peak resident memory of the server", float64(r.peak) / (1 << 20), 150, "MiB"},
		&limit{"peak resident memory of the server that imports", float64(r.imports.peak) / (1 << 20), 150, "MiB"},
		&limit{"start, from exec to ready", milliseconds(r.started), 300, "ms"},
	}, append(r.checkRatios(), r.exportRatios()...)...)...)
	fmt.Fprintf(r.Out, "  (± is the standard error of %d turns, "+
		"each compared with the echo handler right before and right after it)\n", turns)
	figures := []*figure{
		{"JSON echo handler, 64 connections", r.echo, ""},
		{"single-event writes, 1 connection", r.write1, ""},
		{"single-event writes, 64 connections", r.write64, ""},
		{"single-event writes, 256 connections", r.write256, ""},
		{"batches of 100, 8 connections", r.batches, fmt.Sprintf("%.0f events/s", r.batchEvents)},
		{"reads of a person's levels, 64 connections", r.reads, ""},
		{"lines of an import, 20,000 a call", result{}, fmt.Sprintf("%.0f lines/s", r.imports.lines)},
		{"messages to a webhook while 64 connections write", result{}, fmt.Sprintf("%.0f/s", r.told.messages)},
		{"messages to a webhook while nobody writes", result{}, fmt.Sprintf("%.0f/s", r.told.drained)},
		{"bare inserts, transactions of 256", result{}, fmt.Sprintf("%.0f events/s", r.bareEvents)},
	}
	if r.Checks > 0 {
		figures = append(figures, r.checks.figures()...)
	}
	r.printFigures(figures...)
}
