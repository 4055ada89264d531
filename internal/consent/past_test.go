package consent

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wholeTimeline gives the steps of events of which none is missing.
func wholeTimeline(events []Event) []Step {
	steps := stepsOf(events)
	if len(steps) > 0 {
		steps[0].First, steps[0].Last = true, true
	}
	return steps
}

// TestPastIsTheContract holds what was known of an instant against the contract read slowly over the events that had
// occurred by then, or were recorded by then.
func TestPastIsTheContract(t *testing.T) {
	nothing := 0
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		current := fold(events, nil)
		current.Subject = ID{1}
		at := Instant{At: minute(rapid.IntRange(-1, 7).Draw(t, "at")), AsRecorded: rapid.Bool().Draw(t, "as recorded")}
		var by []Event
		for _, e := range events {
			known := modelTime(e)
			if at.AsRecorded {
				known = e.RecordedAt
			}
			if !known.After(at.At) {
				by = append(by, e)
			}
		}
		got, ok := at.Consent(&current, wholeTimeline(rapid.Permutation(events).Draw(t, "order")), nil)
		if !ok || len(by) == 0 {
			if nothing++; ok != (len(by) > 0) {
				t.Fatalf("of %d events it says %t", len(by), ok)
			}
			return
		}
		want := modelFold(by)
		if want.Subject = current.Subject; got != want {
			t.Fatalf("%s, at %v: %+v, the contract says %+v", describe(events), at.At.Sub(noon), got, want)
		}
	})
	if nothing == 0 {
		t.Error("there always was something")
	}
}

// TestPastOfMerges draws three people who decide, and who turn out to be one at different times, as a ledger that grows
// with the clock: what was recorded at an instant is what the fold of the ledger gave then, and what was known of it is
// the fold of all that had happened. Of who had not turned out to be the person by then a no is heard, and no yes.
func TestPastOfMerges(t *testing.T) {
	apart, heard := 0, 0
	check := func(t *rapid.T) {
		var events []Event
		var merges []SubjectMerge
		gone := map[ID]bool{}
		for n := 1; n <= rapid.IntRange(1, 9).Draw(t, "n"); n++ {
			now := minute(10 * n)
			past := time.Duration(rapid.IntRange(0, 40).Draw(t, "late")) * time.Minute
			if from := byte(rapid.IntRange(2, 9).Draw(t, "merged")); from <= 3 && !gone[ID{from}] {
				into := ID{byte(rapid.IntRange(1, int(from)-1).Draw(t, "into"))}
				if !gone[into] {
					gone[ID{from}] = true
					merges = append(merges, SubjectMerge{Into: into, From: ID{from}, Number: int64(n), MergedAt: now.Add(-past),
						RecordedAt: now, After: int64(len(events))})
				}
			}
			whose := byte(rapid.IntRange(1, 3).Draw(t, "whose"))
			if gone[ID{whose}] {
				whose = 1
			}
			if gone[ID{whose}] {
				continue
			}
			events = append(events, of(whose, makeEvent(rapid.IntRange(0, len(sorts)-1).Draw(t, "sort"), len(events)+1,
				now.Add(-past), now, rapid.SampledFrom([]int{0, 5, 30}).Draw(t, "life"), OptOut)))
		}
		events = slices.DeleteFunc(events, func(e Event) bool { return !isNow(merges, e.Subject) })
		if len(events) == 0 {
			return
		}
		at := Instant{At: minute(rapid.IntRange(-50, 95).Draw(t, "at")), AsRecorded: rapid.Bool().Draw(t, "as recorded")}
		got, ok := at.Consent(&Consent{Subject: ID{1}}, wholeTimeline(events), merges)
		// Who one was by then, merge by merge.
		was := func(m SubjectMerge) bool {
			return at.AsRecorded && !m.RecordedAt.After(at.At) || !at.AsRecorded && !m.MergedAt.After(at.At)
		}
		var who func(id ID) ID
		who = func(id ID) ID {
			for _, m := range merges {
				if m.From == id && was(m) {
					return who(m.Into)
				}
			}
			return id
		}
		var want []Consent // the person's, and the noes of others
		for _, one := range []ID{{1}, {2}, {3}} {
			by := slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
				in := !e.RecordedAt.After(at.At) || !at.AsRecorded && !modelTime(e).After(at.At)
				return !in || who(e.Subject) != one
			})
			then := slices.DeleteFunc(slices.Clone(merges), func(m SubjectMerge) bool { return !was(m) || who(m.Into) != one })
			if len(by) == 0 {
				continue
			}
			c := fold(by, then)
			if one != (ID{1}) && !c.SaysNo(at.At) {
				apart++
				continue
			}
			want = append(want, c)
		}
		if ok != (len(want) > 0) {
			t.Fatalf("of %d events it says %t", len(events), ok)
		}
		if !ok {
			return
		}
		all := want[0]
		for _, c := range want[1:] {
			heard++
			all = combine(all, c, at.At)
		}
		if all.Subject = (ID{1}); got != all {
			t.Fatalf("%s, at %v: %+v, the folds of then give %+v", describe(events), at.At.Sub(noon), got, all)
		}
		if slices.ContainsFunc(want, func(c Consent) bool { return c.SaysNo(at.At) }) && got.InForce(at.At) {
			t.Fatalf("%s: a no became a yes", describe(events))
		}
	}
	for tries := 0; tries < 1000 && (apart == 0 || heard == 0); tries++ { // few draws have both
		rapid.Check(t, check)
	}
	if apart == 0 || heard == 0 {
		t.Errorf("apart %d, heard %d", apart, heard)
	}
}

