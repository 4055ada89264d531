package consent

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CreateOrganization makes an organization and its default project with the
// purposes that every project starts with. Only the root key may. The once
// answer is rendered from an *OrganizationView. Errors: Invalid, Forbidden, Conflict (slug taken).
func (s *Service) CreateOrganization(ctx context.Context, a Actor, wish NewOrganization, once Once) (*OrganizationView, error) {
	if !a.Root {
		return nil, Errorf(Forbidden, "", "only the root key may create organizations")
	}
	a.Organization = NoID // it belongs to no tenant, and neither does its kept answer
	if err := checkName("name", wish.Name, 2, 1024); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(wish.Slug) > maxName {
		return nil, Errorf(Invalid, "slug", "must have %d characters at most", maxName)
	}
	if wish.Project.Name == "" {
		wish.Project.Name = wish.Name
	}
	var view *OrganizationView
	err := s.update(ctx, a, once, func(tx Tx) (any, error) {
		slug, err := s.freeSlug(ctx, tx, wish)
		if err != nil {
			return nil, err
		}
		now := s.now()
		o := Organization{ID: s.newID(), Name: wish.Name, Slug: slug, PrimaryDomain: wish.PrimaryDomain,
			Status: "active", Test: wish.Test, CreatedAt: now, UpdatedAt: now, Details: wish.Details}
		project, purposes := s.makeProject(&Directory{Organization: o}, wish.Project, now)
		view = &OrganizationView{Organization: o, Projects: []Project{project}}
		return view, tx.Append(ctx, &Changes{Organizations: []Organization{o},
			Projects: view.Projects, Purposes: purposes, Heads: []Head{{Organization: o.ID}}})
	})
	s.cache.drop()
	return view, err
}

// freeSlug gives the slug that was asked for, or makes a free one from the name.
func (s *Service) freeSlug(ctx context.Context, r Reader, wish NewOrganization) (string, error) {
	if wish.Slug != "" {
		taken, err := r.SlugTaken(ctx, wish.Slug)
		if taken {
			err = Errorf(Conflict, "slug", "is taken; choose another")
		}
		return wish.Slug, err
	}
	base := slugOf(wish.Name, "organization")
	for n := 1; ; n++ {
		slug := base
		if n > 1 {
			slug += "-" + strconv.Itoa(n)
		}
		taken, err := r.SlugTaken(ctx, slug)
		if err != nil || !taken {
			return slug, err
		}
		if n == 8 { // a popular name: stop counting, make a clash unlikely instead
			base += "-" + s.newID().String()[24:]
		}
	}
}

// slugOf makes a slug: lower-case ASCII letters and digits, words joined by hyphens.
func slugOf(name, otherwise string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	slug := strings.Join(words, "-")
	if slug == "" {
		slug = otherwise
	}
	return strings.Trim(slug[:min(len(slug), 200)], "-")
}

// makeProject makes the next project of an organization, with the purposes that it starts with.
func (s *Service) makeProject(d *Directory, wish NewProject, now time.Time) (Project, []Purpose) {
	number := len(d.Projects) + 1
	slug := slugOf(wish.Name, "project")
	for i := range d.Projects {
		if d.Projects[i].Slug == slug {
			slug += "-" + strconv.Itoa(number)
			break
		}
	}
	p := Project{Organization: d.Organization.ID, ID: s.newID(), Number: number, Name: wish.Name, Slug: slug,
		WholeAddress: wish.WholeAddress, CreatedAt: now, UpdatedAt: now, Details: wish.Details}
	grown := &Directory{Organization: d.Organization}
	for _, b := range builtIn {
		purpose := grown.newPurpose(number, s.newID(), now, NewPurpose{Key: b.key, Taxonomy: b.taxonomy, Name: b.name})
		purpose.ReadOnly = true
		grown.Purposes = append(grown.Purposes, purpose)
	}
	return p, grown.Purposes
}

// Organizations lists organizations: all for the root key, else the actor's own where the filter admits it.
func (s *Service) Organizations(ctx context.Context, a Actor, filter OrganizationFilter) (OrganizationPage, error) {
	if err := a.need(OrganizationsRead); err != nil {
		return OrganizationPage{}, err
	}
	var only ID
	if !a.Root {
		only = a.Organization
	}
	var page OrganizationPage
	err := s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		items, total, err := r.Organizations(ctx, only, filter)
		page = OrganizationPage{Items: items, Total: total}
		return err
	})
	return page, err
}

// Organization gives the actor's organization with its projects.
func (s *Service) Organization(ctx context.Context, a Actor) (*OrganizationView, error) {
	if err := a.need(OrganizationsRead); err != nil {
		return nil, err
	}
	d, err := s.directoryAnew(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	return d.View(), nil
}

// Directory gives the actor's organization, projects and purposes. Any scope of the organization will do.
func (s *Service) Directory(ctx context.Context, a Actor) (*Directory, error) {
	return s.directory(ctx, a.Organization)
}

// DirectoryWith is Directory where the organization must have a project; else NotFound.
func (s *Service) DirectoryWith(ctx context.Context, a Actor, project ID) (*Directory, error) {
	d, _, err := s.directoryWith(ctx, a.Organization, project)
	return d, err
}

// maxProjects is the most projects of an organization.
const maxProjects = 1000

// CreateProject makes a project with the purposes that it starts with. The once answer is rendered from a *Project.
func (s *Service) CreateProject(ctx context.Context, a Actor, wish NewProject, once Once) (*Project, error) {
	if err := a.need(OrganizationsWrite); err != nil {
		return nil, err
	}
	if err := checkName("name", wish.Name, 2, 1024); err != nil {
		return nil, err
	}
	var project Project
	err := s.update(ctx, a, once, func(tx Tx) (any, error) {
		d, err := directoryOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		if len(d.Projects) >= maxProjects {
			return nil, Errorf(Conflict, "", "an organization may have %d projects at most", maxProjects)
		}
		var purposes []Purpose
		project, purposes = s.makeProject(d, wish, s.now())
		return &project, tx.Append(ctx, &Changes{Projects: []Project{project}, Purposes: purposes})
	})
	s.cache.drop()
	return &project, err
}
