package native

import (
	"encoding/binary"
	"math"
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) importRoutes(access protocol.Access) []protocol.Route {
	const imports, one = inOrganization + "/imports", inOrganization + "/imports/{importId}"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: imports, Handle: access.Handle(a.createImport)},
		{Method: http.MethodGet, Pattern: imports, Handle: access.Handle(a.listImports)},
		{Method: http.MethodGet, Pattern: one, Handle: access.Handle(a.getImport)},
		{Method: http.MethodGet, Pattern: one + "/errors", Handle: access.Handle(a.listImportErrors)},
		{Method: http.MethodPost, Pattern: one + "/lines", Handle: access.Handle(a.sendLines)},
		{Method: http.MethodPost, Pattern: one + "/finish", Handle: access.Handle(a.finishImport)},
	}
}

// createImport answers POST {org}/imports: 201 with an import that waits for its first line.
func (a *api) createImport(c *protocol.Call) error {
	request, err := readBody[newImport](c)
	if err != nil {
		return err
	}
	in := consent.NewImport{Source: request.Source, Fingerprint: request.Fingerprint, DryRun: request.DryRun,
		Notify: request.Notify}
	if in.Project, err = a.projectIn(c, request.Project); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.ImportView, error) {
		in.Idempotency = idempotency
		return a.svc.CreateImport(c.Request.Context(), c.Actor, in)
	}, func(made *consent.ImportView) (protocol.Answer, error) {
		answer, err := protocol.JSON(http.StatusCreated, importStateOf(made))
		answer.Location = base + made.Organization.String() + "/imports/" + made.ID.String()
		return answer, err
	})
}

// listImports answers GET {org}/imports: a page in the order in which they were made.
func (a *api) listImports(c *protocol.Call) error {
	q := query(c, "state", "source", limitParameter, cursorParameter)
	state := protocol.Parsed(q, "", parseImportState, "state")
	filter := consent.ImportFilter{Source: given(q, "source"), Open: state == importOpen, Done: state == importDone}
	p, err := a.page(c, q)
	if err != nil {
		return err
	}
	filter.After, filter.Limit = p.afterID(), p.limit+1
	views, err := a.svc.Imports(c.Request.Context(), c.Actor, filter)
	if err != nil {
		return err
	}
	views, next, err := cutPage(a, c, p, views, func(v *consent.ImportView) consent.ID { return v.ID })
	if err != nil {
		return err
	}
	answer := importList{Items: make([]importState, len(views)), NextCursor: next}
	for i := range views {
		answer.Items[i] = importStateOf(&views[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

func parseImportState(given string) (string, error) {
	if given != importOpen && given != importDone {
		return "", consent.Errorf(consent.Invalid, "", "must be one of %s, %s", importOpen, importDone)
	}
	return given, nil
}

// getImport answers GET {org}/imports/{importId}.
func (a *api) getImport(c *protocol.Call) error {
	id, err := c.IDParam("importId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	view, err := a.svc.Import(c.Request.Context(), c.Actor, id)
	if err != nil {
		return err
	}
	return protocol.WriteJSON(c, http.StatusOK, importStateOf(view))
}

// listImportErrors answers GET {org}/imports/{importId}/errors: a page in the order of lines.
func (a *api) listImportErrors(c *protocol.Call) error {
	id, err := c.IDParam("importId")
	if err != nil {
		return err
	}
	p, err := a.page(c, query(c, limitParameter, cursorParameter))
	if err != nil {
		return err
	}
	var after int64
	if len(p.after) == 8 {
		after = int64(binary.BigEndian.Uint64(p.after))
	}
	errors, err := a.svc.ImportErrors(c.Request.Context(), c.Actor, id, after, p.limit+1)
	if err != nil {
		return err
	}
	answer := lineErrorList{}
	if len(errors) > p.limit {
		errors = errors[:p.limit]
		last := binary.BigEndian.AppendUint64(nil, uint64(errors[p.limit-1].Line))
		if answer.NextCursor, err = a.nextCursor(c, last); err != nil {
			return err
		}
	}
	answer.Items = lineErrorsOf(errors)
	return protocol.WriteJSON(c, http.StatusOK, answer)
}

// sendLines answers POST {org}/imports/{importId}/lines: 200 with how far the import has come. A part of the lines may
// be taken where the call fails later; sent again, those are passed over.
func (a *api) sendLines(c *protocol.Call) error {
	id, err := c.IDParam("importId")
	if err != nil {
		return err
	}
	q := query(c, "from")
	from := q.Number(0, 1, math.MaxInt32, "from")
	if len(q.Values["from"]) == 0 {
		q.Fail(consent.Errorf(consent.Invalid, "", "is required: the number of the first line"), "from")
	}
	if q.Err != nil {
		return q.Err
	}
	lines, err := protocol.ReadLines(c)
	if err != nil {
		return err
	}
	r := &lineReader{lines: lines, from: int64(from)}
	view, err := a.svc.ImportLines(c.Request.Context(), c.Actor, id, r.from, r.chunks)
	if err != nil {
		return err
	}
	state := importStateOf(view)
	state.Errors = lineErrorsOf(view.Errors)
	return protocol.WriteJSON(c, http.StatusOK, state)
}

// finishImport answers POST {org}/imports/{importId}/finish.
func (a *api) finishImport(c *protocol.Call) error {
	id, err := c.IDParam("importId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.ImportView, error) {
		return a.svc.FinishImport(c.Request.Context(), c.Actor, id, idempotency)
	}, func(done *consent.ImportView) (protocol.Answer, error) {
		return protocol.JSON(http.StatusOK, importStateOf(done))
	})
}
