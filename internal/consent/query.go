package consent

import (
	"bytes"
	"time"
)

// Query looks up the names of a filter.
func (c *Catalog) Query(f EventFilter) (EventQuery, []OwnedName, error) {
	q := EventQuery{Organization: c.Organization.ID, From: f.From, To: f.To, States: f.States, Actions: f.Actions,
		Keys: f.Keys, Domains: f.Domains, Countries: f.Countries, ByOccurredAt: f.ByOccurredAt, Ascending: f.Ascending,
		Offset: f.Offset, Limit: f.Limit, Protocols: f.Protocols, RecordedFrom: micro(f.RecordedFrom),
		RecordedTo: micro(f.RecordedTo)}
	if err := c.named(&q, f.Project, f.Purpose); err != nil {
		return q, nil, err
	}
	for _, id := range f.Projects {
		p, err := c.Project(id)
		if err != nil {
			return q, nil, err
		}
		q.Projects = append(q.Projects, p.Number)
	}
	if len(f.Categories)+len(f.Subcategories)+len(f.Labels) > 0 {
		q.Purposes = c.matching(f.Categories, f.Subcategories, f.Labels)
	}
	projects := q.Projects
	if projects == nil {
		for i := range c.Projects {
			projects = append(projects, c.Projects[i].Number)
		}
	}
	var people []OwnedName
	for _, id := range f.People {
		value, err := Normalize(id.Kind, id.Value)
		if err != nil {
			return q, nil, &Error{Kind: Invalid, Field: string(id.Kind), Msg: AsError(err).Msg}
		}
		if id.Kind != ProjectUserID {
			people = append(people, OwnedName{Organization: q.Organization,
				Identifier: Identifier{Kind: id.Kind, Value: value}})
			continue
		}
		for _, number := range projects {
			people = append(people, OwnedName{Organization: q.Organization,
				Identifier: Identifier{id.Kind, number, value}})
		}
	}
	return q, people, nil
}

// named narrows a query to a project, by its id, its slug or "default", and to the purposes of a key; what is empty
// does not narrow. Errors: Unprocessable, with the field.
func (c *Catalog) named(q *EventQuery, project, purpose string) error {
	if project != "" {
		p, err := c.ProjectNamed(project)
		if err != nil {
			return Errorf(Unprocessable, "project", "is not known in this organization")
		}
		q.Projects = []int{p.Number}
	}
	if purpose == "" {
		return nil
	}
	for i := range c.Purposes {
		if p := &c.Purposes[i]; p.Key == purpose && (project == "" || p.Project == q.Projects[0]) {
			q.Purposes = append(q.Purposes, ProjectPurpose{p.Project, p.Number})
		}
	}
	if q.Purposes == nil {
		return Errorf(Unprocessable, "purpose", "is not known in this organization, or not in that project")
	}
	return nil
}

// How far the time in an event's id may be from when it was recorded. Ids go on from the last one where a clock was set
// back; and an event is recorded behind the time of its id by little, where what it follows was dated ahead.
const (
	idBehind = time.Minute
	idAhead  = time.Hour
)

// Within narrows a span to the ids that events have which were recorded when the query asks for. An event whose id is
// more than an hour ahead of when it was recorded is missed: the server's clock was set back by as much.
func (q *EventQuery) Within(span EventSpan) EventSpan {
	least, most := NoID, newest
	if !q.RecordedFrom.IsZero() {
		least = lastIDAt(q.RecordedFrom.Add(-idBehind - time.Millisecond))
	}
	if !q.RecordedTo.IsZero() {
		most = lastIDAt(q.RecordedTo.Add(idAhead))
	}
	if q.Ascending {
		return EventSpan{After: greater(span.After, least), To: lesser(span.To, most)}
	}
	return EventSpan{After: lesser(span.After, most), To: greater(span.To, least)}
}

// lastIDAt gives the greatest id of a millisecond.
func lastIDAt(at time.Time) ID {
	if at.Before(time.UnixMilli(0)) {
		return NoID
	}
	return NewID(at, [10]byte(newest[:10]))
}

func greater(a, b ID) ID {
	if bytes.Compare(a[:], b[:]) > 0 {
		return a
	}
	return b
}

func lesser(a, b ID) ID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}
