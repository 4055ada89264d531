package storetest

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func (f *fixture) newImport(o consent.ID, source string) consent.ImportRun {
	return consent.ImportRun{Organization: o, ID: f.id(), Source: source, Project: 1, NextLine: 1, CreatedAt: noon,
		UpdatedAt: noon}
}

func (f *fixture) importsOf(keys ...consent.ImportKey) (found []*consent.ImportRun) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		found, err = r.Imports(ctx, keys)
		return err
	})
	return found
}

// testImports: an import is what was written last of it, but for what never changes; another organization's is none.
func testImports(f *fixture) {
	a, b := f.organization(), f.organization()
	first, second := f.newImport(a, odd[0]), f.newImport(a, "")
	first.Fingerprint, first.DryRun, first.Notify = odd[1], true, true
	first.Would = &consent.ImportOutcome{SubjectsMade: 1 << 40, Consents: []consent.ImportedState{{Project: 2, Purpose: 3,
		State: consent.Declined, Made: 4, Changed: 5, Unchanged: 6}}}
	f.append(consent.Changes{Imports: []consent.ImportRun{first, second}})
	keys := []consent.ImportKey{second.Key(), {Organization: b, Import: first.ID}, first.Key(), {Organization: a}}
	same(f, "at first", f.importsOf(keys...), []*consent.ImportRun{&second, nil, &first, nil})
	later := first
	later.Source, later.NextLine, later.Accepted, later.Duplicates, later.Rejected = "another", 1<<50, 1<<40, 2, 3
	later.ErrorsKept, later.Entry, later.UpdatedAt, later.FinishedAt = 4, 5, noon.Add(time.Microsecond),
		noon.Add(time.Second)
	later.Would = &consent.ImportOutcome{SubjectsKnown: 7}
	f.append(consent.Changes{Imports: []consent.ImportRun{later}})
	later.Source = first.Source
	same(f, "later", f.importsOf(keys...), []*consent.ImportRun{&second, nil, &later, nil})
}

// testImportList: the list has what the filter asks for, in order and in pages.
func testImportList(f *fixture) {
	a, b := f.organization(), f.organization()
	var all []consent.ImportRun
	for n := range 6 {
		i := f.newImport(a, []string{"x", "y"}[n%2])
		if n >= 3 {
			i.FinishedAt = noon
		}
		all = append(all, i)
	}
	f.append(consent.Changes{Imports: append([]consent.ImportRun{f.newImport(b, "x")}, all...)})
	for what, tc := range map[string]struct {
		filter consent.ImportFilter
		want   []consent.ImportRun
	}{
		"all":              {consent.ImportFilter{Limit: 9}, all},
		"a page":           {consent.ImportFilter{Limit: 2}, all[:2]},
		"the next":         {consent.ImportFilter{Limit: 2, After: all[1].ID}, all[2:4]},
		"open ones":        {consent.ImportFilter{Limit: 9, Open: true}, all[:3]},
		"those done":       {consent.ImportFilter{Limit: 9, Done: true}, all[3:]},
		"of a source":      {consent.ImportFilter{Limit: 9, Source: "y"}, []consent.ImportRun{all[1], all[3], all[5]}},
		"of both":          {consent.ImportFilter{Limit: 9, Source: "y", Open: true}, all[1:2]},
		"of no such":       {consent.ImportFilter{Limit: 9, Source: "z"}, nil},
		"behind all":       {consent.ImportFilter{Limit: 9, After: all[5].ID}, nil},
		"open and done":    {consent.ImportFilter{Limit: 9, Open: true, Done: true}, nil},
		"a source's spell": {consent.ImportFilter{Limit: 9, Source: "X"}, nil},
	} {
		tc.filter.Organization = a
		var got []consent.ImportRun
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.ImportList(ctx, tc.filter)
			return err
		})
		same(f, what, got, tc.want)
	}
}

func note(of consent.ImportRun, name, value string) consent.ImportNote {
	return consent.ImportNote{ImportKey: of.Key(), Name: []byte(name), Value: []byte(value)}
}