// isNow tells whether a subject is the first one, or turned out to be by now.
func isNow(merges []SubjectMerge, subject ID) bool {
	return subject == ID{1} || slices.ContainsFunc(merges, func(m SubjectMerge) bool {
		return m.From == subject && isNow(merges, m.Into)
	})
}

// TestPastWithoutDroppedEvents: what retention has dropped does not make the instant just past another one than now.
func TestPastWithoutDroppedEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		current := fold(events, nil)
		current.Subject = ID{1}
		left := slices.DeleteFunc(stepsOf(events), func(Step) bool { return rapid.Bool().Draw(t, "dropped") })
		if len(left) > 0 {
			left[len(left)-1].Last, left[0].First = true, len(left) == len(events)
		}
		got, ok := Instant{At: minute(9)}.Consent(&current, left, nil)
		if !ok || got.Event != current.Event || got.State != current.State || !got.ExpiresAt.Equal(current.ExpiresAt) {
			t.Fatalf("with %d of %d events left it was %+v, it is %+v", len(left), len(events), got, current)
		}
	})
}

// TestPastVersions: a text that asked for a new yes later did not make the yes of then stale.
func TestPastVersions(t *testing.T) {
	d := checkCatalog()
	d.Purposes[1].CreatedAt, d.Purposes[1].HeldFrom = minute(0), minute(20)
	d.Purposes[1].Earlier = []Version{{Number: 1, HeldFrom: minute(0)}, {Number: 2, HeldFrom: minute(10)}}
	yes := makeEvent(0, 2, minute(15), minute(15), 0, OptIn)
	for _, tc := range []struct {
		at      int
		version int
		granted bool
		reason  Reason
	}{{-1, 0, true, ReasonAccepted}, {5, 1, true, ReasonAccepted}, {19, 2, true, ReasonAccepted},
		{20, 3, false, ReasonReacceptRequired}, {99, 3, false, ReasonReacceptRequired}} {
		q := CheckQuery{People: [][]Identifier{{{Kind: UserID, Value: "ada"}}}, Purposes: []string{"news"},
			Instant: Instant{At: minute(tc.at)}}
		p, err := PrepareCheck(Actor{Root: true}, d, &q)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Check(&Meant{Given: p.People[0], Who: []Who{{Subject: ID{1}, Consents: []Consent{consentOfOne(2, yes)}}}},
			minute(50))
		r := got.Results[0]
		if r.CurrentVersion != tc.version || r.Granted != tc.granted || r.Reason != tc.reason ||
			!got.At.Equal(minute(tc.at)) {
			t.Errorf("at minute %d: %+v", tc.at, got)
		}
	}
}

func TestInstants(t *testing.T) {
	for _, tc := range []struct {
		at   time.Time
		past bool
		fine bool
	}{{time.Time{}, false, true}, {noon, false, true}, {noon.Add(-time.Microsecond), true, true},
		{noon.Add(time.Hour), false, true}, {time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), true, false},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), false, false}} {
		i := Instant{At: tc.at}
		if err := i.Check(); i.Past(noon) != tc.past || (err == nil) != tc.fine {
			t.Errorf("%v: past %t, %v", tc.at, i.Past(noon), err)
		}
	}
}
