package service

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// told is what entries say that tables say too: who was merged into whom, purposes, API keys, imports. It is kept until
// all entries were read: some hundred bytes a merge, and the bodies of the others, of which there are few.
type told struct {
	purposes          map[consent.PurposeName]toldBody // by the newest entry of each version
	keys, revocations map[consent.ID]toldBody
	imports           map[consent.ID]toldBody
	merges            map[int64]toldMerge          // by the sequence of the entry
	undone            map[int64]toldUnmerge        // by the sequence of the merge's entry
	epochs            map[int64]consent.LedgerRoot // what was lost, by the sequence of the entry
}

type toldBody struct {
	sequence int64
	body     []byte
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
	return told{purposes: map[consent.PurposeName]toldBody{}, keys: map[consent.ID]toldBody{},
		revocations: map[consent.ID]toldBody{}, imports: map[consent.ID]toldBody{}, merges: map[int64]toldMerge{},
		undone: map[int64]toldUnmerge{},
		epochs: map[int64]consent.LedgerRoot{}}
}

// note keeps what an entry says. Entries may come in any order. The error says that a blob is damaged.
func (t *told) note(e *consent.ExportedEvent) error {
	switch e.Kind {
	case consent.PurposeEntry:
		name, err := consent.ReadPurpose(e.BodyJSON)
		if err == nil && e.Sequence > t.purposes[name].sequence {
			t.purposes[name] = toldBody{e.Sequence, bytes.Clone(e.BodyJSON)}
		}
		return err
	case consent.KeyEntry, consent.KeyRevocationEntry:
		id, err := consent.ReadKey(e.BodyJSON)
		if err != nil {
			return err
		}
		of := t.keys
		if e.Kind == consent.KeyRevocationEntry {
			of = t.revocations
		}
		of[id] = toldBody{e.Sequence, bytes.Clone(e.BodyJSON)}
	case consent.ImportEntry:
		id, err := consent.ReadImport(e.BodyJSON)
		t.imports[id] = toldBody{e.Sequence, bytes.Clone(e.BodyJSON)}
		return err
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
	case consent.EpochEntry:
		epoch, err := consent.ReadEpoch(e.BodyJSON)
		if err != nil {
			return err
		}
		t.epochs[e.Sequence] = epoch.Lost
	}
	return nil
}

// tell notes what an entry says that is as it was committed.
func (w *LedgerAudit) tell(e *consent.ExportedEvent) {
	if e.Kind != consent.DecisionEntry && consent.KindOf(e.BodyJSON) != e.Kind.String() {
		w.faultf(e.Sequence, "kind", "its body says another")
		return
	}
	w.mu.Lock()
	err := w.told.note(e)
	w.mu.Unlock()
	if err != nil {
		w.faultf(e.Sequence, "body or ident", "it is not that of an entry of its kind: %v", err)
	}
}

// facts holds what is on record of purposes, keys and merges against what the entries say.
func (w *LedgerAudit) facts(ctx context.Context) error {
	if w.catalog != nil {
		if err := w.purposes(ctx); err != nil {
			return err
		}
	}
	w.apiKeys()
	if err := w.imports(ctx); err != nil {
		return err
	}
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

// purposes holds all versions of all purposes against their newest entries.
func (w *LedgerAudit) purposes(ctx context.Context) error {
	for i := range w.catalog.Purposes {
		p := &w.catalog.Purposes[i]
		project := w.catalog.ProjectNumbered(p.Project)
		if project == nil {
			w.faultf(0, "", "purpose %q is of project %d, which is not there", p.Key, p.Project)
			continue
		}
		if len(p.Earlier) != p.Version-1 {
			w.faultf(0, "", "purpose %q has %d earlier versions on record, and its current one is %d", p.Key, len(p.Earlier),
				p.Version)
		}
		w.purpose(project.ID, p, p.Version, func(body []byte) error { return consent.CheckPurpose(body, project.ID, p) })
		of := consent.PurposeKey{Organization: w.organization, Project: p.Project, Purpose: p.Number}
		for after := 0; after+1 < p.Version; {
			var earlier []consent.PurposeVersion
			err := w.view(ctx, func(r Reader) (err error) {
				earlier, err = r.PurposeVersions(ctx, of, after, auditPart)
				return err
			})
			if err != nil {
				return err
			}
			if len(earlier) == 0 {
				break // the entries that are left over tell
			}
			for n := range earlier {
				v := &earlier[n]
				if after = v.Number; v.Number < p.Version { // others are younger than the state that is looked at
					w.purpose(project.ID, p, v.Number, func(body []byte) error {
						return consent.CheckVersion(body, project.ID, p, v)
					})
				}
			}
		}
	}
	for name, t := range w.told.purposes {
		w.faultf(t.sequence, "", "version %d of purpose %q, of which it tells, is not on record", name.Version,
			name.Purpose)
	}
	return nil
}

func (w *LedgerAudit) purpose(project consent.ID, p *consent.Purpose, version int, check func(body []byte) error) {
	name := consent.PurposeName{Project: project.String(), Purpose: p.Key, Version: version}
	t, there := w.told.purposes[name]
	delete(w.told.purposes, name)
	switch {
	case there:
		w.unlike(t.sequence, "the version of the purpose", check(t.body))
	case w.found.Dropped == 0:
		w.faultf(0, "", "no entry tells of version %d of purpose %q of project %s", version, p.Key, project)
	}
}

// apiKeys holds all keys against the entries by which they were made and revoked.
func (w *LedgerAudit) apiKeys() {
	for i := range w.keysOfAPI {
		k := &w.keysOfAPI[i]
		made, there := w.told.keys[k.ID]
		delete(w.told.keys, k.ID)
		switch {
		case there:
			w.unlike(made.sequence, "the key", consent.CheckKey(made.body, k))
		case w.found.Dropped == 0:
			w.faultf(0, "", "no entry tells that key %s was made", k.ID)
		}
		ended, there := w.told.revocations[k.ID]
		delete(w.told.revocations, k.ID)
		switch {
		case there:
			w.unlike(ended.sequence, "the key", consent.CheckRevocation(ended.body, k))
		case !k.RevokedAt.IsZero() && w.found.Dropped == 0:
			w.faultf(0, "", "no entry tells that key %s was revoked, and it is said to be", k.ID)
		}
	}
	for _, left := range []map[consent.ID]toldBody{w.told.keys, w.told.revocations} {
		for id, t := range left {
			w.faultf(t.sequence, "", "key %s, of which it tells, is not on record", id)
		}
	}
}

// readKeysOfAPI reads all keys of the organization.
func (w *LedgerAudit) readKeysOfAPI(ctx context.Context, r Reader) error {
	w.keysOfAPI = nil
	if zero, err := r.Key(ctx, w.organization, consent.NoID); err != nil {
		return err
	} else if zero != nil { // before all that are listed
		w.keysOfAPI = append(w.keysOfAPI, *zero)
	}
	for after := consent.NoID; ; {
		page, err := r.Keys(ctx, w.organization, after, MaxPage)
		if err != nil {
			return err
		}
		w.keysOfAPI = append(w.keysOfAPI, page...)
		if len(page) < MaxPage {
			return nil
		}
		after = page[len(page)-1].ID
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
		w.faultf(t.sequence, "undone_at", "it tells that the merge of subject %s into %s was undone, and that is not on "+
			"record", t.from, t.into)
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
