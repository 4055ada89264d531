package consent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// minute gives an instant of these tests.
func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// sorts are all that a decision can be, as far as the fold sees.
var sorts = []struct {
	name    string
	state   State
	action  Action
	undated bool
}{
	{"yes", Accepted, UserClick, false}, {"no", Declined, UserClick, false}, {"withdrawal", Withdrawn, UserClick, false},
	{"implied", Implied, ImpliedAction, false}, {"viewed", Viewed, UserClick, false}, {"implied yes", Accepted,
		ImpliedAction, false},
	{"undated yes", Accepted, Import, true}, {"undated no", Declined, Import, true}, {"imported yes", Accepted, Import,
		false},
}

// makeEvent makes an event of a sort; number is its place in the ledger, life in minutes, 0: never expires.
func makeEvent(sort, number int, occurred, recorded time.Time, life int, regime Regime) Event {
	of := sorts[sort]
	e := Event{ID: ID{15: byte(number)}, Sequence: int64(number), Subject: ID{1}, Project: 1, Purpose: 2,
		PurposeVersion: number % 50, State: of.state, Action: of.action,
		Weight: weigh(of.state, of.action, of.undated), Grants: grants(of.state, of.action, regime), OccurredAt: occurred,
		RecordedAt: recorded}
	if life > 0 {
		e.ExpiresAt = occurred.Add(time.Duration(life) * time.Minute)
	}
	return e
}

// drawEvents draws events of one subject and purpose, with instants so few that they often meet; some are dated ahead
// of their recording.
func drawEvents(t *rapid.T) []Event {
	n := rapid.IntRange(1, 9).Draw(t, "n")
	numbers := rapid.Permutation([]int{1, 2, 3, 4, 5, 6, 7, 8, 9}).Draw(t, "numbers")
	events := make([]Event, n)
	for i := range events {
		occurred := minute(rapid.IntRange(0, 5).Draw(t, "minute"))
		recorded := occurred.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "ahead")) * time.Minute)
		regime := rapid.SampledFrom([]Regime{OptIn, OptOut}).Draw(t, "regime")
		events[i] = makeEvent(rapid.IntRange(0, len(sorts)-1).Draw(t, "sort"), numbers[i], occurred, recorded,
			rapid.IntRange(0, 4).Draw(t, "life"), regime)
	}
	return events
}

// The slow model reads the contract word by word ("States, and which event decides"). It shares nothing with the fold
// but its types.

func modelTime(e Event) time.Time {
	if e.RecordedAt.Before(e.OccurredAt) {
		return e.RecordedAt
	}
	return e.OccurredAt
}

func (e *Event) modelPassive() bool {
	return e.State == Viewed || e.State == Implied || e.State == Accepted && e.Action == ImpliedAction
}

// modelLater is the order of the contract: time, then a no behind a yes, then the id. What is passive comes before
// what is active, which would decide over it anyway.
func modelLater(a, b Event) bool {
	order := func(e Event) int {
		switch {
		case e.State == Viewed:
			return 0
		case e.modelPassive():
			return 1
		case e.Weight == WeightUndated:
			return 2
		case e.State == Accepted:
			return 3
		}
		return 4
	}
	switch {
	case !modelTime(a).Equal(modelTime(b)):
		return modelTime(a).After(modelTime(b))
	case order(a) != order(b):
		return order(a) > order(b)
	}
	return slices.Compare(a.ID[:], b.ID[:]) > 0
}

func modelExpired(e Event, at time.Time) bool {
	return !e.ExpiresAt.IsZero() && !at.Before(e.ExpiresAt)
}

// modelDecider replays events in order and applies one rule to each.
func modelDecider(events []Event) (decides *Event, active bool) {
	sorted := slices.Clone(events)
	slices.SortFunc(sorted, func(a, b Event) int {
		if modelLater(a, b) {
			return 1
		}
		return -1
	})
	for i := range sorted {
		e := &sorted[i]
		switch {
		case decides == nil:
			decides, active = e, !e.modelPassive()
		case e.State == Viewed: // rule 2: changes nothing where implied or more is on record
			if decides.State == Viewed {
				decides = e
			}
		case e.modelPassive(): // rule 2
			if !active || decides.modelPassive() || modelExpired(*decides, modelTime(*e)) {
				decides = e
			}
		case e.Weight == WeightUndated: // rule 3
			if !active {
				decides, active = e, true
			}
		default: // rule 1
			decides, active = e, true
		}
	}
	return decides, active
}

