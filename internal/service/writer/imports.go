package writer

import (
	"cmp"
	"context"
	"slices"

	"github.com/consentd/consentd/internal/consent"
)

// importing is what a batch knows of the imports whose lines are in it.
type importing struct {
	runs  map[consent.ImportKey]*consent.ImportRun
	moved []consent.ImportKey           // that came further, each once
	had   map[consent.ImportedLine]bool // lines that were taken before, those of this batch included
}

// importReader reads how far imports have come.
type importReader interface {
	Imports(ctx context.Context, keys []consent.ImportKey) ([]*consent.ImportRun, error)
	ImportedLines(ctx context.Context, lines []consent.ImportedLine) ([]bool, error)
}

// loadImports reads the imports whose lines are in the batch, and which of the lines were taken before. It may be
// called within a prefetch: then what it reads is there later, and use puts it to use.
func (b *batch) loadImports(ctx context.Context, r importReader) (use func(), err error) {
	var keys []consent.ImportKey
	var lines []consent.ImportedLine
	for _, q := range b.requests {
		if q.Import == nil {
			continue
		}
		keys = append(keys, q.Import.ImportKey)
		for i := range q.Import.Lines {
			lines = append(lines, consent.ImportedLine{Organization: q.Import.Organization, Key: q.Import.Lines[i].Key})
		}
	}
	if len(keys) == 0 {
		return func() {}, nil
	}
	runs, err := r.Imports(ctx, keys)
	if err != nil {
		return nil, err
	}
	had, err := r.ImportedLines(ctx, lines)
	return func() {
		b.imports = importing{runs: map[consent.ImportKey]*consent.ImportRun{}, had: map[consent.ImportedLine]bool{}}
		for i, run := range runs {
			b.imports.runs[keys[i]] = run
		}
		for i := range lines {
			if had[i] {
				b.imports.had[lines[i]] = true
			}
		}
	}, err
}

// admit settles which lines of a part of an import are taken, and moves the import. A line that was had before is left
// out, and so is what only the store can tell is wrong. Errors: NotFound, Conflict.
func (b *batch) admit(i int) error {
	part := b.requests[i].Import
	run := b.imports.runs[part.ImportKey]
	if err := run.Takes(part.From); err != nil {
		return err
	}
	next := run.NextLine // lines before it were sent twice at a time
	var refused []consent.LineError
	for _, e := range part.Refused {
		if e.Line >= next {
			refused = append(refused, e)
		}
	}
	items := b.requests[i].Items
	taken := make([]consent.PreparedItem, 0, len(items))
	for n := range items {
		line := part.Lines[n]
		if line.Number < next {
			continue
		}
		had := consent.ImportedLine{Organization: part.Organization, Key: line.Key}
		if b.imports.had[had] {
			run.Duplicates++
			continue
		}
		if e, bad := b.lineError(part, line.Number, &items[n]); bad {
			refused = append(refused, e)
			continue
		}
		b.imports.had[had] = true
		b.changes.ImportedLines = append(b.changes.ImportedLines, had)
		taken = append(taken, items[n])
	}
	if part.Next > next {
		b.refuseLines(run, refused)
		run.Accepted, run.NextLine, run.UpdatedAt = run.Accepted+int64(len(taken)), part.Next, b.now
		if key := run.Key(); !slices.Contains(b.imports.moved, key) {
			b.imports.moved = append(b.imports.moved, key)
		}
	}
	b.given[i], b.refusedLines[i] = taken, refused
	return nil
}

// lineError tells whether a line is refused for what is on record.
func (b *batch) lineError(part *consent.PreparedImport, number int64, item *consent.PreparedItem) (
	e consent.LineError, bad bool) {
	if item.Known && b.people.Owner(part.Organization, item.Identifiers[0]) == consent.NoID {
		return part.Unknown(number, item), true
	}
	for _, id := range item.Identifiers {
		if _, is := b.suppressed[consent.OwnedName{Organization: part.Organization, Identifier: id}]; is {
			return part.Suppressed(number), true
		}
	}
	return e, false
}

// refuseLines counts lines that are not taken, and keeps why, in their order, as long as there is room for it.
func (b *batch) refuseLines(run *consent.ImportRun, refused []consent.LineError) {
	slices.SortFunc(refused, func(x, y consent.LineError) int { return cmp.Compare(x.Line, y.Line) })
	run.Rejected += int64(len(refused))
	room := max(consent.MaxImportErrors-run.ErrorsKept, 0)
	for _, e := range refused[:min(int64(len(refused)), room)] {
		run.ErrorsKept++
		b.changes.ImportErrors = append(b.changes.ImportErrors, consent.KeptLineError{ImportKey: run.Key(), LineError: e})
	}
}

// closeImports writes down how far the imports have come.
func (b *batch) closeImports() {
	for _, key := range b.imports.moved {
		b.changes.Imports = append(b.changes.Imports, *b.imports.runs[key])
	}
}

// progress is what the caller of a part of an import is told.
func (b *batch) progress(i int, recorded *consent.Recorded) {
	if part := b.requests[i].Import; part != nil {
		run := *b.imports.runs[part.ImportKey]
		recorded.Import, recorded.Refused = &run, b.refusedLines[i]
	}
}
