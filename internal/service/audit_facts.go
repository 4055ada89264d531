package service

import (
	"context"
	"errors"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// told is what entries say that tables say too: who was merged into whom. It is kept until all entries were read: some
// hundred bytes a merge.
type told struct {
	merges map[int64]toldMerge   // by the sequence of the entry
	undone map[int64]toldUnmerge // by the sequence of the merge's entry
}

// toldMerge is a merge; times are microseconds, which take less than a time.Time.
type toldMerge struct {
	into, from           consent.ID
	mergedAt, recordedAt int64
}

type toldUnmerge struct {
	sequence   int64
	into, from consent.ID
	undoneAt   int64
}

func newTold() told {
	return told{merges: map[int64]toldMerge{}, undone: map[int64]toldUnmerge{}}
}

// note keeps what an entry says. Entries may come in any order. The error says that a blob is damaged.
func (t *told) note(e *consent.ExportedEvent) error {
	switch e.Kind {
	case consent.MergeEntry:
		m, err := consent.ReadMerge(e)
		if err != nil {
			return err
		}
		t.merges[e.Sequence] = toldMerge{m.Into, m.From, m.MergedAt.UnixMicro(), m.RecordedAt.UnixMicro()}
	case consent.UnmergeEntry:
		m, err := consent.ReadMerge(e)
		if err != nil {
			return err
		}
		t.undone[m.Entry()] = toldUnmerge{e.Sequence, m.Into, m.From, m.UndoneAt.UnixMicro()}
	}
	return nil
}

// tell notes what an entry says that is as it was committed.
func (w *LedgerAudit) tell(e *consent.ExportedEvent) {
	w.mu.Lock()
	err := w.told.note(e)
	w.mu.Unlock()
	if err != nil {
		w.faultf(e.Sequence, "body or ident", "it is not that of an entry of its kind: %v", err)
	}
}

// facts holds what is on record of merges against what the entries say.
func (w *LedgerAudit) facts(ctx context.Context) error {
	return w.merges(ctx)
}

// unlike tells that something on record is not what an entry says. What it is stays untold: it may be long.
func (w *LedgerAudit) unlike(sequence int64, what string, err error) {
	var differs *consent.Mismatch
	switch {
	case errors.As(err, &differs):
		w.faultf(sequence, differs.Field, "%s has another one on record than it says", what)
	case err != nil:
		w.faultf(sequence, "body", "it cannot be read: %v", err)
	}
}

// merges holds all merges against their entries. What came since the ledger was begun is left out.
func (w *LedgerAudit) merges(ctx context.Context) error {
	for after := (consent.SubjectMerge{}); ; {
		var page []consent.SubjectMerge
		err := w.view(ctx, func(r Reader) (err error) {
			page, err = r.AllMerges(ctx, w.organization, after, auditPart)
			return err
		})
		if err != nil {
			return err
		}
		for i := range page {
			if m := &page[i]; m.After < w.head.Sequence && m.Entry() > w.found.Dropped {
				w.merge(m)
			}
			if m := &page[i]; !m.UndoneAt.IsZero() && m.UndoneAfter < w.head.Sequence && m.UndoneEntry() > w.found.Dropped {
				w.unmerge(m)
			}
		}
		if len(page) < auditPart {
			break
		}
		after = page[len(page)-1]
	}
	for sequence, t := range w.told.merges {
		w.faultf(sequence, "", "it tells that subject %s was merged into %s, and that is not on record", t.from, t.into)
	}
	for _, t := range w.told.undone {
		w.faultf(t.sequence, "undone_at", "it tells that the merge of subject %s into %s was undone, and that is not on record",
			t.from, t.into)
	}
	return nil
}

func (w *LedgerAudit) merge(m *consent.SubjectMerge) {
	t, there := w.told.merges[m.Entry()]
	if !there {
		w.faultf(0, "", "no entry tells that subject %s was merged into %s", m.From, m.Into)
		return
	}
	delete(w.told.merges, m.Entry())
	said := consent.SubjectMerge{Into: t.into, From: t.from, MergedAt: time.UnixMicro(t.mergedAt),
		RecordedAt: time.UnixMicro(t.recordedAt)}
	w.unlike(m.Entry(), "the merge", consent.CheckMerged(&said, m))
}

func (w *LedgerAudit) unmerge(m *consent.SubjectMerge) {
	t, there := w.told.undone[m.Entry()]
	if !there || t.sequence != m.UndoneEntry() {
		w.faultf(0, "", "no entry tells that the merge of subject %s into %s was undone", m.From, m.Into)
		return
	}
	delete(w.told.undone, m.Entry())
	said := consent.SubjectMerge{Into: t.into, From: t.from, After: m.After, UndoneAt: time.UnixMicro(t.undoneAt)}
	w.unlike(t.sequence, "the merge", consent.CheckUnmerged(&said, m))
}
