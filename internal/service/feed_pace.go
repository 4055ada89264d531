package service

import (
	"context"
	"time"
)

const (
	// yields is how many times as long as a part took the next one waits while many write faster than it can be told;
	// mostYield is how long at most.
	yields, mostYield = 7, 500 * time.Millisecond
)

// pace has a feed give way to those who write where it cannot keep up with them: both want the same processor, and who
// writes is waited for. A feed that keeps up never waits.
type pace struct {
	head    int64 // of the ledger, when the part began
	began   time.Time
	written float64 // entries a second between this part and the one before
}

// begin notes that a part begins, and how long the ledger is.
func (p *pace) begin(head int64, now time.Time) {
	p.written = 0
	if !p.began.IsZero() && now.After(p.began) {
		p.written = float64(head-p.head) / now.Sub(p.began).Seconds()
	}
	p.head, p.began = head, now
}

// yield gives how long to wait behind a part of so many entries.
func (p *pace) yield(told int64, now time.Time) time.Duration {
	took := now.Sub(p.began)
	if told == 0 || took <= 0 || float64(told)/took.Seconds() >= p.written {
		return 0
	}
	return min(yields*took, mostYield)
}

// sleep waits for a while, or until the context ends.
func sleep(ctx context.Context, while time.Duration) {
	if while <= 0 {
		return
	}
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
