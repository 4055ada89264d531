package concord

import (
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// createType: POST …/projects/{projectId}/consent-types, 201.
func (a *api) createType(c *protocol.Call) error {
	project, err := a.project(c)
	if err != nil {
		return err
	}
	var body newType
	if err := protocol.ReadJSON(c, &body); err != nil {
		return err
	}
	input, err := body.input()
	if err != nil {
		return err
	}
	return fieldNames.Rename(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.Purpose, error) {
		return a.svc.CreatePurpose(c.Request.Context(), c.Actor, project, input, idempotency)
	}, func(made *consent.Purpose) (protocol.Answer, error) {
		return protocol.JSON(http.StatusCreated, showType(project, made, input.Document))
	}))
}

// maxDocuments is how many bytes of legal text a page may show; it ends with the type that passes it [ours].
const maxDocuments = 8 << 20

// listTypes: GET …/projects/{projectId}/consent-types.
func (a *api) listTypes(c *protocol.Call) error {
	id, err := c.IDParam("projectId")
	if err != nil {
		return err
	}
	q := queryRules.ParseQuery(c.Request.URL.RawQuery)
	offset, limit := pageOf(q)
	if q.Err != nil {
		return q.Err
	}
	project, purposes, err := a.svc.Purposes(c.Request.Context(), c.Actor, id)
	if err != nil {
		return err
	}
	shown, size := page(purposes, offset, limit), 0
	items := make([]consentType, 0, len(shown))
	for i := 0; i < len(shown) && size < maxDocuments; i++ {
		document, err := a.svc.Document(c.Request.Context(), c.Actor, &shown[i])
		if err != nil {
			return err
		}
		size += len(document)
		items = append(items, showType(project.ID, &shown[i], document))
	}
	return protocol.WriteJSON(c, http.StatusOK, newList(offset, int64(len(purposes)), items))
}

// maxSubcategory is the most characters of a subcategory [ours].
const maxSubcategory = 128

// typeStatuses are the documented values of a type's status.
var typeStatuses = []string{"active", "test", "archived", "obsolete"}

// input checks the body and makes the core's input of it.
func (t *newType) input() (consent.NewPurpose, error) {
	if err := firstOf(t.checkTriple(), required("name", t.Name), checkURL("url", t.URL)); err != nil {
		return consent.NewPurpose{}, err
	}
	if err := consent.CheckLength("name", t.Name.value, 5, 100); err != nil {
		return consent.NewPurpose{}, err
	}
	if t.Status.given {
		if err := oneOf("status", t.Status.value, typeStatuses...); err != nil {
			return consent.NewPurpose{}, err
		}
	}
	if t.ValidStates != nil && (len(t.ValidStates) == 0 || slices.Contains(t.ValidStates, 0)) {
		return consent.NewPurpose{}, invalid("validStates", "must have at least one state, and no null")
	}
	if t.ConsentDuration.given && t.ConsentDuration.value == "" { // empty is the core's default
		return consent.NewPurpose{}, invalid("consentDuration", "must be an ISO 8601 duration such as P12M or P30D")
	}
	states := slices.Compact(slices.Sorted(slices.Values(t.ValidStates)))
	return consent.NewPurpose{
		Taxonomy: consent.Taxonomy{Category: string(t.Category), Subcategory: t.Subcategory.value,
			Label: string(t.Label)},
		Name:            t.Name.value,
		Description:     t.Description,
		Document:        t.Document,
		URL:             t.URL.value,
		ValidStates:     convert(states, toState),
		Status:          t.Status.value,
		Duration:        consent.Duration(t.ConsentDuration.value),
		Required:        t.Required,
		RequireReaccept: t.RequireReaccept,
	}, nil
}

func (t *newType) checkTriple() error {
	n := utf8.RuneCountInString(t.Subcategory.value)
	switch {
	case t.Category == "":
		return invalid("category", "is required")
	case !t.Subcategory.given:
		return invalid("subcategory", "is required")
	case n < 1 || n > maxSubcategory:
		return invalid("subcategory", "must have 1 to 128 characters")
	case t.Label == "":
		return invalid("label", "is required")
	}
	return nil
}
