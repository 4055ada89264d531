package writer

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// Merge gives what a merge of two subjects that are on record changes of their consents, and the consents of the one
// who stays that have to be written. It writes nothing.
func Merge(ctx context.Context, r TimelineReader, m consent.SubjectMerge) (changes []consent.ConsentChange,
	written []consent.Consent, err error) {
	b := &batch{consents: map[consent.ConsentKey]*consent.WorkingConsent{},
		changes: consent.Changes{Merges: []consent.SubjectMerge{m}}}
	if err := b.loadMerged(ctx, r); err != nil {
		return nil, nil, err
	}
	if err := b.loadTimelines(ctx, r); err != nil {
		return nil, nil, err
	}
	before := map[consent.ConsentKey]consent.Consent{}
	for key, c := range b.consents {
		before[key] = *c.Current()
		before[consent.ConsentKey{Organization: m.Organization, Subject: m.Into, Project: key.Project,
			Purpose: key.Purpose}] = consent.Consent{}
	}
	for key, c := range b.consents {
		before[key] = *c.Current()
	}
	b.mergeConsents(&m)
	b.close()
	for key, was := range before {
		into := b.consents[consent.ConsentKey{Organization: m.Organization, Subject: m.Into, Project: key.Project,
			Purpose: key.Purpose}]
		was.Project, was.Purpose = key.Project, key.Purpose
		changes = append(changes, consent.ConsentChange{Subject: key.Subject, Before: was, After: *into.Current()})
	}
	return changes, b.changes.Consents, nil
}

// Unmerge gives what undoing a merge changes of the consents of the one who stays: those to write, and those that
// nothing is left of. refused tells that it says no, and has said so since the merge. The consents of the one who
// goes are on record as they were then. It writes nothing.
func Unmerge(ctx context.Context, r TimelineReader, u *consent.Unmerge) (written []consent.Consent,
	removed []consent.ConsentKey, refused bool, err error) {
	into := consent.SubjectKey{Organization: u.Merge.Organization, Subject: u.Merge.Into}
	from := consent.SubjectKey{Organization: u.Merge.Organization, Subject: u.Merge.From}
	all, err := r.ConsentsOf(ctx, []consent.SubjectKey{into, from})
	if err != nil {
		return nil, nil, false, err
	}
	theirs := map[consent.ConsentKey]consent.Consent{}
	for _, c := range all[from] {
		theirs[consent.ConsentKey{Organization: c.Organization, Subject: into.Subject, Project: c.Project,
			Purpose: c.Purpose}] = c
	}
	now := map[consent.ConsentKey]consent.Consent{}
	var keys []consent.ConsentKey
	for _, c := range all[into] {
		key := consent.ConsentKey{Organization: c.Organization, Subject: c.Subject, Project: c.Project, Purpose: c.Purpose}
		if _, met := theirs[key]; met || c.State.No() {
			now[key], keys = c, append(keys, key)
		}
	}
	err = eachTimeline(ctx, r, keys, func(key consent.ConsentKey, history []consent.Step) {
		left, known, no := u.Consent(now[key], theirs[key], history)
		refused = refused || no
		switch {
		case !known:
			removed = append(removed, key)
		case left != now[key]:
			written = append(written, left)
		}
	})
	return written, removed, refused, err
}
