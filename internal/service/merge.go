package service

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
)

// MergeSubjects takes two subjects for one person from now on, or tells what that would change. Where they are one
// already it changes nothing. The answer to keep is rendered from a *MergedSubjects. Errors: Forbidden, NotFound,
// Unprocessable (the other one is not known, or is the subject itself), Conflict (see consent.CheckMerge),
// PreconditionFailed.
func (s *Service) MergeSubjects(ctx context.Context, a consent.Actor, in consent.MergeSubjects) (
	*consent.MergedSubjects, error) {
	d, err := s.catalogForPeople(ctx, a)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		var merged *consent.MergedSubjects
		err := s.view(ctx, func(r Reader) (err error) {
			merged, _, err = s.planMerge(ctx, r, d, in)
			return err
		})
		return merged, err
	}
	var merged *consent.MergedSubjects
	err = s.updateLedger(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		var changes *consent.Changes
		var err error
		if merged, changes, err = s.planMerge(ctx, tx, d, in); err != nil {
			return nil, err
		}
		if changes == nil {
			return merged, nil
		}
		m := &changes.Merges[0]
		entry, err := s.addEntry(ctx, tx, a.MergeEntry(m), changes)
		if err != nil {
			return nil, err
		}
		m.After, m.RecordedAt = entry.Sequence-1, entry.RecordedAt
		if err := tx.Append(ctx, changes); err != nil {
			return nil, err
		}
		merged.Subject, err = viewOf(ctx, tx, a.Organization, in.Subject)
		return merged, err
	})
	return merged, err
}

func (s *Service) catalogForPeople(ctx context.Context, a consent.Actor) (*consent.Catalog, error) {
	if err := a.Require(consent.SubjectsWrite); err != nil {
		return nil, err
	}
	return s.catalog(ctx, a.Organization)
}

// planMerge gives what a merge makes of two subjects, and what has to be written for it; nil: they are one already.
func (s *Service) planMerge(ctx context.Context, r Reader, d *consent.Catalog, in consent.MergeSubjects) (
	*consent.MergedSubjects, *consent.Changes, error) {
	organization := d.Organization.ID
	view, err := viewOf(ctx, r, organization, in.Subject)
	if err != nil {
		return nil, nil, err
	}
	other, err := otherSubject(ctx, r, organization, in.Subject, in.Other)
	if err != nil {
		return nil, nil, err
	}
	merged := &consent.MergedSubjects{Subject: view, DryRun: in.DryRun, At: s.now()}
	if other.MergedInto != consent.NoID {
		if other, err = survivor(ctx, r, organization, other.ID); err != nil {
			return nil, nil, err
		}
	}
	if other.ID == view.ID {
		return merged, nil, in.If.Check(view.Tag)
	}
	key := consent.SubjectKey{Organization: organization, Subject: other.ID}
	theirs, err := identifiersOf(ctx, r, []consent.SubjectKey{key})
	if err != nil {
		return nil, nil, err
	}
	if err := consent.CheckMerge(view.Identifiers, theirs[key]); err != nil {
		return nil, nil, err
	}
	if err := in.If.Check(view.Tag); err != nil {
		return nil, nil, err
	}
	changes, err := s.merge(ctx, r, d, consent.SubjectMerge{Organization: organization, Into: view.ID, From: other.ID,
		MergedAt: merged.At}, merged)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range theirs[key] {
		changes.Identifiers = append(changes.Identifiers, consent.OwnedIdentifier{Subject: view.ID,
			OwnedName: consent.OwnedName{Organization: organization, Identifier: id}})
	}
	return merged, changes, nil
}

// merge gives the merge and the consents to write, and tells what changes.
func (s *Service) merge(ctx context.Context, r Reader, d *consent.Catalog, m consent.SubjectMerge,
	merged *consent.MergedSubjects) (*consent.Changes, error) {
	head, err := headOf(ctx, r, m.Organization)
	if err != nil {
		return nil, err
	}
	m.After = head.Sequence
	changed, written, err := writer.Merge(ctx, r, m)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(changed, func(a, b consent.ConsentChange) int {
		return cmp.Or(a.Before.Project-b.Before.Project, a.Before.Purpose-b.Before.Purpose,
			bytes.Compare(a.Subject[:], b.Subject[:]))
	})
	for _, c := range changed {
		project, purpose := d.ProjectNumbered(c.Before.Project), d.PurposeNumbered(c.Before.Project, c.Before.Purpose)
		if c.Changes() && project != nil && purpose != nil {
			c.ProjectID, c.PurposeKey = project.ID, purpose.Key
			merged.Changes = append(merged.Changes, c)
		}
	}
	return &consent.Changes{Merges: []consent.SubjectMerge{m}, Consents: written}, nil
}

