package store

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const selectText = `/* select_text */ SELECT text FROM texts WHERE organization_id = $1 AND hash = $2`

// Texts implements service.Reader.
func (t *tx) Texts(ctx context.Context, organization consent.ID, hashes [][]byte) ([]string, error) {
	found := make([]string, len(hashes))
	err := t.conn.Each(ctx, selectText, len(hashes), func(i int, args []any) []any {
		return append(args, &organization, hashes[i])
	}, func(i int, r engine.Row) error { return r.Scan(&found[i]) })
	return found, err
}

// Text implements service.Reader.
func (t *tx) Text(ctx context.Context, organization consent.ID, hash []byte) (string, error) {
	var text string
	_, err := t.one(ctx, selectText, []any{organization, hash}, &text)
	return text, err
}

const insertText = `/* insert_text */ INSERT INTO texts (organization_id, hash, text) VALUES ($1, $2, $3)
ON CONFLICT (organization_id, hash) DO NOTHING`

func (t *tx) appendTexts(ctx context.Context, c *consent.Changes) error {
	return insert(ctx, t.conn, insertText, c.Texts, func(x *consent.Text, args []any) []any {
		return append(args, &x.Organization, x.Hash, x.Text)
	})
}

const selectSubjectText = `/* select_subject_text */ SELECT subject_id, text_sealed FROM subject_texts
WHERE organization_id = $1 AND hash = $2 ORDER BY subject_id LIMIT 1`

// SubjectTexts implements service.Reader.
func (t *tx) SubjectTexts(ctx context.Context, organization consent.ID, hashes [][]byte) ([]consent.SubjectText,
	error) {
	found := make([]consent.SubjectText, len(hashes))
	for i := range found {
		found[i].Organization, found[i].Hash = organization, hashes[i]
	}
	err := t.conn.Each(ctx, selectSubjectText, len(hashes), func(i int, args []any) []any {
		return append(args, &organization, hashes[i])
	}, func(i int, r engine.Row) error { return r.Scan(&found[i].Subject, &found[i].Sealed) })
	return found, err
}

const selectTextHolders = `/* select_text_holders */ SELECT
EXISTS (SELECT 1 FROM texts x WHERE x.organization_id = $1 AND x.hash = $2),
EXISTS (SELECT 1 FROM subject_texts x WHERE x.organization_id = $1 AND x.hash = $2 AND x.subject_id = $3),
EXISTS (SELECT 1 FROM subject_texts x WHERE x.organization_id = $1 AND x.hash = $2 AND x.subject_id <> $3
AND NOT EXISTS (SELECT 1 FROM subjects s WHERE s.organization_id = $1 AND s.subject_id = x.subject_id
AND s.merged_into = $3))`

// TextHolders implements service.Reader.
func (t *tx) TextHolders(ctx context.Context, texts []consent.Text) ([]consent.TextHolders, error) {
	found := make([]consent.TextHolders, len(texts))
	err := t.conn.Each(ctx, selectTextHolders, len(texts), func(i int, args []any) []any {
		return append(args, &texts[i].Organization, texts[i].Hash, &texts[i].Subject)
	}, func(i int, r engine.Row) error {
		return r.Scan(&found[i].Everybody, &found[i].Subject, &found[i].Others)
	})
	return found, err
}

const deleteTextOfSubject = `/* delete_text_of_subject */ DELETE FROM subject_texts
WHERE organization_id = $1 AND hash = $2`

const deleteSubjectTexts = `/* delete_subject_texts */ DELETE FROM subject_texts
WHERE organization_id = $1 AND subject_id = $2`

const insertSubjectText = `/* insert_subject_text */ INSERT INTO subject_texts (organization_id, hash, subject_id,
text_sealed) VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, hash, subject_id) DO NOTHING`

func (t *tx) appendSubjectTexts(ctx context.Context, c *consent.Changes) error {
	err := insert(ctx, t.conn, deleteTextOfSubject, c.SharedTexts, func(x *consent.Text, args []any) []any {
		return append(args, &x.Organization, x.Hash)
	})
	if err != nil {
		return err
	}
	return insert(ctx, t.conn, insertSubjectText, c.SubjectTexts, func(x *consent.SubjectText, args []any) []any {
		return append(args, &x.Organization, x.Hash, &x.Subject, x.Sealed)
	})
}
