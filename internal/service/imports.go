package service

import (
	"context"
	"errors"
	"iter"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// CreateImport begins an import into a project of the actor's organization. The answer to keep is rendered from an
// *ImportView. Errors: Forbidden, NotFound, Unprocessable with the member.
func (s *Service) CreateImport(ctx context.Context, a consent.Actor, in consent.NewImport) (view *consent.ImportView,
	err error) {
	if err := a.Require(consent.ImportsWrite); err != nil {
		return nil, err
	}
	if err := in.Check(); err != nil {
		return nil, err
	}
	d, project, err := s.catalogWith(ctx, a.Organization, in.Project)
	if err != nil {
		return nil, err
	}
	err = s.update(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		now := s.now()
		run := consent.ImportRun{Organization: a.Organization, ID: s.newID(), Source: in.Source, Project: project.Number,
			Fingerprint: in.Fingerprint, DryRun: in.DryRun, Notify: in.Notify, NextLine: 1, CreatedAt: now, UpdatedAt: now}
		if run.DryRun {
			run.Would = &consent.ImportOutcome{}
		}
		changes := consent.Changes{Imports: []consent.ImportRun{run}}
		// Lines are known by what is made of the organization's secret.
		if _, err := s.secretFor(ctx, tx, consent.SubjectKey{Organization: a.Organization}, &changes); err != nil {
			return nil, err
		}
		view = &consent.ImportView{ImportRun: run, Catalog: d}
		return view, tx.Append(ctx, &changes)
	})
	return view, err
}

// Import gives an import of the actor's organization. Errors: Forbidden, NotFound.
func (s *Service) Import(ctx context.Context, a consent.Actor, id consent.ID) (*consent.ImportView, error) {
	if err := a.Require(consent.ImportsWrite); err != nil {
		return nil, err
	}
	view := &consent.ImportView{}
	err := s.view(ctx, func(r Reader) (err error) {
		if view.Catalog, err = catalogOf(ctx, r, a.Organization); err != nil {
			return err
		}
		run, err := importOf(ctx, r, a, id)
		if err == nil {
			view.ImportRun = *run
		}
		return err
	})
	return view, err
}

// importOf reads an import of the actor's organization. Errors: NotFound.
func importOf(ctx context.Context, r Reader, a consent.Actor, id consent.ID) (*consent.ImportRun, error) {
	found, err := r.Imports(ctx, []consent.ImportKey{{Organization: a.Organization, Import: id}})
	if err == nil && found[0] == nil {
		err = consent.ErrNoImport
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// Imports lists imports of the actor's organization in the order in which they were made, as many as the filter's limit
// says. Errors: Forbidden, NotFound.
func (s *Service) Imports(ctx context.Context, a consent.Actor, f consent.ImportFilter) (page []consent.ImportView,
	err error) {
	if err := a.Require(consent.ImportsWrite); err != nil {
		return nil, err
	}
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	f.Organization = a.Organization
	err = s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization)
		if err != nil {
			return err
		}
		runs, err := r.ImportList(ctx, f)
		page = make([]consent.ImportView, len(runs))
		for i := range runs {
			page[i] = consent.ImportView{ImportRun: runs[i], Catalog: d}
		}
		return err
	})
	return page, err
}

// ImportErrors lists why lines of an import were refused, in the order of lines behind one, limit at most. Errors:
// Forbidden, NotFound.
func (s *Service) ImportErrors(ctx context.Context, a consent.Actor, id consent.ID, after int64, limit int) (
	page []consent.LineError, err error) {
	if err := a.Require(consent.ImportsWrite); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		run, err := importOf(ctx, r, a, id)
		if err != nil {
			return err
		}
		page, err = r.ImportErrors(ctx, run.Key(), after, limit)
		return err
	})
	return page, err
}

