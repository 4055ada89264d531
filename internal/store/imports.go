package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

const importColumns = `import_id, source, project_no, fingerprint, dry_run, notify, next_line, accepted, duplicates,
rejected, errors_kept, would, created_at, updated_at, finished_at,
entry_sequence`

// scanImport reads a row of importColumns.
func scanImport(r engine.Row, i *consent.ImportRun) error {
	var would string
	err := r.Scan(&i.ID, &i.Source, &i.Project, &i.Fingerprint, &i.DryRun, &i.Notify, &i.NextLine, &i.Accepted,
		&i.Duplicates, &i.Rejected, &i.ErrorsKept, &would, &i.CreatedAt, &i.UpdatedAt, &i.FinishedAt, &i.Entry)
	if err != nil || would == "" {
		return err
	}
	i.Would = &consent.ImportOutcome{}
	if err := json.Unmarshal([]byte(would), i.Would); err != nil {
		return fmt.Errorf("what import %s would do: %w", i.ID, err)
	}
	return nil
}

const selectImport = `/* select_import */ SELECT ` + importColumns + ` FROM imports
WHERE organization_id = $1 AND import_id = $2`

// Imports implements service.Reader.
func (t *tx) Imports(ctx context.Context, keys []consent.ImportKey) ([]*consent.ImportRun, error) {
	found := make([]*consent.ImportRun, len(keys))
	err := t.conn.Each(ctx, selectImport, len(keys), func(i int, args []any) []any {
		return append(args, &keys[i].Organization, &keys[i].Import)
	}, func(i int, r engine.Row) error {
		found[i] = &consent.ImportRun{Organization: keys[i].Organization}
		return scanImport(r, found[i])
	})
	return found, err
}

// ImportList implements service.Reader.
func (t *tx) ImportList(ctx context.Context, f consent.ImportFilter) (found []consent.ImportRun, err error) {
	var q search
	q.where("organization_id = ?", f.Organization)
	q.where("import_id > ?", f.After)
	if f.Source != "" {
		q.where("source = ?", f.Source)
	}
	if f.Open {
		q.where("finished_at IS NULL")
	}
	if f.Done {
		q.where("finished_at IS NOT NULL")
	}
	statement, args := q.build("/* list_imports */ SELECT "+importColumns+" FROM imports",
		fmt.Sprintf("ORDER BY import_id LIMIT %d", f.Limit))
	err = t.conn.Search(ctx, statement, args, func(r engine.Row) error {
		i := consent.ImportRun{Organization: f.Organization}
		err := scanImport(r, &i)
		found = append(found, i)
		return err
	})
	return found, err
}

const selectImportLine = `/* select_import_line */ SELECT line_key FROM import_lines
WHERE organization_id = $1 AND line_key = $2`

// ImportedLines implements service.Reader.
func (t *tx) ImportedLines(ctx context.Context, lines []consent.ImportedLine) ([]bool, error) {
	found := make([]bool, len(lines))
	var key []byte
	err := t.conn.Each(ctx, selectImportLine, len(lines), func(i int, args []any) []any {
		return append(args, &lines[i].Organization, lines[i].Key[:])
	}, func(i int, r engine.Row) error {
		found[i] = true
		return r.Scan(&key)
	})
	return found, err
}

const selectImportErrors = `/* select_import_errors */ SELECT line, field, detail FROM import_errors
WHERE organization_id = $1 AND import_id = $2 AND line > $3 ORDER BY line LIMIT $4`

// ImportErrors implements service.Reader.
func (t *tx) ImportErrors(ctx context.Context, of consent.ImportKey, after int64, limit int) (
	found []consent.LineError, err error) {
	err = t.conn.SearchPrepared(ctx, selectImportErrors, []any{of.Organization, of.Import, after, limit},
		func(r engine.Row) error {
			var e consent.LineError
			err := r.Scan(&e.Line, &e.Field, &e.Msg)
			found = append(found, e)
			return err
		})
	return found, err
}

const selectImportNote = `/* select_import_note */ SELECT value FROM import_notes
WHERE organization_id = $1 AND import_id = $2 AND name = $3`

// ImportNotes implements service.Reader.
func (t *tx) ImportNotes(ctx context.Context, of consent.ImportKey, names [][]byte) ([][]byte, error) {
	found := make([][]byte, len(names))
	err := t.conn.Each(ctx, selectImportNote, len(names), func(i int, args []any) []any {
		return append(args, &of.Organization, &of.Import, names[i])
	}, func(i int, r engine.Row) error { return r.Scan(&found[i]) })
	return found, err
}

const selectImportNotes = `/* select_import_notes */ SELECT name, value FROM import_notes
WHERE organization_id = $1 AND import_id = $2 AND name >= $3 AND name < $4`

