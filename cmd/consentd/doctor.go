package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
)

type doctorCmd struct {
	Settings
	Full bool `help:"Check every index, every event and consent, and all that is encrypted, not samples. Takes longer."`
}

// Help implements kong.HelpProvider.
func (doctorCmd) Help() string {
	return `Checks the configuration, the data folder or the database, the ledgers, the clock and this machine's limits.
One line a check: ok, warn or fail, and what to do; error where the check itself could not be done, which says nothing
of the data. It changes nothing and may run beside a server; run it as the user that the server runs as.

What it found goes to stdout. Where it takes more than a second, progress goes to stderr: every second on a terminal,
else every 5 s. Ctrl-C ends it, with what it has found so far.

Examples:

	consentd doctor
	consentd doctor --full --data /var/lib/consentd
	CONSENTD_DATABASE_URL=postgres://… consentd doctor

Environment: as for consentd serve.

Exit codes: 0 nothing failed (there may be warnings), 1 something failed, could not be checked, or a signal stopped it,
2 wrong command line.`
}

// Run checks everything that can be checked.
func (c *doctorCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	d := &doctor{out: os.Stdout, full: c.Full, restore: restoreFolder, again: againFolder,
		progress: newDoctorProgress(os.Stderr, terminalWidth(os.Stderr))}
	defer d.progress.end()
	cfg, err := c.load()
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			d.fail("configuration", strings.TrimSpace(line), "mend the setting; consentd config --help tells how it is read")
		}
		return d.verdict()
	}
	d.ok("configuration", "loads; consentd config shows it")
	d.cfg = cfg
	d.geo()
	d.limits()
	switch {
	case cfg.Database != "":
		d.postgres(ctx)
	case d.folder():
		d.database(ctx)
	}
	d.clock()
	return d.verdict()
}

// doctor checks one store on one machine and writes a line a check.
type doctor struct {
	out      io.Writer
	progress *doctorProgress // nil: nobody looks
	restore  string          // what to do where data is damaged
	again    string          // what to do where a check could not be done
	cfg      *config.Config
	full     bool
	opener   *service.Opener // nil: the key file is not at hand
	keyless  bool            // the store goes with no key file yet, so nothing in it is encrypted
	stopped  bool            // by a signal
	fails    int
	errors   int // checks that could not be done
	warns    int
	last     time.Time // of the last event on record, where all ledgers were looked at; zero: none
}

func (d *doctor) line(word, check, found, advice string) {
	if advice != "" {
		advice = ". To do: " + advice
	}
	d.progress.pause(func() { fmt.Fprintf(d.out, "%-5s %-14s %s%s\n", word, check, found, advice) })
}

func (d *doctor) ok(check, found string) { d.line("ok", check, found, "") }

func (d *doctor) warn(check, found, advice string) {
	d.warns++
	d.line("warn", check, found, advice)
}

func (d *doctor) fail(check, found, advice string) {
	d.fails++
	d.line("fail", check, found, advice)
}

// cannot writes that a check could not be done. That says nothing of the data, so nobody is to restore a backup because
// of it, unless the database itself found its data damaged.
func (d *doctor) cannot(check string, err error) {
	if sqlite.Damaged(err) || postgres.Damaged(err) {
		d.fail(check, "the database finds its data damaged: "+err.Error(), d.restore)
		return
	}
	d.errors++
	d.line("error", check, "the check could not be done, which says nothing of the data: "+err.Error(), d.again)
}

// ends reports whether a signal ends the check that was under way, and says of it that it is not done.
func (d *doctor) ends(ctx context.Context, check, found string) bool {
	if ctx.Err() == nil {
		return false
	}
	d.stopped = true
	d.warn(check, found, "run it again, and let it come to its end")
	return true
}

// verdict closes the output; what failed was said line by line.
func (d *doctor) verdict() error {
	not, so := "", ""
	if d.errors > 0 {
		not = fmt.Sprintf("%s could not be done, ", plural(d.errors, "check"))
	}
	if d.stopped {
		so = " so far; stopped by a signal"
	}
	d.progress.pause(func() { fmt.Fprintf(d.out, "\n%d failed, %s%s%s\n", d.fails, not, plural(d.warns, "warning"), so) })
	if d.fails > 0 || d.errors > 0 || d.stopped {
		return errSaid
	}
	return nil
}

// geo opens the table of countries the way the server does.
func (d *doctor) geo() {
	const check = "geo"
	places, err := geo.New(geo.Options{MMDB: d.cfg.GeoMMDB, Regimes: d.cfg.Regimes})
	if err != nil {
		d.fail(check, err.Error(), "mend --geo-mmdb or --regimes; the server refuses to start with them")
		return
	}
	defer places.Close()
	d.ok(check, "the table of countries and regimes loads")
}

// clock checks the clock by itself and against the last event on record, in one line.
func (d *doctor) clock() {
	const check = "clock"
	began := time.Now()
	time.Sleep(50 * time.Millisecond)
	now := time.Now()
	jump := now.Round(0).Sub(began.Round(0)) - now.Sub(began) // wall clock against monotonic clock
	found := now.UTC().Format(time.RFC3339)
	switch year := now.UTC().Year(); {
	case year < 2025 || year > 2100:
		d.fail(check, "the year is "+fmt.Sprint(year), "set the clock; events carry its time")
	case d.last.After(now):
		d.fail(check, fmt.Sprintf("%s is %s behind the last event on record", found, d.last.Sub(now).Round(time.Millisecond)),
			"set the clock, by NTP if possible; until then new events carry times before older ones")
	case jump.Abs() > 20*time.Millisecond:
		d.warn(check, fmt.Sprintf("it jumped by %s within 50 ms", jump), "let one time service alone set the clock")
	case d.last.IsZero():
		d.ok(check, found+", steady")
	default:
		d.ok(check, found+", steady, not behind the last event, of "+d.last.UTC().Format(time.RFC3339))
	}
}
