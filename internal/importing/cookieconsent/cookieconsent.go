// Package cookieconsent knows the consents that vanilla-cookieconsent gives to whoever keeps them, and nothing of
// pages.
//
// The library keeps what was chosen in a cookie alone; a site that keeps it too does so by its callbacks. It follows
// the types of version 3.1.0 (npm, types/index.d.ts, seen 2026-12-01): getCookie gives
// {"consentId","consentTimestamp","lastConsentTimestamp", "categories","services","revision","languageCode"},
// getUserPreferences {"acceptType","acceptedCategories", "rejectedCategories"}, which a site keeps with the consentId.
// Both are read, an object a line or in an array.
//
// A cookie names the categories that were accepted, and no others: which were refused it does not say. So a category
// that is in purposes of the map, or has an entry in services, and is not among the accepted, was refused. Where there
// is neither the record is refused, since a no would be lost (findings/cookie-without-a-no.sh). The decision is of
// lastConsentTimestamp.
package cookieconsent

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "vanilla-cookieconsent",
	Reads: "cookies of vanilla-cookieconsent 3, or its consent log (JSON)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		each := func(i *importing.Item) error { return item(o, i) }
		return func(p *importing.Part) (importing.Reader, error) { return importing.NewItems(p, nil, each) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Members.Has("consentid") && h.Members.Has("categories", "acceptedcategories")
	},
}

func item(o *importing.Options, i *importing.Item) error {
	var in struct {
		ConsentID  string                    `json:"consentId"`
		First      string                    `json:"consentTimestamp"`
		Last       string                    `json:"lastConsentTimestamp"`
		Categories []string                  `json:"categories"`
		Accepted   []string                  `json:"acceptedCategories"`
		Rejected   []string                  `json:"rejectedCategories"`
		Services   map[string]jsontext.Value `json:"services"`
		Language   string                    `json:"languageCode"`
	}
	if err := i.Into(&in); err != nil {
		return err
	}
	yes := map[string]bool{} // by category; false: it was refused
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(o.Map.Purposes)), slices.Sorted(maps.Keys(in.Services)),
		in.Rejected) {
		yes[importing.Fold(name)] = false
	}
	if len(yes) == 0 && in.Rejected == nil {
		return importing.Refuse("", "which categories were refused cannot be told: name all there are in purposes of a map")
	}
	for _, name := range append(in.Categories, in.Accepted...) {
		if slices.Contains(in.Rejected, name) {
			return importing.Refuse("rejectedCategories", "one is among the accepted too")
		}
		yes[importing.Fold(name)] = true
	}
	m := importing.MembersOf(i.JSON)
	var l importing.Line
	if at := in.Last + in.First; at != "" && m["timestamp"] == nil {
		if in.Last != "" {
			at = in.Last
		}
		m["occurredat"], _ = jsontext.AppendQuote(nil, at) // a text that was JSON already
	}
	if err := o.Kept(&l, m); err != nil {
		return err
	}
	l.Evidence.Locale = in.Language
	return add(o, i.Out, l, in.ConsentID, yes)
}

func add(o *importing.Options, out *importing.Out, l importing.Line, id string, yes map[string]bool) error {
	out.LeaveOut("it has no category that the map does not leave out")
	for _, category := range slices.Sorted(maps.Keys(yes)) {
		purpose, err := o.PurposeOf(category, nil)
		if err != nil {
			return err
		}
		if purpose == "" {
			continue
		}
		l.Purpose, l.State = purpose, importing.Declined
		if yes[category] {
			l.State = importing.Accepted
		}
		l.ExternalID = importing.IDOf(id, l.OccurredAt, category)
		if err := out.Add(&l); err != nil {
			return err
		}
	}
	return nil
}
