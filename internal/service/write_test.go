package service_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func TestWriteErrors(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	_, purposes, err := h.svc.Purposes(ctx, a, consent.NoID)
	if err != nil {
		t.Fatal(err)
	}
	good := item(user("ada"))
	with := func(change func(*consent.Item, *consent.Decision)) consent.Item {
		it := item(user("ada"))
		change(&it, &it.Decisions[0])
		return it
	}
	at := func(when, until time.Time) consent.Item {
		return with(func(_ *consent.Item, d *consent.Decision) { d.OccurredAt, d.ExpiresAt = when, until })
	}
	named := func(kind consent.IdentifierKind, value string) consent.Item { return item(named(kind, value)) }
	ref := func(r consent.PurposeRef) consent.Item {
		return with(func(_ *consent.Item, d *consent.Decision) { d.Purpose = r })
	}
	marketing := consent.Taxonomy{Category: "privacy_setting", Subcategory: "marketing", Label: consent.AnyLabel}
	text := func(s string) consent.Item {
		return with(func(_ *consent.Item, d *consent.Decision) { d.DisplayedText = s })
	}
	evidence := func(e consent.Evidence) consent.Item {
		return with(func(it *consent.Item, _ *consent.Decision) { it.Evidence = e })
	}
	for _, tc := range []struct {
		name string
		item consent.Item
		kind consent.Kind // Internal: it is fine
		noun string
	}{
		{"good", good, consent.Internal, ""},
		{"no identifier", item(nil), consent.Unprocessable, "identifiers"},
		{"bad e-mail", named(consent.Email, "ada"), consent.Invalid, "email"},
		{"bad anonymous id", named(consent.AnonymousID, "a\nb"), consent.Invalid, "anonymous_id"},
		{"long user id", named(consent.UserID, strings.Repeat("x", 257)), consent.Invalid, "user_id"},
		{"long phone", named(consent.Phone, strings.Repeat("1", 257)), consent.Invalid, "phone"},
		{"two of a kind", item(append(user("ada"), user("bob")...)), consent.Invalid, "user_id"},
		{"unknown key", ref(consent.PurposeRef{Key: "absent"}), consent.Unprocessable, "purpose"},
		{"unknown id", ref(consent.PurposeRef{ID: consent.ID{1}}), consent.Unprocessable, "purpose"},
		{"unknown taxonomy", ref(consent.PurposeRef{Taxonomy: consent.Taxonomy{Category: "x"}}), consent.Unprocessable,
			"purpose"},
		{"taxonomy", ref(consent.PurposeRef{Taxonomy: marketing}), consent.Internal, ""},
		{"id and taxonomy agree", ref(consent.PurposeRef{ID: purposes[3].ID, Taxonomy: marketing}), consent.Internal, ""},
		{"id and taxonomy differ", ref(consent.PurposeRef{ID: purposes[2].ID, Taxonomy: marketing}), consent.Unprocessable,
			"purpose"},
		{"no state", with(func(_ *consent.Item, d *consent.Decision) { d.State = 0 }), consent.Unprocessable, "state"},
		{"unknown state", with(func(_ *consent.Item, d *consent.Decision) { d.State = 9 }), consent.Unprocessable, "state"},
		{"withdrawn", with(func(_ *consent.Item, d *consent.Decision) { d.State = consent.Withdrawn }), consent.Internal, ""},
		{"5 minutes ahead", at(noon.Add(5*time.Minute), time.Time{}), consent.Internal, ""},
		{"more than 5 minutes ahead", at(noon.Add(5*time.Minute+time.Microsecond), time.Time{}), consent.Invalid,
			"occurred_at"},
		{"long ago", at(time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), time.Time{}), consent.Invalid, "occurred_at"},
		{"the epoch", at(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}), consent.Internal, ""},
		{"year 10000", at(time.Time{}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), consent.Invalid, "expires_at"},
		{"expires as it occurs", at(noon.Add(-time.Hour), noon.Add(-time.Hour)), consent.Invalid, "expires_at"},
		{"expires before it occurs", at(noon.Add(-time.Hour), noon.Add(-2*time.Hour)), consent.Invalid, "expires_at"},
		{"expires now", at(time.Time{}, noon), consent.Invalid, "expires_at"},
		{"expired when it comes", at(noon.Add(-2*time.Hour), noon.Add(-time.Hour)), consent.Internal, ""},
		{"64 KiB of text", text(strings.Repeat("x", 64<<10)), consent.Internal, ""},
		{"more text", text(strings.Repeat("x", 64<<10+1)), consent.Invalid, "displayed_text"},
		{"text that is none", text("\xff"), consent.Invalid, "displayed_text"},
		{"long URL", evidence(consent.Evidence{FormURL: strings.Repeat("x", 2049)}), consent.Invalid, "form_url"},
		{"URL that is no text", evidence(consent.Evidence{FormURL: "\xff"}), consent.Invalid, "form_url"},
		{"long locale", evidence(consent.Evidence{Locale: strings.Repeat("x", 36)}), consent.Invalid, "locale"},
		{"replaces among unknown", consent.Item{Identifiers: user("ada"),
			Replace: &consent.Replacement{Among: []string{"absent"}}}, consent.Unprocessable, "-"},
	} {
		w := write(good, tc.item)
		_, err := h.svc.Record(ctx, a, w)
		if tc.kind == consent.Internal {
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		if tc.noun == "-" {
			isKind(t, tc.name, err, tc.kind, "")
			continue
		}
		isKind(t, tc.name, err, tc.kind, "items[1]."+tc.noun)
		w.Field = func(item int, noun string) string { return fmt.Sprintf("(%d)%s", item, strings.ToUpper(noun)) }
		_, err = h.svc.Record(ctx, a, w)
		isKind(t, tc.name+" in the caller's words", err, tc.kind, "(1)"+strings.ToUpper(tc.noun))
		if strings.Contains(err.Error(), "ada@") || strings.Contains(err.Error(), "bob") {
			t.Errorf("%s: the message names somebody: %v", tc.name, err)
		}
	}
}

