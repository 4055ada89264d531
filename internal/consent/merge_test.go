package consent

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// of makes an event somebody else's.
func of(subject byte, e Event) Event {
	e.Subject = ID{subject}
	return e
}

// TestMergeKeepsTheNo merges two who decided whatever they did, at a time when all of it was on record: where one
// says no and the other does not, the one they are says no, by the event of that no and until it would have ended;
// else the fold is that over both.
func TestMergeKeepsTheNo(t *testing.T) {
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		mine, theirs := drawEvents(t), drawEvents(t)
		for i := range theirs {
			theirs[i].Subject, theirs[i].ID[14], theirs[i].Sequence = ID{2}, 1, theirs[i].Sequence+9
		}
		at := minute(rapid.IntRange(6, 9).Draw(t, "merged"))
		merge := SubjectMerge{Into: ID{1}, From: ID{2}, MergedAt: at, After: 18}
		all := append(append([]Event{}, mine...), theirs...)
		a, b, got := modelFold(mine), modelFold(theirs), fold(all, []SubjectMerge{merge})
		var no *Consent
		switch {
		case a.SaysNo(at) && !b.SaysNo(at):
			no = &a
		case b.SaysNo(at) && !a.SaysNo(at):
			no = &b
		}
		if no != nil {
			kept++
			if got.Event != no.Event || !got.SaysNo(at) || !got.ExpiresAt.Equal(no.ExpiresAt) {
				t.Fatalf("%s and %s: one says no by %s, merged it is %+v", describe(mine), describe(theirs), no.Event, got)
			}
		} else if want := modelFold(all); got != want {
			t.Fatalf("%s and %s: merged it is %+v, the contract says %+v", describe(mine), describe(theirs), got, want)
		}
		// Deciding again ends it, and nothing that is no choice does.
		again := of(1, makeEvent(rapid.SampledFrom([]int{0, 3, 4, 5}).Draw(t, "again"), 99, at.Add(time.Minute),
			at.Add(time.Minute), 0, OptOut))
		then := fold(append(all, again), []SubjectMerge{merge})
		switch {
		case again.Weight == WeightActive && then.Event != again.ID:
			t.Fatalf("decided again, and it is %+v", then)
		case again.Weight != WeightActive && got.SaysNo(again.OccurredAt) && then != got:
			t.Fatalf("%s made of %+v %+v", describe([]Event{again}), got, then)
		}
	})
	if kept == 0 {
		t.Error("no merge had to keep a no")
	}
}

// TestMergesFollowEachOther: what the first merge set aside is a part of what the second one meets, and what was
// recorded between them as well.
func TestMergesFollowEachOther(t *testing.T) {
	yes := func(subject byte, number, m int) Event {
		return of(subject, makeEvent(0, number, minute(m), minute(m), 0, OptIn))
	}
	no := func(subject byte, number, m int) Event {
		return of(subject, makeEvent(1, number, minute(m), minute(m), 0, OptIn))
	}
	first := SubjectMerge{Into: ID{1}, From: ID{2}, MergedAt: minute(10), After: 2}
	second := SubjectMerge{Into: ID{1}, From: ID{3}, MergedAt: minute(20), After: 4}
	into := SubjectMerge{Into: ID{4}, From: ID{1}, MergedAt: minute(30), After: 6}
	for _, tc := range []struct {
		name   string
		events []Event
		merges []SubjectMerge
		state  State
	}{
		{"a no, a browser's later yes", []Event{no(1, 1, 1), yes(2, 2, 2)}, []SubjectMerge{first}, Declined},
		{"a yes, a browser's earlier no", []Event{yes(1, 1, 2), no(2, 2, 1)}, []SubjectMerge{first}, Declined},
		{"and a second browser's yes", []Event{no(1, 1, 1), yes(2, 2, 2), yes(3, 3, 12)}, []SubjectMerge{first, second},
			Declined},
		{"decided again between", []Event{no(1, 1, 1), yes(2, 2, 2), yes(1, 3, 12), yes(3, 4, 13)}, []SubjectMerge{first,
			second}, Accepted},
		{"a second browser's no", []Event{yes(1, 1, 1), yes(2, 2, 2), yes(1, 3, 12), no(3, 4, 11)}, []SubjectMerge{first,
			second}, Declined},
		{"in whatever order the merges come", []Event{no(1, 1, 1), yes(2, 2, 2), yes(1, 3, 12), yes(3, 4, 13)},
			[]SubjectMerge{second, first}, Accepted},
		{"one who was merged into is merged", []Event{no(1, 1, 1), yes(2, 2, 2), yes(4, 5, 25)}, []SubjectMerge{first,
			into}, Declined},
		{"a yes of before the merge that comes late", []Event{no(1, 1, 1), yes(2, 2, 3), yes(1, 3, 2)},
			[]SubjectMerge{first}, Declined},
		{"one of between the yes and the merge", []Event{no(1, 1, 1), yes(2, 2, 3), yes(1, 3, 9)},
			[]SubjectMerge{first}, Declined},
		{"the same, where the no was the later one", []Event{no(1, 1, 3), yes(2, 2, 2), yes(1, 3, 9)},
			[]SubjectMerge{first}, Declined},
		{"a no that had ended before the other's yes, and a merge of before that", []Event{
			of(1, makeEvent(1, 1, minute(1), minute(1), 12, OptIn)), yes(2, 2, 14)}, []SubjectMerge{first}, Accepted},
		{"one of the merge itself", []Event{no(1, 1, 1), yes(2, 2, 3), yes(1, 3, 10)}, []SubjectMerge{first}, Accepted},
	} {
		if got := fold(tc.events, tc.merges); got.State != tc.state {
			t.Errorf("%s: %s", tc.name, got.State)
		}
	}
}

// TestJoint asks about what several share: a no of any is a no, and the order in which they are named does not matter.
func TestJoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := modelFold(drawEvents(t)), modelFold(drawEvents(t))
		b.Event[14] = 1 // two people's events are not the same
		at := minute(rapid.IntRange(0, 9).Draw(t, "asked"))
		got := combine(a, b, at)
		if other := combine(b, a, at); got != other {
			t.Fatalf("%+v, the other way round %+v", got, other)
		}
		if (a.SaysNo(at) || b.SaysNo(at)) != got.SaysNo(at) || got.Active != (a.Active || b.Active) {
			t.Fatalf("%+v and %+v are together %+v", a, b, got)
		}
		if got.InForce(at) && !a.InForce(at) && !b.InForce(at) {
			t.Fatalf("nobody allowed it, and it is %+v", got)
		}
	})
}
