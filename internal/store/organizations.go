package store

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const organizationColumns = `organization_id, name, slug, primary_domain, status, test, created_at, updated_at, details`

func scanOrganization(r engine.Row, o *consent.Organization) error {
	return r.Scan(&o.ID, &o.Name, &o.Slug, &o.PrimaryDomain, &o.Status, &o.Test, &o.CreatedAt, &o.UpdatedAt, &o.Details)
}

const selectOrganization = `/* select_organization */ SELECT ` + organizationColumns +
	` FROM organizations WHERE organization_id = $1`

const selectProjects = `/* select_projects */ SELECT organization_id, project_no, project_id, name, slug, whole_address,
created_at, updated_at, details
FROM projects WHERE organization_id = $1 ORDER BY project_no`

// Catalog implements service.Reader.
func (t *tx) Catalog(ctx context.Context, organization consent.ID) (*consent.Catalog, error) {
	var d *consent.Catalog
	err := t.conn.Query(ctx, selectOrganization, []any{organization}, func(r engine.Row) error {
		d = &consent.Catalog{}
		return scanOrganization(r, &d.Organization)
	})
	if err != nil || d == nil {
		return nil, err
	}
	if d.Projects, err = t.projects(ctx, organization); err != nil {
		return nil, err
	}
	d.Purposes, err = t.purposes(ctx, organization)
	return d, err
}

func (t *tx) projects(ctx context.Context, organization consent.ID) (projects []consent.Project, err error) {
	err = t.conn.Query(ctx, selectProjects, []any{organization}, func(r engine.Row) error {
		projects = append(projects, consent.Project{})
		return scanProject(r, &projects[len(projects)-1])
	})
	return projects, err
}

func scanProject(r engine.Row, p *consent.Project) error {
	return r.Scan(&p.Organization, &p.Number, &p.ID, &p.Name, &p.Slug, &p.WholeAddress, &p.CreatedAt, &p.UpdatedAt,
		&p.Details)
}

// Organizations implements service.Reader.
func (t *tx) Organizations(ctx context.Context, only consent.ID,
	f consent.OrganizationFilter) ([]consent.OrganizationView, int64, error) {
	var q search
	if only != consent.NoID {
		q.where("organization_id = ?", only)
	}
	anyOf(&q, "name", f.Names)
	anyOf(&q, "primary_domain", f.PrimaryDomains)
	anyOf(&q, "status", f.Statuses)
	var total int64
	count, args := q.build("/* count_organizations */ SELECT count(*) FROM organizations", "")
	if err := t.conn.Search(ctx, count, args, func(r engine.Row) error { return r.Scan(&total) }); err != nil {
		return nil, 0, err
	}
	var views []consent.OrganizationView
	list, args := q.page("/* list_organizations */ SELECT "+organizationColumns+" FROM organizations",
		"ORDER BY organization_id", f.Limit, f.Offset)
	err := t.conn.Search(ctx, list, args, func(r engine.Row) error {
		views = append(views, consent.OrganizationView{})
		return scanOrganization(r, &views[len(views)-1].Organization)
	})
	if err != nil || len(views) == 0 {
		return nil, total, err
	}
	err = t.conn.Each(ctx, selectProjects, len(views),
		func(i int, args []any) []any { return append(args, &views[i].ID) },
		func(i int, r engine.Row) error {
			var p consent.Project
			err := scanProject(r, &p)
			views[i].Projects = append(views[i].Projects, p)
			return err
		})
	return views, total, err
}

// SlugTaken implements service.Reader.
func (t *tx) SlugTaken(ctx context.Context, slug string) (bool, error) {
	var id consent.ID
	return t.one(ctx, `/* select_slug */ SELECT organization_id FROM slugs WHERE slug = $1`, []any{slug}, &id)
}

const insertOrganization = `/* insert_organization */ INSERT INTO organizations (` + organizationColumns +
	`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

const insertSlug = `/* insert_slug */ INSERT INTO slugs (slug, organization_id) VALUES ($1, $2)`

const insertProject = `/* insert_project */ INSERT INTO projects (organization_id, project_no, project_id, name, slug,
whole_address, created_at, updated_at, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

func (t *tx) appendOrganizations(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, insertOrganization, c.Organizations, func(o *consent.Organization, args []any) []any {
		return append(args, &o.ID, o.Name, o.Slug, o.PrimaryDomain, o.Status, o.Test, &o.CreatedAt, &o.UpdatedAt,
			text(o.Details))
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, insertSlug, c.Organizations, func(o *consent.Organization, args []any) []any {
		return append(args, o.Slug, &o.ID)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, insertProject, c.Projects, func(p *consent.Project, args []any) []any {
		return append(args, &p.Organization, p.Number, &p.ID, p.Name, p.Slug, p.WholeAddress, &p.CreatedAt, &p.UpdatedAt,
			text(p.Details))
	})
}

// text binds bytes that are text; none is the empty text.
func text(b []byte) string { return string(b) }