func TestWriteLimits(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	items := make([]consent.Item, consent.MaxItems+1)
	for i := range items {
		items[i] = item(user(fmt.Sprint("u", i)))
	}
	got := h.record(t, a, items[:consent.MaxItems]...)
	for i, it := range got.Items {
		if len(it.Events) != 1 || it.Events[0].Sequence != startsWith+int64(i+1) {
			t.Fatalf("item %d made %+v", i, it.Events)
		}
	}
	_, err := h.svc.Record(ctx, a, write(items...))
	isKind(t, "1001 items", err, consent.Invalid, "items")
	w := write(items[0])
	w.Project = consent.ID{1}
	_, err = h.svc.Record(ctx, a, w)
	isKind(t, "an unknown project", err, consent.NotFound, "")
	gone, err := h.root.In(consent.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.svc.Record(ctx, gone, write(items[0]))
	isKind(t, "an unknown organization", err, consent.NotFound, "")
	if r, err := h.svc.Record(ctx, a, write()); err != nil || len(r.Items) != 0 {
		t.Errorf("no items: %v, %v", r, err)
	}
}

// TestClosedServiceTakesNothing: what was taken is answered, later writes are Unavailable.
func TestClosedServiceTakesNothing(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	answers := make(chan error, 200)
	for i := range cap(answers) {
		go func() {
			_, err := h.svc.Record(context.Background(), a, write(item(user(fmt.Sprint("u", i)))))
			answers <- err
		}()
	}
	time.Sleep(2 * time.Millisecond)
	h.svc.Close()
	done := 0
	for range cap(answers) {
		select {
		case err := <-answers:
			if err == nil {
				done++
			} else if !consent.IsKind(err, consent.Unavailable) {
				t.Errorf("a write at the end: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a write was never answered")
		}
	}
	if n := h.rows(t, "events", a.Organization); n != int64(done) {
		t.Errorf("%d writes were acknowledged, %d events are on record", done, n)
	}
	if err := h.svc.Ready(); !consent.IsKind(err, consent.Unavailable) {
		t.Errorf("ready after the end: %v", err)
	}
	h.svc.Close()
}

func TestWriteAfterItsTime(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := h.svc.Record(over, a, write(item(user("ada"))))
	isKind(t, "a write whose time is over", err, consent.Unavailable, "")
	h.record(t, a, item(user("bob"))) // whatever waited before it is through
	if n := len(h.events(t, a)); n != 1 {
		t.Errorf("%d events, though the first write's time was over", n)
	}
	_, err = h.svc.Events(over, a, consent.EventFilter{From: noon, Limit: 1})
	isKind(t, "a read whose time is over", err, consent.Unavailable, "")
}

// TestWriteWhoseCallerLeaves holds the writer up: a caller whose time is over, or who leaves, is answered then, and not
// when the writer goes on.
func TestWriteWhoseCallerLeaves(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	holds, release, released := make(chan bool), make(chan bool), make(chan error)
	go func() {
		released <- h.store.Update(context.Background(), a.Organization, func(service.Tx) error {
			close(holds)
			<-release
			return errors.New("nothing was to be written")
		})
	}()
	<-holds
	began := time.Now()
	short, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	_, err := h.svc.Record(short, a, write(item(user("ada"))))
	isKind(t, "a write whose time ends while it waits", err, consent.Unavailable, "")
	leaving, leave := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, leave)
	_, err = h.svc.Record(leaving, a, write(item(user("bob"))))
	isKind(t, "a write whose caller leaves", err, consent.Unavailable, "")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("they waited %s", took)
	}
	close(release)
	<-released
	h.record(t, a, item(user("eve")))
}
