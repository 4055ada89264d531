package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// jobsCmd works on the data itself, beside a running server or without one.
type jobsCmd struct {
	Settings
	List  jobsListCmd  `cmd:"" help:"List what is due at a time, runs, or was given up."`
	Retry jobsRetryCmd `cmd:"" help:"Have jobs and messages that failed or wait tried at once."`
	Drop  jobsDropCmd  `cmd:"" help:"Remove jobs and messages for good."`
}

// Help implements kong.HelpProvider.
func (jobsCmd) Help() string {
	return `A job is work that a server does when it is due: whichever finds it first, and again later where it failed. One
that fails too often is parked: it stays, and nobody does it, until it is tried again or dropped. So is a message to a
webhook that was not taken at ten tries.

Examples:

	consentd jobs list
	consentd jobs list --parked
	consentd jobs retry 0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13
	consentd jobs drop 0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13

Exit codes: 0 done, 1 failed, 2 wrong command line.`
}

type jobsListCmd struct {
	Organization string `help:"Id or slug of the organization; default: all, and the instance." placeholder:"ID"`
	Parked       bool   `help:"Those alone that were given up."`
}

// Help implements kong.HelpProvider.
func (jobsListCmd) Help() string {
	return `Lists the jobs of the instance itself and of each organization, two lines a job: its id, its kind, when it is
due, or that it runs or is parked, and how often it was begun; then what it last failed with. Among them are messages to
webhooks that are parked, and webhooks that are disabled: each goes on where it was by PATCH …/webhooks/ID with
{"status":"active"}, once its receiver is there again.

Examples:

	consentd jobs list
	consentd jobs list --parked --organization acme`
}

// Run lists jobs.
func (c *jobsListCmd) Run(k *jobsCmd) error {
	return k.onFolder(false, func(ctx context.Context, f *folder) error {
		t := jobTable{out: os.Stdout, now: time.Now()}
		if c.Organization == "" {
			t.owner = "The instance"
			if err := f.eachJob(ctx, f.service.Operator(), c.Parked, t.job); err != nil {
				return err
			}
		}
		err := f.organizations(ctx).each(c.Organization, func(o *consent.OrganizationView) error {
			actor, err := f.service.Operator().In(o.ID)
			if err != nil {
				return err
			}
			t.owner, t.begun = "Organization "+o.ID.String()+" "+fit(printable(o.Slug),
				listWidth-len("Organization  ")-idWidth), false
			if err := f.eachJob(ctx, actor, c.Parked, t.job); err != nil {
				return err
			}
			return f.eachUntold(ctx, actor, t.disabled, t.message)
		})
		if err == nil && !t.any {
			t.line("no jobs")
		}
		return errors.Join(err, t.err)
	})
}

