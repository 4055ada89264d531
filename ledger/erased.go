package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// ErasedSet is which entries of a ledger an erasure took, as its entry commits to it: how many, and a hash over their
// sequences in ascending order, each time SHA-256 of the hash before (first 32 zeros) and the sequence in 8 bytes, the
// largest first.
type ErasedSet struct {
	Count int64
	Sum   [sha256.Size]byte
}

// Add adds an entry. Its sequence must be greater than those before.
func (s *ErasedSet) Add(sequence int64) {
	s.Count++
	s.Sum = sha256.Sum256(binary.BigEndian.AppendUint64(s.Sum[:], uint64(sequence)))
}

// ErasedLeaves holds entries of which the leaf alone is left against the erasures that took them: whoever can write to
// the store could else take an entry away as if it had been erased. It is given all entries of a ledger in order; its
// memory grows with the erasures that come behind what they took.
type ErasedLeaves struct {
	// Dropped tells that retention has dropped entries: they may be ones that an erasure took.
	Dropped bool

	taken map[int64]*ErasedSet // by the erasures that are still to come
}

// Leaf takes an entry of which the leaf alone is left. The error says that it cannot have been erased.
func (l *ErasedLeaves) Leaf(sequence, by int64) error {
	if by <= sequence {
		return fmt.Errorf("its leaf alone is left, and no later erasure is named that took it: it was taken away as if it " +
			"had been erased")
	}
	if l.taken == nil {
		l.taken = map[int64]*ErasedSet{}
	}
	set := l.taken[by]
	if set == nil {
		set = &ErasedSet{}
		l.taken[by] = set
	}
	set.Add(sequence)
	return nil
}

// Erasure takes an entry that says of an erasure which entries it took. The error says that others were taken.
func (l *ErasedLeaves) Erasure(sequence int64, said ErasedSet) error {
	var left ErasedSet
	if taken := l.taken[sequence]; taken != nil {
		left = *taken
		delete(l.taken, sequence)
	}
	switch {
	case left.Count < said.Count && !l.Dropped:
		return fmt.Errorf("of %d entries that it took, %d leaves are left", said.Count, left.Count)
	case left.Count > said.Count || left.Count == said.Count && left != said:
		return fmt.Errorf("it took %d entries, and others are told to be erased by it: an entry was taken away as if it had "+
			"been erased", said.Count)
	}
	return nil
}

// Other takes an entry of another kind. The error says that entries are told to be erased by it.
func (l *ErasedLeaves) Other(sequence int64) error {
	taken := l.taken[sequence]
	if taken == nil {
		return nil
	}
	delete(l.taken, sequence)
	return fmt.Errorf("%d entries are told to be erased by it, and it is no erasure: they were taken away as if they had "+
		"been erased", taken.Count)
}

// Left gives the sequences of erasures that were not there, though entries are told to be erased by them.
func (l *ErasedLeaves) Left() []int64 { return slices.Sorted(maps.Keys(l.taken)) }
