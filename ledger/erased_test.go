package ledger_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/ledger"
)

// TestErasedLeaves: of any ledger, what erasures took is told to be so, and whatever else is told to be erased is not:
// an entry hidden, one shown again in its place, one given to another erasure, an erasure or a leaf that is gone.
func TestErasedLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 30
		by := make([]int64, size+1) // by sequence: the erasure that took it; 0: it is open
		sets := map[int64]*ledger.ErasedSet{}
		for sequence := int64(3); sequence <= size; sequence++ {
			if by[sequence] == 0 && rapid.IntRange(0, 2).Draw(t, "erase") == 0 {
				sets[sequence] = &ledger.ErasedSet{}
				for earlier := int64(1); earlier < sequence; earlier++ {
					if by[earlier] == 0 && sets[earlier] == nil && rapid.Bool().Draw(t, "take") {
						by[earlier] = sequence
						sets[sequence].Add(earlier)
					}
				}
			}
		}
		if faults := erasedFaults(by, sets, false); faults > 0 {
			t.Fatalf("%d faults of a ledger as it was written", faults)
		}
		changed := slices.Clone(by)
		at := rapid.Int64Range(1, size).Draw(t, "at")
		to := rapid.Int64Range(0, size+3).Draw(t, "to")
		if changed[at] = to; to == by[at] {
			return
		}
		other := rapid.Int64Range(1, size).Draw(t, "other")
		if sets[at] == nil && sets[other] == nil && other != at && rapid.Bool().Draw(t, "swap") {
			changed[at], changed[other] = by[other], by[at]
			if by[at] == by[other] {
				return
			}
		}
		if faults := erasedFaults(changed, sets, false); faults == 0 {
			t.Fatalf("entry %d, told to be erased by %d, and not by %d, goes unnoticed", at, changed[at], by[at])
		}
		if to == 0 && erasedFaults(changed, sets, true) > 0 && changed[other] == by[other] {
			t.Fatalf("a leaf that retention dropped is a fault")
		}
	})
}

// erasedFaults counts what is not as it must be where entries are told to be erased so.
func erasedFaults(by []int64, sets map[int64]*ledger.ErasedSet, dropped bool) (faults int) {
	l := ledger.ErasedLeaves{Dropped: dropped}
	for sequence := int64(1); sequence < int64(len(by)); sequence++ {
		var err error
		switch {
		case by[sequence] != 0:
			err = l.Leaf(sequence, by[sequence])
		case sets[sequence] != nil:
			err = l.Erasure(sequence, *sets[sequence])
		default:
			err = l.Other(sequence)
		}
		if err != nil {
			faults++
		}
	}
	return faults + len(l.Left())
}