// ImportLines takes lines of an import from a number on, and gives how far the import has come. lines is told which
// line is wanted next, and gives all of them, in parts of consent.MaxImportChunk at most; it is read by another
// goroutine, and not any more when ImportLines returns. Each part is on disk, with how far the import has come, before
// the next one; an error ends the rest. What comes twice is taken once. Errors: Forbidden, NotFound, Conflict, and
// those of lines.
func (s *Service) ImportLines(ctx context.Context, a consent.Actor, id consent.ID, from int64,
	lines func(next int64) iter.Seq2[*consent.ImportChunk, error]) (*consent.ImportView, error) {
	if err := a.Require(consent.ImportsWrite); err != nil {
		return nil, err
	}
	done, err := s.importPlace(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	defer done()
	view := &consent.ImportView{}
	var index *sealing.BlindIndex
	err = s.view(ctx, func(r Reader) (err error) {
		if view.Catalog, err = catalogOf(ctx, r, a.Organization); err != nil {
			return err
		}
		run, err := importOf(ctx, r, a, id)
		if err != nil {
			return err
		}
		view.ImportRun = *run
		known, err := s.keys.indexesOf(ctx, r, a.Organization)
		if err == nil && known == nil {
			err = errors.New("the organization has an import and no secret")
		}
		if err == nil {
			index = known.imported
		}
		return err
	})
	if err == nil {
		err = view.Takes(from)
	}
	if err != nil {
		return nil, err
	}
	run := view.ImportRun // view moves while the other goroutine reads this
	p := &partsOfImport{s: s, actor: a, catalog: view.Catalog, run: &run, index: index}
	return view, s.writeParts(ctx, view, p.prepared(ctx, lines(run.NextLine)))
}

// maxImporters is how many calls bring lines at a time: each holds two parts of them, and takes a whole core.
const maxImporters = 2

// importPlace waits until it is an organization's turn to bring lines.
func (s *Service) importPlace(ctx context.Context, organization consent.ID) (done func(), err error) {
	busy := func(err error) error {
		return &consent.Error{Kind: consent.Unavailable, Msg: "other imports are going on; retry", Err: err}
	}
	mine, err := s.importing.Acquire(ctx, organization)
	if err != nil {
		return nil, busy(err)
	}
	all, err := s.importers.Acquire(ctx, consent.NoID)
	if err != nil {
		mine()
		return nil, busy(err)
	}
	return func() { all(); mine() }, nil
}

// writeParts writes parts of an import one after the other, while the next one is made.
func (s *Service) writeParts(ctx context.Context, view *consent.ImportView,
	parts iter.Seq2[*consent.Prepared, error]) error {
	ctx, cancel := context.WithCancel(ctx)
	type made struct {
		part *consent.Prepared
		err  error
	}
	ready, ended := make(chan made), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(ready)
		for part, err := range parts {
			select {
			case ready <- made{part, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { cancel(); <-ended }()
	for next := range ready {
		if next.err != nil {
			return next.err
		}
		write := s.writer.Write
		if view.DryRun {
			write = s.tryPart
		}
		recorded, err := write(ctx, next.part)
		if err != nil {
			return err
		}
		view.ImportRun = *recorded.Import
		room := max(consent.MaxMistakes-len(view.Errors), 0)
		view.Errors = append(view.Errors, recorded.Refused[:min(len(recorded.Refused), room)]...)
	}
	return classify(ctx, ctx.Err())
}

// partsOfImport prepares lines of an import for the writer.
type partsOfImport struct {
	s       *Service
	actor   consent.Actor
	catalog *consent.Catalog
	run     *consent.ImportRun
	index   *sealing.BlindIndex
}

// What stays of a line is a hash of one of these and what it is known by.
const (
	byExternalID = "external"
	byLine       = "line"
)

// prepared checks each part of the lines that is not done yet. It ends with the context.
func (p *partsOfImport) prepared(ctx context.Context,
	chunks iter.Seq2[*consent.ImportChunk, error]) iter.Seq2[*consent.Prepared, error] {
	return func(yield func(*consent.Prepared, error) bool) {
		facts := consent.Facts{Session: p.s.newID(), Country: p.s.places.Country, Regime: p.s.places.Regime, Hash: hashText}
		for chunk, err := range chunks {
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if chunk.Next <= p.run.NextLine {
				continue
			}
			for i := range chunk.Lines {
				p.name(&chunk.Lines[i])
			}
			facts.Now = p.s.now()
			if part, err := consent.PrepareImport(p.actor, p.catalog, p.run, chunk, facts); !yield(part, err) || err != nil {
				return
			}
		}
	}
}

// name sets what stays of a line: the source is in it, and no source has NUL.
func (p *partsOfImport) name(l *consent.ImportLine) {
	kind, value := byExternalID, l.ExternalID
	if value == "" {
		kind, value = byLine, string(l.Digest[:])
	}
	l.Key = p.index.Of(kind, 0, p.run.Source+"\x00"+value)
}

// FinishImport ends an import; again it answers the same. The ledger gets an entry that tells what became of its lines,
// but of a dry run. The answer to keep is rendered from an *ImportView. Errors: Forbidden, NotFound.
func (s *Service) FinishImport(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency) (
	*consent.ImportView, error) {
	if err := a.Require(consent.ImportsWrite); err != nil {
		return nil, err
	}
	view := &consent.ImportView{}
	err := s.updateLedger(ctx, a, idem, func(tx Tx) (any, error) {
		end, err := s.endOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		if view.Catalog, err = catalogOf(ctx, tx, a.Organization); err != nil {
			return nil, err
		}
		run, err := importOf(ctx, tx, a, id)
		if err != nil {
			return nil, err
		}
		if run.Done() {
			view.ImportRun = *run
			return view, nil
		}
		run.FinishedAt = s.now()
		run.UpdatedAt = run.FinishedAt
		changes := consent.Changes{}
		if project := view.Catalog.ProjectNumbered(run.Project); !run.DryRun && project != nil {
			e, err := end.add(ctx, tx, a.ImportEntry(run, project.ID), &changes)
			if err != nil {
				return nil, err
			}
			run.Entry = e.Sequence
		}
		changes.Imports, view.ImportRun = []consent.ImportRun{*run}, *run
		return view, tx.Append(ctx, &changes)
	})
	return view, err
}

// How much of what helped with imports is removed at a time.
const (
	sweptImports = 100
	sweptRows    = 2000
)

// SweepImports removes what is kept for imports and serves nobody any more: why lines were refused, a month after the
// end, and what a dry run noted, when it ended or was left alone for a week. It is to be called now and then, by one
// server or by many.
func (s *Service) SweepImports(ctx context.Context) error {
	for {
		var due []consent.ImportKey
		err := s.viewOnce(ctx, func(r Reader) (err error) {
			due, err = r.ImportsToSweep(ctx, s.now(), sweptImports)
			return err
		})
		if err != nil || len(due) == 0 {
			return err
		}
		for _, key := range due {
			if err := s.sweepImport(ctx, key); err != nil {
				return err
			}
		}
	}
}

// sweepImport removes a part of what is kept for an import. A dry run that was left alone ends.
func (s *Service) sweepImport(ctx context.Context, key consent.ImportKey) error {
	return classify(ctx, s.store.Update(ctx, key.Organization, func(tx Tx) error {
		found, err := tx.Imports(ctx, []consent.ImportKey{key})
		if err != nil {
			return err
		}
		run, now := found[0], s.now()
		if run == nil || run.SweepAt().After(now) {
			return nil // it came further meanwhile
		}
		changes := consent.Changes{SweptImports: []consent.SweptImport{{ImportKey: key, Limit: sweptRows}}}
		if !run.Done() {
			run.FinishedAt = now
			changes.Imports = []consent.ImportRun{*run}
		}
		return tx.Append(ctx, &changes)
	}))
}
