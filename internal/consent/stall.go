package consent

import (
	"sync"
	"time"
)

const (
	// stallAfter is how long batches may be written without one that ends well until writes count as stalled. A batch takes
	// milliseconds, a large one a second.
	stallAfter = 10 * time.Second
	// stallForgotten is how long after the last failure a stall is believed while nobody writes: somebody has to try again.
	stallForgotten = 5 * time.Second
)

// stall notices that writes begin and none comes to an end: a standby that commits wait for is missing, a disk or a database
// hangs, somebody holds a lock. One organization whose writes hang beside others whose do not is no stall. The zero value is
// ready; for use at once from many goroutines.
type stall struct {
	mu      sync.Mutex
	writing int       // batches under way
	since   time.Time // since when there were batches and none ended well; zero: the last one did
	failed  time.Time // when one last ended badly
}

// begin notes that a batch is being written.
func (s *stall) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() || s.over(now) {
		s.since = now
	}
	s.writing++
}

// end notes that a batch came to an end; well: it is known what became of it.
func (s *stall) end(now time.Time, well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing--
	switch {
	case !well:
		s.failed = now
	case s.writing > 0:
		s.since = now
	default:
		s.since = time.Time{}
	}
}

// lasts tells for how long writes have been stalled; 0: they are not.
func (s *stall) lasts(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() || s.over(now) || now.Sub(s.since) < stallAfter {
		return 0
	}
	return now.Sub(s.since)
}

// over tells whether nobody has tried for so long that what failed may work again.
func (s *stall) over(now time.Time) bool { return s.writing == 0 && now.Sub(s.failed) > stallForgotten }
