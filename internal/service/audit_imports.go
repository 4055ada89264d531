package service

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// imports holds the imports that ended against the entries that tell of it. What ended since the ledger was begun is
// left out: its entry is behind what is read.
func (w *LedgerAudit) imports(ctx context.Context) error {
	for after := consent.NoID; w.catalog != nil; {
		var page []consent.ImportRun
		err := w.view(ctx, func(r Reader) (err error) {
			page, err = r.ImportList(ctx, consent.ImportFilter{Organization: w.organization, After: after, Done: true,
				Limit: auditPart})
			return err
		})
		if err != nil {
			return err
		}
		for i := range page {
			w.importRun(&page[i])
		}
		if len(page) < auditPart {
			break
		}
		after = page[len(page)-1].ID
	}
	for id, t := range w.told.imports {
		w.faultf(t.sequence, "", "import %s, of which it tells, is not on record", id)
	}
	return nil
}

func (w *LedgerAudit) importRun(run *consent.ImportRun) {
	t, there := w.told.imports[run.ID]
	delete(w.told.imports, run.ID)
	project := w.catalog.ProjectNumbered(run.Project)
	switch {
	case run.DryRun || run.Entry > w.head.Sequence:
	case project == nil:
		w.faultf(0, "", "import %s is into project %d, which is not there", run.ID, run.Project)
	case there && t.sequence == run.Entry:
		w.unlike(t.sequence, "the import", consent.CheckImport(t.body, run, project.ID))
	case run.Entry == 0 || run.Entry > w.found.Dropped:
		w.faultf(0, "", "no entry tells of the end of import %s", run.ID)
	}
}
