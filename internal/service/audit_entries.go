package service

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// auditedPart is entries that follow each other, with what they are held against.
type auditedPart struct {
	before  int64 // the entry before them
	entries []auditedEntry
	secrets map[consent.ID]*ledger.Secret
}

type auditedEntry struct {
	consent.ExportedEvent
	decision *consent.Event // nil: it is none
	hash     *tlog.Hash     // of the leaf, as it is stored; nil: not there
}

// exported gives the entries as they are exported.
func (p *auditedPart) exported(yield func(*consent.ExportedEvent) bool) {
	for i := range p.entries {
		if !yield(&p.entries[i].ExportedEvent) {
			return
		}
	}
}

// entries reads all entries in order, and has them held against their leaves by as many as there are processors.
func (w *LedgerAudit) entries(ctx context.Context) error {
	parts := make(chan *auditedPart)
	group, within := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for part := range parts {
				w.check(part)
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(parts)
		return w.readAll(within, parts)
	})
	return group.Wait()
}

// readAll gives all entries, part by part.
func (w *LedgerAudit) readAll(ctx context.Context, parts chan<- *auditedPart) error {
	for span := consent.WholeLedger(w.head.LastID, true); span.After != span.To; {
		var part *auditedPart
		var last consent.ID
		err := w.view(ctx, func(r Reader) (err error) {
			part, last, err = w.read(ctx, r, span)
			return err
		})
		if err != nil {
			return err
		}
		span.After = last
		w.takeErased(part)
		select {
		case parts <- part:
		case <-ctx.Done():
			return ctx.Err()
		}
		if w.auditor.Progress != nil {
			w.auditor.Progress(w.at)
		}
	}
	return nil
}

// read reads the next entries, and what they are held against.
func (w *LedgerAudit) read(ctx context.Context, r Reader, span consent.EventSpan) (*auditedPart, consent.ID, error) {
	part := &auditedPart{before: w.at}
	last, err := w.readEntries(ctx, r, span, part)
	if err != nil || len(part.entries) == 0 {
		return part, last, err
	}
	part.secrets, err = secretsOf(ctx, r, w.opener.keys, w.organization, part.exported)
	if err != nil {
		return nil, last, err
	}
	if err := w.checkTexts(ctx, r, part.entries); err != nil {
		return nil, last, err
	}
	for i := range part.entries {
		if e := &part.entries[i]; w.checkpoint != nil && e.Sequence == w.checkpoint.Size {
			w.lastSigned = e.ID
		}
	}
	end := &part.entries[len(part.entries)-1]
	w.at, w.last = end.Sequence, end.ID
	return part, last, w.feed(ctx, r, part.entries, min(w.at, w.head.Sequence))
}

