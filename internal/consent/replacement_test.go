package consent

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestReplacementIsOneOfItsCallers runs overwrites of one person one after another, as every batch does, under a
// clock that jumps and with decisions of other callers between: each overwrite leaves exactly its own set.
func TestReplacementIsOneOfItsCallers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const purposes = 4
		var stands [purposes]Consent
		number := byte(0)
		record := func(i int, state State, at time.Time) {
			number++
			if at.Before(stands[i].OccurredAt) {
				at = stands[i].OccurredAt // what eventWriter.record does with a clock that runs behind
			}
			e := Step{Event: ID{15: number}, State: state, Grants: state == Accepted, OccurredAt: at}
			if life := rapid.IntRange(0, 10).Draw(t, "life"); life > 0 {
				e.ExpiresAt = at.Add(time.Duration(life) * time.Minute)
			}
			stands[i] = stands[i].next(&e)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			now := noon.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "clock")) * time.Minute)
			if rapid.Bool().Draw(t, "another caller") {
				ahead := time.Duration(rapid.IntRange(0, 5).Draw(t, "ahead")) * time.Minute
				record(rapid.IntRange(0, purposes-1).Draw(t, "purpose"), State(rapid.IntRange(1, 5).Draw(t, "state")), now.Add(ahead))
				continue
			}
			for i := range stands {
				r := replaced{granted: rapid.Bool().Draw(t, "granted")}
				before := stands[i]
				if state, needed := r.toward(&before, now); needed {
					record(i, state, now)
				}
				at := now
				if stands[i].OccurredAt.After(at) {
					at = stands[i].OccurredAt
				}
				if stands[i].InForce(at) != r.granted {
					t.Fatalf("granted %t, but from %+v to %+v at %v", r.granted, before, stands[i], at)
				}
				if r.granted && stands[i].State != Accepted {
					t.Fatalf("granted as %v", stands[i].State)
				}
			}
		}
	})
}

func TestReplacementChangesWhatItMust(t *testing.T) {
	hour := time.Hour
	yes := Consent{Event: ID{1}, State: Accepted, Grants: true, OccurredAt: noon, ExpiresAt: noon.Add(hour), Since: noon}
	implied, no, never := yes, yes, Consent{}
	implied.State = Implied
	no.State, no.Grants = Declined, false
	for _, tc := range []struct {
		name    string
		stands  Consent
		granted bool
		at      time.Time
		state   State
		needed  bool
	}{
		{"granted, was never asked", never, true, noon, Accepted, true},
		{"granted, stands", yes, true, noon, Accepted, false},
		{"granted, expired", yes, true, noon.Add(hour), Accepted, true},
		{"granted, was implied only", implied, true, noon, Accepted, true},
		{"granted, was declined", no, true, noon, Accepted, true},
		{"not granted, was never asked", never, false, noon, Withdrawn, false},
		{"not granted, stands", yes, false, noon, Withdrawn, true},
		{"not granted, implied stands", implied, false, noon, Withdrawn, true},
		{"not granted, expired", yes, false, noon.Add(hour), Withdrawn, false},
		{"not granted, was declined", no, false, noon, Withdrawn, false},
		{"not granted, a clock behind", yes, false, noon.Add(-hour), Withdrawn, true},
	} {
		r := replaced{granted: tc.granted}
		state, needed := r.toward(&tc.stands, tc.at)
		if needed != tc.needed || needed && state != tc.state {
			t.Errorf("%s: %v %t, want %v %t", tc.name, state, needed, tc.state, tc.needed)
		}
	}
}
