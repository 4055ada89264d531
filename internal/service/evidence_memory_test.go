package service_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestEvidenceReserves: memory is asked for before it is used, about as much as the bundle takes; where there is none
// nothing is given out.
func TestEvidenceReserves(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.bare(t), context.Background()
	bob := h.record(t, a, item(user("bob"))).Items[0].Subject
	var ada consent.ID
	for i := range 5 {
		one := item(user("ada"), shown(consent.Marketing, fmt.Sprint("Text ", i), consent.Accepted))
		ada = h.record(t, a, slices.Repeat([]consent.Item{one}, 900)...).Items[0].Subject
	}
	g := h.signing(t, h.store)
	ask := func(who consent.ID, most int64) (took int64, asked int, err error) {
		full := errors.New("full")
		b, err := g.Evidence(ctx, a, who, "", 0, func(bytes int64) error {
			if asked++; took+bytes > most {
				return full
			}
			took += bytes
			return nil
		})
		if errors.Is(err, full) {
			err = full
		}
		if (b == nil) != (err != nil) {
			t.Errorf("%v came with %v", err, b)
		}
		return took, asked, err
	}
	if took, _, err := ask(bob, 1<<30); err != nil || took > 300<<10 {
		t.Errorf("one decision takes %d bytes, %v", took, err)
	}
	took, asked, err := ask(ada, 1<<30)
	if err != nil || asked < 3 || asked > 20 {
		t.Errorf("4,500 decisions ask %d times, %v", asked, err)
	}
	for _, most := range []int64{0, 1 << 20, took - 1} {
		if got, _, err := ask(ada, most); err == nil || got > most || err.Error() != "full" {
			t.Errorf("of %d bytes it takes %d, %v", most, got, err)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b, err := g.Evidence(ctx, a, ada, "", 0, nil)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if real := int64(after.HeapAlloc) - int64(before.HeapAlloc); err != nil || real > took || took > 4*real {
		t.Errorf("%d bytes were asked for, and it takes %d, %v", took, real, err)
	}
	runtime.KeepAlive(b)
}