// modelSince says from the definition since when the last grant holds without a break. What was said is granted apart
// from what was implied.
func modelSince(events []Event) time.Time {
	last, active := modelDecider(events)
	if !last.Grants {
		return time.Time{}
	}
	if last.modelPassive() && active {
		return modelTime(*last)
	}
	var before []Event // of the same sort, and counting
	for _, e := range events {
		if e.modelPassive() == last.modelPassive() && e.State != Viewed && modelLater(*last, e) {
			before = append(before, e)
		}
	}
	if len(before) == 0 {
		return modelTime(*last)
	}
	previous, _ := modelDecider(before)
	if !previous.Grants || modelExpired(*previous, modelTime(*last)) {
		return modelTime(*last)
	}
	return modelSince(before)
}

func modelFold(events []Event) Consent {
	last, active := modelDecider(events)
	return Consent{Event: last.ID, PurposeVersion: last.PurposeVersion, State: last.State, Weight: last.Weight,
		Grants: last.Grants, Active: active,
		OccurredAt: modelTime(*last),
		ExpiresAt:  last.ExpiresAt, Since: modelSince(events)}
}

func TestFoldIsTheContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		want := modelFold(events)
		if got := fold(rapid.Permutation(events).Draw(t, "arrival"), nil); got != want {
			t.Fatalf("fold gives %+v, the contract says %+v", got, want)
		}
	})
}

// TestFoldOfAllShortSequences goes through every sequence of up to 3 steps of all sorts, dates, lives and regimes, in
// whatever order they are recorded, and through those of 4 and 5 with fewer dates.
func TestFoldOfAllShortSequences(t *testing.T) {
	type choice struct{ sort, minute, life int }
	var all, few []choice
	for sort := range sorts {
		for at := range 3 {
			for _, life := range []int{0, 1} {
				all = append(all, choice{sort, at, life})
			}
		}
		few = append(few, choice{sort, sort % 2, sort % 3})
	}
	var events []Event
	n := 0
	var walk func(choices []choice, depth int)
	walk = func(choices []choice, depth int) {
		if len(events) > 0 {
			n++
			if got, want := fold(events, nil), modelFold(events); got != want {
				t.Fatalf("%s: fold gives %+v, the contract says %+v", describe(events), got, want)
			}
		}
		if depth == 0 {
			return
		}
		for _, c := range choices {
			// The sorts and dates of the steps before are in every order, so the number alone stands for the order of arrival.
			events = append(events, makeEvent(c.sort, len(events)+1, minute(c.minute), minute(9), c.life, OptOut))
			walk(choices, depth-1)
			events = events[:len(events)-1]
		}
	}
	walk(all, 3)
	walk(few, 5)
	if n < 200_000 {
		t.Errorf("only %d sequences", n)
	}
}

func describe(events []Event) string {
	out := ""
	for _, e := range events {
		for _, s := range sorts {
			if s.state == e.State && s.action == e.Action && (s.undated == (e.Weight == WeightUndated) || s.state != Accepted) {
				out += fmt.Sprintf("[%s at %s until %s, recorded as %d] ", s.name, e.OccurredAt.Format("15:04"),
					e.ExpiresAt.Format("15:04"), e.Sequence)
				break
			}
		}
	}
	return out
}

// TestPassiveChangesNoChoice adds what is no choice to what is: a no stays a no and a yes that holds keeps its date
// and its expiry.
func TestPassiveChangesNoChoice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		before := fold(events, nil)
		at := minute(rapid.IntRange(0, 9).Draw(t, "added"))
		sort := rapid.SampledFrom([]int{3, 4, 5, 6}).Draw(t, "sort")
		regime := rapid.SampledFrom([]Regime{OptIn, OptOut}).Draw(t, "regime")
		if sorts[sort].undated {
			at = minute(9) // it is dated by its recording
		}
		after := fold(append(events, makeEvent(sort, 99, at, minute(9), rapid.IntRange(0, 4).Draw(t, "life"), regime)), nil)
		switch {
		case before.SaysNo(at) && before.Said() && !after.SaysNo(at):
			t.Fatalf("a no at that time, %+v, became %+v", before, after)
		case before.Said() && !before.Expired(at) && after != before:
			t.Fatalf("%+v became %+v", before, after)
		case sorts[sort].undated && before.Active && after != before:
			t.Fatalf("an undated yes made of %+v %+v", before, after)
		}
	})
}

