package bench

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestOver compares runs whose machine gets slower and slower: the ratio stays.
func TestOver(t *testing.T) {
	runs := func(rates ...float64) (c compared) {
		for _, rate := range rates {
			c.runs = append(c.runs, result{rate: rate})
		}
		return c
	}
	base := runs(1000, 800, 600, 400)
	for _, test := range []struct {
		name string
		load compared
		want average
	}{
		{"half of what is around it", runs(450, 350, 250), average{0.5, 0}},
		{"now more, now less", runs(450, 420, 200), average{0.5, 0.1 / math.Sqrt(3)}},
	} {
		got := test.load.over(&base)
		if math.Abs(got.mean-test.want.mean) > 1e-9 || math.Abs(got.deviation-test.want.deviation) > 1e-9 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestInTurns looks at the order of the loads, and at what is counted of them.
func TestInTurns(t *testing.T) {
	var order []int
	var last atomic.Int64
	last.Store(-1)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	loads := make([]*compared, 3)
	for i := range loads {
		loads[i] = &compared{next: func(w *worker) *call {
			if last.Swap(int64(i)) != int64(i) {
				order = append(order, i) // by one connection
			}
			return w.get(server.URL, nil)
		}}
	}
	const turn = 10 * time.Millisecond
	if err := inTurns(context.Background(), turns, 1, turn, loads...); err != nil {
		t.Fatal(err)
	}
	for i, of := range order {
		if of != i%3 {
			t.Fatalf("turns %v", order)
		}
	}
	if len(order) != 3*turns+1 || len(loads[0].runs) != turns+1 || len(loads[2].runs) != turns {
		t.Errorf("%d turns: %v", len(order), order)
	}
	var counted time.Duration
	for _, run := range loads[1].runs {
		// Longer by whole turns where a busy machine answered nothing in one.
		if run.counted < turn || run.counted%turn != 0 || run.sent < len(run.took) {
			t.Errorf("%d requests of %d counted, for %s", len(run.took), run.sent, run.counted)
		}
		counted += run.counted
	}
	all, err := loads[1].all()
	if err != nil || all.p50 <= 0 || all.p99 < all.p50 ||
		math.Abs(all.rate*counted.Seconds()-float64(len(all.took))) > 1e-6 {
		t.Errorf("%d requests in %s, %.0f/s, p50 %s, p99 %s, %v", len(all.took), counted, all.rate, all.p50, all.p99, err)
	}
}

// TestLoadOfASlowServer: where nothing is answered within the phase, it takes as long as it needs.
func TestLoadOfASlowServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		time.Sleep(50 * time.Millisecond)
	}))
	defer server.Close()
	got, err := load(context.Background(), 1, 10*time.Millisecond, func(w *worker) *call { return w.get(server.URL, nil) })
	if err != nil || len(got.took) == 0 || got.counted <= 10*time.Millisecond || got.rate > 20 {
		t.Errorf("%d requests in %s, %.1f/s, %v", len(got.took), got.counted, got.rate, err)
	}
}
