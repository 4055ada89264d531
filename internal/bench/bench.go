// Package bench measures a consentd server on its own machine: it knows how to
// start one, load it over loopback, and compare it with what the machine does
// without it. It knows nothing of how the server works inside.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Options say what to measure.
type Options struct {
	Binary string        // the consentd binary; it is started as a server and as the echo handler
	Dir    string        // scratch space on the disk to be measured; it is emptied by the caller
	Phase  time.Duration // how long each load runs; those that are compared run twice as long in all, in turns
	People int           // how many people the events are about
	Out    io.Writer
}

// figure is one line of the result.
type figure struct {
	what  string
	load  result
	extra string
}

// ratio compares two figures with what they should reach.
type ratio struct {
	what  string
	value average
	least float64
}

// average is a mean of several measurements, or one of them.
type average struct {
	mean, deviation float64 // deviation is the mean's standard error; 0: it was measured once
}

func (r *ratio) String() string {
	deviation := ""
	if r.value.deviation > 0 {
		deviation = fmt.Sprintf("± %.3f", r.value.deviation)
	}
	return fmt.Sprintf("  %-66s %5.2f %-8s to reach %.2f  %s", r.what, r.value.mean, deviation, r.least, verdict(r.value.mean >= r.least))
}

// limit is a figure that must not be more than something.
type limit struct {
	what        string
	value, most float64
	unit        string
}

func (l *limit) String() string {
	return fmt.Sprintf("  %-66s %5.1f %-8s at most %-5.4g %s", l.what, l.value, l.unit, l.most, verdict(l.value > 0 && l.value <= l.most))
}