// testImportHelp: lines, errors and notes are found by who wrote them alone, and go part by part when they are swept.
func testImportHelp(f *fixture) {
	a, b := f.organization(), f.organization()
	i, other := f.newImport(a, "x"), f.newImport(a, "x")
	i.FinishedAt, i.ErrorsKept = noon, 3
	other.DryRun, other.UpdatedAt = true, noon.Add(40*24*time.Hour)
	c := consent.Changes{Imports: []consent.ImportRun{i, other},
		ImportedLines: []consent.ImportedLine{{Organization: a, Key: consent.LineKey{1}}},
		ImportNotes: []consent.ImportNote{note(i, "a", "\x00"), note(i, "ab\xff\xff", "2"), note(i, "b", ""),
			note(other, "ab", "3")}}
	for line := range int64(3) {
		c.ImportErrors = append(c.ImportErrors, consent.KeptLineError{ImportKey: i.Key(),
			LineError: consent.LineError{Line: 1<<40 + line, Field: odd[line], Msg: odd[line+1]}})
	}
	f.append(c)
	f.view(func(ctx context.Context, r service.Reader) error {
		lines, err := r.ImportedLines(ctx, []consent.ImportedLine{{Organization: a, Key: consent.LineKey{2}},
			{Organization: a, Key: consent.LineKey{1}}, {Organization: b, Key: consent.LineKey{1}}})
		same(f, "lines", lines, []bool{false, true, false})
		return err
	})
	of := func(of consent.ImportKey) (errors []consent.LineError, under [][]consent.ImportNote, notes [][]byte) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			if errors, err = r.ImportErrors(ctx, of, 1<<40, 9); err != nil {
				return err
			}
			if under, err = r.ImportNotesUnder(ctx, of, [][]byte{[]byte("ab"), []byte("a"), []byte("c")}); err != nil {
				return err
			}
			notes, err = r.ImportNotes(ctx, of, [][]byte{[]byte("b"), []byte("c"), []byte("a")})
			return err
		})
		return errors, under, notes
	}
	errors, under, notes := of(i.Key())
	same(f, "errors", errors, []consent.LineError{c.ImportErrors[1].LineError, c.ImportErrors[2].LineError})
	same(f, "notes under", under, [][]consent.ImportNote{{c.ImportNotes[1]}, {c.ImportNotes[0], c.ImportNotes[1]}, nil})
	same(f, "notes", notes, [][]byte{{}, nil, {0}})
	f.append(consent.Changes{ImportNotes: []consent.ImportNote{note(i, "a", "new")}})
	_, _, notes = of(i.Key())
	same(f, "a note written again", notes[2], []byte("new"))
	f.testSweep(i, other, of)
}

func (f *fixture) testSweep(i, other consent.ImportRun, of func(consent.ImportKey) ([]consent.LineError,
	[][]consent.ImportNote, [][]byte)) {
	due := func(at time.Time) (found []consent.ImportKey) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			found, err = r.ImportsToSweep(ctx, at, 9)
			return err
		})
		return found
	}
	same(f, "due too early", due(i.SweepAt().Add(-time.Microsecond)), []consent.ImportKey{})
	same(f, "due", due(i.SweepAt()), []consent.ImportKey{i.Key()})
	same(f, "due later", due(other.SweepAt()), []consent.ImportKey{i.Key(), other.Key()})
	f.append(consent.Changes{SweptImports: []consent.SweptImport{{ImportKey: i.Key(), Limit: 2}}})
	errors, under, _ := of(i.Key())
	if len(errors) != 1 || len(under[1]) != 0 {
		f.Errorf("after a part: %v, %v", errors, under)
	}
	f.append(consent.Changes{SweptImports: []consent.SweptImport{{ImportKey: i.Key(), Limit: 2}}})
	errors, under, notes := of(i.Key())
	if len(errors) != 0 || len(under[1]) != 0 || notes[0] != nil {
		f.Errorf("after all: %v, %v, %q", errors, under, notes)
	}
	same(f, "due after all", due(other.SweepAt()), []consent.ImportKey{other.Key()})
	if swept := f.importsOf(i.Key())[0]; swept.ErrorsKept != 0 || swept.Rejected != i.Rejected {
		f.Errorf("%+v", swept)
	}
	_, under, _ = of(other.Key())
	if len(under[0]) != 1 {
		f.Errorf("another's notes: %v", under)
	}
}
