package service

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

func alone() *cosigning {
	c := newCosigning(&witnesses{wake: make(chan struct{}, 1), due: map[consent.ID]time.Time{}}, nil)
	c.of.all = []*cosigning{c}
	return c
}

// TestFailureWhileSearching: an attempt that fails while the search that found its ledger still goes on has the witness
// asked again after the pause, not after the next search of all.
func TestFailureWhileSearching(t *testing.T) {
	for range 100 {
		c := alone()
		part := c.searches(time.Now())
		pause := c.failed()
		if c.searched(part, consent.NoID, searchUncosigned); pause > leastPause {
			t.Fatalf("the first pause is %s", pause)
		}
		if next := c.searches(time.Now()); next.wait > pause {
			t.Fatalf("it is searched in %s, after a pause of %s", next.wait, pause)
		}
	}
	c := alone()
	for range 100 {
		if pause := c.failed(); pause > mostPause {
			t.Fatalf("a pause of %s", pause)
		}
	}
	part := c.searches(time.Now())
	c.answered() // another ledger's
	if c.searched(part, consent.ID{1}, searchUncosigned); c.searches(time.Now()).wait > 0 {
		t.Error("what a witness lacks that is there again is not searched at once")
	}
}

// TestNewerWhileSent: a checkpoint that comes while an earlier one of its ledger is sent is sent next.
func TestNewerWhileSent(t *testing.T) {
	c, ledger := alone(), consent.ID{1}
	job := toCosign{&consent.Checkpoint{Organization: ledger}, 0}
	c.take(job)
	c.take(job)
	c.done(ledger, 0)
	if found, _ := c.of.next(time.Now()); found != ledger {
		t.Error("the newer one waits for the search")
	}
	c.take(job)
	c.done(ledger, 0)
	if found, _ := c.of.next(time.Now()); found != consent.NoID {
		t.Error("it is sent again, though nothing came")
	}
}
