package consent

import (
	"slices"
	"time"
)

// MergeSubjects asks to take two subjects, named by their own ids, for one person from now on: Subject, which has what
// the other one had.
type MergeSubjects struct {
	Subject, Other ID
	DryRun         bool    // changes nothing, and tells what would change
	If             IfMatch // the tag of a SubjectView
	Idempotency    Idempotency
}

// MergedSubjects is what a merge makes of two subjects.
type MergedSubjects struct {
	Subject *SubjectView
	DryRun  bool
	At      time.Time
	Changes []ConsentChange // in order of project, purpose and subject
}

// ConsentChange is what a merge makes of what one of two subjects had decided. A consent whose Event is NoID is
// unknown.
type ConsentChange struct {
	Subject       ID
	ProjectID     ID
	PurposeKey    string
	Before, After Consent
}

// Changes tells whether a merge changes what holds, and until when.
func (c *ConsentChange) Changes() bool {
	return c.Before.State != c.After.State || c.Before.Grants != c.After.Grants ||
		!c.Before.ExpiresAt.Equal(c.After.ExpiresAt) || c.Before.Event != c.After.Event
}

// UnmergeSubjects asks to undo the merge of Other into Subject, named by their own ids.
type UnmergeSubjects struct {
	Subject, Other ID
	If             IfMatch // the tag of Subject's view
	Idempotency    Idempotency
}

// UnmergedSubjects are two who were one.
type UnmergedSubjects struct{ Subject, Other *SubjectView }

// CheckMerge refuses to make one person of two who are known by more than one person can be known by. Errors: Conflict.
func CheckMerge(into, from []Identifier) error {
	count := map[IdentifierKind]int{}
	for _, id := range into {
		count[id.Kind]++
	}
	for _, id := range from {
		if count[id.Kind]++; count[id.Kind] > maxOfKind {
			return Errorf(Conflict, "", "together these subjects have more than %d identifiers of one kind", maxOfKind)
		}
		for _, has := range into {
			switch {
			case id.Kind.Naming() && has.Kind.Naming():
				return Errorf(Conflict, "", "both subjects have an id by which the organization names them")
			case id.Kind.single() && has.Kind == id.Kind && has.Project == id.Project:
				return Errorf(Conflict, "", "both subjects have a user id of the same project")
			}
		}
	}
	return nil
}

// MergeToUndo finds the merge of other into a subject among all that stand and led to the subject. A merge into
// somebody who was merged since is in the way of nobody, but cannot be undone before that one. Errors: Conflict.
func MergeToUndo(merges []SubjectMerge, subject, other ID) (SubjectMerge, error) {
	for _, m := range merges {
		switch {
		case m.From == other && m.Into == subject:
			return m, nil
		case m.From == other:
			return SubjectMerge{}, Errorf(Conflict, "",
				"the other subject was merged into %s, which was merged since; undo that merge first", m.Into)
		}
	}
	return SubjectMerge{}, Errorf(Conflict, "", "the other subject is not merged into this one")
}

// Unmerge is the undoing of a merge among all merges that stand and led to whoever stays.
type Unmerge struct {
	Merge SubjectMerge
	gone  map[ID]bool // who goes: the one who had been merged, and those who had been merged into that one
	left  []SubjectMerge
}

// NewUnmerge tells who goes and which merges are left where one is undone.
func NewUnmerge(merge SubjectMerge, merges []SubjectMerge) *Unmerge {
	u := &Unmerge{Merge: merge, gone: map[ID]bool{merge.From: true}}
	for more := true; more; {
		more = false
		for _, m := range merges {
			if u.gone[m.Into] && !u.gone[m.From] {
				u.gone[m.From], more = true, true
			}
		}
	}
	for _, m := range merges {
		if !u.gone[m.From] {
			u.left = append(u.left, m)
		}
	}
	return u
}

// Names gives, of all identifiers of the one who stays, those that go back: which came with the merge.
func (u *Unmerge) Names(names []OwnedIdentifier) (back []OwnedIdentifier) {
	for _, n := range names {
		if u.gone[n.Origin] {
			n.Subject = u.Merge.From
			back = append(back, n)
		}
	}
	return back
}

// Claims are what the one who stays still answers for, where it said no since the merge: by any of the identifiers that
// go back, and by the own ids that do, somebody may have said so.
func (u *Unmerge) Claims(back []OwnedIdentifier) (claims []OwnedIdentifier) {
	for _, n := range back {
		claims = append(claims, OwnedIdentifier{OwnedName: n.OwnedName, Subject: u.Merge.Into})
	}
	for id := range u.gone {
		claims = append(claims, OwnedIdentifier{Subject: u.Merge.Into, OwnedName: OwnedName{
			Organization: u.Merge.Organization, Identifier: Identifier{Kind: AnonymousID, Value: id.String()}}})
	}
	return claims
}

// Consent gives the consent of the one who stays: the fold of what is left. now is what it was so far, theirs that of
// the one who goes, and history all that led to now, which is changed. known is false where nothing is left; refused
// tells that it says no, and has said so since the merge.
func (u *Unmerge) Consent(now, theirs Consent, history []Step) (left Consent, known, refused bool) {
	decidedByThem := now.Event == theirs.Event
	steps := slices.DeleteFunc(history, func(s Step) bool {
		decidedByThem = decidedByThem || u.gone[s.Subject] && s.Event == now.Event
		return u.gone[s.Subject]
	})
	if len(steps) == 0 && decidedByThem {
		return Consent{}, false, false
	}
	whole, saidNo := complete(steps), u.saidNoSince(steps)
	steps = timeline(steps, u.left)
	if !whole && !decidedByThem { // of what retention dropped, what decides is known
		steps = append(steps, now.missingSteps(steps)...)
		slices.SortFunc(steps, before)
	}
	left = latest(steps)
	left.Organization, left.Subject, left.Project, left.Purpose = now.Organization, now.Subject, now.Project, now.Purpose
	left.Last = now.Last
	return left, true, left.State.No() && saidNo
}

// saidNoSince tells whether the one who stays said no since the merge, also where another no of theirs decides: it may
// have been the one who goes.
func (u *Unmerge) saidNoSince(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool {
		return s.State.No() && s.Subject == u.Merge.Into && s.Sequence > u.Merge.After
	})
}