// TestWhatHoldsThen is the table of the contract's rules.
func TestWhatHoldsThen(t *testing.T) {
	at := func(sort string, m, life int) func(number int) Event {
		i := slices.IndexFunc(sorts, func(s struct {
			name    string
			state   State
			action  Action
			undated bool
		}) bool {
			return s.name == sort
		})
		return func(number int) Event { return makeEvent(i, number, minute(m), minute(m), life, OptOut) }
	}
	ahead := at("yes", 4, 0)(1)
	ahead.RecordedAt = minute(0)
	for _, tc := range []struct {
		name   string
		events []Event
		state  State
		at     int // the minute of the one that decides
		grants bool
	}{
		{"a yes dated ahead, then a no", []Event{ahead, at("no", 1, 0)(2)}, Declined, 1, false},
		{"a yes, then viewed", []Event{at("yes", 0, 9)(1), at("viewed", 1, 99)(2)}, Accepted, 0, true},
		{"a yes, then implied", []Event{at("yes", 0, 9)(1), at("implied", 1, 99)(2)}, Accepted, 0, true},
		{"a no, then viewed", []Event{at("no", 0, 9)(1), at("viewed", 1, 99)(2)}, Declined, 0, false},
		{"a no, then implied", []Event{at("no", 0, 9)(1), at("implied", 1, 99)(2)}, Declined, 0, false},
		{"a no, then a yes that was implied", []Event{at("no", 0, 9)(1), at("implied yes", 1, 99)(2)}, Declined, 0, false},
		{"a yes that expired, then implied", []Event{at("yes", 0, 1)(1), at("implied", 1, 0)(2)}, Implied, 1, true},
		{"a yes that expired, then viewed", []Event{at("yes", 0, 1)(1), at("viewed", 2, 0)(2)}, Accepted, 0, true},
		{"implied, then viewed", []Event{at("implied", 0, 0)(1), at("viewed", 1, 0)(2)}, Implied, 0, true},
		{"viewed, then implied that is earlier", []Event{at("viewed", 1, 0)(1), at("implied", 0, 0)(2)}, Implied, 0, true},
		{"a no, then a yes imported without a date", []Event{at("no", 0, 0)(1), at("undated yes", 1, 0)(2)}, Declined, 0,
			false},
		{"a yes imported without a date, then a no that is earlier", []Event{at("undated yes", 1, 0)(1), at("no", 0, 0)(2)},
			Declined, 0, false},
		{"implied, then a yes imported without a date", []Event{at("implied", 0, 0)(1), at("undated yes", 1, 0)(2)},
			Accepted, 1, true},
		{"a yes, again imported without a date", []Event{at("yes", 0, 9)(1), at("undated yes", 1, 99)(2)}, Accepted, 0, true},
		{"imported without a date twice", []Event{at("undated yes", 0, 9)(1), at("undated yes", 1, 99)(2)}, Accepted, 0,
			true},
		{"a yes, then a no without a date", []Event{at("yes", 0, 9)(1), at("undated no", 1, 0)(2)}, Declined, 1, false},
		{"a no and a yes of one time", []Event{at("no", 0, 0)(1), at("yes", 0, 0)(2)}, Declined, 0, false},
		{"a yes and a no of one time", []Event{at("yes", 0, 0)(1), at("no", 0, 0)(2)}, Declined, 0, false},
		{"two noes of one time", []Event{at("no", 0, 0)(1), at("withdrawal", 0, 0)(2)}, Withdrawn, 0, false},
		{"an older no that comes late", []Event{at("yes", 1, 0)(1), at("no", 0, 0)(2)}, Accepted, 1, true},
	} {
		got := fold(tc.events, nil)
		if got.State != tc.state || !got.OccurredAt.Equal(minute(tc.at)) || got.Grants != tc.grants {
			t.Errorf("%s: %s of minute %v, grants %t", tc.name, got.State, got.OccurredAt.Sub(noon).Minutes(), got.Grants)
		}
	}
}

