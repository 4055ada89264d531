package service

import (
	"sync"
	"time"
)

const (
	// stallAfter is for how long transactions may be tried without one that is committed until writes count as stalled. One
	// takes milliseconds, a large batch a second.
	stalledAfter = 10 * time.Second
	// stallForgotten is how long after the last failure a stall is believed while nobody writes: somebody has to try again.
	forgottenAfter = 5 * time.Second
)

// stall notices that writes begin and none is committed: a standby that commits wait for is missing, a disk or a database
// hangs or is full, somebody holds a lock. One organization whose writes hang beside others whose do not is no stall. The zero value is
// ready; for use at once from many goroutines.
type commitWatchdog struct {
	mu      sync.Mutex
	writing int       // transactions under way
	since   time.Time // since when there were some and none was committed; zero: the last one was, or there was none
	failed  time.Time // when one last failed
}

// ending is how a transaction came to its end.
type result uint8

const (
	failed  result = iota // the store did not do it, or it is unknown whether
	refused               // there was nothing to commit: it tells nothing of commits
	committed
)

// begin notes that a transaction has begun.
func (s *commitWatchdog) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() || s.over(now) {
		s.since = now
	}
	s.writing++
}

// end notes how a transaction ended.
func (s *commitWatchdog) end(now time.Time, how result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing--
	switch {
	case how == failed:
		s.failed = now
	case how == committed && s.writing > 0:
		s.since = now
	case how == committed, s.writing == 0 && !s.failed.After(s.since):
		s.since = time.Time{}
	}
}

// lasts tells for how long writes have been stalled; 0: they are not.
func (s *commitWatchdog) stalledFor(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() || s.over(now) || now.Sub(s.since) < stalledAfter {
		return 0
	}
	return now.Sub(s.since)
}

// over tells whether nobody has tried for so long that what failed may work again.
func (s *commitWatchdog) over(now time.Time) bool {
	return s.writing == 0 && now.Sub(s.failed) > forgottenAfter
}
