package service

import (
	"testing"
	"time"
)

// TestPace: who cannot keep up gives way, for a bounded time; who can, and who begins, does not.
func TestPace(t *testing.T) {
	start := time.Unix(1, 0)
	for name, tc := range map[string]struct {
		written, told int64 // entries
		took, want    time.Duration
	}{
		"keeps up":       {200, 256, 20 * time.Millisecond, 0},
		"falls behind":   {3000, 256, 20 * time.Millisecond, 140 * time.Millisecond},
		"far behind":     {3000, 256, 200 * time.Millisecond, 500 * time.Millisecond},
		"nothing told":   {3000, 0, 20 * time.Millisecond, 0},
		"no time passed": {3000, 256, 0, 0},
		"nobody writes":  {0, 256, time.Second, 0},
	} {
		var p pace
		p.begin(1000, start)
		if got := p.yield(256, start.Add(time.Second)); got != 0 {
			t.Errorf("%s: the first part waits %s", name, got)
		}
		p.begin(1000+tc.written, start.Add(100*time.Millisecond))
		if got := p.yield(tc.told, start.Add(100*time.Millisecond+tc.took)); got != tc.want {
			t.Errorf("%s: waits %s, and not %s", name, got, tc.want)
		}
	}
}
