package consent

import (
	"testing"
)

// TestUnmergeConsent says what is left of a consent when a merge is undone: by whole timelines, and where retention has
// dropped events, which must make nobody's yes another's.
func TestUnmergeConsent(t *testing.T) {
	step := func(subject, number byte, state State, sequence int64) Step {
		return Step{Event: ID{number}, State: state, Weight: WeightActive, Grants: state == Accepted,
			OccurredAt: minute(int(number)), Subject: ID{subject}, Sequence: sequence, Last: true, First: true}
	}
	cut := func(s Step) Step { s.First = false; return s }
	by := func(s Step) Consent { return Consent{Active: true}.by(&s, s.OccurredAt) }
	merge := SubjectMerge{Into: ID{1}, From: ID{2}, MergedAt: minute(5), After: 5}
	yes1, no1 := step(1, 1, Accepted, 1), step(1, 2, Declined, 2)
	yes2, no2 := step(2, 3, Accepted, 3), step(2, 4, Declined, 4)
	since, early := step(1, 6, Withdrawn, 6), step(1, 1, Declined, 6)
	for _, tc := range []struct {
		name        string
		now, theirs Consent
		history     []Step
		state       State // 0: nothing is left
		refused     bool
	}{
		{"their no goes", by(no2), by(no2), []Step{yes1, no2}, Accepted, false},
		{"my no stays", by(no1), by(yes2), []Step{no1, yes2}, Declined, false},
		{"a no since", by(since), by(yes2), []Step{yes1, since, yes2}, Withdrawn, true},
		{"a no since, and a later one of mine", by(no1), by(yes2), []Step{early, no1, yes2}, Declined, true},
		{"nothing of mine", by(yes2), by(yes2), []Step{yes2}, 0, false},
		{"dropped: theirs decided, none of mine is there", by(yes2), by(yes2), nil, 0, false},
		{"dropped: mine decided", by(yes1), by(no2), []Step{no2}, Accepted, false},
		{"dropped: theirs decided, mine is cut", by(yes2), by(yes2), []Step{cut(no1)}, Declined, false},
		{"dropped: my no decided, a later view of mine is there", by(no1), by(yes2), []Step{cut(yes1), yes2}, Declined,
			false},
	} {
		u := NewUnmerge(merge, []SubjectMerge{merge})
		left, known, refused := u.Consent(tc.now, tc.theirs, tc.history)
		if left.State != tc.state || known != (tc.state != 0) || refused != tc.refused {
			t.Errorf("%s: %s, known %t, refused %t", tc.name, left.State, known, refused)
		}
	}
}

// TestOnlyNo: of those who claim an id by which an organization names one person, the noes are heard alone.
func TestOnlyNo(t *testing.T) {
	at := minute(5)
	consentOf := func(subject byte, purpose int, state State) Consent {
		return Consent{Subject: ID{subject}, Purpose: purpose, Event: ID{subject}, State: state, Weight: WeightActive,
			Grants: state == Accepted, Active: true, OccurredAt: minute(1)}
	}
	who := Who{Subject: ID{1}, Claimants: []ID{{2}}, Consents: []Consent{consentOf(1, 1, Accepted),
		consentOf(2, 1, Declined), consentOf(2, 2, Accepted), consentOf(1, 3, Accepted)}}
	got := who.OnlyNo(at)
	if len(got.Consents) != 3 || got.Consents[1].State != Declined || got.Consents[2].Purpose != 3 {
		t.Errorf("heard are %+v", got.Consents)
	}
	if len(who.Consents) != 4 {
		t.Error("what was read is changed")
	}
}

// TestMergeToUndo: a merge into somebody who was merged since waits for the undoing of that one.
func TestMergeToUndo(t *testing.T) {
	merges := []SubjectMerge{{Into: ID{2}, From: ID{3}}, {Into: ID{1}, From: ID{2}}}
	if m, err := MergeToUndo(merges, ID{1}, ID{2}); err != nil || m != merges[1] {
		t.Errorf("the last one: %+v, %v", m, err)
	}
	for _, other := range []ID{{1}, {3}, {4}} {
		if m, err := MergeToUndo(merges, ID{1}, other); !IsKind(err, Conflict) {
			t.Errorf("%s: %+v, %v", other, m, err)
		}
	}
	u := NewUnmerge(merges[1], merges)
	back := u.Names([]OwnedIdentifier{{Subject: ID{1}}, {Subject: ID{1}, Origin: ID{3}}, {Subject: ID{1}, Origin: ID{2}},
		{Subject: ID{1}, Origin: ID{5}}})
	if len(back) != 2 || back[0].Subject != (ID{2}) || len(u.Claims(back)) != 4 {
		t.Errorf("%+v goes back", back)
	}
}

// TestCheckMerge: what one person cannot be known by twice stands in the way of a merge.
func TestCheckMerge(t *testing.T) {
	id := func(kind IdentifierKind, project int, value string) []Identifier {
		return []Identifier{{Kind: kind, Project: project, Value: value}}
	}
	for _, tc := range []struct {
		name       string
		into, from []Identifier
		fine       bool
	}{
		{"two user ids", id(UserID, 0, "a"), id(UserID, 0, "b"), false},
		{"a user and a device", id(UserID, 0, "a"), id(TypedKind("device"), 0, "b"), false},
		{"two of a project", id(ProjectUserID, 1, "a"), id(ProjectUserID, 1, "b"), false},
		{"of two projects", id(ProjectUserID, 1, "a"), id(ProjectUserID, 2, "b"), true},
		{"two addresses", id(Email, 0, "a"), id(Email, 0, "b"), true},
		{"a name and a browser", id(UserID, 0, "a"), id(AnonymousID, 0, "b"), true},
		{"nobody", nil, id(UserID, 0, "b"), true},
	} {
		if err := CheckMerge(tc.into, tc.from); tc.fine != (err == nil) || err != nil && !IsKind(err, Conflict) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	many := make([]Identifier, maxOfKind)
	for i := range many {
		many[i] = Identifier{Kind: Email, Value: ID{byte(i), byte(i >> 8)}.String()}
	}
	if err := CheckMerge(many, id(Email, 0, "one more")); !IsKind(err, Conflict) {
		t.Errorf("too many: %v", err)
	}
}
