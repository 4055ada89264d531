package consent

// Query looks up the names of a filter.
func (c *Catalog) Query(f EventFilter) (EventQuery, []OwnedName, error) {
	q := EventQuery{Organization: c.Organization.ID, From: f.From, To: f.To, States: f.States, Actions: f.Actions,
		Keys: f.Keys, Domains: f.Domains, Countries: f.Countries, ByOccurredAt: f.ByOccurredAt, Ascending: f.Ascending,
		Offset: f.Offset, Limit: f.Limit}
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
			people = append(people, OwnedName{q.Organization, Identifier{Kind: id.Kind, Value: value}})
			continue
		}
		for _, number := range projects {
			people = append(people, OwnedName{q.Organization, Identifier{id.Kind, number, value}})
		}
	}
	return q, people, nil
}
