package writer

import (
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/idempotency"
)

// decide makes the events of every request that was not refused, and what follows from them.
func (b *batch) decide() error {
	for i, r := range b.requests {
		if b.outcomes[i].err != nil {
			continue
		}
		for _, at := range b.purposes[i] {
			b.enter(r.Actor.PurposeEntry(r.Project.ID, &b.changes.Purposes[at]))
		}
		recorded := &consent.Recorded{Session: r.Session, Items: make([]consent.RecordedItem, len(b.items[i]))}
		for n := range b.items[i] {
			recorded.Items[n] = b.decideItem(r, &b.items[i][n])
		}
		b.progress(i, recorded)
		b.outcomes[i].recorded = recorded
		if r.Idempotency.Key != "" {
			record, err := idempotency.Keep(r.Idempotency, r.Actor, recorded, b.now)
			if err != nil {
				return err
			}
			b.changes.IdempotencyRecords = append(b.changes.IdempotencyRecords, record)
		}
	}
	b.close()
	return nil
}

func (b *batch) decideItem(r *request, item *batchItem) consent.RecordedItem {
	out := consent.RecordedItem{Subject: item.person.Subject, AnonymousID: item.person.AnonymousID}
	for _, at := range item.merges {
		merge := &b.changes.Merges[at]
		merge.After = b.heads[merge.Organization].Sequence
		b.enter(r.Actor.MergeEntry(merge))
		b.mergeConsents(merge)
	}
	identity, ident := item.IdentityOf(out.AnonymousID)
	out.Events = make([]consent.EventView, 0, len(item.decisions))
	for i := range item.decisions {
		if d := &item.decisions[i]; d.Records(d.consent.Current(), b.now) {
			out.Events = append(out.Events, b.record(r, item, d, identity, ident))
		}
	}
	b.lift(r, item, out.Events)
	for _, d := range item.decisions {
		if c := d.consent.Current(); d.Replaces && c.Event != consent.NoID {
			if out.Consents == nil {
				out.Consents = make(map[string]consent.Consent, len(item.decisions))
			}
			out.Consents[d.purpose.Key] = *c
		}
	}
	return out
}

// record makes the event of a decision and moves the consent.
func (b *batch) record(r *request, item *batchItem, d *pending, identity *consent.Identity,
	ident []byte) consent.EventView {
	head := b.next(r.Actor.Organization)
	view := r.Event(item.PreparedItem, d.PreparedDecision, &consent.Recording{ID: head.LastID, Sequence: head.Sequence,
		Subject: item.person.Subject, Purpose: d.purpose, Current: d.consent.Current(), Identity: identity,
		IdentityJSON: ident, Now: b.now})
	if d.Text != nil {
		b.changes.Texts = append(b.changes.Texts, *d.Text)
		b.changes.Texts[len(b.changes.Texts)-1].Subject = item.person.Subject
	}
	d.consent.Add(&view.Event, b.now)
	b.change(d.consent)
	b.changes.Events = append(b.changes.Events, view.Event)
	e := &view.Event
	b.commit(consent.SubjectKey{Organization: e.Organization, Subject: e.Subject}, e.RecordedAt, e.Sequence, e.BodyJSON,
		e.IdentityJSON)
	return view
}

// next moves the end of a ledger to where the next entry is.
func (b *batch) next(organization consent.ID) *consent.Head {
	head := b.heads[organization]
	head.LastID = consent.NextID(head.LastID, b.now, b.random())
	head.Sequence++
	b.grown[organization] = true
	return head
}

// enter puts an entry that is no decision behind all others.
func (b *batch) enter(e consent.LedgerEntry) {
	head := b.next(e.Organization)
	e.ID, e.Sequence, e.RecordedAt = head.LastID, head.Sequence, b.now
	b.commit(consent.SubjectKey{Organization: e.Organization, Subject: e.Subject}, e.RecordedAt, e.Sequence, e.BodyJSON,
		e.IdentityJSON)
	b.changes.Entries = append(b.changes.Entries, e)
}

// mergeConsents lets the events of an anonymous subject count for the person from now on.
func (b *batch) mergeConsents(m *consent.SubjectMerge) {
	for key, from := range b.consents {
		if key.Organization != m.Organization || key.Subject != m.From {
			continue
		}
		theirs := consent.ConsentKey{Organization: m.Organization, Subject: m.Into, Project: key.Project,
			Purpose: key.Purpose}
		into := b.consents[theirs]
		if into == nil {
			into = consent.NewWorkingConsent(theirs)
		}
		if into.Merge(from, m.MergedAt) {
			b.consents[theirs] = into
			b.change(into)
		}
	}
}

// change notes that a consent was moved.
func (b *batch) change(c *consent.WorkingConsent) {
	if !c.Changed {
		c.Changed = true
		b.changed = append(b.changed, c)
	}
}

// close writes down where everything ended.
func (b *batch) close() {
	b.closeImports()
	for _, c := range b.changed {
		b.changes.Consents = append(b.changes.Consents, *c.Current())
	}
	type counted struct {
		organization consent.ID
		project      int
	}
	counts := map[counted]int64{}
	for i := range b.changes.Events {
		e := &b.changes.Events[i]
		counts[counted{e.Organization, e.Project}]++
	}
	for c, n := range counts {
		b.changes.Counts = append(b.changes.Counts, consent.Count{Organization: c.organization,
			Name: consent.EventCount(c.project), Add: n})
	}
	for organization := range b.grown {
		head := b.heads[organization]
		head.Tree = b.trees[organization].Append(nil)
		b.changes.Heads = append(b.changes.Heads, *head)
	}
}
