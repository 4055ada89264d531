package slashid

import (
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// Limits of what a person's body may hold [ours].
const (
	maxHandles = 100
	maxGroups  = 1000
	maxWord    = 100 // characters of a group's or a region's name; the vendor's limit for groups
)

// handleTypes are the types of handles and the identifiers they stand for (contracts, "Identity").
var handleTypes = []struct {
	name string
	kind consent.IdentifierKind
}{
	{"email_address", consent.Email},
	{"phone_number", consent.Phone},
	{"username", consent.Username},
}

const personRegular = "regular"

// createPerson answers POST /persons: 201; Conflict where the person is known.
func (a *api) createPerson(c *protocol.Call, _ string) error { return a.savePerson(c, false) }

// upsertPerson answers PUT /persons: 201 where it made the person, 200 where it changed one.
func (a *api) upsertPerson(c *protocol.Call, _ string) error { return a.savePerson(c, true) }

func (a *api) savePerson(c *protocol.Call, upsert bool) error {
	var body personRequest
	if err := protocol.ReadJSON(c, &body); err != nil {
		return err
	}
	input, err := body.input()
	if err != nil {
		return err
	}
	input.Upsert = upsert
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.SubjectView, error) {
		input.Idempotency = idempotency
		view, err := a.svc.SavePerson(c.Request.Context(), c.Actor, input)
		if consent.IsKind(err, consent.Invalid) {
			err = recordFields.Rename(err)
		}
		return view, err
	}, func(view *consent.SubjectView) (protocol.Answer, error) {
		status := http.StatusOK
		if view.Created {
			status = http.StatusCreated
		}
		return protocol.JSON(status, showPerson(view))
	})
}

// input makes the core's input of a body. Errors: Invalid with the place.
func (r personRequest) input() (input consent.SavePerson, err error) {
	if err := r.check(); err != nil {
		return input, err
	}
	kept := profile{Inactive: r.Active != nil && !*r.Active, Groups: r.Groups}
	if r.PersonType != nil {
		kept.PersonType = *r.PersonType
	}
	if r.Region != nil {
		kept.Region = *r.Region
	}
	if input.Handles, kept.Handles, err = r.handles(); err != nil {
		return input, err
	}
	if kind := r.Attributes.Kind(); kind == '{' {
		input.Data = r.Attributes
	}
	encoded, err := protocol.JSON(http.StatusOK, kept)
	input.Profile = encoded.Body
	return input, err
}

// check looks at all but the handles.
func (r personRequest) check() error {
	if r.PersonType != nil && *r.PersonType != personRegular && *r.PersonType != "anonymous" {
		return consent.Errorf(consent.Invalid, "person_type", "must be regular or anonymous")
	}
	if r.Region != nil && !isWord(*r.Region) {
		return consent.Errorf(consent.Invalid, "region", "must have 1 to %d characters", maxWord)
	}
	if len(r.Groups) > maxGroups {
		return consent.Errorf(consent.Invalid, "groups", "may name %d groups at most", maxGroups)
	}
	for i, group := range r.Groups {
		if !isWord(group) {
			return consent.Errorf(consent.Invalid, at("groups", i), "must have 1 to %d characters", maxWord)
		}
	}
	if kind := r.Attributes.Kind(); len(r.Attributes) > 0 && kind != '{' && kind != 'n' {
		return consent.Errorf(consent.Invalid, "attributes", "must be an object")
	}
	return nil
}

func isWord(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= maxWord
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// handles gives the identifiers of a body, and its handles in the form that is looked up; duplicates collapse.
func (r personRequest) handles() ([]consent.Identifier, []handleBody, error) {
	if len(r.Handles) == 0 || len(r.Handles) > maxHandles {
		return nil, nil, consent.Errorf(consent.Invalid, "handles", "must name 1 to %d handles", maxHandles)
	}
	var identifiers []consent.Identifier
	var shown []handleBody
	for i, h := range r.Handles {
		kind, ok := kindOf(h.Type)
		if !ok {
			return nil, nil, consent.Errorf(consent.Invalid, at("handles", i)+".type",
				"must be email_address, phone_number or username")
		}
		value, err := consent.Normalize(kind, h.Value)
		if err != nil {
			return nil, nil, protocol.At(at("handles", i)+".value", err)
		}
		id := consent.Identifier{Kind: kind, Value: value}
		if !slices.Contains(identifiers, id) {
			identifiers = append(identifiers, id)
			shown = append(shown, handleBody{h.Type, value})
		}
	}
	return identifiers, shown, nil
}

func kindOf(handleType string) (consent.IdentifierKind, bool) {
	for _, t := range handleTypes {
		if t.name == handleType {
			return t.kind, true
		}
	}
	return "", false
}

// getPerson answers GET /persons/{person_id}.
func (a *api) getPerson(c *protocol.Call, person string) error {
	view, err := a.svc.Subject(c.Request.Context(), c.Actor, consent.DefaultSubjectType, person, 0)
	if err != nil {
		return err
	}
	return protocol.WriteJSON(c, http.StatusOK, showPerson(view))
}

// deletePerson answers DELETE /persons/{person_id}: record and identifiers go; the events in the ledger stay as they
// were recorded, with the identifiers of then.
func (a *api) deletePerson(c *protocol.Call, person string) error {
	input := consent.DeleteSubject{Type: consent.DefaultSubjectType, Name: person}
	return protocol.ReplyStatus(c, http.StatusNoContent, func(idempotency consent.Idempotency) error {
		input.Idempotency = idempotency
		return a.svc.DeleteSubject(c.Request.Context(), c.Actor, input)
	})
}

// showPerson makes the answer from a record; one that came about through another protocol has no profile.
func showPerson(view *consent.SubjectView) result[personResult] {
	var kept profile
	if len(view.Record.Profile) > 0 {
		// What cannot be read is not ours: the person is shown without it.
		if err := protocol.Unmarshal(view.Record.Profile, &kept); err != nil {
			kept = profile{}
		}
	}
	if kept.PersonType == "" {
		kept.PersonType = personRegular
	}
	attributes := view.Record.Data
	if len(attributes) == 0 {
		attributes = []byte("{}")
	}
	return result[personResult]{personResult{
		Active: !kept.Inactive, PersonID: view.Name, PersonType: kept.PersonType, Region: kept.Region,
		Handles: showHandles(kept.Handles, view.Identifiers), Groups: kept.Groups, Attributes: attributes,
	}}
}

// showHandles shows the identifiers that are handles: in the order that was last given, then those that
// came from elsewhere, by type.
func showHandles(given []handleBody, identifiers []consent.Identifier) []handleBody {
	var all []handleBody
	left := map[handleBody]bool{} // to be shown
	for _, t := range handleTypes {
		for _, id := range identifiers {
			if id.Kind == t.kind {
				all = append(all, handleBody{t.name, id.Value})
				left[all[len(all)-1]] = true
			}
		}
	}
	shown := make([]handleBody, 0, len(all))
	for _, h := range append(slices.Clone(given), all...) {
		if left[h] {
			shown = append(shown, h)
			delete(left, h)
		}
	}
	return shown
}