// Run measures everything once, and prints ratios first. It stops early when ctx ends.
func Run(ctx context.Context, o Options) error {
	fmt.Fprintf(o.Out, "measuring on %s/%s, %d cores, %s a load; server, generator and disk share this machine\n",
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.Phase)
	r := &run{Options: o}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{{"consentd and the echo handler, in turns", r.single}, {"batches", r.batch}, {"bare inserts", r.bare}} {
		fmt.Fprintf(o.Out, "… %s\n", step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	r.print()
	return nil
}

type run struct {
	Options
	write1, write64, write256, batches, reads, echo result
	writesOverEcho, readsOverEcho                   average
	bareEvents                                      float64 // per second
	batchEvents                                     float64
	started                                         time.Duration
	peak                                            int64 // bytes
}

// single loads a server with single events and reads, in turns with the handler that does nothing.
func (r *run) single(ctx context.Context) error {
	person := newPeople(r.People)
	echo, err := startChild(ctx, r.Binary, nil, "bench", "--echo-server")
	if err != nil {
		return err
	}
	defer echo.stop()
	return r.with(ctx, r.folder("data"), person, func(s *site) error {
		nothing := &compared{next: func(w *worker) *call { return w.post(echo.url+"/echo", nil, person.event(w.random)) }}
		single := &compared{next: func(w *worker) *call { return w.post(s.events, s.concordHeaders, person.event(w.random)) }}
		read := &compared{next: func(w *worker) *call { return w.get(s.levels(person.known(w.random)), s.slashHeaders) }}
		// First uncounted: a fresh write-ahead log grows, and growing costs more than writing again.
		if _, err := load(ctx, 256, r.Phase, single.next); err != nil {
			return err
		}
		var err error
		if r.write1, err = load(ctx, 1, r.Phase, single.next); err != nil {
			return err
		}
		turn := 2 * r.Phase / turns
		if err := inTurns(ctx, 64, turn, nothing, single, read); err != nil {
			return err
		}
		for of, into := range map[*compared]*result{nothing: &r.echo, single: &r.write64, read: &r.reads} {
			if *into, err = of.all(); err != nil {
				return err
			}
		}
		r.writesOverEcho = single.over(nothing)
		r.readsOverEcho = read.over(nothing)
		r.write256, err = load(ctx, 256, r.Phase, single.next)
		return err
	})
}

// batch loads a server of its own with batches; its rows are then inserted bare.
func (r *run) batch(ctx context.Context) error {
	person := newPeople(r.People)
	return r.with(ctx, r.folder(batchData), person, func(s *site) (err error) {
		r.batches, err = load(ctx, 8, r.Phase, func(w *worker) *call {
			return w.post(s.events, s.concordHeaders, person.events(w.random, 100))
		})
		r.batchEvents = 100 * r.batches.rate
		return err
	})
}

const batchData = "data-of-batches"

// folder is the setting that names a data folder.
func (r *run) folder(name string) string { return "CONSENTD_DATA=" + filepath.Join(r.Dir, name) }

// database is the file that a server over SQLite keeps in its data folder.
func (r *run) database(folder string) string { return filepath.Join(r.Dir, folder, "consentd.db") }

const rootKey = "bench-root-key-bench-root-key-bench-root-key"

// with runs a load against a fresh server, whose store a setting names.
func (r *run) with(ctx context.Context, data string, p *people, do func(*site) error) error {
	child, err := startChild(ctx, r.Binary, []string{"CONSENTD_ROOT_KEY=" + rootKey, data}, "serve", "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer child.stop()
	r.started = max(r.started, child.started)
	site, err := furnish(child.url, rootKey)
	if err != nil {
		return err
	}
	site.server = child
	if err := site.welcome(p); err != nil {
		return err
	}
	if err := do(site); err != nil {
		return err
	}
	r.peak = max(r.peak, child.peakMemory())
	return child.stop()
}

// bare writes the rows that the batches wrote into a database that a fresh server made and left.
func (r *run) bare(ctx context.Context) error {
	const empty = "bare"
	if err := r.with(ctx, r.folder(empty), newPeople(hot), func(*site) error { return nil }); err != nil {
		return err
	}
	rate, err := bareInserts(ctx, r.database(batchData), r.database(empty), r.Phase)
	r.bareEvents = rate
	return err
}

func (r *run) print() {
	fmt.Fprintln(r.Out, "\nratios")
	for _, x := range []fmt.Stringer{
		&ratio{"single-event writes at 64 connections / echo handler at 64", r.writesOverEcho, 0.40},
		&ratio{"events of batches of 100 / bare inserts of the same rows", average{mean: r.batchEvents / r.bareEvents}, 0.85},
		&ratio{"reads of a person's levels at 64 / echo handler at 64", r.readsOverEcho, 0.70},
		&limit{"p99 of writes at 64 connections", r.write64.p99.Seconds() * 1e3, 25, "ms"},
		&limit{"peak resident memory of the server", float64(r.peak) / (1 << 20), 150, "MiB"},
		&limit{"start, from exec to ready", r.started.Seconds() * 1e3, 300, "ms"},
	} {
		fmt.Fprintln(r.Out, x)
	}
	fmt.Fprintf(r.Out, "  (± is the standard error of %d turns, each compared with the echo handler right before and right after it)\n", turns)
	fmt.Fprintf(r.Out, "\n%-44s %12s %10s %10s\n", "figures", "requests/s", "p50 ms", "p99 ms")
	for _, f := range []figure{
		{"JSON echo handler, 64 connections", r.echo, ""},
		{"single-event writes, 1 connection", r.write1, ""},
		{"single-event writes, 64 connections", r.write64, ""},
		{"single-event writes, 256 connections", r.write256, ""},
		{"batches of 100, 8 connections", r.batches, fmt.Sprintf("  %.0f events/s", r.batchEvents)},
		{"reads of a person's levels, 64 connections", r.reads, ""},
	} {
		fmt.Fprintf(r.Out, "  %-42s %12.0f %10.2f %10.2f%s\n", f.what, f.load.rate, f.load.p50.Seconds()*1e3, f.load.p99.Seconds()*1e3, f.extra)
	}
	fmt.Fprintf(r.Out, "  %-42s %12s %10s %10s  %.0f events/s\n", "bare inserts, transactions of 256", "", "", "", r.bareEvents)
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}

// Scratch makes an empty folder to measure in, and tells how to remove it.
func Scratch(parent string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(parent, "consentd-bench-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
