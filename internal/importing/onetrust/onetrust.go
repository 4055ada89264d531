// Package onetrust knows reports of OneTrust's consent receipts as CSV, and nothing of its API.
//
// Which columns a report has is chosen where it is made, and their headings are not published. The members of a receipt
// are (https://developer.onetrust.com, "Create Consent Receipts" and "Implementing the Collection Point with REST API",
// excerpts seen 2026-12-01): identifier, identifierType, purposes with a TransactionType, interactionDate, language;
// the receipt's id. Their names are looked for with and without spaces; other headings go into columns of a map. A
// receipt has a row for each purpose. What a transaction means we decided (README): only CONFIRMED, ACTIVE and EXTEND
// are a yes.
package onetrust

import (
	"errors"
	"strings"

	"github.com/consentd/consentd/internal/importing"
)

// The headings that are looked for, in lower case.
var (
	receipt    = []string{"receipt id", "receiptid", "receipt guid", "receiptguid", "consent receipt id"}
	identifier = []string{"data subject identifier", "identifier", "data subject id", "datasubjectidentifier"}
	kind       = []string{"identifier type", "identifiertype", "data subject identifier type"}
	purpose    = []string{"purpose name", "purposename", "purpose", "purpose label"}
	status     = []string{"transaction type", "transactiontype", "purpose status", "transaction status", "consent status",
		"status"}
	when = []string{"interaction date", "interactiondate", "consent date", "consentdate", "transaction date",
		"receipt date", "date"}
	point = []string{"collection point", "collection point name", "collectionpointname"}
)

// Format reads them.
var Format = &importing.Format{Name: "onetrust", Reads: "a report of OneTrust's consent receipts (CSV)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		if err := words.Check(o.Map); err != nil {
			return nil, err
		}
		return func(p *importing.Part) (importing.Reader, error) {
			return importing.NewTable(p, func(c importing.Columns, _ []string) (func(*importing.Row) error, error) {
				for _, names := range [][]string{identifier, purpose, status, when} {
					if !c.Has(names...) {
						return nil, errors.New("no column is one of: " + strings.Join(names, ", ") +
							"; read it by --format csv with a map")
					}
				}
				return func(r *importing.Row) error { return row(o, r) }, nil
			})
		}, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Columns.Has(identifier...) && h.Columns.Has(purpose...) && h.Columns.Has(status...) && h.Columns.Has(when...)
	},
}

var words = importing.Words{
	"confirmed": {State: importing.Accepted}, "active": {State: importing.Accepted}, "extend": {State: importing.Accepted},
	"withdrawn": importing.No(importing.Withdrawn), "opt_out": importing.No(importing.Declined),
	"opt out": importing.No(importing.Declined), "hard_opt_out": importing.No(importing.Declined),
	"hard opt out": importing.No(importing.Declined), "notgiven": importing.No(importing.Declined),
	"not given": importing.No(importing.Declined), "cancel": importing.No(importing.Declined),
	"pending":            importing.Pending("it waits for the person's confirmation"),
	"expired":            importing.Pending("it says that an earlier decision expired"),
	"no_choice":          importing.Pending("nobody chose"),
	"no choice":          importing.Pending("nobody chose"),
	"no_consent":         importing.Pending("nobody chose"),
	"none":               importing.Pending("nobody chose"),
	"always_active":      importing.Pending("the purpose is always on, and nobody was asked"),
	"always active":      importing.Pending("the purpose is always on, and nobody was asked"),
	"change_preferences": {LeftOut: "preferences within the purpose were changed, and not whether there is consent"},
	"change preferences": {LeftOut: "preferences within the purpose were changed, and not whether there is consent"},
}

func row(o *importing.Options, r *importing.Row) error {
	l := importing.Line{Evidence: importing.Evidence{Locale: r.Cell("language"),
		Country: r.Cell("country", "country code")}}
	name(&l.Identifiers, r.Cell(identifier...), strings.ToLower(r.Cell(kind...)))
	means, err := o.StateOf(r.Cell(status...), words)
	if err != nil {
		return err
	}
	theirs := r.Cell(purpose...)
	if l.Purpose, err = o.PurposeOf(theirs, nil); err != nil {
		return err
	}
	switch {
	case l.Purpose == "" && theirs != "":
		r.Out.LeaveOut("the map leaves its purpose out")
		return nil
	case means.State == "":
		r.Out.LeaveOut(means.LeftOut)
		return nil
	}
	l.State = means.State
	if l.OccurredAt, err = o.At("the interaction date", r.Cell(when...)); err != nil {
		return err
	}
	if where := r.Cell(point...); where != "" {
		l.Metadata = map[string]string{"collectionPoint": where}
	}
	l.ExternalID = importing.IDOf(r.Cell(receipt...), l.Purpose)
	return r.Out.Add(&l)
}

// name fills in whom a receipt is about. Data subjects are known by what the site chose to name the type.
func name(to *importing.Identifiers, value, kind string) {
	has := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(kind, word) {
				return true
			}
		}
		return false
	}
	switch {
	case has("email", "e-mail"), kind == "" && strings.Contains(value, "@"):
		to.Email = value
	case has("phone", "mobile"):
		to.Phone = value
	case has("cookie", "device", "consent id"), kind == "":
		to.AnonymousID = value
	default:
		to.ProjectUserID = value
	}
}
