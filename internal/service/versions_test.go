package service_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consentd/consentd/internal/consent"
)

// change changes a purpose of the default project.
func change(t *testing.T, h *harness, a consent.Actor, key string, c consent.PurposeChange) *consent.PurposeView {
	t.Helper()
	v, err := h.svc.UpdatePurpose(context.Background(), a, consent.UpdatePurpose{Key: key, Change: c})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVersionsOfPurpose: what a decision is about is the version that held when it was taken, all versions stay
// readable, and the very next question sees a change.
func TestVersionsOfPurpose(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	made := h.clock.now()
	first, err := h.svc.AddPurpose(ctx, a, consent.NoID, consent.NewPurpose{Key: "letter", Name: "Letter",
		Document: "We write."}, consent.Idempotency{})
	if err != nil || first.Version != 1 || first.Taxonomy != (consent.Taxonomy{Category: "custom",
		Subcategory: "unclassified", Label: "letter"}) {
		t.Fatalf("%+v, %v", first, err)
	}
	text, yes := "We write a lot.", true
	h.clock.add(time.Hour)
	second := change(t, h, a, "letter", consent.PurposeChange{Document: &text, RequireReaccept: &yes,
		Texts: map[string]*consent.TextChange{"de": {LegalText: &text}}})
	h.clock.add(time.Hour)
	var items []consent.Item
	for _, at := range []time.Time{made.Add(-time.Microsecond), made, made.Add(time.Hour - time.Microsecond),
		made.Add(time.Hour), {}} {
		d := decided("letter", consent.Accepted)
		d.OccurredAt = at
		items = append(items, item(user(fmt.Sprint("ada", len(items))), d))
	}
	for i, recorded := range h.record(t, a, items...).Items {
		e := recorded.Events[0]
		if want := []int{0, 1, 1, 2, 2}[i]; e.PurposeVersion != want || e.Body.PurposeVersion != want {
			t.Errorf("item %d is about version %d, want %d", i, e.PurposeVersion, want)
		}
		if stale := second.Stale(e.PurposeVersion); stale != (i < 3) {
			t.Errorf("item %d: stale %t", i, stale)
		}
	}
	got, err := h.svc.Purpose(ctx, a, consent.NoID, "letter")
	if diff := cmp.Diff(second, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	list, more, err := h.svc.PurposeVersions(ctx, a, consent.NoID, "letter", 0, 10)
	if err != nil || more || len(list) != 2 || !list[0].HeldTo.Equal(list[1].HeldFrom) || !list[1].HeldTo.IsZero() {
		t.Errorf("%+v, %t, %v", list, more, err)
	}
	for n, want := range []string{"We write.", text} {
		v, err := h.svc.PurposeVersion(ctx, a, consent.NoID, "letter", n+1)
		if err != nil || v.Wording.Document != want || v.Wording.Texts["de"].LegalText != map[int]string{1: text}[n] {
			t.Errorf("version %d: %+v, %v", n+1, v, err)
		}
	}
}

// TestUpdatePurposeAtOnce: of two who change what both have read, one is refused.
func TestUpdatePurposeAtOnce(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	result := make(chan error)
	for i := range 8 {
		go func() {
			name := fmt.Sprint("Name ", i)
			_, err := h.svc.UpdatePurpose(ctx, a, consent.UpdatePurpose{Key: consent.Marketing,
				Change: consent.PurposeChange{Name: &name}, If: consent.IfMatch{Given: true, Versions: []int{1}}})
			result <- err
		}()
	}
	done := 0
	for range 8 {
		if err := <-result; err == nil {
			done++
		} else if !consent.IsKind(err, consent.PreconditionFailed) {
			t.Error(err)
		}
	}
	if v, err := h.svc.Purpose(ctx, a, consent.NoID, consent.Marketing); err != nil || done != 1 || v.Version != 2 ||
		v.Revision != 2 {
		t.Errorf("%d done; %+v, %v", done, v, err)
	}
}

// TestPurposePageEndsWithMuchText: a page has the texts of all its purposes, and ends where they are many bytes.
func TestPurposePageEndsWithMuchText(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	long := strings.Repeat("x", 900_000)
	for i := range 20 {
		in := consent.NewPurpose{Key: fmt.Sprint("long", i), Name: "Long", Document: long + fmt.Sprint(i)}
		if _, err := h.svc.AddPurpose(ctx, a, consent.NoID, in, consent.Idempotency{}); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for more := true; more; {
		var page []consent.PurposeView
		var err error
		if page, more, err = h.svc.PurposePage(ctx, a, consent.NoID, seen, 1000); err != nil || len(page) == 0 {
			t.Fatal(len(page), err)
		}
		size := 0
		for _, v := range page {
			if seen++; v.Number != seen || seen > 12 && v.Wording.Document != long+fmt.Sprint(seen-13) {
				t.Errorf("purpose %d reads as %d with %d bytes", seen, v.Number, len(v.Wording.Document))
			}
			size += len(v.Wording.Document)
		}
		if size > 12<<20 {
			t.Errorf("a page of %d bytes", size)
		}
	}
	if seen != 32 {
		t.Errorf("%d purposes", seen)
	}
}

func TestPurposeScopes(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	name := "Other"
	for _, call := range []struct {
		name  string
		scope consent.Scope
		run   func(a consent.Actor) error
	}{
		{"page", consent.OrganizationsRead, func(a consent.Actor) error {
			_, _, err := h.svc.PurposePage(ctx, a, consent.NoID, 0, 1)
			return err
		}},
		{"one", consent.OrganizationsRead, func(a consent.Actor) error {
			_, err := h.svc.Purpose(ctx, a, consent.NoID, consent.Marketing)
			return err
		}},
		{"versions", consent.OrganizationsRead, func(a consent.Actor) error {
			_, _, err := h.svc.PurposeVersions(ctx, a, consent.NoID, consent.Marketing, 0, 1)
			return err
		}},
		{"version", consent.OrganizationsRead, func(a consent.Actor) error {
			_, err := h.svc.PurposeVersion(ctx, a, consent.NoID, consent.Marketing, 1)
			return err
		}},
		{"add", consent.OrganizationsWrite, func(a consent.Actor) error {
			_, err := h.svc.AddPurpose(ctx, a, consent.NoID, consent.NewPurpose{Key: "x", Name: "X"}, consent.Idempotency{})
			return err
		}},
		{"update", consent.OrganizationsWrite, func(a consent.Actor) error {
			_, err := h.svc.UpdatePurpose(ctx, a, consent.UpdatePurpose{Key: consent.Marketing,
				Change: consent.PurposeChange{Name: &name}})
			return err
		}},
	} {
		for _, scope := range consent.AllScopes {
			one, _ := h.key(t, a, scope)
			if err := call.run(one); (err == nil) != (scope == call.scope) || err != nil &&
				!consent.IsKind(err, consent.Forbidden) {
				t.Errorf("%s with %s: %v", call.name, scope, err)
			}
		}
	}
}
