package limit

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestRates takes at exact instants: the whole quota at once, then one each time that one has come back.
func TestRates(t *testing.T) {
	r := NewRates[string](Quota{Count: 4, Window: 8 * time.Second}, 10)
	for i, step := range []struct {
		at   time.Duration
		want Standing
	}{
		{0, Standing{true, 3, 2 * time.Second, 0}},
		{0, Standing{true, 2, 4 * time.Second, 0}},
		{0, Standing{true, 1, 6 * time.Second, 0}},
		{0, Standing{true, 0, 8 * time.Second, 2 * time.Second}},
		{0, Standing{false, 0, 8 * time.Second, 2 * time.Second}},
		{time.Second, Standing{false, 0, 7 * time.Second, time.Second}},
		{2 * time.Second, Standing{true, 0, 8 * time.Second, 2 * time.Second}},
		{2 * time.Second, Standing{false, 0, 8 * time.Second, 2 * time.Second}},
		{time.Hour, Standing{true, 3, 2 * time.Second, 0}},
	} {
		looked := r.Look("a", began.Add(step.at))
		if got := r.Take("a", began.Add(step.at)); got != step.want || looked.Allowed != got.Allowed {
			t.Errorf("step %d: %+v after looking at %+v, want %+v", i, got, looked, step.want)
		}
	}
	if got := r.Look("b", began); got != (Standing{true, 4, 0, 0}) {
		t.Errorf("another key: %+v", got)
	}
	if got := len(r.byKey); got != 1 {
		t.Errorf("looking made it remember %d keys", got)
	}
}

// TestRatesWithinAWindow: whatever the instants, no more than the quota and what comes back meanwhile is let through,
// and who waits as long as it was told is let through.
func TestRatesWithinAWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := Quota{Count: rapid.IntRange(1, 50).Draw(t, "count"),
			Window: time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second}
		r := NewRates[int](q, 3)
		now, passed := began, 0
		for _, pause := range rapid.SliceOfN(rapid.Int64Range(0, 5000), 1, 100).Draw(t, "pauses in ms") {
			now = now.Add(time.Duration(pause) * time.Millisecond)
			s := r.Take(1, now)
			if s.Left < 0 || s.Left > q.Count || s.Full < 0 || s.Full > q.Window+time.Millisecond {
				t.Fatalf("stands at %+v", s)
			}
			if s.Allowed {
				passed++
			} else if s = r.Look(1, now.Add(s.Wait+time.Microsecond)); !s.Allowed {
				t.Fatalf("refused after its wait: %+v", s)
			}
			most := float64(q.Count) * (1 + now.Sub(began).Seconds()/q.Window.Seconds())
			if passed > int(math.Floor(most+1e-6)) {
				t.Fatalf("%d passed within %s, want %f", passed, now.Sub(began), most)
			}
		}
	})
}

// TestRatesAreBounded floods the map with keys of one use each: it stays bounded, and the key that is used up stays.
func TestRatesAreBounded(t *testing.T) {
	const most = 100
	r := NewRates[int](Quota{Count: 10, Window: time.Hour}, most)
	for range 10 {
		r.Take(-1, began)
	}
	for key := range 100 * most {
		r.Take(key, began)
		if len(r.byKey) > most {
			t.Fatalf("%d keys are remembered", len(r.byKey))
		}
	}
	if s := r.Look(-1, began); s.Allowed {
		t.Error("a flood of others brought back what was used up")
	}
	for key := range most { // an hour later all have their quota: any of them may go
		r.Take(-key, began.Add(time.Hour))
	}
	if len(r.byKey) != most {
		t.Errorf("%d keys are remembered", len(r.byKey))
	}
}

// TestRatesAtOnce has many take of one key at once: exactly the quota is let through.
func TestRatesAtOnce(t *testing.T) {
	r := NewRates[int](Quota{Count: 100, Window: time.Hour}, 8)
	var passed atomic.Int64
	var clients sync.WaitGroup
	for client := range 20 {
		clients.Go(func() {
			for i := range 50 {
				if r.Take(0, began).Allowed {
					passed.Add(1)
				}
				r.Look(client*1000+i, began)
				r.Take(client*1000+i+1, began)
			}
		})
	}
	clients.Wait()
	if passed.Load() != 100 {
		t.Errorf("%d passed, want 100", passed.Load())
	}
}

func TestRecent(t *testing.T) {
	r := NewRecent[int](10)
	for i := range 1000 {
		r.Add(i)
		r.Add(i)
		if n := len(r.young) + len(r.old); n > 10 {
			t.Fatalf("%d are remembered", n)
		}
		for back := range min(5, i+1) {
			if !r.Has(i - back) {
				t.Fatalf("%d is forgotten at %d", i-back, i)
			}
		}
	}
	if r.Has(900) {
		t.Error("an old one is remembered")
	}
}

func BenchmarkRates(b *testing.B) {
	r := NewRates[int](Quota{Count: 1000, Window: time.Second}, 16384)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Take(i%1000, began.Add(time.Duration(i)*time.Microsecond))
	}
}
