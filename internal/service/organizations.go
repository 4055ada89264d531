package service

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
)

// CreateOrganization makes an organization and its default project with the
// purposes that every project starts with. Only the root key may. The answer to keep
// is rendered from an *OrganizationView. Errors: Invalid, Forbidden, Conflict (slug taken).
func (s *Service) CreateOrganization(ctx context.Context, a consent.Actor, in consent.NewOrganization,
	idem consent.Idempotency) (*consent.OrganizationView, error) {
	if !a.Root {
		return nil, consent.Errorf(consent.Forbidden, "", "only the root key may create organizations")
	}
	a.Organization = consent.NoID // it belongs to no tenant, and neither does its idempotency record
	if err := consent.CheckLength("name", in.Name, 2, 1024); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(in.Slug) > maxName {
		return nil, consent.Errorf(consent.Invalid, "slug", "must have %d characters at most", maxName)
	}
	if in.Project.Name == "" {
		in.Project.Name = in.Name
	}
	var view *consent.OrganizationView
	err := s.update(ctx, a, idem, func(tx Tx) (any, error) {
		slug, err := s.freeSlug(ctx, tx, in)
		if err != nil {
			return nil, err
		}
		now := s.now()
		o := consent.Organization{ID: s.newID(), Name: in.Name, Slug: slug, PrimaryDomain: in.PrimaryDomain,
			Status: "active", Test: in.Test, CreatedAt: now, UpdatedAt: now, Details: in.Details}
		project, purposes := s.makeProject(&consent.Catalog{Organization: o}, in.Project, now)
		view = &consent.OrganizationView{Organization: o, Projects: []consent.Project{project}}
		changes := consent.Changes{Organizations: []consent.Organization{o}, Projects: view.Projects, Purposes: purposes}
		maker := a
		maker.Organization = o.ID
		if err := s.startOf(o.ID).addPurposes(ctx, tx, maker, view.Projects, purposes, &changes); err != nil {
			return nil, err
		}
		return view, tx.Append(ctx, &changes)
	})
	s.cache.drop()
	if err == nil {
		s.changed([]consent.ID{view.ID})
	}
	return view, err
}

// freeSlug gives the slug that was asked for, or makes a free one from the name.
func (s *Service) freeSlug(ctx context.Context, r Reader, in consent.NewOrganization) (string, error) {
	if in.Slug != "" {
		taken, err := r.SlugTaken(ctx, in.Slug)
		if taken {
			err = consent.Errorf(consent.Conflict, "slug", "is taken; choose another")
		}
		return in.Slug, err
	}
	base := slugOf(in.Name, "organization")
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
func (s *Service) makeProject(d *consent.Catalog, in consent.NewProject, now time.Time) (consent.Project,
	[]consent.Purpose) {
	number := len(d.Projects) + 1
	taken := func(slug string) bool {
		return slices.ContainsFunc(d.Projects, func(p consent.Project) bool { return p.Slug == slug })
	}
	base := slugOf(in.Name, "project")
	slug := base
	for n := number; taken(slug); n++ {
		slug = base + "-" + strconv.Itoa(n)
	}
	p := consent.Project{Organization: d.Organization.ID, ID: s.newID(), Number: number, Name: in.Name, Slug: slug,
		WholeAddress: in.WholeAddress, CreatedAt: now, UpdatedAt: now, Details: in.Details}
	grown := &consent.Catalog{Organization: d.Organization}
	for _, builtIn := range consent.BuiltInPurposes() {
		purpose := grown.NewPurpose(number, s.newID(), now, builtIn)
		purpose.ReadOnly = true
		grown.Purposes = append(grown.Purposes, purpose)
	}
	return p, grown.Purposes
}

// Organizations lists organizations: all for the root key, else the actor's own where the filter admits it.
func (s *Service) Organizations(ctx context.Context, a consent.Actor,
	filter consent.OrganizationFilter) (consent.OrganizationPage, error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return consent.OrganizationPage{}, err
	}
	var only consent.ID
	if !a.Root {
		only = a.Organization
	}
	var page consent.OrganizationPage
	err := s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		items, total, err := r.Organizations(ctx, only, filter)
		page = consent.OrganizationPage{Items: items, Total: total}
		return err
	})
	return page, err
}

// Organization gives the actor's organization with its projects.
func (s *Service) Organization(ctx context.Context, a consent.Actor) (*consent.OrganizationView, error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return nil, err
	}
	d, err := s.freshCatalog(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	return d.View(), nil
}

// Catalog gives the actor's organization, projects and purposes. Any scope of the organization will do.
func (s *Service) Catalog(ctx context.Context, a consent.Actor) (*consent.Catalog, error) {
	return s.catalog(ctx, a.Organization)
}

// CatalogWith is Catalog where the organization must have a project; else NotFound.
func (s *Service) CatalogWith(ctx context.Context, a consent.Actor, project consent.ID) (*consent.Catalog, error) {
	d, _, err := s.catalogWith(ctx, a.Organization, project)
	return d, err
}

// maxProjects is the most projects of an organization.
const maxProjects = 1000

// CreateProject makes a project with the purposes that it starts with. The answer to keep is rendered from a *Project.
func (s *Service) CreateProject(ctx context.Context, a consent.Actor, in consent.NewProject,
	idem consent.Idempotency) (*consent.Project, error) {
	if err := a.Require(consent.OrganizationsWrite); err != nil {
		return nil, err
	}
	if err := consent.CheckLength("name", in.Name, 2, 1024); err != nil {
		return nil, err
	}
	var project consent.Project
	err := s.updateLedger(ctx, a, idem, func(tx Tx) (any, error) {
		d, err := catalogOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		if len(d.Projects) >= maxProjects {
			return nil, consent.Errorf(consent.Conflict, "", "an organization may have %d projects at most", maxProjects)
		}
		var purposes []consent.Purpose
		project, purposes = s.makeProject(d, in, s.now())
		changes := consent.Changes{Projects: []consent.Project{project}, Purposes: purposes}
		end, err := s.endOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		if err := end.addPurposes(ctx, tx, a, changes.Projects, purposes, &changes); err != nil {
			return nil, err
		}
		return &project, tx.Append(ctx, &changes)
	})
	s.cache.drop()
	return &project, err
}

// ProjectNamed finds a project of the actor's organization by its id, its slug or the word "default". It asks for no
// scope: what is done with the project does. Errors: NotFound.
func (s *Service) ProjectNamed(ctx context.Context, a consent.Actor, name string) (*consent.Project, error) {
	_, p, err := s.catalogFinding(ctx, a.Organization, func(d *consent.Catalog) (*consent.Project, error) {
		return d.ProjectNamed(name)
	})
	return p, err
}