// otherSubject gives the second of two subjects, which a body names. Errors: Unprocessable.
func otherSubject(ctx context.Context, r Reader, organization, id, other consent.ID) (*consent.Subject, error) {
	if id == other {
		return nil, consent.Errorf(consent.Unprocessable, "subject_id", "is the subject itself")
	}
	subject, err := asStored(r).Subject(ctx, organization, other)
	if err == nil && (subject == nil || !subject.Erasure.At.IsZero()) {
		err = consent.Errorf(consent.Unprocessable, "subject_id", "is no subject of this organization")
	}
	return subject, err
}

func headOf(ctx context.Context, r Reader, organization consent.ID) (consent.Head, error) {
	heads, err := r.Heads(ctx, []consent.ID{organization})
	return heads[organization], err
}

// UnmergeSubjects undoes a merge: events recorded since stay with the one who stays, and identifiers that came with the
// merge go back. The answer to keep is rendered from an *UnmergedSubjects. Errors: Forbidden, NotFound, Unprocessable
// (the other one is not known), Conflict (see consent.MergeToUndo), PreconditionFailed.
func (s *Service) UnmergeSubjects(ctx context.Context, a consent.Actor, in consent.UnmergeSubjects) (
	*consent.UnmergedSubjects, error) {
	if _, err := s.catalogForPeople(ctx, a); err != nil {
		return nil, err
	}
	var apart consent.UnmergedSubjects
	err := s.updateLedger(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		view, err := viewOf(ctx, tx, a.Organization, in.Subject)
		if err != nil {
			return nil, err
		}
		if _, err := otherSubject(ctx, tx, a.Organization, in.Subject, in.Other); err != nil {
			return nil, err
		}
		changes, err := s.unmerge(ctx, tx, view, in)
		if err != nil {
			return nil, err
		}
		m := &changes.Unmerges[0]
		entry, err := s.addEntry(ctx, tx, a.UnmergeEntry(m), changes)
		if err != nil {
			return nil, err
		}
		m.UndoneAfter = entry.Sequence - 1
		if err := tx.Append(ctx, changes); err != nil {
			return nil, err
		}
		if apart.Subject, err = viewOf(ctx, tx, a.Organization, view.ID); err != nil {
			return nil, err
		}
		apart.Other, err = viewOf(ctx, tx, a.Organization, in.Other)
		return &apart, err
	})
	return &apart, err
}

func (s *Service) unmerge(ctx context.Context, r Reader, view *consent.SubjectView, in consent.UnmergeSubjects) (
	*consent.Changes, error) {
	key := consent.SubjectKey{Organization: view.Organization, Subject: view.ID}
	merges, err := r.Merges(ctx, []consent.SubjectKey{key})
	if err != nil {
		return nil, err
	}
	merge, err := consent.MergeToUndo(merges[key], view.ID, in.Other)
	if err != nil {
		return nil, err
	}
	if err := in.If.Check(view.Tag); err != nil {
		return nil, err
	}
	names, err := r.Names(ctx, []consent.SubjectKey{key})
	if err != nil {
		return nil, err
	}
	u := consent.NewUnmerge(merge, merges[key])
	written, removed, refused, err := writer.Unmerge(ctx, r, u)
	if err != nil {
		return nil, err
	}
	merge.UndoneAt = s.now()
	changes := &consent.Changes{Unmerges: []consent.SubjectMerge{merge}, Identifiers: u.Names(names[key]),
		Consents: written, RemovedConsents: removed}
	if !view.Restriction.At.IsZero() { // whose it was nobody can tell, so it is both's
		changes.Restrictions = []consent.RestrictedSubject{{Restriction: view.Restriction,
			SubjectKey: consent.SubjectKey{Organization: view.Organization, Subject: in.Other}}}
	}
	if refused {
		changes.Claims = u.Claims(changes.Identifiers)
	}
	return changes, nil
}