// TestFoldStepByStep arrives in random batches, as a working consent takes them: one step where that is sure, the
// whole fold else. What is said to be sure is always what the whole fold gives.
func TestFoldStepByStep(t *testing.T) {
	sure := 0
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		slices.SortFunc(events, func(a, b Event) int { return int(a.Sequence - b.Sequence) })
		s := &WorkingConsent{}
		for i := range events {
			if rapid.Bool().Draw(t, "batch ends") {
				s = &WorkingConsent{consent: *s.Current()}
			}
			step := events[i].step()
			step.Event = newest
			// Now is never before what is on record, less a clock's error.
			now := minute(rapid.IntRange(5-24*60, 9).Draw(t, "now"))
			foreseen, ok := s.Current().next(&step, now)
			if !ok && !s.whole {
				s = &WorkingConsent{consent: *s.Current(), whole: true}
				if i > 0 {
					s.know(stepsOf(events[:i]))
				}
			}
			s.Add(&events[i], now)
			want := modelFold(events[:i+1])
			if foreseen.Event = want.Event; ok {
				sure++
				if foreseen.Last = NoID; foreseen != want {
					t.Fatalf("%s: %+v is said to be sure, the contract says %+v", describe(events[:i+1]), foreseen, want)
				}
			}
			want.Last = events[i].ID
			if got := *s.Current(); got != want {
				t.Fatalf("%s: %+v, the contract says %+v", describe(events[:i+1]), got, want)
			}
		}
	})
	if sure == 0 {
		t.Error("nothing was ever sure")
	}
}

// stepsOf gives what is in a timeline.
func stepsOf(events []Event) []Step {
	steps := make([]Step, len(events))
	for i := range events {
		steps[i] = events[i].step()
	}
	return steps
}

// TestMostIsSure counts how often a decision of now needs the whole timeline: never where it holds for longer than
// clocks differ.
func TestMostIsSure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		current := fold(events, nil)
		sort := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 7, 8}).Draw(t, "sort") // but for an undated yes
		e := makeEvent(sort, 99, minute(10), minute(10), 0, OptIn)
		step := e.step()
		if _, sure := current.next(&step, minute(10)); !sure {
			t.Fatalf("behind %+v a decision of now is not sure", current)
		}
	})
}

// TestAbridged records events late, whose dates are known before, on a timeline of which only what they can meet is
// kept: after each the consent is what it is on the whole timeline.
func TestAbridged(t *testing.T) {
	shorter := 0
	rapid.Check(t, func(t *rapid.T) {
		events, late := append(drawEvents(t), drawEvents(t)...), drawEvents(t)
		for i := range events {
			events[i].ID = ID{15: byte(i)}
		}
		whole, short := WorkingConsent{whole: true}, WorkingConsent{whole: true}
		whole.know(stepsOf(events))
		var dates []time.Time
		for i := range late {
			late[i].ID = ID{14: 1, 15: byte(i)} // recorded later than all others, and in order
			late[i].RecordedAt = minute(9)
			if late[i].Weight == WeightUndated {
				late[i].OccurredAt = late[i].RecordedAt // as it is dated
			}
			dates = append(dates, late[i].OccurredAt)
		}
		short.know(compactHistory(timeline(stepsOf(events), nil), dates))
		for i := range late {
			whole.stale, short.stale = true, true
			whole.Add(&late[i], minute(9))
			short.Add(&late[i], minute(9))
			want, got := *whole.Current(), *short.Current()
			if got != want {
				t.Fatalf("%s\nthen %s: %+v, on the whole timeline %+v", describe(events), describe(late[:i+1]), got, want)
			}
		}
		if most := 6*(2*len(late)+1) + 3; len(short.history)-len(late) > most {
			t.Fatalf("%d steps are kept, %d at most should", len(short.history)-len(late), most)
		}
		if len(short.history) < len(whole.history) {
			shorter++
		}
	})
	if shorter == 0 {
		t.Error("nothing was ever left out")
	}
}

