package service_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
)

// TestWithdrawalAlwaysWins: whatever dates and expiries are on record, ahead of the clock too, after taking
// everything back nothing is in force, now or later; and after granting it is.
func TestWithdrawalAlwaysWins(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	people := 0
	rapid.Check(t, func(t *rapid.T) {
		h.clock.set(noon)
		people++
		who := user(fmt.Sprint("w", people))
		for range rapid.IntRange(1, 4).Draw(t, "decisions") {
			d := decided(consent.Marketing, rapid.SampledFrom([]consent.State{consent.Accepted, consent.Declined}).Draw(t,
				"state"))
			if ahead := rapid.IntRange(-300, 299).Draw(t, "dated, seconds from now"); rapid.Bool().Draw(t, "dated") {
				d.OccurredAt = noon.Add(time.Duration(ahead) * time.Second)
			}
			if rapid.Bool().Draw(t, "expires") {
				d.ExpiresAt = noon.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "expiry, seconds from now")) * time.Second)
			}
			_, err := h.svc.Record(context.Background(), a, write(item(who, d)))
			if err != nil && !consent.IsKind(err, consent.Invalid) { // an expiry before its date
				t.Fatalf("%v", err)
			}
		}
		if rapid.Bool().Draw(t, "clock steps back") {
			h.clock.add(-time.Hour)
		}
		now := h.clock.now()
		h.record(t, a, item(who)) // whoever was refused altogether is known now
		h.record(t, a, replace(who))
		for _, later := range []time.Duration{0, time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 2 * time.Hour} {
			c := h.person(t, a, who[0]).Consents[consent.Marketing]
			if c.InForce(now.Add(later)) {
				t.Fatalf("taken back, and in force %s later: %+v", later, c)
			}
		}
		h.record(t, a, replace(who, consent.Marketing))
		if c := h.person(t, a, who[0]).Consents[consent.Marketing]; !c.InForce(now) || !c.InForce(now.Add(2*time.Hour)) {
			t.Fatalf("granted, and not in force: %+v", c)
		}
	})
}

// TestRetryAfterExpiry: a retry gets the first answer also where the clock has turned what it says into a mistake.
func TestRetryAfterExpiry(t *testing.T) {
	h := newHarness(t)
	a, _ := h.key(t, h.organization(t))
	once := consent.Idempotency{Key: "k", Render: func(any) ([]byte, error) { return []byte("first"), nil }}
	d := decided(consent.Marketing, consent.Accepted)
	d.ExpiresAt = noon.Add(2 * time.Second)
	w := write(item(user("u"), d))
	w.Idempotency = once
	record := func() error { _, err := h.svc.Record(context.Background(), a, w); return err }
	in := consent.NewKey{Name: "short", Scopes: []consent.Scope{consent.ConsentsRead},
		ExpiresAt: noon.Add(2 * time.Second)}
	create := func() error {
		_, err := h.svc.CreateKey(context.Background(), a, in, consent.Idempotency{Key: "k2", Render: once.Render})
		return err
	}
	for name, do := range map[string]func() error{"record": record, "create key": create} {
		h.clock.set(noon)
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h.clock.add(time.Minute)
		var replayed *consent.Replayed
		if err := do(); !errors.As(err, &replayed) || string(replayed.Answer) != "first" {
			t.Errorf("%s again: %v", name, err)
		}
	}
}

// TestManyProjects: a filter by category finds purposes in every one of an organization's many projects.
func TestManyProjects(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	for i := range 220 {
		if _, err := h.svc.CreateProject(context.Background(), a, consent.NewProject{Name: fmt.Sprint("project ", i)},
			consent.Idempotency{}); err != nil {
			t.Fatal(err)
		}
	}
	h.record(t, a, item(user("u")))
	page, err := h.svc.Events(context.Background(), a, consent.EventFilter{Categories: []string{"privacy_setting",
		"custom", "communication"}, Limit: 10})
	if err != nil || page.Total != 1 || len(page.Items) != 1 {
		t.Errorf("%d events, %v", page.Total, err)
	}
}
