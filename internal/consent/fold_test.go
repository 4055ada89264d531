package consent

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// drawEvents draws events of one subject and purpose, with instants so few that they often meet.
func drawEvents(t *rapid.T) []Event {
	n := rapid.IntRange(1, 9).Draw(t, "n")
	order := rapid.Permutation(make([]int, n)).Draw(t, "order") // only its length matters
	events := make([]Event, len(order))
	numbers := rapid.Permutation([]int{1, 2, 3, 4, 5, 6, 7, 8, 9}).Draw(t, "ids")
	for i := range events {
		at := noon.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "minute")) * time.Minute)
		e := Event{ID: ID{15: byte(numbers[i])}, Subject: ID{1}, Project: 1, Purpose: 2, OccurredAt: at,
			State: State(rapid.IntRange(1, 5).Draw(t, "state")), Grants: rapid.Bool().Draw(t, "grants")}
		if life := rapid.IntRange(0, 4).Draw(t, "life"); life > 0 {
			e.ExpiresAt = at.Add(time.Duration(life) * time.Minute)
		}
		events[i] = e
	}
	return events
}

// later is the order of the contract: by when it occurred, then by id.
func later(a, b *Event) bool {
	if a.OccurredAt.Equal(b.OccurredAt) {
		return slices.Compare(a.ID[:], b.ID[:]) > 0
	}
	return a.OccurredAt.After(b.OccurredAt)
}

// deciding finds the event that decides by comparing each with every other.
func deciding(events []Event) *Event {
	for i := range events {
		greatest := true
		for j := range events {
			greatest = greatest && !later(&events[j], &events[i])
		}
		if greatest {
			return &events[i]
		}
	}
	panic("no event is the greatest")
}

// grantedSince says from the definition since when the last event's grant holds without a break.
func grantedSince(events []Event) time.Time {
	last := deciding(events)
	if !last.Grants {
		return time.Time{}
	}
	var before []Event
	for _, e := range events {
		if later(last, &e) {
			before = append(before, e)
		}
	}
	if len(before) == 0 {
		return last.OccurredAt
	}
	previous := deciding(before)
	overBefore := !previous.ExpiresAt.IsZero() && !last.OccurredAt.Before(previous.ExpiresAt)
	if !previous.Grants || overBefore {
		return last.OccurredAt
	}
	return grantedSince(before)
}

func TestFoldIsTheGreatestEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		got, want := fold(events), deciding(events)
		if got.Event != want.ID || got.State != want.State || got.Grants != want.Grants ||
			!got.OccurredAt.Equal(want.OccurredAt) || !got.ExpiresAt.Equal(want.ExpiresAt) {
			t.Fatalf("fold gives %+v, the greatest event is %+v", got, want)
		}
		if since := grantedSince(events); !got.Since.Equal(since) {
			t.Fatalf("granted since %v, by the definition %v", got.Since, since)
		}
	})
}

func TestFoldIgnoresTheOrderOfArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		want := fold(events)
		if got := fold(rapid.Permutation(events).Draw(t, "arrival")); got != want {
			t.Fatalf("one order gives %+v, another %+v", want, got)
		}
	})
}

// TestFoldStepByStep arrives in random batches, the way a batch keeps a standing: one step where nothing
// is late, the whole fold else.
func TestFoldStepByStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		s := &standing{}
		for i := range events {
			if rapid.Bool().Draw(t, "batch ends") {
				s = &standing{consent: *s.current()}
			}
			late := s.consent.Event != NoID && later(&Event{OccurredAt: s.current().OccurredAt, ID: s.current().Event}, &events[i])
			if step := events[i].step(); late && !s.whole && (!step.OccurredAt.Before(s.consent.OccurredAt) || !s.consent.unmovedBy(&step)) {
				s = &standing{consent: *s.current(), whole: true, history: inOrder(events[:i])}
			}
			s.add(&events[i])
			want := fold(events[:i+1])
			want.Last = events[i].ID
			if got := *s.current(); got != want {
				t.Fatalf("after %d events %+v, the whole fold gives %+v", i+1, got, want)
			}
		}
	})
}

func inOrder(events []Event) []Step {
	s := &standing{}
	for i := range events {
		s.know([]Step{events[i].step()})
	}
	return s.history
}

