package native

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func (a *api) subjectRoutes(access protocol.Access) []protocol.Route {
	const subjects = inOrganization + "/subjects"
	const subject = subjects + "/{subjectId}"
	return []protocol.Route{
		{Method: http.MethodPost, Pattern: subjects + ":lookup", Handle: access.Handle(a.lookUpSubject)},
		{Method: http.MethodGet, Pattern: subject, Handle: access.Handle(a.getSubject)},
		{Method: http.MethodGet, Pattern: subject + "/events", Handle: access.Handle(a.listTimeline)},
		{Method: http.MethodPost, Pattern: subject + "/identifiers", Handle: access.Handle(a.attachIdentifier)},
		{Method: http.MethodDelete, Pattern: subject + "/identifiers", Handle: access.Handle(a.detachIdentifier)},
		{Method: http.MethodPost, Pattern: subject + "/merge", Handle: access.Handle(a.mergeSubjects)},
		{Method: http.MethodPost, Pattern: subject + "/unmerge", Handle: access.Handle(a.unmergeSubjects)},
		{Method: http.MethodPost, Pattern: subject + "/erase", Handle: access.Handle(a.eraseSubject)},
		{Method: http.MethodPost, Pattern: subject + "/restrict", Handle: access.Handle(a.restrictSubject)},
		{Method: http.MethodPost, Pattern: subject + "/unrestrict", Handle: access.Handle(a.unrestrictSubject)},
	}
}

// lookup is the body of POST {org}/subjects:lookup.
type lookup struct {
	Identifiers *identifiers `json:"identifiers"`
	Project     string       `json:"project"`
}

// lookUp asks about the identifiers of a lookup.
func lookUp[T any](a *api, c *protocol.Call, ask func(context.Context, consent.Actor, consent.ID,
	[]consent.Identifier) (*T, error)) (*T, error) {
	request, err := readBody[lookup](c)
	if err != nil {
		return nil, err
	}
	given := request.Identifiers.list()
	if len(given) == 0 {
		return nil, consent.Errorf(consent.Unprocessable, "identifiers", "must have at least one identifier")
	}
	project, err := a.projectIn(c, request.Project)
	if err != nil {
		return nil, err
	}
	found, err := ask(c.Request.Context(), c.Actor, project, given)
	if err != nil {
		if field := consent.AsError(err).Field; field != "" {
			err = protocol.At("identifiers."+identifierNames.Of(field), err)
		}
		return nil, inBody(err)
	}
	return found, nil
}

// lookUpSubject answers POST {org}/subjects:lookup: the subject that identifiers name. It writes nothing.
func (a *api) lookUpSubject(c *protocol.Call) error {
	view, err := lookUp(a, c, a.svc.LookUpSubject)
	if err != nil {
		return err
	}
	c.Header()["Etag"] = []string{protocol.ETag(view.Tag)}
	return protocol.WriteJSON(c, http.StatusOK, subjectOf(view))
}

// getSubject answers GET {org}/subjects/{subjectId}.
func (a *api) getSubject(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	if err := query(c).Err; err != nil {
		return err
	}
	view, err := a.svc.SubjectByID(c.Request.Context(), c.Actor, id)
	if err != nil {
		return err
	}
	return writeTagged(c, protocol.ETag(view.Tag), subjectOf(view))
}

// listTimeline answers GET …/events: a page of what is on record for a subject, in the order of the ledger.
func (a *api) listTimeline(c *protocol.Call) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	p, err := a.page(c, query(c, limitParameter, cursorParameter))
	if err != nil {
		return err
	}
	views, err := a.svc.Timeline(c.Request.Context(), c.Actor, id, p.afterID(), p.limit+1)
	if err != nil {
		return err
	}
	views, next, err := cutPage(a, c, p, views, func(v *consent.EventView) consent.ID { return v.ID })
	if err != nil {
		return err
	}
	list := eventList{Items: make([]event, len(views)), NextCursor: next}
	for i := range views {
		list.Items[i] = eventOf(&views[i])
	}
	return protocol.WriteJSON(c, http.StatusOK, list)
}

