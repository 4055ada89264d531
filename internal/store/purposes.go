package store

import (
	"context"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const purposeColumns = `organization_id, project_no, purpose_no, purpose_id, purpose_key, category, subcategory, label,
version, name, description, url, document_hash, read_only, valid_states, status, duration, required, require_reaccept,
created_at, updated_at`

const selectPurposes = `/* select_purposes */ SELECT ` + purposeColumns +
	` FROM purposes WHERE organization_id = $1 ORDER BY project_no, purpose_no`

func (t *tx) purposes(ctx context.Context, organization consent.ID) (purposes []consent.Purpose, err error) {
	err = t.conn.Query(ctx, selectPurposes, []any{organization}, func(r engine.Row) error {
		var p consent.Purpose
		var states, duration string
		err := r.Scan(&p.Organization, &p.Project, &p.Number, &p.ID, &p.Key, &p.Taxonomy.Category, &p.Taxonomy.Subcategory,
			&p.Taxonomy.Label, &p.Version, &p.Name, &p.Description, &p.URL, &p.DocumentHash, &p.ReadOnly, &states, &p.Status,
			&duration, &p.Required, &p.RequireReaccept, &p.CreatedAt, &p.UpdatedAt)
		p.Duration = consent.Duration(duration)
		for name := range strings.FieldsSeq(states) {
			if state, ok := consent.ParseState(name); ok {
				p.ValidStates = append(p.ValidStates, state)
			}
		}
		purposes = append(purposes, p)
		return err
	})
	return purposes, err
}

const insertPurpose = `/* insert_purpose */ INSERT INTO purposes (` + purposeColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`

func (t *tx) appendPurposes(ctx context.Context, c *consent.Changes) error {
	return insert(ctx, t.conn, insertPurpose, c.Purposes, func(p *consent.Purpose, args []any) []any {
		states := make([]string, len(p.ValidStates))
		for i, state := range p.ValidStates {
			states[i] = state.String()
		}
		return append(args, &p.Organization, p.Project, p.Number, &p.ID, p.Key, p.Taxonomy.Category, p.Taxonomy.Subcategory,
			p.Taxonomy.Label, p.Version, p.Name, p.Description, p.URL, p.DocumentHash, p.ReadOnly, strings.Join(states, " "),
			p.Status, string(p.Duration), p.Required, p.RequireReaccept, &p.CreatedAt, &p.UpdatedAt)
	})
}

// Text implements service.Reader.
func (t *tx) Text(ctx context.Context, organization consent.ID, hash []byte) (string, error) {
	var text string
	_, err := t.one(ctx, `/* select_text */ SELECT text FROM texts WHERE organization_id = $1 AND hash = $2`,
		[]any{organization, hash}, &text)
	return text, err
}

const insertText = `/* insert_text */ INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, $3)
ON CONFLICT (organization_id, hash) DO NOTHING`

func (t *tx) appendTexts(ctx context.Context, c *consent.Changes) error {
	return insert(ctx, t.conn, insertText, c.Texts, func(x *consent.Text, args []any) []any {
		return append(args, &x.Organization, x.Hash, x.Text)
	})
}
