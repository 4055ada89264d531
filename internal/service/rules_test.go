package service_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// imported is a decision that is brought in without a date.
func imported(purpose string, state consent.State) consent.Decision {
	d := decided(purpose, state)
	d.Action = consent.Import
	return d
}

// TestUndatedImportProlongsNothing: a yes that ends is imported again without a date, and ends when it did.
func TestUndatedImportProlongsNothing(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	ends := noon.AddDate(0, 9, 0)
	yes := decided(consent.Analytics, consent.Accepted)
	yes.ExpiresAt = ends
	h.record(t, a, item(user("ada"), yes))
	for range 3 {
		h.clock.add(time.Hour)
		h.record(t, a, item(user("ada"), imported(consent.Analytics, consent.Accepted)))
	}
	if c := h.person(t, a, user("ada")[0]).Consents[consent.Analytics]; !c.ExpiresAt.Equal(ends) ||
		!c.OccurredAt.Equal(noon) {
		t.Errorf("it ends %v", c.ExpiresAt)
	}
	// The evidence says which of the events had no date.
	for i, e := range h.events(t, a) {
		if e.Body.Undated != (i > 0) {
			t.Errorf("event %d says undated: %t", i, e.Body.Undated)
		}
	}
	h.checkConsents(t, a.Organization)
}

// TestOverwriteRenews: a yes that ends in two seconds and is said again holds for as long as one that is new.
func TestOverwriteRenews(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	yes := decided(consent.Analytics, consent.Accepted)
	yes.ExpiresAt = noon.Add(2 * time.Second)
	h.record(t, a, item(user("ada"), yes))
	h.clock.add(time.Second)
	h.record(t, a, replace(user("ada"), consent.Analytics))
	h.clock.add(time.Hour)
	c := h.person(t, a, user("ada")[0]).Consents[consent.Analytics]
	if !c.InForce(h.clock.now()) || !c.Since.Equal(noon) || !c.OccurredAt.Equal(noon.Add(time.Second)) {
		t.Errorf("an hour later it is %+v", c)
	}
	if n := len(h.events(t, a)); n != 2 {
		t.Errorf("%d events are on record", n)
	}
}

// TestShortConsentLetsWhatWasImpliedCount: something implied that was passed over counts once a short yes that came
// after it, but is older, has expired: that takes the whole timeline, in one batch and in many.
func TestShortConsentLetsWhatWasImpliedCount(t *testing.T) {
	h := newHarness(t)
	at := func(state consent.State, m, life int) consent.Decision {
		d := decided(consent.Analytics, state)
		d.OccurredAt = noon.Add(time.Duration(m) * time.Minute)
		if life > 0 {
			d.ExpiresAt = d.OccurredAt.Add(time.Duration(life) * time.Minute)
		}
		return d
	}
	steps := []consent.Decision{at(consent.Accepted, -9, 0), at(consent.Implied, -5, 0), at(consent.Accepted, -8, 2)}
	for name, apart := range map[string]bool{"one by one": true, "together": false} {
		a := h.organization(t)
		var items []consent.Item
		for _, d := range steps {
			if items = append(items, item(user("ada"), d)); apart {
				h.record(t, a, items...)
				items = nil
			}
		}
		if !apart {
			h.record(t, a, items...)
		}
		if c := h.person(t, a, user("ada")[0]).Consents[consent.Analytics]; c.State != consent.Implied || !c.Active {
			t.Errorf("%s: %+v", name, c)
		}
		h.checkConsents(t, a.Organization)
	}
}

// TestDatedAheadIsLater: a no that is dated ahead, and recorded behind yeses of the same moment, is later than they
// are.
func TestDatedAheadIsLater(t *testing.T) {
	h := newHarness(t)
	ahead := decided(consent.Analytics, consent.Declined)
	ahead.OccurredAt = noon.Add(3 * time.Minute)
	for name, apart := range map[string]bool{"one by one": true, "together": false} {
		a := h.organization(t)
		yes := item(user("ada")) // each is later than the one before it by a microsecond
		items := []consent.Item{yes, yes, item(user("ada"), ahead)}
		if apart {
			for _, one := range items {
				h.record(t, a, one)
			}
		} else {
			h.record(t, a, items...)
		}
		if c := h.person(t, a, user("ada")[0]).Consents[consent.Analytics]; c.State != consent.Declined {
			t.Errorf("%s: %+v", name, c)
		}
		h.checkConsents(t, a.Organization)
	}
}

