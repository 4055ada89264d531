// Package listmonk knows subscribers as listmonk gives them, and nothing of its calls.
//
// It follows GET /api/subscribers (https://listmonk.app/docs/apis/subscribers/, not looked at again) and the source of
// the export (github.com/knadh/listmonk, its cmd/subscribers, seen 2026-12-01). The API's answer,
// {"data":{"results":[…]}}, has each subscriber's lists with their subscription_status; the export, a table with uuid,
// email, name, attributes, status, created_at and updated_at, has the subscriber's own status alone: enabled is also
// who unsubscribed from the list.
//
// So of the answer, a confirmed subscription is a yes, an unsubscribed one is withdrawn, and an unconfirmed one is left
// out, though listmonk writes to it where a list asks for no confirmation; who is blocklisted has withdrawn all. A list
// is a purpose by purposes of the map, or --purpose where it is one. Of the export blocklisted is withdrawn, and
// enabled is refused, unless states of a map says "enabled: accepted": because the export was narrowed to confirmed
// subscriptions. Its times are what Go's time.Time.String writes.
package listmonk

import (
	"errors"
	"strings"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "listmonk", Reads: "subscribers of listmonk (JSON of its API, or its CSV export)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		if err := errors.Join(words.Check(o.Map), subscriptions.Check(o.Map)); err != nil {
			return nil, err
		}
		return func(p *importing.Part) (importing.Reader, error) { return open(o, p) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Columns.Has("uuid") && h.Columns.Has("attributes") && h.Columns.Has("status") ||
			h.Members.Has("subscription_status")
	},
}

// words are a subscriber's own status.
var words = importing.Words{
	"enabled":     {LeftOut: "enabled is also who unsubscribed"},
	"disabled":    importing.Pending("the subscriber is disabled: that is no decision"),
	"blocklisted": importing.No(importing.Withdrawn),
	"blacklisted": importing.No(importing.Withdrawn),
}

// subscriptions are the status of a subscription to a list.
var subscriptions = importing.Words{
	"confirmed":    {State: importing.Accepted},
	"unconfirmed":  importing.Pending("the subscription is not confirmed"),
	"unsubscribed": importing.No(importing.Withdrawn),
}

func open(o *importing.Options, p *importing.Part) (importing.Reader, error) {
	if !p.IsJSON() {
		return importing.NewTable(p, func(c importing.Columns, _ []string) (func(*importing.Row) error, error) {
			if !c.Has("email") || !c.Has("status") {
				return nil, errors.New("there must be columns email and status")
			}
			if o.Purpose == "" {
				return nil, errors.New("an export does not say of which list it is: name the purpose with --purpose")
			}
			return func(r *importing.Row) error { return row(o, r) }, nil
		})
	}
	each := func(i *importing.Item) error { return item(o, i) }
	return importing.NewItems(p, []string{"data", "results"}, each)
}

func row(o *importing.Options, r *importing.Row) error {
	word := strings.ToLower(r.Cell("status"))
	means, err := o.StateOf(word, words)
	if err != nil {
		return err
	}
	if _, mapped := o.Map.States["enabled"]; word == "enabled" && !mapped {
		return importing.Refuse("status", "enabled is also who unsubscribed from the list: import the API's JSON, or say "+
			"\"enabled: accepted\" in states of a map where the export has confirmed subscriptions only")
	}
	if means.State == "" {
		r.Out.LeaveOut(means.LeftOut)
		return nil
	}
	l := importing.Line{Identifiers: importing.Identifiers{Email: r.Cell("email")}, Purpose: o.Purpose, State: means.State}
	when := "created_at"
	if means.Never {
		when = "updated_at"
	}
	if l.OccurredAt, err = o.At(when, r.Cell(when)); err != nil {
		return err
	}
	l.ExternalID = importing.IDOf(r.Cell("uuid"), l.Purpose, l.State, l.OccurredAt)
	return r.Out.Add(&l)
}

type subscriber struct {
	UUID      string         `json:"uuid"`
	Email     string         `json:"email"`
	Status    string         `json:"status"`
	UpdatedAt string         `json:"updated_at"`
	Lists     []subscription `json:"lists"`
}

type subscription struct {
	Name      string `json:"name"`
	Status    string `json:"subscription_status"`
	CreatedAt string `json:"subscription_created_at"`
	UpdatedAt string `json:"subscription_updated_at"`
}

func item(o *importing.Options, i *importing.Item) error {
	var in subscriber
	if err := i.Into(&in); err != nil {
		return err
	}
	own, err := o.StateOf(in.Status, words)
	if err != nil {
		return err
	}
	if len(in.Lists) > 1 && len(o.Map.Purposes) == 0 && o.Purpose != "" {
		return importing.Refuse("lists", "it is on several: name the purpose of each in purposes of a map")
	}
	i.Out.LeaveOut("it is on no list that the map does not leave out")
	for _, list := range in.Lists {
		means, err := o.StateOf(list.Status, subscriptions)
		if err != nil {
			return err
		}
		if own.Never && own.State != "" {
			means, list.UpdatedAt = own, in.UpdatedAt
		}
		if err := in.add(o, i.Out, list, means); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) add(o *importing.Options, out *importing.Out, list subscription,
	means importing.Word) (err error) {
	l := importing.Line{Identifiers: importing.Identifiers{Email: s.Email}, State: means.State}
	if l.Purpose = o.Purpose; l.Purpose == "" || len(o.Map.Purposes) > 0 {
		if l.Purpose, err = o.PurposeOf(list.Name, nil); err != nil {
			return err
		}
	}
	if l.Purpose == "" {
		return nil
	}
	if means.State == "" {
		out.LeaveOut(means.LeftOut)
		return nil
	}
	at := list.UpdatedAt
	if at == "" || !means.Never {
		at = list.CreatedAt
	}
	if l.OccurredAt, err = o.At("subscription_created_at or subscription_updated_at", at); err != nil {
		return err
	}
	l.ExternalID = importing.IDOf(s.UUID, l.Purpose, l.State, l.OccurredAt)
	return out.Add(&l)
}
