package service

import (
	"sync"
	"time"
)

const (
	// stalledAfter is how long transactions may be tried without a commit until writes count as stalled. One takes
	// milliseconds, a large batch a second.
	stalledAfter = 10 * time.Second
	// forgottenAfter is how long after the last failure a stall is believed while nobody writes: somebody has to try
	// again.
	forgottenAfter = 5 * time.Second
)

// commitWatchdog notices that writes begin and none is committed: a standby that commits wait for is missing, a disk or
// a database hangs or is full, somebody holds a lock. Where the writes of one organization hang and those of others do
// not, nothing is reported. The zero value is ready; for use at once from many goroutines.
type commitWatchdog struct {
	mu      sync.Mutex
	writing int       // transactions under way
	since   time.Time // since when there were some and none was committed; zero: the last one was, or there was none
	failed  time.Time // when one last failed
}

// result is how a transaction came to its end.
type result uint8

const (
	failed  result = iota // the store did not do it, or it is unknown whether
	refused               // there was nothing to commit: it tells nothing of commits
	committed
)

// begin notes that a transaction has begun.
func (w *commitWatchdog) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || w.over(now) {
		w.since = now
	}
	w.writing++
}

// end notes how a transaction ended.
func (w *commitWatchdog) end(now time.Time, how result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing--
	switch {
	case how == failed:
		w.failed = now
	case how == committed && w.writing > 0:
		w.since = now
	case how == committed, w.writing == 0 && !w.failed.After(w.since):
		w.since = time.Time{}
	}
}

// stalledFor tells for how long writes have been stalled; 0: they are not.
func (w *commitWatchdog) stalledFor(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || w.over(now) || now.Sub(w.since) < stalledAfter {
		return 0
	}
	return now.Sub(w.since)
}

// over tells whether nobody has tried for so long that what failed may work again.
func (w *commitWatchdog) over(now time.Time) bool {
	return w.writing == 0 && now.Sub(w.failed) > forgottenAfter
}
