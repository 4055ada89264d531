// Package mailchimp knows exports of a Mailchimp audience, and nothing of its API.
//
// It follows "Account Exports" (https://mailchimp.com/developer/marketing/docs/account-exports/, seen 2026-12-01), and
// the headers of exports that many programs publish as what they read: a zip archive with a table for each status, its
// file named subscribed_…, unsubscribed_…, nonsubscribed_… or cleaned_…; or one table with a column status. A table has
// the address in "Email Address", the merge fields, and OPTIN_TIME, OPTIN_IP, CONFIRM_TIME, CONFIRM_IP, CC,
// LAST_CHANGED, LEID, EUID, and where it is of the unsubscribed UNSUB_TIME. Times have no zone: --timezone says it.
//
// An audience is one purpose, named by --purpose. Subscribed is a yes since CONFIRM_TIME, or else OPTIN_TIME or
// LAST_CHANGED; unsubscribed is withdrawn since UNSUB_TIME or LAST_CHANGED. Cleaned (mail to it bounces),
// nonsubscribed, pending and archived are no decisions of the person's, and left out; no map makes a yes of them.
// Groups are not read.
package mailchimp

import (
	"errors"
	"strings"

	"github.com/consentd/consentd/internal/importing"
)

var email = []string{"email address", "email", "email_address"}

// Format reads them.
var Format = &importing.Format{Name: "mailchimp", Reads: "an audience export of Mailchimp (zip or CSV), with --purpose",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		if o.Purpose == "" {
			return nil, errors.New("an audience is one purpose: name it with --purpose")
		}
		if err := words.Check(o.Map); err != nil {
			return nil, err
		}
		return func(p *importing.Part) (importing.Reader, error) { return open(o, p) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Columns.Has(email...) && h.Columns.Has("euid", "leid") && h.Columns.Has("last_changed")
	},
	Rank: func(name string) int {
		if !strings.HasSuffix(strings.ToLower(name), ".csv") {
			return -1
		}
		return 0
	},
}

var words = importing.Words{
	"subscribed":    {State: importing.Accepted},
	"unsubscribed":  importing.No(importing.Withdrawn),
	"cleaned":       importing.Pending("mail to the address bounces: that is no decision"),
	"nonsubscribed": importing.Pending("the contact never subscribed"),
	"transactional": importing.Pending("the contact never subscribed"),
	"pending":       importing.Pending("the contact has not confirmed"),
	"archived":      importing.Pending("the contact was archived: that is no decision"),
}

// statusOf gives the status that a file's name begins with; empty: none.
func statusOf(name string) string {
	word, _, _ := strings.Cut(strings.ToLower(name), "_")
	if _, known := words[word]; known {
		return word
	}
	return ""
}

func open(o *importing.Options, p *importing.Part) (importing.Reader, error) {
	return importing.NewTable(p, func(c importing.Columns, _ []string) (func(*importing.Row) error, error) {
		status := statusOf(p.Name)
		switch {
		case !c.Has(email...):
			return nil, errors.New("no column is Email Address")
		case status == "" && !c.Has("status"):
			return nil, errors.New("whether these subscribed cannot be told: the file's name must begin as Mailchimp gave it, " +
				"such as subscribed_ or unsubscribed_, or there must be a column status")
		}
		return func(r *importing.Row) error { return row(o, r, status) }, nil
	})
}

func row(o *importing.Options, r *importing.Row, status string) error {
	said := r.Cell("status")
	if said == "" {
		said = status
	}
	means, err := o.StateOf(said, words)
	if err != nil {
		return err
	}
	if status != "" && words[status].Never && !words[strings.ToLower(said)].Never {
		return importing.Refuse("status", "it is another one than the file's name says")
	}
	if means.State == "" {
		r.Out.LeaveOut(means.LeftOut)
		return nil
	}
	l := importing.Line{Identifiers: importing.Identifiers{Email: r.Cell(email...)}, Purpose: o.Purpose,
		State:    means.State,
		Evidence: importing.Evidence{Country: r.Cell("cc")}}
	when := []string{"confirm_time", "optin_time", "last_changed"}
	if means.Never {
		when = []string{"unsub_time", "last_changed"}
	} else if l.Evidence.IP = r.Cell("optin_ip"); r.Cell("confirm_time") != "" {
		l.Evidence.IP = r.Cell("confirm_ip", "optin_ip")
	}
	if l.OccurredAt, err = o.At(strings.ToUpper(strings.Join(when, " or ")), r.Cell(when...)); err != nil {
		return err
	}
	l.ExternalID = importing.IDOf(r.Cell("euid", "leid"), l.Purpose, l.State, l.OccurredAt)
	return r.Out.Add(&l)
}
