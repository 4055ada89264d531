package service_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// pages reads a list to its end, and gives the sequences of its events, with how many pages it took.
func (h *harness) pages(t *testing.T, a consent.Actor, f consent.EventFilter) (sequences []int64, pages int) {
	t.Helper()
	for ; pages < 10000; pages++ {
		views, next, err := h.svc.EventsAfter(context.Background(), a, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(views) > f.Limit {
			t.Fatalf("a page of %d events, %d asked for", len(views), f.Limit)
		}
		for i := range views {
			sequences = append(sequences, views[i].Sequence)
		}
		if next == consent.NoID {
			return sequences, pages + 1
		}
		f.After = next
	}
	t.Fatal("a list does not end")
	return nil, 0
}

// TestPagesOfALongLedger: of what a filter leaves of more events than are looked at once, pages miss and repeat
// nothing, in both orders; and a span of time is exact.
func TestPagesOfALongLedger(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	const n, rare = 12000, 5500
	for i := 0; i < n; i += 1000 {
		h.clock.add(time.Hour)
		var items []consent.Item
		for k := range 1000 {
			d := decided(consent.Analytics, consent.Accepted)
			if (i+k)%rare == 0 {
				d.State = consent.Declined
			}
			items = append(items, item(user(fmt.Sprint("u", i+k)), d))
		}
		h.record(t, a, items...)
	}
	for _, ascending := range []bool{true, false} {
		for name, tc := range map[string]struct {
			filter consent.EventFilter
			want   []int64 // ascending
		}{
			"rare":       {consent.EventFilter{States: []consent.State{consent.Declined}}, []int64{1, 5501, 11001}},
			"none":       {consent.EventFilter{States: []consent.State{consent.Withdrawn}}, nil},
			"a protocol": {consent.EventFilter{Protocols: []string{"none"}}, nil},
			"rare, of a time": {consent.EventFilter{States: []consent.State{consent.Declined},
				RecordedFrom: noon.Add(2 * time.Hour)}, []int64{5501, 11001}},
			"of an hour": {consent.EventFilter{RecordedFrom: noon.Add(6 * time.Hour), RecordedTo: noon.Add(7 * time.Hour),
				States: []consent.State{consent.Declined}}, []int64{5501}},
			"before all": {consent.EventFilter{RecordedTo: noon.Add(time.Hour)}, nil},
			"a purpose": {consent.EventFilter{Purpose: consent.Analytics, Project: "default",
				From: noon.Add(12 * time.Hour), States: []consent.State{consent.Declined}}, []int64{11001}},
		} {
			tc.filter.Ascending, tc.filter.Limit = ascending, 2
			got, pages := h.pages(t, a, tc.filter)
			want := fmt.Sprint(tc.want)
			if !ascending {
				var reversed []int64
				for i := len(tc.want) - 1; i >= 0; i-- {
					reversed = append(reversed, tc.want[i])
				}
				want = fmt.Sprint(reversed)
			}
			if fmt.Sprint(got) != want || pages > 3 {
				t.Errorf("%s, ascending %t: got %v in %d pages, want %v", name, ascending, got, pages, want)
			}
		}
		all, _ := h.pages(t, a, consent.EventFilter{Ascending: ascending, Limit: 1000})
		for i, sequence := range all {
			if want := int64(i + 1); ascending && sequence != want || !ascending && sequence != n-int64(i) {
				t.Fatalf("the event at %d is %d", i, sequence)
			}
		}
		if len(all) != n {
			t.Errorf("%d events of %d", len(all), n)
		}
	}
	for _, f := range []consent.EventFilter{{Project: "none"}, {Purpose: "nothing"}, {Subject: consent.ID{1}}} {
		f.Limit = 1
		if _, _, err := h.svc.EventsAfter(context.Background(), a, f); !consent.IsKind(err, consent.Unprocessable) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
