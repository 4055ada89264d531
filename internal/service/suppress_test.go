package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

func (h *harness) suppressed(t tester, a consent.Actor, names ...consent.Identifier) []consent.IdentifierKind {
	t.Helper()
	found, err := h.svc.CheckSuppressed(context.Background(), a, consent.NoID, names)
	if err != nil {
		t.Fatalf("check suppressed: %v", err)
	}
	return found.Kinds
}

func (h *harness) count(t tester, a consent.Actor) int64 {
	t.Helper()
	n, err := h.svc.SuppressionCount(context.Background(), a)
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	return n
}

// TestSuppress: who was erased and wants no more is denied by each identifier, whoever brings it back, until the person
// decides something by it; another organization is not concerned.
func TestSuppress(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, other := h.organization(t), h.organization(t)
	ada := []consent.Identifier{{Kind: consent.UserID, Value: "ada"}, email("Ada@Example.org")}
	id := h.record(t, a, item(ada)).Items[0].Subject
	h.record(t, other, item(ada))
	for _, name := range ada {
		if got := h.reason(t, a, time.Time{}, name); got != consent.ReasonAccepted { // from now on it may be remembered
			t.Fatalf("%v: %s", name, got)
		}
	}
	in := consent.EraseSubject{Subject: id, Suppress: true}
	if _, err := h.svc.EraseSubject(ctx, a, in); err != nil {
		t.Fatal(err)
	}
	if n := h.count(t, a); n != 4 { // the own id too, by which a browser may name the person
		t.Errorf("%d are suppressed", n)
	}
	deny := func(when string, name consent.Identifier) {
		t.Helper()
		if got := h.reason(t, a, time.Time{}, name); got != consent.ReasonSuppressed {
			t.Errorf("%s, %v: %s", when, name, got)
		}
	}
	for _, name := range ada {
		deny("erased", name)
	}
	if got := h.suppressed(t, a, ada...); len(got) != 2 {
		t.Errorf("suppressed are %v", got)
	}
	brought := decided(consent.Analytics, consent.Accepted)
	brought.Action = consent.Import
	h.record(t, a, item(ada, brought))
	for _, name := range ada {
		// Her levels are read, which may be remembered too, and say nothing of suppressions.
		if _, err := h.svc.Person(ctx, a, consent.PersonQuery{Identifier: name}); err != nil {
			t.Fatal(err)
		}
		deny("brought back", name)
	}
	deny("by the own id", consent.Identifier{Kind: consent.AnonymousID, Value: id.String()})
	old := decided(consent.Analytics, consent.Accepted)
	old.OccurredAt = h.clock.now().Add(-24 * time.Hour)
	h.record(t, a, item(ada, old)) // said by the person, before
	for _, name := range ada {
		deny("an old click", name)
	}
	if got := h.reason(t, a, time.Time{}, append(user("somebody-new"), ada[1])...); got != consent.ReasonSuppressed {
		t.Errorf("with another name: %s", got)
	}
	h.record(t, a, item(ada[1:])) // by the address alone
	if got := h.reason(t, a, time.Time{}, ada[1]); got != consent.ReasonAccepted {
		t.Errorf("who decided again is %s", got)
	}
	deny("not decided by it", ada[0])
	if n, got := h.count(t, a), h.suppressed(t, a, ada...); n != 3 || len(got) != 1 || got[0] != consent.UserID {
		t.Errorf("%d are suppressed, of these: %v", n, got)
	}
	if got := h.reason(t, other, time.Time{}, ada[1]); got != consent.ReasonAccepted || h.count(t, other) != 0 {
		t.Errorf("another organization: %s", got)
	}
}

// TestSuppressTwice: what is suppressed already is counted once, and who is erased without that leaves nothing.
func TestSuppressTwice(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	want := int64(1)
	for _, suppress := range []bool{true, true, false} {
		brought := decided(consent.Analytics, consent.Accepted)
		brought.Action = consent.Import
		id := h.record(t, a, item(user("ada"), brought)).Items[0].Subject
		if _, err := h.svc.EraseSubject(context.Background(), a, consent.EraseSubject{Subject: id,
			Suppress: suppress}); err != nil {
			t.Fatal(err)
		}
		want += 2 * map[bool]int64{true: 1}[suppress] // the own ids
		if n := h.count(t, a); n != want {
			t.Errorf("%d are suppressed, want %d", n, want)
		}
	}
	id := h.record(t, a, item(user("bob"))).Items[0].Subject
	h.erase(t, a, id)
	if got := h.suppressed(t, a, user("bob")...); len(got) > 0 {
		t.Errorf("suppressed are %v", got)
	}
}
