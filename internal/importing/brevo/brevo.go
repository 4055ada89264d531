// Package brevo knows exports of Brevo's contacts as CSV, and nothing of its API.
//
// It follows "Export contacts" (https://developers.brevo.com/reference/request-contact-export) and "Blocklist, unblock,
// or resubscribe contacts" (https://help.brevo.com/hc/en-us/articles/5317448358034), both seen 2026-12-01: EMAIL,
// ADDED_TIME and MODIFIED_TIME are always there, the status of the subscription where it was asked for
// (exportSubscriptionStatus: email_marketing). Its heading is not published; looked for are email_marketing,
// email_blacklisted, emailblacklisted, blacklisted, email_blocklisted, blocklisted and status. Without any of them the
// file is refused: a contact who was blocklisted could not be told. Times have neither zone nor a known order:
// --timezone and --dates say them.
//
// The list is one purpose, named by --purpose. Subscribed is a yes since ADDED_TIME; blocklisted, unsubscribed and
// bounced are withdrawn since MODIFIED_TIME. Where DOUBLE_OPT-IN says no, the contact has not confirmed and is left
// out.
package brevo

import (
	"errors"
	"strings"

	"github.com/consentd/consentd/internal/importing"
)

// The headings of a status, those that say yes where a contact may be written to, and where not.
var (
	subscribed = []string{"email_marketing", "email marketing", "subscribed", "status"}
	blocked    = []string{"email_blacklisted", "emailblacklisted", "blacklisted", "email_blocklisted", "blocklisted"}
	doubled    = []string{"double_opt-in", "double_opt_in", "doi"}
)

// Format reads them.
var Format = &importing.Format{Name: "brevo", Reads: "an export of Brevo's contacts (CSV), with --purpose",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		if o.Purpose == "" {
			return nil, errors.New("the contacts are one purpose: name it with --purpose")
		}
		if err := errors.Join(words.Check(o.Map), blocks.Check(o.Map)); err != nil {
			return nil, err
		}
		return func(p *importing.Part) (importing.Reader, error) { return open(o, p) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Columns.Has("email") && h.Columns.Has("added_time", "modified_time")
	},
}

var words = importing.Words{
	"subscribed": {State: importing.Accepted}, "yes": {State: importing.Accepted}, "true": {State: importing.Accepted},
	"1": {State: importing.Accepted}, "unsubscribed": importing.No(importing.Withdrawn),
	"blocklisted": importing.No(importing.Withdrawn), "blacklisted": importing.No(importing.Withdrawn),
	"no": importing.No(importing.Withdrawn), "false": importing.No(importing.Withdrawn),
	"0": importing.No(importing.Withdrawn), "hard bounced": importing.No(importing.Withdrawn),
	"": importing.Pending("its status is empty"),
}

// blocks are the words of a column that says whether a contact is blocked.
var blocks = importing.Words{
	"true": importing.No(importing.Withdrawn), "yes": importing.No(importing.Withdrawn),
	"1": importing.No(importing.Withdrawn), "false": {State: importing.Accepted}, "no": {State: importing.Accepted},
	"0": {State: importing.Accepted}, "": importing.Pending("its status is empty"),
}

func open(o *importing.Options, p *importing.Part) (importing.Reader, error) {
	return importing.NewTable(p, func(c importing.Columns, _ []string) (func(*importing.Row) error, error) {
		switch {
		case !c.Has("email"):
			return nil, errors.New("no column is EMAIL")
		case !c.Has(subscribed...) && !c.Has(blocked...):
			return nil, errors.New("who is blocklisted cannot be told: export with the subscription status " +
				"(exportSubscriptionStatus: email_marketing)")
		}
		return func(r *importing.Row) error { return row(o, r, c) }, nil
	})
}

func row(o *importing.Options, r *importing.Row, c importing.Columns) error {
	means, err := statusOf(o, r, c)
	if err != nil {
		return err
	}
	if word := strings.ToLower(r.Cell(doubled...)); !means.Never &&
		(word == "no" || word == "false" || word == "0" || word == "2") {
		means = importing.Pending("the contact has not confirmed")
	}
	if means.State == "" {
		r.Out.LeaveOut(means.LeftOut)
		return nil
	}
	l := importing.Line{Identifiers: importing.Identifiers{Email: r.Cell("email"), ProjectUserID: r.Cell("ext_id")},
		Purpose: o.Purpose, State: means.State}
	when := []string{"added_time"}
	if means.Never {
		when = []string{"modified_time", "added_time"}
	}
	if l.OccurredAt, err = o.At(strings.ToUpper(strings.Join(when, " or ")), r.Cell(when...)); err != nil {
		return err
	}
	l.ExternalID = importing.IDOf(r.Cell("contact id", "contact_id", "id"), l.Purpose, l.State, l.OccurredAt)
	return r.Out.Add(&l)
}

// statusOf tells what the columns say of a contact together: a no of any is a no, and what waits in any waits.
func statusOf(o *importing.Options, r *importing.Row, c importing.Columns) (means importing.Word, err error) {
	for _, column := range []struct {
		names []string
		words importing.Words
	}{{subscribed, words}, {blocked, blocks}} {
		if !c.Has(column.names...) {
			continue
		}
		says, err := o.StateOf(r.Cell(column.names...), column.words)
		if err != nil {
			return says, err
		}
		if says.Never && says.State != "" {
			return says, nil
		}
		if !means.Never {
			means = says
		}
	}
	return means, nil
}