// readEntries reads the next decisions and other entries, in the order of the ledger.
func (w *LedgerAudit) readEntries(ctx context.Context, r Reader, span consent.EventSpan,
	part *auditedPart) (last consent.ID, err error) {
	others, to, err := r.OtherEntries(ctx, w.organization, span, auditPart)
	if err != nil {
		return last, err
	}
	span.To = to
	q := consent.EventQuery{Organization: w.organization, Ascending: true, Limit: auditPart}
	decisions, last, err := r.EventsAfter(ctx, &q, span)
	if err != nil {
		return last, err
	}
	part.entries = make([]auditedEntry, 0, len(decisions)+len(others))
	for i := range decisions {
		e := &decisions[i]
		part.entries = append(part.entries, auditedEntry{decision: e, ExportedEvent: consent.ExportedEvent{ID: e.ID,
			Subject: e.Subject, Sequence: e.Sequence, RecordedAt: e.RecordedAt, BodyJSON: e.BodyJSON,
			IdentityJSON: e.IdentityJSON}})
	}
	for _, e := range others {
		if bytes.Compare(e.ID[:], last[:]) <= 0 {
			part.entries = append(part.entries, auditedEntry{ExportedEvent: e})
		}
	}
	if len(others) > 0 {
		slices.SortFunc(part.entries, func(a, b auditedEntry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	}
	return last, nil
}

// check holds entries against their leaves, and decisions against their rows.
func (w *LedgerAudit) check(part *auditedPart) {
	var held, erased, decisions int64
	before := part.before
	for i := range part.entries {
		e := &part.entries[i]
		w.checkPlace(&e.ExportedEvent, before)
		before = e.Sequence
		if e.decision != nil {
			decisions++
			w.checkRow(e.decision)
		}
		switch ok := w.checkLeaf(e, part.secrets[e.Subject]); {
		case ok && e.Kind == consent.ErasedEntry:
			erased++
		case ok:
			held++
			w.tell(&e.ExportedEvent)
		}
	}
	w.mu.Lock()
	w.found.Opened += held
	w.found.Erased += erased
	w.found.Decisions += decisions
	w.mu.Unlock()
}

// checkRow holds a decision's row against its blobs.
func (w *LedgerAudit) checkRow(e *consent.Event) {
	if e.Organization != w.organization { // SQLite does not see that where only the order of rows would tell
		w.faultf(e.Sequence, "organization_id", "is another organization's")
	}
	if err := consent.CheckEvent(w.catalog, e); err != nil {
		var differs *consent.Mismatch
		field := ""
		if errors.As(err, &differs) {
			field = differs.Field
		}
		w.faultf(e.Sequence, field, "%v", err)
	}
}

// checkLeaf holds an entry against its leaf's hash in the tree.
func (w *LedgerAudit) checkLeaf(e *auditedEntry, secret *ledger.Secret) bool {
	const erasedLeaf = "it is about somebody who was erased, and its leaf, which is all that is left, was changed"
	erased := e.Kind == consent.ErasedEntry
	leaf, err := leafOf(&e.ExportedEvent, secret)
	switch {
	case secret == nil && !erased:
		w.faultf(e.Sequence, "", "what it was committed with is gone, was changed, or is another subject's")
	case err != nil && erased:
		w.faultf(e.Sequence, "leaf", erasedLeaf)
	case err != nil:
		w.faultf(e.Sequence, "recorded_at", "is an impossible time")
	case e.hash == nil: // was told of
	case leaf.Hash() == *e.hash:
		return true
	case erased:
		w.faultf(e.Sequence, "leaf", erasedLeaf)
	default:
		w.faultf(e.Sequence, "body, ident, recorded_at or subject", "is not what was committed")
	}
	return false
}

// checkPlace tells of entries that are missing before one, and of one that is not in its place.
func (w *LedgerAudit) checkPlace(e *consent.ExportedEvent, before int64) {
	switch gap := e.Sequence - before - 1; {
	case gap == 0:
	case gap < 0:
		w.faultf(e.Sequence, "sequence", "it stands behind entry %d", before)
	case gap == 1:
		w.faultf(before+1, "", "is missing")
	default:
		w.faultf(before+1, "", "is missing, and so are all to entry %d", e.Sequence-1)
	}
	if e.Sequence > w.head.Sequence {
		w.faultf(e.Sequence, "sequence", "the ledger's head says that it has %d entries", w.head.Sequence)
	}
}

// takeErased holds the entries of which the leaf alone is left against the erasures.
func (w *LedgerAudit) takeErased(part *auditedPart) {
	for i := range part.entries {
		e := &part.entries[i].ExportedEvent
		if e.Kind == consent.ErasedEntry {
			if err := w.erased.Leaf(e.Sequence, e.ErasedBy); err != nil {
				w.faultf(e.Sequence, "erased_by", "%v", err)
			}
			continue
		}
		err := error(nil)
		if said, is := w.erasure(e); is {
			err = w.erased.Erasure(e.Sequence, said)
		} else {
			err = w.erased.Other(e.Sequence)
		}
		if err != nil {
			w.faultf(e.Sequence, "", "%v", err)
		}
	}
}

// erasure reads which entries an entry took, where it is an erasure.
func (w *LedgerAudit) erasure(e *consent.ExportedEvent) (said ledger.ErasedSet, is bool) {
	if e.Kind != consent.ErasureEntry {
		return said, false
	}
	said, err := consent.ReadErasure(e.BodyJSON)
	if err != nil {
		w.faultf(e.Sequence, "body", "it does not say what was erased")
	}
	return said, true
}

// later gives the erasures behind an entry, by now, and counts what they took.
func (w *LedgerAudit) later(ctx context.Context, last consent.ID) (erasures map[int64]bool, err error) {
	erasures = map[int64]bool{}
	for span := (consent.EventSpan{After: last}); ; {
		var found []consent.ExportedEvent
		err := w.view(ctx, func(r Reader) error {
			heads, err := r.Heads(ctx, []consent.ID{w.organization})
			if err != nil {
				return err
			}
			span.To = heads[w.organization].LastID
			found, _, err = r.OtherEntries(ctx, w.organization, span, auditPart)
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := range found {
			if said, is := w.erasure(&found[i]); is {
				w.found.Meanwhile += said.Count
				erasures[found[i].Sequence] = true
			}
		}
		if len(found) < auditPart {
			return erasures, nil
		}
		span.After = found[len(found)-1].ID
	}
}

// erasures tells of entries that are told to be erased by what is not on record, also not since the audit began.
func (w *LedgerAudit) erasures(ctx context.Context) error {
	later, err := w.later(ctx, w.head.LastID)
	if err != nil {
		return err
	}
	for _, sequence := range w.erased.Left() {
		if !later[sequence] {
			w.faultf(sequence, "", "entries are told to be erased by it, and it is not there: they were taken away as if they "+
				"had been erased")
		}
	}
	return nil
}
