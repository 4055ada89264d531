// Package slashid knows the answers of SlashID's "get GDPR consent", and nothing of its calls.
//
// It follows GET /persons/{person_id}/consent/gdpr as in internal/protocol/slashid/README.md:
// {"result":{"consents":[{"consent_level","created_at"}]}}. The answer does not say whose it is, so each is kept with
// the person_id, or another identifier, beside result: one object a line, or an array of them. Levels that are there
// are accepted since created_at. A level none is a refusal: all levels but necessary are declined then. none beside
// others is refused, since it cannot be told which holds. Of levels that are not there nothing is known. The API gives
// what stands, so a level that is given again later is another decision.
package slashid

import (
	"slices"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "slashid",
	Reads: "answers of SlashID's GDPR consent, each with its person_id (JSON)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		each := func(i *importing.Item) error { return item(o, i) }
		return func(p *importing.Part) (importing.Reader, error) { return importing.NewItems(p, nil, each) }, nil
	},
	Knows: func(h *importing.Head) bool { return h.Members.Has("consent_level") && h.Members.Has("created_at") },
}

const none = "none"

// optional are the levels that a refusal refuses; the key of our purpose is the same.
var optional = []string{"analytics", "marketing", "retargeting", "tracking"}

// purposes differ for one level only.
var purposes = map[string]string{"necessary": "strictly_necessary"}

type level struct {
	Level     string `json:"consent_level"`
	CreatedAt string `json:"created_at"`
}

func item(o *importing.Options, i *importing.Item) error {
	var in struct {
		PersonID string `json:"person_id"`
		UserID   string `json:"userId"`
		Email    string `json:"email"`
		Phone    string `json:"phone"`
		Result   struct {
			Consents []level `json:"consents"`
		} `json:"result"`
	}
	if err := i.Into(&in); err != nil {
		return err
	}
	who := importing.Identifiers{UserID: in.PersonID, Email: in.Email, Phone: in.Phone}
	if who.UserID == "" {
		who.UserID = in.UserID
	}
	consents := in.Result.Consents
	if len(consents) == 0 {
		i.Out.LeaveOut("it has no level: nothing is known")
		return nil
	}
	refused := slices.ContainsFunc(consents, func(l level) bool { return l.Level == none })
	if refused && len(consents) > 1 {
		return importing.Refuse("consent_level", "none stands beside others: which one holds cannot be told")
	}
	if refused {
		at := consents[0].CreatedAt
		consents = nil
		for _, name := range optional {
			consents = append(consents, level{name, at})
		}
	}
	for _, c := range consents {
		if err := add(o, i.Out, importing.Line{Identifiers: who}, c, refused); err != nil {
			return err
		}
	}
	return nil
}

func add(o *importing.Options, out *importing.Out, l importing.Line, c level, refused bool) (err error) {
	if l.OccurredAt, err = o.At("created_at", c.CreatedAt); err != nil {
		return err
	}
	if l.Purpose, err = o.PurposeOf(c.Level, purposes); err != nil {
		return err
	}
	if l.Purpose == "" {
		out.LeaveOut("the map leaves its purpose out")
		return nil
	}
	if l.State = importing.Accepted; refused {
		l.State = importing.Declined
	}
	l.ExternalID = importing.IDOf(l.Identifiers.UserID, l.Purpose, l.State, l.OccurredAt)
	return out.Add(&l)
}
