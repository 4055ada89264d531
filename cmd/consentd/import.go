package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/consentd/consentd/client"
	"github.com/consentd/consentd/internal/importing"
)

// importCmd brings another tool's records into a server, by its native API.
type importCmd struct {
	Remote
	File        string `arg:"" help:"File, zip or folder to import; - is standard input." placeholder:"FILE"`
	Source      string `required:"" help:"Where records are from; under one name nothing is imported twice." placeholder:"NAME"`
	Format      string `default:"auto" help:"What the file is, as listed below. Default: it is looked at." placeholder:"NAME"`
	Map         string `help:"YAML file that says what columns, words and purposes mean." placeholder:"FILE"`
	Timezone    string `help:"Zone of dates that say none: Europe/Berlin, UTC." placeholder:"ZONE"`
	Dates       string `help:"Order of dates such as 01/02/2026: dmy or mdy." placeholder:"ORDER"`
	Encoding    string `help:"Of the text, where it is not UTF-8 or UTF-16: windows-1252." placeholder:"NAME"`
	Purpose     string `help:"Purpose of a file that is about one." placeholder:"KEY"`
	Purposes    string `help:"purposes.json of an export: makes those of them that are missing." placeholder:"FILE"`
	OnlyProject string `help:"Of an export of consentd, the project whose events are taken." placeholder:"ID"`
	DryRun      bool   `help:"Say what would be made and changed, and change nothing."`
	Notify      bool   `help:"Tell webhooks of it."`
	Errors      string `help:"File for the records that are refused, to be mended and imported." placeholder:"FILE"`
	New         bool   `help:"End an import of this source that is not finished, and begin anew."`
	Batch       int64  `hidden:"" default:"5000" help:"Lines in one call."`
}

// Help implements kong.HelpProvider.
func (importCmd) Help() string {
	return `Brings records of another tool into a server: each becomes a decision with its date, and a line of the native
import. A record that cannot be read, or that the server refuses, is told with its line and the others are taken. What
another tool says is a no, or waits for a confirmation, never becomes a yes, and an older decision never changes a newer
one. docs/importing.md says what is read of which tool.

Nothing is imported twice: a record that was imported under the same --source is a duplicate. The command may be stopped
at any moment, by Ctrl-C or kill -9: the same command goes on where it was. From standard input it cannot go on.

The key needs the scope imports:write, and for --purposes organizations:write and organizations:read.

Examples:

	consentd import people.csv --url http://127.0.0.1:8080 --source crm --dry-run
	consentd import people.csv --url http://127.0.0.1:8080 --source crm --errors refused.csv
	consentd import crm.csv --source crm --map crm.yaml --timezone Europe/Berlin --dates dmy
	consentd import audience.zip --source mailchimp --purpose newsletter --timezone UTC
	consentd import ./exported --source old --purposes ./exported/purposes.json

Formats:

` + formatsHelp() + `
Environment: CONSENTD_URL names the server, CONSENTD_KEY the key, CONSENTD_KEY_FILE a file with it.

Progress goes to stderr: every second on a terminal, else every 10 s. What came of it goes to stdout, at the end.

Exit codes: 0 all taken; 1 some were refused, or it failed or was stopped, and says how to go on; 2 wrong command line.`
}

// Run imports.
func (c *importCmd) Run() (err error) {
	run, err := c.prepare()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer func() { err = errors.Join(err, run.input.Close()) }()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once; that does no harm either
	if err := run.all(ctx); err != nil {
		return fmt.Errorf("import %s: %w", c.File, err)
	}
	if run.refused() > 0 {
		return &exitError{exitFailed, errSaid}
	}
	return nil
}

