package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/consentd/consentd/client"
	"github.com/consentd/consentd/internal/consent"
)

// exportCmd writes all decisions, consents and purposes of an organization into a folder, by the native API.
type exportCmd struct {
	Remote
	To     string `xor:"what" required:"" help:"Folder to export to, or to go on in." placeholder:"DIR"`
	Verify string `xor:"what" required:"" help:"Folder of an export to check instead." placeholder:"DIR"`
	Format string `default:"ndjson" enum:"ndjson,csv,parquet" help:"ndjson (the default), csv or parquet." placeholder:"NAME"`
	Since  string `help:"Only what was recorded since 2026-01-31T12:00:00Z, or last: since it was complete." placeholder:"TIME"`
	Part   int64  `hidden:"" default:"1000000" help:"Events in one file."`
}

// Help implements kong.HelpProvider.
func (exportCmd) Help() string {
	return `Writes what is on record of an organization into a folder: every decision (events-000001.ndjson and so on), how
consents stand (consents.ndjson), purposes with all their versions and texts (purposes.json), and manifest.json, which
says of each file how many there are, its size and its SHA-256. Events are of all projects, unless --project names one.

It may be stopped at any moment: the same command goes on where the folder ends, and tries again by itself where the
server is away. --since last adds what was recorded after the folder was complete. --verify checks a folder without a
server. An export as NDJSON can be imported (consentd import --purposes).

As csv and parquet the events of a month are one file, and one that breaks off begins anew.

The folder holds personal data, readable by its owner alone. The key needs consents:read, and organizations:read for
purposes.

Examples:

	consentd export --to ./exported --url http://127.0.0.1:8080
	consentd export --to ./exported --url http://127.0.0.1:8080 --since last
	consentd export --to ./tables --format parquet --since 2026-01-01T00:00:00Z
	consentd export --verify ./exported

Environment: CONSENTD_URL names the server, CONSENTD_KEY the key, CONSENTD_KEY_FILE a file with it.

Progress goes to stderr: every second on a terminal, else every 10 s.

Exit codes: 0 complete; 1 failed, stopped, or what is in the folder is not what the manifest says; 2 wrong command
line.`
}

// Run exports, or checks.
func (c *exportCmd) Run() error {
	if c.Verify != "" {
		return verifyExport(c.Verify, os.Stdout)
	}
	var since time.Time
	if c.Since != "" && c.Since != "last" {
		var err error
		if since, err = consent.ParseInstant(c.Since); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--since: %w; or give last", err)}
		}
	}
	server, err := c.client("consentd-export")
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once; that does no harm either
	x := &exportRun{exportCmd: c, server: server, err: os.Stderr}
	if err := x.open(since); err != nil {
		return err
	}
	began := time.Now()
	x.progress.every = progressEvery
	x.progress.start(os.Stderr, terminalWidth(os.Stderr), func() string {
		return fmt.Sprintf("%s, %.0f events/s", plural(x.events, "event"), float64(x.events)/time.Since(began).Seconds())
	})
	err = x.all(ctx)
	x.progress.end()
	if err != nil && ctx.Err() != nil {
		err = errors.New("stopped by a signal")
	}
	if err != nil {
		return fmt.Errorf("export to %s: %w\nThe export is not complete, and what is there stays: the same command goes on "+
			"where it was", c.To, err)
	}
	fmt.Printf("Exported %s to %s, now %s in all, with %s and %s.\nCheck it with: consentd export --verify %s\n",
		plural(x.events, "event"), c.To, plural(x.manifest.count(kindEvents), "event"),
		plural(x.manifest.count(kindConsents), "consent"), plural(x.manifest.count(kindPurposes), "purpose"), c.To)
	return nil
}

// exportRun is one run of the command.
type exportRun struct {
	*exportCmd
	server   *client.Client
	err      io.Writer
	progress progress
	manifest exportManifest
	events   int64 // of this run; guarded by progress.mu
}

// all exports what is missing.
func (x *exportRun) all(ctx context.Context) error {
	events := x.tables
	if x.Format == "ndjson" {
		events = x.lines
	}
	if err := events(ctx); err != nil {
		return err
	}
	if err := x.consents(ctx); err != nil {
		return err
	}
	if err := x.purposes(ctx); err != nil {
		return err
	}
	x.manifest.Complete, x.manifest.FinishedAt = true, time.Now().UTC()
	return x.manifest.write(x.To)
}

// filter narrows the events to those of the project that was named.
func (x *exportRun) filter() client.EventFilter { return client.EventFilter{Project: x.Project} }

// form is the media type of the format.
func (x *exportRun) form() string {
	return map[string]string{"ndjson": client.NDJSON, "csv": client.CSV, "parquet": client.Parquet}[x.Format]
}

// consents exports how consents stand, as a whole.
func (x *exportRun) consents(ctx context.Context) error {
	return x.whole(ctx, "consents."+x.Format, kindConsents, exportPart{}, func(out io.Writer) error {
		return x.server.CopyConsents(ctx, client.ConsentFilter{Project: x.Project}, x.form(), out)
	})
}

// whole makes a file by one call, anew where that breaks off.
func (x *exportRun) whole(ctx context.Context, name, kind string, part exportPart, copy func(io.Writer) error) error {
	return persist(ctx, x.err, func() error {
		f, err := newPartFile(x.To, name)
		if err != nil {
			return err
		}
		if err := copy(f); err != nil {
			return errors.Join(err, f.abandon())
		}
		part.Name, part.Kind = name, kind
		return x.keep(f, part)
	})
}

// keep puts a file that is whole into the folder and the manifest.
func (x *exportRun) keep(f *partFile, part exportPart) error {
	done, err := f.keep(part)
	if err != nil {
		return err
	}
	x.manifest.put(done)
	return x.manifest.write(x.To)
}