// attachIdentifier answers POST …/identifiers: 204 with the entity tag.
func (a *api) attachIdentifier(c *protocol.Call) error {
	return a.changeIdentifier(c, a.svc.AttachIdentifier)
}

// detachIdentifier answers DELETE …/identifiers: 204 with the entity tag.
func (a *api) detachIdentifier(c *protocol.Call) error {
	return a.changeIdentifier(c, a.svc.DetachIdentifier)
}

// identifier is the body of POST and DELETE …/identifiers, and an identifier as it is shown. Project is there for a
// projectUserId.
type identifier struct {
	Kind    string `json:"kind"`
	Value   string `json:"value"`
	Project string `json:"project,omitzero"`
}

func (a *api) changeIdentifier(c *protocol.Call, change func(context.Context, consent.Actor,
	consent.IdentifierChange) (*consent.SubjectView, error)) error {
	id, err := c.IDParam("subjectId")
	if err != nil {
		return err
	}
	request, err := readBody[identifier](c)
	if err != nil {
		return err
	}
	kind, err := kindOf(request.Kind)
	if err != nil {
		return inBody(err)
	}
	in := consent.IdentifierChange{Subject: id, Identifier: consent.Identifier{Kind: kind, Value: request.Value}}
	if in.Project, err = a.projectIn(c, request.Project); err != nil {
		return err
	}
	if in.If, err = c.IfMatch(); err != nil {
		return err
	}
	return inBody(protocol.Reply(c, func(idempotency consent.Idempotency) (*consent.SubjectView, error) {
		in.Idempotency = idempotency
		view, err := change(c.Request.Context(), c.Actor, in)
		return view, protocol.Names{string(kind): "value"}.Rename(err)
	}, changedAnswer))
}

// changedAnswer says that a subject was changed, and which entity tag it has now.
func changedAnswer(view *consent.SubjectView) (protocol.Answer, error) {
	return protocol.Answer{Status: http.StatusNoContent, ETag: protocol.ETag(view.Tag)}, nil
}

// attachable are the kinds of identifiers that can be attached and detached.
var attachable = []consent.IdentifierKind{consent.UserID, consent.ProjectUserID, consent.Email, consent.Phone,
	consent.AnonymousID}

// kindOf gives the kind of a name of the API. Errors: Invalid.
func kindOf(name string) (consent.IdentifierKind, error) {
	for _, kind := range attachable {
		if identifierNames.Of(string(kind)) == name {
			return kind, nil
		}
	}
	return "", consent.Errorf(consent.Invalid, "kind", "must be userId, projectUserId, email, phone or anonymousId")
}

// subject is a person as the API shows one.
type subject struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Identifiers []identifier    `json:"identifiers"`
	Data        json.RawMessage `json:"data"`
	Version     int             `json:"version"` // of data
	CreatedAt   instant         `json:"createdAt"`
	UpdatedAt   instant         `json:"updatedAt"` // data
	Merged      []merged        `json:"merged"`
	// RestrictedAt is since when what is held is not to be used.
	RestrictedAt instant `json:"restrictedAt,omitzero"`
}

// merged is somebody who turned out to be the subject.
type merged struct {
	SubjectID string  `json:"subjectId"`
	MergedAt  instant `json:"mergedAt"`
}

// subjectOf shows a subject; projects are shown by their ids.
func subjectOf(v *consent.SubjectView) subject {
	s := subject{ID: v.ID.String(), Type: v.Type, Identifiers: make([]identifier, len(v.Identifiers)),
		Data: v.Record.Data, Version: v.Record.Version, CreatedAt: instant(v.CreatedAt),
		UpdatedAt: instant(v.Record.ChangedAt), Merged: make([]merged, len(v.Merged)), RestrictedAt: instant(v.Restriction.At)}
	for i, id := range v.Identifiers {
		s.Identifiers[i] = identifier{Kind: identifierNames.Of(string(id.Kind)), Value: id.Value}
		if id.Project != 0 {
			s.Identifiers[i].Project = v.Projects[id.Project].String()
		}
	}
	for i, m := range v.Merged {
		s.Merged[i] = merged{m.From.String(), instant(m.MergedAt)}
	}
	return s
}