// TestAbridged records events late, whose dates are known before, on a timeline of which only what they can meet is kept: after each the
// consent is what it is on the whole timeline.
func TestAbridged(t *testing.T) {
	shorter := 0
	rapid.Check(t, func(t *rapid.T) {
		events, late := drawEvents(t), drawEvents(t)
		whole, short := standing{whole: true}, standing{whole: true}
		whole.know(inOrder(events))
		var dates []time.Time
		for i := range late {
			late[i].ID = ID{14: 1, 15: byte(i)} // recorded later than all others, and in order
			dates = append(dates, late[i].OccurredAt)
		}
		short.know(abridged(inOrder(events), dates))
		for i := range late {
			whole.add(&late[i])
			short.add(&late[i])
			if want, got := *whole.current(), *short.current(); got != want {
				t.Fatalf("after %d late events %+v, on the whole timeline %+v", i+1, got, want)
			}
		}
		if most := 3 * (len(late) + 1); len(short.history)-len(late) > most {
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

// TestUnmoved lets one more event come late: where it is said to leave the consent as it is, the whole fold says so too.
func TestUnmoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		late := events[len(events)-1]
		events, late.ID = events[:len(events)-1], ID{14: 1} // recorded last
		if len(events) == 0 || !late.OccurredAt.Before(fold(events).OccurredAt) {
			return
		}
		stands, step := fold(events), late.step()
		if got := fold(append(events, late)); stands.unmovedBy(&step) && got != stands {
			t.Fatalf("%+v is said to leave %+v as it is, and makes it %+v", late, stands, got)
		}
	})
}

// TestUnmovedByWhat names when the history need not be read.
func TestUnmovedByWhat(t *testing.T) {
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	granted := Consent{Grants: true, State: Accepted, Since: at(10), OccurredAt: at(20)}
	for _, test := range []struct {
		name   string
		stands Consent
		late   Step
		want   bool
	}{
		{"anything, and it is not granted", Consent{State: Declined, OccurredAt: at(20)}, Step{Grants: true, OccurredAt: at(5)}, true},
		{"a no before the run", granted, Step{OccurredAt: at(5)}, true},
		{"a no in the run", granted, Step{OccurredAt: at(15)}, false},
		{"a no right after its first grant", granted, Step{OccurredAt: at(10)}, false},
		{"a yes in the run", granted, Step{Grants: true, OccurredAt: at(15)}, true},
		{"a yes in the run that outlives it", granted, Step{Grants: true, OccurredAt: at(15), ExpiresAt: at(21)}, true},
		{"a yes in the run that expires in it", granted, Step{Grants: true, OccurredAt: at(15), ExpiresAt: at(20)}, false},
		{"a yes before the run", granted, Step{Grants: true, OccurredAt: at(5)}, false},
		{"a yes that expires when the run begins", granted, Step{Grants: true, OccurredAt: at(5), ExpiresAt: at(10)}, true},
		{"a yes that lasts into the run", granted, Step{Grants: true, OccurredAt: at(5), ExpiresAt: at(11)}, false},
	} {
		if got := test.stands.unmovedBy(&test.late); got != test.want {
			t.Errorf("%s: unmoved %t", test.name, got)
		}
	}
}

func TestLateArrivalKeepsTheState(t *testing.T) {
	first := Event{ID: ID{15: 1}, State: Accepted, Grants: true, OccurredAt: noon}
	late := Event{ID: ID{15: 2}, State: Withdrawn, OccurredAt: noon.Add(-time.Second)}
	if got := fold([]Event{first, late}); got.Event != first.ID || !got.InForce(noon) || !got.Since.Equal(noon) {
		t.Errorf("an older withdrawal that came late gives %+v", got)
	}
	// Of the same instant the greater id decides.
	late.OccurredAt = noon
	if got := fold([]Event{first, late}); got.Event != late.ID || got.InForce(noon) {
		t.Errorf("of two at one instant the lesser id decides: %+v", got)
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
	yes := Event{ID: ID{15: 1}, Grants: true, OccurredAt: noon, ExpiresAt: noon.Add(time.Minute)}
	again := Event{ID: ID{15: 2}, Grants: true, OccurredAt: noon.Add(time.Minute)}
	if got := fold([]Event{yes, again}); !got.Since.Equal(again.OccurredAt) {
		t.Errorf("granted again when it expired: since %v", got.Since)
	}
	again.OccurredAt = noon.Add(time.Minute - time.Microsecond)
	if got := fold([]Event{yes, again}); !got.Since.Equal(noon) {
		t.Errorf("granted again just before it expired: since %v", got.Since)
	}
}

// TestDroppedEventsStillCount drops any of the events, as retention does, and lets another one come late: the same
// event decides as if all were there. Red where remembered gives nothing.
func TestDroppedEventsStillCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		late := events[len(events)-1]
		events = events[:len(events)-1]
		if len(events) == 0 {
			return
		}
		stands := fold(events)
		s := standing{consent: stands, whole: true}
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
		s.know(append(left, stands.remembered(left)...))
		s.add(&late)
		got, want := s.current(), fold(append(events, late))
		if got.Event != want.Event || got.State != want.State || got.Grants != want.Grants || !got.OccurredAt.Equal(want.OccurredAt) || !got.ExpiresAt.Equal(want.ExpiresAt) {
			t.Fatalf("with %d of %d events left it is %+v, with all %+v", len(left), len(events), got, want)
		}
		if len(left) == len(events) && !got.Since.Equal(want.Since) {
			t.Fatalf("with all events left it stands since %v, not %v", got.Since, want.Since)
		}
		if got.Since.Before(want.Since) {
			t.Fatalf("with %d of %d events left it stands since %v, longer than with all: %v", len(left), len(events), got.Since, want.Since)
		}
	})
}