// ImportNotesUnder implements service.Reader.
func (t *tx) ImportNotesUnder(ctx context.Context, of consent.ImportKey, prefixes [][]byte) (
	found [][]consent.ImportNote, err error) {
	found = make([][]consent.ImportNote, len(prefixes))
	ends := make([][]byte, len(prefixes))
	for i, prefix := range prefixes {
		ends[i] = append(append(make([]byte, 0, len(prefix)+9), prefix...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff)
	}
	err = t.conn.Each(ctx, selectImportNotes, len(prefixes), func(i int, args []any) []any {
		return append(args, &of.Organization, &of.Import, prefixes[i], ends[i])
	}, func(i int, r engine.Row) error {
		n := consent.ImportNote{ImportKey: of}
		err := r.Scan(&n.Name, &n.Value)
		found[i] = append(found[i], n)
		return err
	})
	return found, err
}

const selectImportsToSweep = `/* select_imports_to_sweep */ SELECT organization_id, import_id FROM imports
WHERE sweep_at <= $1 ORDER BY sweep_at, organization_id LIMIT $2`

// ImportsToSweep implements service.Reader. It goes through all organizations, on the instance's own behalf.
func (t *tx) ImportsToSweep(ctx context.Context, now time.Time, limit int) (found []consent.ImportKey, err error) {
	err = t.conn.SearchPrepared(ctx, selectImportsToSweep, []any{&now, limit}, func(r engine.Row) error {
		var k consent.ImportKey
		err := r.Scan(&k.Organization, &k.Import)
		found = append(found, k)
		return err
	})
	return found, err
}

const upsertImport = `/* upsert_import */ INSERT INTO imports (organization_id, import_id, source, project_no,
fingerprint, dry_run, notify, next_line, accepted, duplicates, rejected, errors_kept, would, created_at, updated_at,
finished_at, entry_sequence, sweep_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (organization_id, import_id) DO UPDATE SET next_line = excluded.next_line, accepted = excluded.accepted,
duplicates = excluded.duplicates, rejected = excluded.rejected, errors_kept = excluded.errors_kept,
would = excluded.would, updated_at = excluded.updated_at, finished_at = excluded.finished_at,
entry_sequence = excluded.entry_sequence, sweep_at = excluded.sweep_at`

const insertImportLine = `/* insert_import_line */ INSERT INTO import_lines (organization_id, line_key) VALUES ($1, $2)`

const insertImportError = `/* insert_import_error */ INSERT INTO import_errors (organization_id, import_id, line, field,
detail) VALUES ($1, $2, $3, $4, $5)`

const upsertImportNote = `/* upsert_import_note */ INSERT INTO import_notes (organization_id, import_id, name, value)
VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, import_id, name) DO UPDATE SET value = excluded.value`

func (t *tx) appendImports(ctx context.Context, c *consent.Changes) error {
	if err := t.appendImportRows(ctx, c.Imports); err != nil {
		return err
	}
	// In the order of the index, so that those next to each other are written together.
	slices.SortFunc(c.ImportedLines, func(a, b consent.ImportedLine) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	err := insert(ctx, t.conn, insertImportLine, c.ImportedLines, func(l *consent.ImportedLine, args []any) []any {
		return append(args, &l.Organization, l.Key[:])
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, insertImportError, c.ImportErrors, func(e *consent.KeptLineError, args []any) []any {
		return append(args, &e.Organization, &e.Import, &e.Line, &e.Field, &e.Msg)
	})
	if err != nil {
		return err
	}
	err = insert(ctx, t.conn, upsertImportNote, c.ImportNotes, func(n *consent.ImportNote, args []any) []any {
		return append(args, &n.Organization, &n.Import, n.Name, n.Value)
	})
	if err != nil {
		return err
	}
	return t.sweepImports(ctx, c.SweptImports)
}

func (t *tx) appendImportRows(ctx context.Context, imports []consent.ImportRun) error {
	if len(imports) == 0 {
		return nil
	}
	would := make([]string, len(imports))
	for n := range imports {
		if imports[n].Would == nil {
			continue
		}
		text, err := json.Marshal(imports[n].Would)
		if err != nil {
			return err
		}
		would[n] = string(text)
	}
	return t.conn.Each(ctx, upsertImport, len(imports), func(n int, args []any) []any {
		i := &imports[n]
		sweepAt := i.SweepAt()
		return append(args, &i.Organization, &i.ID, &i.Source, i.Project, &i.Fingerprint, i.DryRun, i.Notify, &i.NextLine,
			&i.Accepted, &i.Duplicates, &i.Rejected, &i.ErrorsKept, &would[n], &i.CreatedAt, &i.UpdatedAt, &i.FinishedAt,
			&i.Entry, &sweepAt)
	}, nil)
}

// Each part is what comes first, so that removing all of it reads nothing twice.
const deleteImportErrors = `/* delete_import_errors */ DELETE FROM import_errors
WHERE organization_id = $1 AND import_id = $2 AND line <= (SELECT line FROM (
  SELECT line FROM import_errors WHERE organization_id = $1 AND import_id = $2 ORDER BY line LIMIT $3) AS few
  ORDER BY line DESC LIMIT 1)`

const deleteImportNotes = `/* delete_import_notes */ DELETE FROM import_notes
WHERE organization_id = $1 AND import_id = $2 AND name <= (SELECT name FROM (
  SELECT name FROM import_notes WHERE organization_id = $1 AND import_id = $2 ORDER BY name LIMIT $3) AS few
  ORDER BY name DESC LIMIT 1)`

// endImportSweep forgets when something is to be removed, as soon as all of it is.
const endImportSweep = `/* end_import_sweep */ UPDATE imports SET sweep_at = NULL, errors_kept = 0
WHERE organization_id = $1 AND import_id = $2 AND NOT EXISTS (SELECT 1 FROM import_errors e
  WHERE e.organization_id = $1 AND e.import_id = $2) AND NOT EXISTS (SELECT 1 FROM import_notes n
  WHERE n.organization_id = $1 AND n.import_id = $2)`

func (t *tx) sweepImports(ctx context.Context, swept []consent.SweptImport) error {
	for _, statement := range []string{deleteImportErrors, deleteImportNotes} {
		err := insert(ctx, t.conn, statement, swept, func(s *consent.SweptImport, args []any) []any {
			return append(args, &s.Organization, &s.Import, s.Limit)
		})
		if err != nil {
			return err
		}
	}
	return insert(ctx, t.conn, endImportSweep, swept, func(s *consent.SweptImport, args []any) []any {
		return append(args, &s.Organization, &s.Import)
	})
}
