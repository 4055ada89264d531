// Package consenthub knows what is said to and answered by Atlassian's Consent Hub, as a site's own server keeps it,
// and nothing of its calls.
//
// The API (internal/protocol/consenthub/README.md) lists nothing and dates nothing. So a file has
// an object for each call, in an array or one a line, with the date beside it, see importing.Options.Kept for its
// names: bodies of POST /consent-hub/consent,
// {"email","locale","consents":[{"key","granted","displayedText"}],"formUrl", "providerId"}; or answers of POST
// /consent-hub/consent-config/get with the email beside them. Of an answer, a choice that was not made is left out;
// granted false is declined.
package consenthub

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "consenthub", Reads: "calls of Atlassian Consent Hub, each with its date (JSON)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		each := func(i *importing.Item) error { return item(o, i) }
		return func(p *importing.Part) (importing.Reader, error) { return importing.NewItems(p, nil, each) }, nil
	},
	Knows: func(h *importing.Head) bool {
		return h.Members.Has("granted") && h.Members.Has("consents") || h.Members.Has(made)
	},
}

// The members of an answer, in lower case.
const (
	made   = "hasusermadechoiceonmarketingcommunicationoptin"
	choice = "userschoiceonmarketingcommunicationoptin"
)

// marketing is the key that an answer is about.
const marketing = "generalMarketingOptIn"

// purposes are keys that a new project of consentd has by another name (contracts, "Purposes"), in lower case.
var purposes = map[string]string{"generalmarketingoptin": "general_marketing_opt_in"}

func item(o *importing.Options, i *importing.Item) error {
	m := importing.MembersOf(i.JSON)
	var l importing.Line
	if err := o.Kept(&l, m); err != nil {
		return err
	}
	l.Identifiers.ProjectUserID = m.Text("providerid")
	l.Evidence.Locale, l.Evidence.FormURL = m.Text("locale"), m.Text("formurl")
	if answer := m[made]; len(answer) > 0 {
		if answer.Kind() != 't' {
			i.Out.LeaveOut("no choice was made")
			return nil
		}
		return add(o, i.Out, l, marketing, m[choice])
	}
	var in struct {
		Consents []struct {
			Key           string         `json:"key"`
			Granted       jsontext.Value `json:"granted"`
			DisplayedText string         `json:"displayedText"`
		} `json:"consents"`
	}
	if err := i.Into(&in); err != nil {
		return err
	}
	if len(in.Consents) == 0 {
		i.Out.LeaveOut("it has no consents")
		return nil
	}
	for _, c := range in.Consents {
		l.Evidence.DisplayedText = c.DisplayedText
		if err := add(o, i.Out, l, c.Key, c.Granted); err != nil {
			return err
		}
	}
	return nil
}

func add(o *importing.Options, out *importing.Out, l importing.Line, key string, granted jsontext.Value) (err error) {
	switch granted.Kind() {
	case 't':
		l.State = importing.Accepted
	case 'f':
		l.State = importing.Declined
	default:
		return importing.Refuse("granted", "must be true or false")
	}
	if l.Purpose, err = o.PurposeOf(key, purposes); err != nil {
		return err
	}
	if l.Purpose == "" && key != "" {
		out.LeaveOut("the map leaves its purpose out")
		return nil
	}
	return out.Add(&l)
}
