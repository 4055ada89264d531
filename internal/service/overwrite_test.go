package service_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
)

// inForce lists what a person has granted among the purposes of these tests, by the person's own record.
func inForce(p *consent.Person, at time.Time) string {
	var out []string
	for _, key := range among {
		c := p.Consents[key]
		if c.OccurredAt.After(at) {
			at = c.OccurredAt
		}
		if c.InForce(at) {
			out = append(out, key)
		}
	}
	return strings.Join(out, " ")
}

func drawSet(t *rapid.T) []string {
	var out []string
	for _, key := range among {
		if rapid.Bool().Draw(t, key) {
			out = append(out, key)
		}
	}
	return out
}

// TestOverwriteOneAfterAnother overwrites under a clock that jumps, with other callers' decisions between that are
// dated up to 5 minutes ahead, and looks at the person after each.
func TestOverwriteOneAfterAnother(t *testing.T) {
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		a := h.organization(t)
		ada := user("ada")
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			h.clock.set(noon.Add(time.Duration(rapid.IntRange(-600, 600).Draw(t, "clock")) * time.Second))
			if rapid.Bool().Draw(t, "another caller") {
				d := decided(rapid.SampledFrom(among).Draw(t, "purpose"), rapid.SampledFrom([]consent.State{consent.Accepted,
					consent.Declined, consent.Withdrawn}).Draw(t, "state"))
				d.OccurredAt = h.clock.now().Add(time.Duration(rapid.IntRange(-300, 300).Draw(t, "ahead")) * time.Second)
				h.record(t, a, item(ada, d))
				continue
			}
			set := drawSet(t)
			got := h.record(t, a, replace(ada, set...))
			p := h.person(t, a, ada[0])
			if current, want := inForce(p, h.clock.now()), strings.Join(set, " "); current != want {
				t.Fatalf("in force is %q, the overwrite said %q", current, want)
			}
			for key, c := range p.Consents { // and the ledger says the same
				if want := decidingOf(h.events(t, a, ada[0]), c.Purpose); c.Event != want.ID {
					t.Fatalf("%s stands by %s, the event that decides is %s", key, c.Event, want.ID)
				}
			}
			for _, c := range got.Items[0].Consents { // what it answered is what is read
				if !slices.ContainsFunc(among, func(key string) bool { return p.Consents[key].Event == c.Event }) {
					t.Fatalf("answered %+v, which nobody reads", c)
				}
			}
		}
	})
}

// TestOverwritesAtOnce lets many overwrite one person at once: in the end stands the set of one of them.
func TestOverwritesAtOnce(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	ada := user("ada")
	sets := [][]string{{}, {consent.Analytics}, {consent.Marketing, consent.Tracking},
		{consent.Analytics, consent.Retargeting},
		{consent.StrictlyNecessary}, among, {consent.Tracking}, {consent.Retargeting, consent.StrictlyNecessary,
			consent.Marketing}}
	for round := range 12 {
		h.clock.set(noon.Add(time.Duration((round*7919)%1200-600) * time.Second))
		ahead := decided(consent.Analytics, consent.Accepted)
		ahead.OccurredAt = h.clock.now().Add(5 * time.Minute)
		h.record(t, a, item(ada, ahead))
		var wg sync.WaitGroup
		for _, set := range sets {
			wg.Go(func() {
				for range 3 {
					h.clock.add(-time.Second)
					if _, err := h.svc.Record(context.Background(), a, write(replace(ada, set...))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		current := inForce(h.person(t, a, ada[0]), h.clock.now())
		if !slices.ContainsFunc(sets, func(set []string) bool { return current == inOrder(set) }) {
			t.Fatalf("round %d: in force is %q, which is none of the sets", round, current)
		}
	}
}

func inOrder(set []string) string {
	var out []string
	for _, key := range among {
		if slices.Contains(set, key) {
			out = append(out, key)
		}
	}
	return strings.Join(out, " ")
}

// TestOverwriteKeepsSince: a grant that an overwrite keeps is renewed and keeps its date; one given again is new.
func TestOverwriteKeepsSince(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	ada := user("ada")
	step := func(want time.Time, events int, granted ...string) {
		t.Helper()
		got := h.record(t, a, replace(ada, granted...))
		if n := len(got.Items[0].Events); n != events {
			t.Errorf("%v made %d events, want %d", granted, n, events)
		}
		if since := h.person(t, a, ada[0]).Consents[consent.Analytics].Since; !since.Equal(want) {
			t.Errorf("%v: since %v, want %v", granted, since, want)
		}
		h.clock.add(time.Hour)
	}
	step(noon, 1, consent.Analytics)
	step(noon, 1, consent.Analytics)
	step(noon, 2, consent.Analytics, consent.Marketing)
	step(time.Time{}, 2, consent.Marketing)
	step(time.Time{}, 1, consent.Marketing)
	step(noon.Add(5*time.Hour), 2, consent.Marketing, consent.Analytics)
	h.clock.set(noon.Add(5*time.Hour).AddDate(1, 0, 0)) // both run out at or before this very instant
	step(noon.Add(5*time.Hour).AddDate(1, 0, 0), 1, consent.Analytics)
	if p := h.person(t, a, ada[0]); inForce(p, h.clock.now()) != consent.Analytics {
		t.Errorf("in force: %q", inForce(p, h.clock.now()))
	}
}
