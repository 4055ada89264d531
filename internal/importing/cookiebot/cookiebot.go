// Package cookiebot knows Cookiebot's log of consents as CSV, and nothing of its API.
//
// Its documentation could not be looked at when this was written, and no real file was at hand: a log has, as is widely
// told, an anonymised address, date and time, user agent, the URL, a random key, and the state of the consent. These
// are looked for, in any case: key or consent id; date, date (utc), utc or timestamp; a column each for necessary,
// preferences, statistics and marketing, or one named consent that lists those that were accepted or holds the cookie's
// text; method; url; user agent or agent; anonymized ip or ip. Others: --format csv with a map.
//
// The key names the browser. A consent by method implied is implied, whichever category. What is accepted of necessary,
// preferences, statistics and marketing is of strictly_necessary, functional, analytics and marketing, unless a map
// says otherwise.
package cookiebot

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/importing"
)

var (
	key  = []string{"key", "consent key", "consent id", "consentid"}
	utc  = []string{"date (utc)", "utc", "timestamp (utc)", "date utc"}
	when = []string{"date", "timestamp", "time", "consent date"}
	text = []string{"consent", "consent state", "consents"}
	all  = []string{"necessary", "preferences", "statistics", "marketing"}
)

// Format reads them.
var Format = &importing.Format{Name: "cookiebot", Reads: "Cookiebot's consent log (CSV)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		if err := words.Check(o.Map); err != nil {
			return nil, err
		}
		return func(p *importing.Part) (importing.Reader, error) {
			return importing.NewTable(p, func(c importing.Columns, _ []string) (func(*importing.Row) error, error) {
				if !c.Has(key...) || !c.Has(append(utc, when...)...) || !c.Has(append(text, all[1:]...)...) {
					return nil, errors.New("there must be columns for key, date, and consent or its categories; read others by " +
						"--format csv with a map")
				}
				return func(r *importing.Row) error { return row(o, r, c) }, nil
			})
		}, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Columns.Has(key...) && (h.Columns.Has("statistics") && h.Columns.Has("marketing") ||
			h.Columns.Has(text...) && h.Columns.Has("url"))
	},
}

var purposes = map[string]string{"necessary": "strictly_necessary", "preferences": "functional",
	"statistics": "analytics", "marketing": "marketing"}

var words = importing.Words{
	"true": {State: importing.Accepted}, "1": {State: importing.Accepted}, "yes": {State: importing.Accepted},
	"false": importing.No(importing.Declined), "0": importing.No(importing.Declined),
	"no": importing.No(importing.Declined),
}

func row(o *importing.Options, r *importing.Row, c importing.Columns) (err error) {
	var l importing.Line
	if at := r.Cell(utc...); at != "" {
		inUTC := *o
		inUTC.Zone = time.UTC
		l.OccurredAt, err = inUTC.At("the date", at)
	} else {
		l.OccurredAt, err = o.At("the date", r.Cell(when...))
	}
	if err != nil {
		return err
	}
	l.Identifiers.AnonymousID = r.Cell(key...)
	l.Evidence = importing.Evidence{NoticeURL: r.Cell("url"), UserAgent: r.Cell("user agent", "agent", "useragent"),
		IP: r.Cell("anonymized ip", "anonymised ip", "ip")}
	implied := strings.EqualFold(r.Cell("method"), "implied")
	listed, err := listed(r.Cell(text...))
	if err != nil {
		return err
	}
	r.Out.LeaveOut("it has no category that the map does not leave out")
	for _, category := range all {
		word := r.Cell(category)
		if word == "" && !c.Has(category) && c.Has(text...) {
			word = listed[category]
		}
		if word == "" {
			continue
		}
		if err := add(o, r.Out, l, category, word, implied); err != nil {
			return err
		}
	}
	return nil
}

var member = regexp.MustCompile(`(\w+) ?: ?(true|false)`)

// listed reads a consent in one cell: the text of the cookie, such as {stamp:'…',necessary:true,marketing:false}, or
// the categories that were accepted, or deny.
func listed(cell string) (map[string]string, error) {
	found := map[string]string{}
	if strings.Contains(cell, ":") {
		for _, m := range member.FindAllStringSubmatch(cell, -1) {
			found[m[1]] = m[2]
		}
		return found, nil
	}
	for _, category := range all {
		found[category] = "false"
	}
	for word := range strings.FieldsFuncSeq(strings.ToLower(cell),
		func(r rune) bool { return strings.ContainsRune(",;| ", r) }) {
		if word == "deny" || word == "denied" || word == "none" {
			continue
		}
		if found[word] == "" {
			return nil, importing.Refuse("consent", "it lists a category that is not known")
		}
		found[word] = "true"
	}
	return found, nil
}

func add(o *importing.Options, out *importing.Out, l importing.Line, category, word string, implied bool) error {
	means, err := o.StateOf(word, words)
	if err != nil {
		return err
	}
	if l.Purpose, err = o.PurposeOf(category, purposes); err != nil {
		return err
	}
	if l.Purpose == "" || means.State == "" {
		return nil
	}
	if l.State = means.State; implied && l.State == importing.Accepted {
		l.State, l.Action = importing.Implied, "implied"
	}
	l.ExternalID = importing.IDOf(l.Identifiers.AnonymousID, l.OccurredAt, category)
	return out.Add(&l)
}
