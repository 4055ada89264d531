package slashid

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// levels are the consent levels in the order of the vendor's enum, which is the order of
// answers, with the purpose that each stands for (contracts, "Purposes").
var levels = [...]struct{ name, purpose string }{
	{"none", consent.NonePurpose},
	{"necessary", consent.StrictlyNecessary},
	{"analytics", consent.Analytics},
	{"marketing", consent.Marketing},
	{"retargeting", consent.Retargeting},
	{"tracking", consent.Tracking},
}

const levelsAllowed = "must be one of none, necessary, analytics, marketing, retargeting, tracking"

func allPurposes() []string {
	all := make([]string, len(levels))
	for i, l := range levels {
		all[i] = l.purpose
	}
	return all
}

// purposesOf gives the purposes of the levels that were named, duplicates collapsed, or the index of one that is none.
func purposesOf(names []string) (purposes []string, unknown int) {
	for i, name := range names {
		at := slices.IndexFunc(levels[:], func(l struct{ name, purpose string }) bool { return l.name == name })
		if at < 0 {
			return nil, i
		}
		if !slices.Contains(purposes, levels[at].purpose) {
			purposes = append(purposes, levels[at].purpose)
		}
	}
	return purposes, -1
}

// granted gives the purposes that a body asks for. Errors: Invalid.
func (r levelsRequest) granted() ([]string, error) {
	if r.ConsentLevels == nil {
		return nil, consent.Errorf(consent.Invalid, "consent_levels", "is required: an array of levels, [] for none of them")
	}
	purposes, unknown := purposesOf(*r.ConsentLevels)
	if unknown >= 0 {
		return nil, consent.Errorf(consent.Invalid, "consent_levels["+strconv.Itoa(unknown)+"]", levelsAllowed)
	}
	return purposes, nil
}

var (
	queryRules = protocol.QueryRules{Malformed: "the query is not valid percent-encoding"}
	parseBool  = protocol.Choice("must be true or false", map[string]bool{"true": true, "false": false})
)

// toDelete gives the purposes that the query of a DELETE names: all with deleteAll=true, else those
// of consent_levels, which repeats or is joined by commas. Errors: Invalid.
func toDelete(rawQuery string) ([]string, error) {
	q := queryRules.ParseQuery(rawQuery)
	all := slices.Contains(protocol.Each(q, parseBool, "deleteAll"), true)
	switch {
	case q.Err != nil:
		return nil, q.Err
	case all:
		return allPurposes(), nil
	}
	// An empty array comes as an empty value: it names nothing.
	names := strings.FieldsFunc(strings.Join(q.All("consent_levels"), ","), func(r rune) bool { return r == ',' })
	purposes, unknown := purposesOf(names)
	switch {
	case unknown >= 0:
		return nil, consent.Errorf(consent.Invalid, "consent_levels", levelsAllowed)
	case len(purposes) == 0:
		return nil, consent.Errorf(consent.Invalid, "consent_levels", "is required where deleteAll is not true")
	}
	return purposes, nil
}

// getLevels answers GET: the levels in force.
func (a *api) getLevels(c *protocol.Call, person string) error {
	found, err := a.svc.Person(c.Request.Context(), c.Actor, consent.PersonQuery{Identifier: userID(person)})
	if err != nil {
		return err
	}
	return protocol.WriteJSON(c, http.StatusOK, a.show(found.Consents))
}

// overwriteLevels answers POST and PUT, which differ in their status alone: the levels of the body
// take the place of those on record (contract, "the vendor's SDK comments call POST add").
func (a *api) overwriteLevels(status int) func(*protocol.Call, string) error {
	return func(c *protocol.Call, person string) error {
		var body levelsRequest
		if err := protocol.ReadJSON(c, &body); err != nil {
			return err
		}
		granted, err := body.granted()
		if err != nil {
			return err
		}
		write := replace(c, person, allPurposes(), granted)
		return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Recorded, error) {
			write.Idempotency = idempotency
			return a.svc.Record(c.Request.Context(), c.Actor, write)
		}, func(recorded *consent.Recorded) (protocol.Answer, error) {
			return protocol.JSON(status, a.show(recorded.Items[0].Consents))
		})
	}
}

// deleteLevels answers DELETE: the named levels that are in force are taken back.
func (a *api) deleteLevels(c *protocol.Call, person string) error {
	purposes, err := toDelete(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	write := replace(c, person, purposes, nil)
	return protocol.ReplyStatus(c, http.StatusNoContent, func(idempotency consent.Idempotency) error {
		write.Idempotency = idempotency
		_, err := a.svc.Record(c.Request.Context(), c.Actor, write)
		return err
	})
}

// replace makes the write after which the granted purposes, of those among, are in force and no others.
func replace(c *protocol.Call, person string, among, granted []string) consent.Write {
	return consent.Write{
		Items: []consent.Item{{
			Identifiers: []consent.Identifier{userID(person)},
			Known:       true,
			Replace:     &consent.Replacement{Among: among, Granted: granted, Action: consent.UserClick},
		}},
		Origin: c.Origin("slashid"),
		Field:  levelsFields.Field,
	}
}

// levelsFields and recordFields are our names of the core's fields, in a write of levels and in a person's record.
var (
	levelsFields = protocol.Names{"identifiers": personField, string(consent.UserID): personField, "": "consent_levels"}
	recordFields = protocol.Names{"data": "attributes", "": "handles",
		"profile": "groups"} // of what it holds the only part that can be that long
)

// show makes the answer from a person's consents by purpose: the levels in force, in the order of the enum.
func (a *api) show(consents map[string]consent.Consent) result[levelsResult] {
	now := a.clock()
	shown := []levelBody{}
	for _, l := range levels {
		if on, ok := consents[l.purpose]; ok && on.InForce(now) {
			shown = append(shown, levelBody{ConsentLevel: l.name, CreatedAt: timestamp(on.Since)})
		}
	}
	return result[levelsResult]{levelsResult{shown}}
}
