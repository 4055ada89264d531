package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const purposeColumns = `organization_id, project_no, purpose_no, purpose_id, purpose_key, category, subcategory, label,
version, name, description, url, legal_basis, document_hash, texts_hash, read_only, valid_states, status, duration,
required, require_reaccept, held_from, revision, created_at, updated_at`

const selectPurposes = `/* select_purposes */ SELECT ` + purposeColumns +
	` FROM purposes WHERE organization_id = $1 ORDER BY project_no, purpose_no`

func (t *tx) purposes(ctx context.Context, organization consent.ID) (purposes []consent.Purpose, err error) {
	versions := false
	err = t.conn.Query(ctx, selectPurposes, []any{organization}, func(r engine.Row) error {
		var p consent.Purpose
		var states, duration, basis string
		err := r.Scan(&p.Organization, &p.Project, &p.Number, &p.ID, &p.Key, &p.Taxonomy.Category, &p.Taxonomy.Subcategory,
			&p.Taxonomy.Label, &p.Version, &p.Name, &p.Description, &p.URL, &basis, &p.DocumentHash, &p.TextsHash,
			&p.ReadOnly, &states, &p.Status, &duration, &p.Required, &p.RequireReaccept, &p.HeldFrom, &p.Revision, &p.CreatedAt,
			&p.UpdatedAt)
		p.Duration, p.LegalBasis = consent.Duration(duration), consent.LegalBasis(basis)
		for name := range strings.FieldsSeq(states) {
			if state, ok := consent.ParseState(name); ok {
				p.ValidStates = append(p.ValidStates, state)
			}
		}
		versions = versions || p.Version > 1
		purposes = append(purposes, p)
		return err
	})
	if err == nil && versions {
		err = t.earlierVersions(ctx, organization, purposes)
	}
	return purposes, err
}

const selectVersions = `/* select_versions */ SELECT project_no, purpose_no, version, legal_basis, require_reaccept,
held_from FROM purpose_versions WHERE organization_id = $1 ORDER BY project_no, purpose_no, version`

// earlierVersions gives the purposes of an organization, which are in order, their versions before the current one.
func (t *tx) earlierVersions(ctx context.Context, organization consent.ID, purposes []consent.Purpose) error {
	at := 0
	return t.conn.Query(ctx, selectVersions, []any{organization}, func(r engine.Row) error {
		var of consent.ProjectPurpose
		var v consent.Version
		var basis string
		err := r.Scan(&of.Project, &of.Purpose, &v.Number, &basis, &v.RequireReaccept, &v.HeldFrom)
		if err != nil {
			return err
		}
		v.LegalBasis = consent.LegalBasis(basis)
		for at < len(purposes) && (purposes[at].Project != of.Project || purposes[at].Number != of.Purpose) {
			at++
		}
		if at == len(purposes) {
			return fmt.Errorf("a version of purpose %d of project %d, which is not there", of.Purpose, of.Project)
		}
		purposes[at].Earlier = append(purposes[at].Earlier, v)
		return nil
	})
}

const insertPurpose = `/* insert_purpose */ INSERT INTO purposes (` + purposeColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
$25)`

const updatePurpose = `/* update_purpose */ UPDATE purposes SET category = $1, subcategory = $2, label = $3,
version = $4, name = $5, description = $6, url = $7, legal_basis = $8, document_hash = $9, texts_hash = $10,
status = $11, duration = $12, required = $13, require_reaccept = $14, held_from = $15, revision = $16, updated_at = $17
WHERE organization_id = $18 AND project_no = $19 AND purpose_no = $20`

const versionColumns = `organization_id, project_no, purpose_no, version, name, description, url, legal_basis,
document_hash, texts_hash, require_reaccept, held_from`

const insertVersion = `/* insert_version */ INSERT INTO purpose_versions (` + versionColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

func (t *tx) appendPurposes(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, insertPurpose, c.Purposes, func(p *consent.Purpose, args []any) []any {
		states := make([]string, len(p.ValidStates))
		for i, state := range p.ValidStates {
			states[i] = state.String()
		}
		return append(args, &p.Organization, p.Project, p.Number, &p.ID, p.Key, p.Taxonomy.Category, p.Taxonomy.Subcategory,
			p.Taxonomy.Label, p.Version, p.Name, p.Description, p.URL, string(p.LegalBasis), p.DocumentHash, p.TextsHash,
			p.ReadOnly, strings.Join(states, " "), p.Status, string(p.Duration), p.Required, p.RequireReaccept, &p.HeldFrom,
			p.Revision, &p.CreatedAt, &p.UpdatedAt)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, updatePurpose, c.ChangedPurposes, func(p *consent.Purpose, args []any) []any {
		return append(args, p.Taxonomy.Category, p.Taxonomy.Subcategory, p.Taxonomy.Label, p.Version, p.Name, p.Description,
			p.URL, string(p.LegalBasis), p.DocumentHash, p.TextsHash, p.Status, string(p.Duration), p.Required,
			p.RequireReaccept, &p.HeldFrom, p.Revision, &p.UpdatedAt, &p.Organization, p.Project, p.Number)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, insertVersion, c.PurposeVersions, func(v *consent.PurposeVersion, args []any) []any {
		return append(args, &v.Organization, v.Project, v.Purpose, v.Number, v.Name, v.Description, v.URL,
			string(v.LegalBasis), v.DocumentHash, v.TextsHash, v.RequireReaccept, &v.HeldFrom)
	})
}

const listVersions = `/* list_versions */ SELECT ` + versionColumns + ` FROM purpose_versions
WHERE organization_id = $1 AND project_no = $2 AND purpose_no = $3 AND version > $4 ORDER BY version LIMIT $5`

// PurposeVersions implements service.Reader.
func (t *tx) PurposeVersions(ctx context.Context, of consent.PurposeKey, after, limit int) (
	found []consent.PurposeVersion, err error) {
	err = t.conn.Query(ctx, listVersions, []any{of.Organization, of.Project, of.Purpose, after, limit},
		func(r engine.Row) error {
			v, err := scanVersion(r)
			found = append(found, v)
			return err
		})
	return found, err
}

func scanVersion(r engine.Row) (v consent.PurposeVersion, err error) {
	var basis string
	err = r.Scan(&v.Organization, &v.Project, &v.Purpose, &v.Number, &v.Name, &v.Description, &v.URL, &basis,
		&v.DocumentHash, &v.TextsHash, &v.RequireReaccept, &v.HeldFrom)
	v.LegalBasis = consent.LegalBasis(basis)
	return v, err
}

const selectVersion = `/* select_version */ SELECT ` + versionColumns + ` FROM purpose_versions
WHERE organization_id = $1 AND project_no = $2 AND purpose_no = $3 AND version = $4`

// NamedVersions implements service.Reader.
func (t *tx) NamedVersions(ctx context.Context, names []consent.VersionKey) ([]consent.PurposeVersion, error) {
	found := make([]consent.PurposeVersion, len(names))
	err := t.conn.Each(ctx, selectVersion, len(names), func(i int, args []any) []any {
		return append(args, &names[i].Organization, names[i].Project, names[i].Purpose, names[i].Version)
	}, func(i int, r engine.Row) (err error) {
		found[i], err = scanVersion(r)
		return err
	})
	return found, err
}
