// Package klaro knows the consents that Klaro gives to whoever keeps them, and nothing of pages.
//
// Klaro keeps what was chosen in the browser alone; a site that keeps it too does so by its watchers. It follows the
// source of klaro 0.7.22 (npm, src/consent-manager.js and src/utils/api.js, seen 2026-12-01): "saveConsents" gives
// {"consents":{service:boolean},"changes","type"}, where type is accept, decline, save or script; what Klaro's own API
// is sent has these in consent_data, beside location_data and user_data. Both are read, an object a line or in an
// array, with who and when beside them: see importing.Options.Kept for the names. A service is a purpose by purposes of
// the map, or by its name; several services of one purpose are a yes only where all are. "show" is left out: nobody
// chose. A cookie's value, {service:boolean} alone, has no date and is refused.
package klaro

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "klaro",
	Reads: "consents that Klaro gave to the site's server, with who and when (JSON)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		each := func(i *importing.Item) error { return item(o, i) }
		return func(p *importing.Part) (importing.Reader, error) { return importing.NewItems(p, nil, each) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Members.Has("consent_data") || h.Members.Has("consents") && h.Members.Has("changes")
	},
}

func item(o *importing.Options, i *importing.Item) error {
	m := importing.MembersOf(i.JSON)
	said := m
	if inner := m.Object("consentdata"); inner != nil {
		said = inner
	}
	if said.Text("type") == "show" {
		i.Out.LeaveOut("the notice was shown, and nobody chose")
		return nil
	}
	var consents map[string]jsontext.Value
	if said["consents"].Kind() != '{' || json.Unmarshal(said["consents"], &consents) != nil {
		return importing.Refuse("consents", "must be an object of services")
	}
	var l importing.Line
	if err := o.Kept(&l, m); err != nil {
		return err
	}
	l.Evidence.Domain = m.Object("locationdata").Text("hostname")
	purposes, err := purposesOf(o, consents)
	if err != nil {
		return err
	}
	i.Out.LeaveOut("it has no service that the map does not leave out")
	for _, purpose := range slices.Sorted(maps.Keys(purposes)) {
		l.Purpose, l.State = purpose, importing.Declined
		if purposes[purpose] {
			l.State = importing.Accepted
		}
		l.ExternalID = importing.IDOf(m.Text("id", "recordid"), purpose)
		if err := i.Out.Add(&l); err != nil {
			return err
		}
	}
	return nil
}

// purposesOf tells for each purpose whether all its services were accepted.
func purposesOf(o *importing.Options, consents map[string]jsontext.Value) (map[string]bool, error) {
	found := map[string]bool{}
	for service, value := range consents {
		if kind := value.Kind(); kind != 't' && kind != 'f' {
			return nil, importing.Refuse("consents", "each must be true or false")
		}
		purpose, err := o.PurposeOf(service, nil)
		if err != nil {
			return nil, err
		}
		if purpose == "" {
			continue
		}
		before, known := found[purpose]
		found[purpose] = value.Kind() == 't' && (before || !known)
	}
	return found, nil
}
