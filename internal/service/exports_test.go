package service_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

func userID(n int) []consent.Identifier {
	return []consent.Identifier{{Kind: consent.UserID, Value: fmt.Sprint("user-", n)}}
}

// TestExportEvents exports more than a part, with long and short texts: it has each event once, in order, with the text
// that its person was shown.
func TestExportEvents(t *testing.T) {
	h := newHarness(t)
	a, other := h.organization(t), h.organization(t)
	h.record(t, other, item(userID(1)))
	const n = 700
	long := strings.Repeat("Do you agree? ", 4000)
	text := func(i int) string {
		switch {
		case i%3 == 0:
			return ""
		case i >= 100 && i < 260:
			return fmt.Sprint(i, long) // different ones, too many for one part
		}
		return fmt.Sprint("May we, ", i%5, "?")
	}
	var items []consent.Item
	for i := range n {
		d := decided(consent.Analytics, consent.Accepted)
		d.DisplayedText = text(i)
		if items = append(items, item(userID(i), d)); len(items) == 70 {
			h.record(t, a, items...)
			items = nil
		}
	}
	for _, ascending := range []bool{true, false} {
		next, largest := 0, 0
		err := h.svc.ExportEvents(context.Background(), a, consent.EventFilter{Ascending: ascending},
			func(part *consent.ExportedEvents) error {
				size := 0
				for _, e := range part.Rows {
					i := next
					if !ascending {
						i = n - 1 - next
					}
					if e.Sequence != startsWith+int64(i+1) || e.Text != text(i) {
						return fmt.Errorf("event %d is entry %d, with a text of %d bytes", i, e.Sequence, len(e.Text))
					}
					next++
					size += len(e.Text)
				}
				largest = max(largest, size)
				return nil
			})
		if err != nil || next != n {
			t.Errorf("%d events, %v", next, err)
		}
		if largest > 8<<20 {
			t.Errorf("a part has %d bytes of texts", largest)
		}
	}
}

// TestSlowExports: who is slow to take a part keeps neither writers nor readers waiting, a third export of an
// organization is refused, and its place is given back with whatever error.
func TestSlowExports(t *testing.T) {
	h := newHarness(t)
	a, other := h.organization(t), h.organization(t)
	for i := range 3 {
		h.record(t, a, item(userID(i)))
	}
	events := func(a consent.Actor, ctx context.Context, inside func() error) error {
		return h.svc.ExportEvents(ctx, a, consent.EventFilter{}, func(*consent.ExportedEvents) error { return inside() })
	}
	failure := errors.New("the reader is gone")
	background := context.Background()
	err := events(a, background, func() error {
		return h.svc.ExportConsents(background, a, consent.ConsentFilter{}, func([]consent.StandingConsent) error {
			if err := events(a, background, func() error { return nil }); !consent.IsKind(err, consent.Unavailable) {
				t.Errorf("a third export: %v", err)
			}
			if err := events(other, background, func() error { return nil }); err != nil {
				t.Errorf("another organization's: %v", err)
			}
			h.record(t, a, item(userID(7)))
			if page, err := h.svc.Events(background, a, consent.EventFilter{Limit: 10}); err != nil || page.Total != 4 {
				t.Errorf("a list: %d, %v", page.Total, err)
			}
			return failure
		})
	})
	if !errors.Is(err, failure) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	for range 3 { // as many as would fill all places, if they were kept
		if err := events(a, ctx, func() error { return nil }); !consent.IsKind(err, consent.Unavailable) {
			t.Errorf("a client that has gone: %v", err)
		}
		if err := events(a, background, func() error { return failure }); !errors.Is(err, failure) {
			t.Errorf("the error is %v", err)
		}
	}
	reader, _ := h.key(t, a, consent.SubjectsRead)
	if err := events(reader, background, func() error { return nil }); !consent.IsKind(err, consent.Forbidden) {
		t.Errorf("without the scope: %v", err)
	}
}
