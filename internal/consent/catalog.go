package consent

import (
	"slices"
	"strings"
	"time"
)

// Catalog is what an organization seldom changes: itself, its projects and
// their purposes. It is shared: nobody changes one after it was made.
type Catalog struct {
	Organization Organization
	Projects     []Project // by number, the default one first
	Purposes     []Purpose // by project and number
}

// View gives the organization with its projects.
func (c *Catalog) View() *OrganizationView {
	return &OrganizationView{Organization: c.Organization, Projects: c.Projects}
}

// Project finds a project; NoID means the default one.
func (c *Catalog) Project(id ID) (*Project, error) {
	for i := range c.Projects {
		if c.Projects[i].ID == id || id == NoID && c.Projects[i].Default() {
			return &c.Projects[i], nil
		}
	}
	return nil, &Error{Kind: NotFound, Msg: "project not found"}
}

// ProjectNamed finds a project by its id, its slug or the word "default".
func (c *Catalog) ProjectNamed(name string) (*Project, error) {
	if name == "default" {
		return c.Project(NoID)
	}
	id, isID := ParseID(name)
	for i := range c.Projects {
		if p := &c.Projects[i]; isID && p.ID == id || p.Slug == name {
			return p, nil
		}
	}
	return nil, &Error{Kind: NotFound, Msg: "project not found"}
}

// ProjectNumbered finds a project by its number; nil where there is none.
func (c *Catalog) ProjectNumbered(number int) *Project {
	if number < 1 || number > len(c.Projects) {
		return nil
	}
	return &c.Projects[number-1]
}

// PurposesOf gives the purposes of a project.
func (c *Catalog) PurposesOf(project int) []Purpose {
	from, _ := slices.BinarySearchFunc(c.Purposes, project, func(p Purpose, n int) int { return p.Project - n })
	to, _ := slices.BinarySearchFunc(c.Purposes, project+1, func(p Purpose, n int) int { return p.Project - n })
	return c.Purposes[from:to]
}

// PurposeNumbered finds a purpose by its numbers; nil where there is none.
func (c *Catalog) PurposeNumbered(project, number int) *Purpose {
	of := c.PurposesOf(project)
	if number < 1 || number > len(of) {
		return nil
	}
	return &of[number-1]
}

// PurposeByKey finds a purpose of a project; nil where there is none.
func (c *Catalog) PurposeByKey(project int, key string) *Purpose {
	of := c.PurposesOf(project)
	for i := range of {
		if of[i].Key == key {
			return &of[i]
		}
	}
	return nil
}

// purpose finds what a reference names. nil without an error: it is to be made.
func (c *Catalog) purpose(project int, ref PurposeRef) (*Purpose, error) {
	of := c.PurposesOf(project)
	var found *Purpose
	for i := range of {
		p := &of[i]
		if ref.ID != NoID && p.ID == ref.ID || ref.ID == NoID && ref.Key != "" && p.Key == ref.Key ||
			ref.ID == NoID && ref.Key == "" && p.Taxonomy == ref.Taxonomy {
			found = p
			break
		}
	}
	switch {
	case found == nil && ref.Create:
		return nil, nil
	case found == nil:
		return nil, Errorf(Unprocessable, "", "is not known in this project")
	case ref.ID != NoID && ref.Taxonomy != (Taxonomy{}) && found.Taxonomy != ref.Taxonomy:
		return nil, Errorf(Unprocessable, "", "does not agree with the category, subcategory and label given")
	}
	return found, nil
}

// matching gives the numbers of the purposes whose taxonomy has any of the words of each list that is not empty.
func (c *Catalog) matching(categories, subcategories, labels []string) []ProjectPurpose {
	out := []ProjectPurpose{}
	has := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	for i := range c.Purposes {
		if p := &c.Purposes[i]; has(categories, p.Taxonomy.Category) &&
			has(subcategories, p.Taxonomy.Subcategory) && has(labels, p.Taxonomy.Label) {
			out = append(out, ProjectPurpose{p.Project, p.Number})
		}
	}
	return out
}

// NewPurpose makes the purpose that a project gets next.
func (c *Catalog) NewPurpose(project int, id ID, now time.Time, in NewPurpose) Purpose {
	p := Purpose{
		Organization: c.Organization.ID, Project: project, Number: len(c.PurposesOf(project)) + 1,
		ID: id, Key: in.Key, Taxonomy: in.Taxonomy, Version: 1, Name: in.Name, Description: in.Description,
		URL: in.URL, LegalBasis: in.LegalBasis, ValidStates: in.ValidStates, Status: in.Status, Duration: in.Duration,
		Required: in.Required, RequireReaccept: in.RequireReaccept, HeldFrom: now, Revision: 1, CreatedAt: now,
		UpdatedAt: now,
	}
	if p.LegalBasis == "" {
		p.LegalBasis = BasisConsent
	}
	if len(p.ValidStates) == 0 {
		p.ValidStates = defaultStates
	}
	if p.Status == "" {
		p.Status = "active"
	}
	if p.Duration == "" {
		p.Duration = DefaultDuration
	}
	if p.Key == "" {
		p.Key = c.freeKey(project, in.Taxonomy)
	}
	return p
}

// With gives a catalog that has one more purpose, which must be the next of its project.
func (c *Catalog) With(p Purpose) *Catalog {
	at, _ := slices.BinarySearchFunc(c.Purposes, p.Project+1, func(p Purpose, n int) int { return p.Project - n })
	more := *c
	more.Purposes = slices.Insert(slices.Clone(c.Purposes), at, p)
	return &more
}

// freeKey makes a key from a taxonomy that the project does not have yet.
func (c *Catalog) freeKey(project int, t Taxonomy) string {
	words := []string{t.Label, t.Subcategory, t.Category}
	if t.Label == AnyLabel {
		words = words[1:]
	}
	key := words[0]
	for _, word := range words[1:] {
		if c.PurposeByKey(project, key) == nil {
			return key
		}
		key = word + "." + key
	}
	for c.PurposeByKey(project, key) != nil {
		key += "_"
	}
	return key
}

// FreeTaxonomy files a purpose that came with a key alone under a triple that the project does not have yet.
func (c *Catalog) FreeTaxonomy(project int, key string) Taxonomy {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, key)
	t := Taxonomy{"custom", "unclassified", label[:min(len(label), 120)]}
	for {
		if p, _ := c.purpose(project, PurposeRef{Taxonomy: t, Create: true}); p == nil {
			return t
		}
		t.Label += "_"
	}
}