// eachJob visits the jobs of an organization, or of the instance, in order of id.
func (f *folder) eachJob(ctx context.Context, actor consent.Actor, parked bool, visit func(*consent.Job)) error {
	for after := consent.NoID; ; {
		page, err := f.service.Jobs(ctx, actor, parked, after, service.MaxPage)
		if err != nil {
			return err
		}
		for i := range page {
			visit(&page[i])
		}
		if len(page) < service.MaxPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// eachUntold visits the disabled webhooks of an organization, and the messages to webhooks that were given up.
func (f *folder) eachUntold(ctx context.Context, actor consent.Actor, disabled func(*consent.Webhook),
	parked func(*consent.Delivery)) error {
	after := consent.NoID
	for first := true; ; first = false {
		webhooks, page, err := f.service.Untold(ctx, actor, after, service.MaxPage)
		if err != nil {
			return err
		}
		for i := range webhooks {
			if first {
				disabled(&webhooks[i])
			}
		}
		for i := range page {
			parked(&page[i])
		}
		if len(page) < service.MaxPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// jobTable writes a list of jobs line by line, so that a long one needs no memory.
type jobTable struct {
	out   io.Writer
	now   time.Time
	owner string // whose jobs come
	begun bool   // whether that was said
	any   bool
	err   error // the first that writing met
}

const kindWidth = 24

// begin writes the heading, once.
func (t *jobTable) begin() {
	if !t.begun {
		if t.any {
			t.line("")
		}
		t.line(t.owner)
		t.row("ID", "KIND", "DUE", "TRIES")
	}
	t.begun, t.any = true, true
}

func (t *jobTable) disabled(w *consent.Webhook) {
	t.begin()
	t.row(w.Webhook.String(), "webhook", "disabled", "")
	t.line(scopesMark + map[consent.DisabledReason]string{
		consent.DisabledByRequest: "by request",
		consent.DisabledGone:      "its receiver answered 410",
		consent.DisabledFailing:   "nothing got through for five days",
	}[w.Disabled] + " " + w.UpdatedAt.UTC().Format(time.DateOnly))
}

func (t *jobTable) message(d *consent.Delivery) {
	t.begin()
	t.row(d.ID.String(), string(d.Type), "parked "+d.TriedAt.UTC().Format(time.DateOnly), strconv.Itoa(d.Attempts))
	came := printable(d.Error)
	if d.Status != 0 {
		came += " " + strconv.Itoa(d.Status)
	}
	t.line(scopesMark + fit("to webhook "+d.Webhook.String()+": "+came, listWidth-len(scopesMark)))
}

func (t *jobTable) job(j *consent.Job) {
	t.begin()
	due := when(j.RunAt, "")
	switch {
	case !j.ParkedAt.IsZero():
		due = "parked " + j.ParkedAt.UTC().Format(time.DateOnly)
	case j.Holder != consent.NoID && j.RunAt.After(t.now):
		due = "runs"
	case !j.RunAt.After(t.now):
		due = "now"
	}
	t.row(j.ID.String(), j.Kind, due, strconv.Itoa(j.Attempts))
	if j.Error != "" {
		t.line(scopesMark + fit(printable(j.Error), listWidth-len(scopesMark)))
	}
}

func (t *jobTable) row(id, kind, due, tries string) {
	t.line(pad(id, idWidth) + "  " + pad(fit(kind, kindWidth), kindWidth) + "  " + pad(due, len(time.RFC3339)-5) + "  " +
		tries)
}

func (t *jobTable) line(s string) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.out, s)
	}
}

type jobsRetryCmd struct {
	ID []string `arg:"" help:"Ids of jobs or messages, as consentd jobs list shows them."`
}

// Help implements kong.HelpProvider.
func (jobsRetryCmd) Help() string {
	return `Each is due at once, as if it was never tried. A running server begins it within a second or so; a job that
runs already goes on. A message is sent again under the id that it had.

Example:

	consentd jobs retry 0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13`
}

// Run has jobs run at once.
func (c *jobsRetryCmd) Run(k *jobsCmd) error {
	return k.onJobs(c.ID, func(ctx context.Context, f *folder, actor consent.Actor, id consent.ID) error {
		j, err := f.service.RetryJob(ctx, actor, id, time.Time{}, consent.Idempotency{})
		if err == nil {
			fmt.Printf("Job %s (%s) is due now. A running server begins it within a second or so.\n", id, j.Kind)
		}
		if consent.IsKind(err, consent.NotFound) && actor.Organization != consent.NoID {
			return f.retryMessage(ctx, actor, id)
		}
		return err
	})
}

func (f *folder) retryMessage(ctx context.Context, actor consent.Actor, id consent.ID) error {
	d, err := f.service.FindDelivery(ctx, actor, id)
	if err != nil {
		return err
	}
	if _, err = f.service.Redeliver(ctx, actor, d.Webhook, id, consent.Idempotency{}); err != nil {
		return fmt.Errorf("message %s to webhook %s: %w", id, d.Webhook, err)
	}
	fmt.Printf("Message %s (%s) is due now. A running server sends it within a second or so.\n", id, d.Type)
	return nil
}

type jobsDropCmd struct {
	ID []string `arg:"" help:"Ids of jobs or messages, as consentd jobs list shows them."`
}

// Help implements kong.HelpProvider.
func (jobsDropCmd) Help() string {
	return `What a dropped job was to do is not done. One that is due again and again is made anew by the next server that
starts.

Example:

	consentd jobs drop 0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13`
}

// Run removes jobs.
func (c *jobsDropCmd) Run(k *jobsCmd) error {
	return k.onJobs(c.ID, func(ctx context.Context, f *folder, actor consent.Actor, id consent.ID) error {
		err := f.service.DropJob(ctx, actor, id, consent.Idempotency{})
		if err == nil {
			fmt.Printf("Job %s is dropped.\n", id)
		}
		if consent.IsKind(err, consent.NotFound) && actor.Organization != consent.NoID {
			return f.dropMessage(ctx, actor, id)
		}
		return err
	})
}

func (f *folder) dropMessage(ctx context.Context, actor consent.Actor, id consent.ID) error {
	d, err := f.service.FindDelivery(ctx, actor, id)
	if err == nil {
		err = f.service.DropDelivery(ctx, actor, d.Webhook, id)
	}
	if err == nil {
		fmt.Printf("Message %s (%s) is dropped.\n", id, d.Type)
	}
	return err
}

// onJobs does something to each of some jobs, of whomever they are. Nothing is done where one id cannot be read.
func (k *jobsCmd) onJobs(given []string, do func(context.Context, *folder, consent.Actor, consent.ID) error) error {
	ids := make([]consent.ID, len(given))
	for i, text := range given {
		var ok bool
		if ids[i], ok = consent.ParseID(text); !ok {
			return &exitError{exitUsage, fmt.Errorf("%q is not the id of a job; consentd jobs list shows them", text)}
		}
	}
	return k.onFolder(false, func(ctx context.Context, f *folder) error {
		for _, id := range ids {
			if err := f.onJob(ctx, id, do); err != nil {
				return err
			}
		}
		return nil
	})
}

// onJob looks for a job among the instance's and each organization's.
func (f *folder) onJob(ctx context.Context, id consent.ID,
	do func(context.Context, *folder, consent.Actor, consent.ID) error) error {
	err := do(ctx, f, f.service.Operator(), id)
	if !consent.IsKind(err, consent.NotFound) {
		return err
	}
	found := false
	err = f.organizations(ctx).each("", func(o *consent.OrganizationView) error {
		if found {
			return nil
		}
		actor, err := f.service.Operator().In(o.ID)
		if err == nil {
			err = do(ctx, f, actor, id)
		}
		if consent.IsKind(err, consent.NotFound) {
			return nil
		}
		found = err == nil
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no job or message %s; it may be done. consentd jobs list shows what there is", id)
	}
	return err
}
