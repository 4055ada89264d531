package service

import (
	"context"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// TestStall goes through what can happen to transactions: b begins one, w commits one, r ends one that had nothing to
// commit, f fails one, each digit lets as many seconds pass.
func TestStall(t *testing.T) {
	for _, tc := range []struct {
		what, steps string
		lasts       int // seconds
	}{
		{"nothing was written", "99", 0},
		{"a batch takes a while", "b9", 0},
		{"a batch hangs", "b91", 10},
		{"a batch hangs on", "b99", 18},
		{"a slow batch ended", "b99w", 0},
		{"a slow batch failed just now", "b99f", 18},
		{"the next is tried, and hangs too", "b6fb6", 12},
		{"each is tried again soon", "b6f3b6f3b1", 19},
		{"nobody tries again", "b99f6", 0},
		{"somebody tries again much later", "b99f6b3", 0},
		{"and fails again much later", "b99f6b91", 10},
		{"the next ended well", "b99fbw", 0},
		{"one hangs, others end", "bb5w5bw9", 0},
		{"one hangs, and the others come to hang", "bb5w5b5", 10},
		{"one hangs and one failed", "bb5f6", 11},
		{"all is refused", "br5br5br5b", 0},
		{"one hangs while others are refused", "b5br5br1", 11},
		{"all failed, then one is refused", "b6f1br4b3", 14},
		{"one was refused long after another failed", "b6f9br9b1", 0},
		{"idle, after all went well, then again", "bw99b5", 0},
	} {
		var s commitWatchdog
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for _, step := range tc.steps {
			switch step {
			case 'b':
				s.begin(now)
			case 'w':
				s.end(now, committed)
			case 'r':
				s.end(now, refused)
			case 'f':
				s.end(now, failed)
			default:
				now = now.Add(time.Duration(step-'0') * time.Second)
			}
		}
		if got := s.stalledFor(now); got != time.Duration(tc.lasts)*time.Second {
			t.Errorf("%s (%s): %s, want %d s", tc.what, tc.steps, got, tc.lasts)
		}
	}
}

// TestCallerWhoLeaves: one who retries again and again and never waits for the answer must not make it look as if
// nothing could be committed.
func TestCallerWhoLeaves(t *testing.T) {
	s := &Service{store: leaving{}}
	left, leave := context.WithCancel(context.Background())
	leave()
	over, end := context.WithTimeout(context.Background(), 0)
	defer end()
	for _, tc := range []struct {
		ctx    context.Context
		stalls bool
	}{{left, false}, {over, true}} {
		if err := s.commit(tc.ctx, consent.NoID, nil); err == nil || s.watchdog.since.IsZero() == tc.stalls {
			t.Errorf("%v: since %v", err, s.watchdog.since)
		}
	}
}

// leaving is a store whose transactions end with their callers.
type leaving struct{ Store }

func (leaving) Update(ctx context.Context, _ consent.ID, _ func(Tx) error) error { return ctx.Err() }