// TestAbridgedIsShort keeps a handful of a long timeline, whatever it consists of.
func TestAbridgedIsShort(t *testing.T) {
	for sort := range sorts {
		var steps []Step
		for i := range 5000 {
			e := makeEvent(sort, 1, minute(i/2), minute(i/2), i%3, OptOut)
			steps = append(steps, e.step())
		}
		if kept := compactHistory(timeline(steps, nil), []time.Time{minute(7), minute(900), minute(7)}); len(kept) > 33 {
			t.Errorf("of 5000 steps of sort %s %d are kept", sorts[sort].name, len(kept))
		}
	}
}

func TestExpiryFromTheVeryInstant(t *testing.T) {
	c := Consent{Grants: true, ExpiresAt: noon}
	for _, tc := range []struct {
		at      time.Time
		expired bool
	}{{noon.Add(-time.Microsecond), false}, {noon, true}, {noon.Add(time.Microsecond), true}} {
		if c.Expired(tc.at) != tc.expired || c.InForce(tc.at) == tc.expired {
			t.Errorf("%v: expired %t, in force %t", tc.at, c.Expired(tc.at), c.InForce(tc.at))
		}
	}
	if never := (Consent{Grants: true}); never.Expired(noon.AddDate(9000, 0, 0)) {
		t.Error("what never expires has expired")
	}
	// A break by expiry is a break: granted again at that very instant, it counts from there.
	yes, again := makeEvent(0, 1, minute(0), minute(0), 1, OptIn), makeEvent(0, 2, minute(1), minute(1), 0, OptIn)
	if got := fold([]Event{yes, again}, nil); !got.Since.Equal(again.OccurredAt) {
		t.Errorf("granted again when it expired: since %v", got.Since)
	}
	again.OccurredAt = minute(1).Add(-time.Microsecond)
	if got := fold([]Event{yes, again}, nil); !got.Since.Equal(noon) {
		t.Errorf("granted again just before it expired: since %v", got.Since)
	}
}

// TestDroppedEventsStillCount drops any of the events, as retention does, and lets another one come late: no yes
// comes of it that all events would not give, and where nothing is dropped nothing changes. Red where missingSteps
// gives nothing.
func TestDroppedEventsStillCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		late := events[len(events)-1]
		late.ID, late.RecordedAt = newest, minute(9)
		events = events[:len(events)-1]
		if len(events) == 0 || late.Weight == WeightUndated {
			return
		}
		current := fold(events, nil)
		s := WorkingConsent{consent: current, whole: true}
		var left []Step
		for i := range events {
			if rapid.Bool().Draw(t, "kept") {
				left = append(left, events[i].step())
			}
		}
		if len(left) > 0 {
			left[len(left)-1].Last = true
			left[0].First = len(left) == len(events) // else a timeline breaks off before it comes to the first
		}
		s.know(append(left, current.missingSteps(left)...))
		if got := *s.Current(); got.Event != current.Event || got.Active != current.Active ||
			!got.ExpiresAt.Equal(current.ExpiresAt) {
			t.Fatalf("with %d of %d events left it is %+v, it was %+v", len(left), len(events), got, current)
		}
		s.Add(&late, minute(9))
		got, want := s.Current(), fold(append(events, late), nil)
		// What was implied and dropped may have been passed over until now: that nobody can know.
		if got.Said() && got.InForce(minute(9)) && !want.InForce(minute(9)) {
			t.Fatalf("with %d of %d events left it is %+v, with all %+v", len(left), len(events), got, want)
		}
		if got.Said() && want.Said() && (got.Event != want.Event || !got.ExpiresAt.Equal(want.ExpiresAt)) {
			t.Fatalf("with %d of %d events left it is %+v, with all %+v", len(left), len(events), got, want)
		}
		if len(left) == len(events) && *got != func() Consent { want.Last = late.ID; return want }() {
			t.Fatalf("with all events left it is %+v, not %+v", got, want)
		}
		// with which the run may have begun
		undated := slices.ContainsFunc(events, func(e Event) bool { return e.Weight == WeightUndated })
		if got.Grants && got.Event == want.Event && got.Since.Before(want.Since) && (!undated || len(left) == len(events)) {
			t.Fatalf("with %d of %d events left it stands since %v, longer than with all: %v", len(left), len(events), got.Since,
				want.Since)
		}
	})
}