// prepare opens what the command line names. Errors are of the command line.
func (c *importCmd) prepare() (*importRun, error) {
	options, mapped, err := c.options()
	if err != nil {
		return nil, err
	}
	if c.Errors != "" {
		if err := checkRefusedFile(c.Errors); err != nil {
			return nil, err
		}
	}
	server, err := c.client("consentd-import")
	if err != nil {
		return nil, err
	}
	in := importing.OpenStream(os.Stdin, c.Encoding)
	if c.File != "-" {
		if in, err = importing.Open(c.File, c.Encoding); err != nil {
			return nil, err
		}
	}
	run := &importRun{importCmd: c, server: server, input: in, options: options, out: os.Stdout, err: os.Stderr}
	run.fingerprint = strings.Join([]string{mapped, c.Timezone, c.Dates, c.Encoding, c.Purpose, c.OnlyProject, c.Project},
		"\x00")
	if run.format, err = formatOf(c.Format, in, options.Map); err == nil && !in.Again() && c.Errors != "" {
		err = errors.New("--errors goes with a file: standard input cannot be read again")
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return run, nil
}

// options makes what formats are told, and gives the text of the map.
func (c *importCmd) options() (*importing.Options, string, error) {
	o := &importing.Options{Purpose: c.Purpose, OnlyProject: c.OnlyProject, Map: &importing.Map{}}
	switch c.Dates {
	case "", importing.DayFirst, importing.MonthFirst:
		o.Order = c.Dates
	default:
		return nil, "", fmt.Errorf("--dates: %q is no order; allowed: dmy, mdy", c.Dates)
	}
	if c.Timezone != "" {
		zone, err := time.LoadLocation(c.Timezone)
		if err != nil || c.Timezone == "Local" {
			return nil, "", fmt.Errorf("--timezone: %q is not known; such are Europe/Berlin, America/New_York, UTC", c.Timezone)
		}
		o.Zone = zone
	}
	if c.Map == "" {
		return o, "", nil
	}
	text, err := os.ReadFile(c.Map)
	if err != nil {
		return nil, "", fmt.Errorf("--map: %w", err)
	}
	if o.Map, err = importing.ReadMap(strings.NewReader(string(text))); err != nil {
		return nil, "", fmt.Errorf("--map %s: %w", c.Map, err)
	}
	return o, string(text), nil
}

// importRun is one run of the command.
type importRun struct {
	*importCmd
	server      *client.Client
	input       *importing.Input
	format      *importing.Format
	options     *importing.Options
	fingerprint string // of the options, and then of the file too
	out, err    io.Writer

	progress importProgress
	state    client.Import
	records  int64
	lines    int64
	unread   reasons // of records here
	left     reasons
}

// refused tells how many records or lines were not taken.
func (r *importRun) refused() int64 { return r.unread.total + r.state.Rejected }

func (r *importRun) all(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	if err := r.makePurposes(ctx); err != nil {
		return err
	}
	if r.state.NextLine > 1 {
		fmt.Fprintf(r.err, "NOTE  It goes on behind line %d of %s.\n", r.state.NextLine-1, r.state.ID)
	}
	r.progress.begin(r)
	err := r.send(ctx)
	r.progress.end()
	if err != nil && ctx.Err() != nil {
		return errors.New("stopped by a signal; the same command goes on where it was")
	}
	if err != nil {
		return fmt.Errorf("%w\nThe import is not finished, and what was taken stays: the same command goes on where it was",
			err)
	}
	return r.tell(ctx)
}

// begin finds the import that an earlier run of the same command left open, or makes one.
func (r *importRun) begin(ctx context.Context) error {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%s\x00", r.format.Name, r.fingerprint)
	if r.input.Again() {
		if err := r.scan(hash); err != nil {
			return err
		}
	}
	r.fingerprint = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	var open []client.Import
	err := persist(ctx, r.err, func() (err error) {
		open, err = open[:0], nil
		for i, failed := range r.server.Imports(ctx, "open", r.Source) {
			if failed != nil {
				return failed
			}
			if i.DryRun == r.DryRun {
				open = append(open, i)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, i := range open {
		if i.Fingerprint == r.fingerprint && r.input.Again() && !r.New {
			r.state = i
			return nil
		}
	}
	if err := r.endOthers(ctx, open); err != nil {
		return err
	}
	return persist(ctx, r.err, func() (err error) {
		r.state, err = r.server.CreateImport(ctx, client.NewImport{Source: r.Source, Fingerprint: r.fingerprint,
			Notify: r.Notify, DryRun: r.DryRun})
		return err
	})
}

// scan reads the file once before anything is sent: for its hash, and for bytes that are not of its encoding.
func (r *importRun) scan(hash io.Writer) error {
	defer r.input.Rewind()
	for part, err := range r.input.Parts(r.format.Rank) {
		if err == nil {
			_, err = io.Copy(io.Discard, part.Text)
		}
		if err != nil && part != nil && part.Shown != "" {
			err = fmt.Errorf("%s: %w", printable(part.Shown), err)
		}
		if err != nil {
			return err
		}
	}
	_, err := r.input.WriteTo(hash)
	return err
}

// endOthers ends imports of the source that are open, where --new says so. Dry runs are ended without being asked: they
// changed nothing.
func (r *importRun) endOthers(ctx context.Context, open []client.Import) error {
	for _, i := range open {
		if !r.New && !i.DryRun {
			return fmt.Errorf("an import of source %s is not finished (%s, %s in): it is of another file, or was begun with "+
				"other options.\nGo on with that file, or end it and begin anew with --new: what was taken stays, and nothing is "+
				"taken twice", r.Source, i.ID, plural(i.NextLine-1, "line"))
		}
		if err := persist(ctx, r.err, func() error { _, err := r.server.FinishImport(ctx, i.ID); return err }); err != nil {
			return err
		}
	}
	return nil
}
