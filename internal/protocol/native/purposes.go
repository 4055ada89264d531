package native

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) purposeRoutes(access protocol.Access) []protocol.Route {
	const purposes = inProject + "/purposes"
	const one = purposes + "/{key}"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: purposes, Handle: access.Handle(a.createPurpose)},
		{Method: http.MethodGet, Pattern: purposes, Handle: access.Handle(a.listPurposes)},
		{Method: http.MethodGet, Pattern: one, Handle: access.Handle(a.getPurpose)},
		{Method: http.MethodPatch, Pattern: one, Handle: access.Handle(a.changePurpose)},
		{Method: http.MethodGet, Pattern: one + "/versions", Handle: access.Handle(a.listVersions)},
		{Method: http.MethodGet, Pattern: one + "/versions/{version}", Handle: access.Handle(a.getVersion)},
	}
}

// purposeNames are the core's names of members that have another one here.
var purposeNames = protocol.Names{"document": "legalText", "legal_basis": "legalBasis"}

// createPurpose answers POST {org}/projects/{p}/purposes: 201.
func (a *api) createPurpose(c *protocol.Call) error {
	project, err := a.project(c)
	if err != nil {
		return err
	}
	request, err := readBody[newPurpose](c)
	if err != nil {
		return err
	}
	input, err := request.input()
	if err != nil {
		return inBody(err)
	}
	return inBody(purposeNames.Rename(protocol.Reply(c,
		func(idempotency consent.Idempotency) (*consent.PurposeView, error) {
			return a.svc.AddPurpose(c.Request.Context(), c.Actor, project, input, idempotency)
		}, func(made *consent.PurposeView) (protocol.Answer, error) {
			answer, err := purposeAnswer(http.StatusCreated, made)
			answer.Location = base + made.Organization.String() + "/projects/" + made.ProjectID.String() + "/purposes/" +
				url.PathEscape(made.Key)
			return answer, err
		})))
}

func purposeAnswer(status int, v *consent.PurposeView) (protocol.Answer, error) {
	answer, err := protocol.JSON(status, purposeOf(v))
	answer.ETag = protocol.ETag(v.Revision)
	return answer, err
}

// listPurposes answers GET {org}/projects/{p}/purposes: a page in the order of their making.
func (a *api) listPurposes(c *protocol.Call) error {
	project, err := a.project(c)
	if err != nil {
		return err
	}
	p, err := a.page(c, query(c, limitParameter, cursorParameter))
	if err != nil {
		return err
	}
	list, more, err := a.svc.PurposePage(c.Request.Context(), c.Actor, project, p.afterNumber(), p.limit)
	if err != nil {
		return err
	}
	answer := purposeList{Items: make([]purpose, len(list))}
	for i := range list {
		answer.Items[i] = purposeOf(&list[i])
	}
	if more {
		if answer.NextCursor, err = a.nextCursor(c, numberCursor(list[len(list)-1].Number)); err != nil {
			return err
		}
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// getPurpose answers GET {org}/projects/{p}/purposes/{key}.
func (a *api) getPurpose(c *protocol.Call) error {
	project, key, err := a.purposeNamed(c)
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	v, err := a.svc.Purpose(c.Request.Context(), c.Actor, project, key)
	if err != nil {
		return err
	}
	return writeTagged(c, protocol.ETag(v.Revision), purposeOf(v))
}

// changePurpose answers PATCH {org}/projects/{p}/purposes/{key}: 200 with the purpose as it is then.
func (a *api) changePurpose(c *protocol.Call) error {
	project, key, err := a.purposeNamed(c)
	if err != nil {
		return err
	}
	condition, err := c.IfMatch()
	if err != nil {
		return err
	}
	request, err := readBody[purposePatch](c)
	if err != nil {
		return err
	}
	change, err := request.change()
	if err != nil {
		return inBody(err)
	}
	input := consent.UpdatePurpose{Project: project, Key: key, Change: change, If: condition}
	return inBody(purposeNames.Rename(protocol.Reply(c,
		func(idempotency consent.Idempotency) (*consent.PurposeView, error) {
			input.Idempotency = idempotency
			return a.svc.UpdatePurpose(c.Request.Context(), c.Actor, input)
		}, func(v *consent.PurposeView) (protocol.Answer, error) { return purposeAnswer(http.StatusOK, v) })))
}

// listVersions answers GET {org}/projects/{p}/purposes/{key}/versions: a page, the oldest first, without their texts.
func (a *api) listVersions(c *protocol.Call) error {
	project, key, err := a.purposeNamed(c)
	if err != nil {
		return err
	}
	p, err := a.page(c, query(c, limitParameter, cursorParameter))
	if err != nil {
		return err
	}
	list, more, err := a.svc.PurposeVersions(c.Request.Context(), c.Actor, project, key, p.afterNumber(), p.limit)
	if err != nil {
		return err
	}
	answer := versionList{Items: make([]purposeVersion, len(list))}
	for i := range list {
		answer.Items[i] = versionOf(&list[i])
	}
	if more {
		if answer.NextCursor, err = a.nextCursor(c, numberCursor(list[len(list)-1].Number)); err != nil {
			return err
		}
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// getVersion answers GET {org}/projects/{p}/purposes/{key}/versions/{version}.
func (a *api) getVersion(c *protocol.Call) error {
	project, key, err := a.purposeNamed(c)
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	given, err := c.Param("version")
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(given)
	if err != nil || strconv.Itoa(number) != given {
		return consent.Errorf(consent.NotFound, "", "version not found")
	}
	v, err := a.svc.PurposeVersion(c.Request.Context(), c.Actor, project, key, number)
	if err != nil {
		return err
	}
	tag := protocol.ETag(v.Number)
	if v.HeldTo.IsZero() { // requireReaccept may change, and it will end
		tag = `"` + strconv.Itoa(v.Number) + "-" + strconv.Itoa(v.Revision) + `"`
	}
	return writeTagged(c, tag, versionOf(v))
}

// purposeNamed reads of the path which purpose it names.
func (a *api) purposeNamed(c *protocol.Call) (project consent.ID, key string, err error) {
	if project, err = a.project(c); err != nil {
		return project, "", err
	}
	key, err = c.Param("key")
	return project, key, err
}

// numberCursor and afterNumber are for lists in the order of a number.
func numberCursor(last int) []byte { return strconv.AppendInt(nil, int64(last), 10) }

// afterNumber reads a cursor that a number is in; 0: from the beginning.
func (p page) afterNumber() int {
	n, err := strconv.Atoi(string(p.after))
	if err != nil {
		return 0
	}
	return n
}