// TestOlderThanItsText: a decision of before its purpose was made has version 0, one of now has that of now, whatever
// the clock says.
func TestOlderThanItsText(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	h.clock.add(time.Hour)
	old, new := decided(consent.Analytics, consent.Accepted), decided(consent.Marketing, consent.Accepted)
	old.OccurredAt, new.OccurredAt = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), noon
	h.record(t, a, item(user("ada"), old, new))
	h.clock.set(noon.Add(-time.Minute)) // of another server
	h.record(t, a, item(user("ada"), decided(consent.Tracking, consent.Accepted)))
	for i, want := range []int{0, 1, 1} {
		if got := h.events(t, a)[i].Body.PurposeVersion; got != want {
			t.Errorf("event %d has version %d, want %d", i, got, want)
		}
	}
}

// TestSharedInbox: who names an address that is somebody else's is heard where it is asked about, and nowhere else;
// the dead are not.
func TestSharedInbox(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	inbox := named(consent.Email, "family@example.com")[0]
	with := func(name string) []consent.Identifier { return append(user(name), inbox) }
	h.record(t, a, item(with("mother"), decided(consent.Marketing, consent.Accepted)))
	asked := func() *consent.Person { t.Helper(); return h.person(t, a, inbox) }
	granted := func(p *consent.Person, purpose string) bool {
		c := p.Consents[purpose]
		return c.InForce(h.clock.now())
	}
	if p := asked(); p.Ambiguous || !granted(p, consent.Marketing) {
		t.Errorf("of one alone: %+v", p)
	}
	h.clock.add(time.Minute)
	h.record(t, a, item(with("son"), decided(consent.Marketing, consent.Declined)))
	h.record(t, a, item(with("daughter"), decided(consent.Analytics, consent.Accepted)))
	p := asked()
	if c := p.Consents[consent.Marketing]; !p.Ambiguous || c.State != consent.Declined || !granted(p, consent.Analytics) {
		t.Errorf("of three: %+v", p)
	}
	if c := h.person(t, a, user("mother")[0]).Consents[consent.Marketing]; c.State != consent.Accepted {
		t.Errorf("the mother's own is %+v", c)
	}
	if n := len(h.events(t, a, inbox)); n != 3 {
		t.Errorf("by the address %d events are found", n)
	}
	if err := h.svc.DeleteSubject(t.Context(), a, consent.DeleteSubject{Type: consent.DefaultSubjectType,
		Name: "son"}); err != nil {
		t.Fatal(err)
	}
	if c := asked().Consents[consent.Marketing]; c.State != consent.Accepted {
		t.Errorf("without the son it is %+v", c)
	}
}

// TestMuchAtOneInbox: where those who share an address decided on more than is read, nobody's yes is given.
func TestMuchAtOneInbox(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	inbox := named(consent.Email, "all@example.com")[0]
	for person := range 8 {
		var decisions []consent.Decision
		for i := range 900 {
			decisions = append(decisions, consent.Decision{State: consent.Accepted, Action: consent.UserClick,
				Purpose: consent.PurposeRef{Key: fmt.Sprint("purpose ", i), Create: true}})
		}
		h.record(t, a, item(append(user(fmt.Sprint("u", person)), inbox), decisions...))
		c := h.person(t, a, inbox).Consents["purpose 7"]
		if in := c.InForce(h.clock.now()); in != ((person+1)*900 < consent.MaxShared) {
			t.Errorf("of %d people the yes is given: %t", person+1, in)
		}
	}
}

// TestTooManyClaimants: where more people named an address than are heard, nobody's yes is given.
func TestTooManyClaimants(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	inbox := named(consent.Email, "info@example.com")[0]
	for from := 0; from < consent.MaxClaimants+2; from += 501 {
		var items []consent.Item
		for i := range 501 {
			items = append(items, item(append(user(fmt.Sprint("u", from+i)), inbox), decided(consent.Marketing,
				consent.Accepted)))
		}
		h.record(t, a, items...)
		c := h.person(t, a, inbox).Consents[consent.Marketing]
		if in := c.InForce(h.clock.now()); in != (from+501 <= consent.MaxClaimants+1) {
			t.Errorf("of %d people the yes is given: %t", from+501, in)
		}
	}
}
