package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Proof says that an entry is in a ledger, as a checkpoint has it (RFC 6962, section 2.1.1). Its JSON has all bytes
// in base64 (RFC 4648, section 4): {"event","index","size","leaf","hashes":[…],"checkpoint"}.
type Proof struct {
	Event      string      `json:"event"` // the entry's id; the proof does not cover it
	Index      int64       `json:"index"` // of the leaf, from 0
	Size       int64       `json:"size"`  // of the ledger at the checkpoint
	Leaf       []byte      `json:"leaf"`
	Hashes     []tlog.Hash `json:"hashes"`     // from the leaf up to the root
	Checkpoint []byte      `json:"checkpoint"` // a signed note
}

// Prove makes the proof that leaf is the entry with that index in the ledger that the signed checkpoint describes, of
// size entries. It believes leaf and checkpoint; Verify does not. An index beyond size, or a size beyond r's tree, is
// an error that wraps ErrRange; r's errors are wrapped.
func Prove(r *Reader, event string, index int64, leaf Leaf, size int64, checkpoint []byte) (*Proof, error) {
	if index < 0 || index >= size || size > r.tree.Size {
		return nil, fmt.Errorf("%w: no entry %d among %d", ErrRange, index, size)
	}
	hashes, err := tlog.ProveRecord(size, index, r)
	if err != nil {
		return nil, fmt.Errorf("prove entry %d of %d: %w", index, size, err)
	}
	return &Proof{event, index, size, leaf.Append(nil), hashes, checkpoint}, nil
}

// ProveAll gives what leads from each of some entries to the root of the ledger of size entries, in the order of
// indexes, as Prove does. It reads what all of them need from r at once. Errors are Prove's.
func ProveAll(r *Reader, indexes []int64, size int64) ([][]tlog.Hash, error) {
	known := map[int64]tlog.Hash{}
	var needed []int64
	note := tlog.HashReaderFunc(func(stored []int64) ([]tlog.Hash, error) {
		for _, at := range stored {
			if _, noted := known[at]; !noted {
				known[at] = tlog.Hash{}
				needed = append(needed, at)
			}
		}
		return make([]tlog.Hash, len(stored)), nil
	})
	for _, index := range indexes {
		if index < 0 || index >= size || size > r.tree.Size {
			return nil, fmt.Errorf("%w: no entry %d among %d", ErrRange, index, size)
		}
		if _, err := tlog.ProveRecord(size, index, note); err != nil {
			return nil, fmt.Errorf("prove entry %d of %d: %w", index, size, err)
		}
	}
	hashes, err := r.ReadHashes(needed)
	if err != nil {
		return nil, fmt.Errorf("prove %d entries: %w", len(indexes), err)
	}
	for i, at := range needed {
		known[at] = hashes[i]
	}
	return proofsFrom(known, indexes, size)
}

// proofsFrom makes proofs of hashes that are known.
func proofsFrom(known map[int64]tlog.Hash, indexes []int64, size int64) ([][]tlog.Hash, error) {
	read := tlog.HashReaderFunc(func(stored []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(stored))
		for i, at := range stored {
			out[i] = known[at]
		}
		return out, nil
	})
	proofs := make([][]tlog.Hash, len(indexes))
	for i, index := range indexes {
		var err error
		if proofs[i], err = tlog.ProveRecord(size, index, read); err != nil {
			return nil, fmt.Errorf("prove entry %d of %d: %w", index, size, err)
		}
	}
	return proofs, nil
}

// Verify verifies the checkpoint as Open does, and that the leaf is the entry of that index under it. Beside Open's, an
// error wraps ErrMalformed, ErrSize (the proof is for another checkpoint), ErrRange (there is no such index) or
// ErrNotIncluded (the leaf, its index or a hash is not what it was).
func (p *Proof) Verify(origin string, verifiers note.Verifiers) error {
	c, _, err := Open(p.Checkpoint, origin, verifiers)
	if err != nil {
		return err
	}
	if p.Size != c.Size {
		return fmt.Errorf("%w: the proof is for %d entries, its checkpoint for %d", ErrSize, p.Size, c.Size)
	}
	leaf, err := ParseLeaf(p.Leaf)
	if err != nil {
		return err
	}
	return VerifyInclusion(c, p.Index, leaf, p.Hashes)
}

// VerifyInclusion verifies that the leaf is the entry with that index in the ledger of a checkpoint that Open gave. An
// error wraps ErrRange or ErrNotIncluded.
func VerifyInclusion(c *Checkpoint, index int64, leaf Leaf, hashes []tlog.Hash) error {
	if index < 0 || index >= c.Size || c.Size > maxSize {
		return fmt.Errorf("%w: no entry %d among %d", ErrRange, index, c.Size)
	}
	if tlog.CheckRecord(hashes, c.Size, c.Root, index, leaf.Hash()) != nil {
		return fmt.Errorf("%w: its hashes do not lead from entry %d to the checkpoint's root", ErrNotIncluded, index)
	}
	return nil
}

// A Consistency says that a ledger only grew between two sizes (RFC 6962, section 2.1.2). Its JSON is
// {"from","to","hashes":[…]}, with hashes in base64.
type Consistency struct {
	From   int64       `json:"from"`
	To     int64       `json:"to"`
	Hashes []tlog.Hash `json:"hashes"`
}

// ProveConsistency makes the proof that the ledger of from entries is the beginning of that of to entries. Sizes
// that are not 0 <= from <= to, or beyond r's tree, are an error that wraps ErrRange; r's errors are wrapped.
func ProveConsistency(r *Reader, from, to int64) (*Consistency, error) {
	if from < 0 || from > to || to > r.tree.Size {
		return nil, fmt.Errorf("%w: no proof from %d entries to %d", ErrRange, from, to)
	}
	if from == 0 {
		return &Consistency{from, to, []tlog.Hash{}}, nil // every ledger begins with nothing
	}
	hashes, err := tlog.ProveTree(to, from, r)
	if err != nil {
		return nil, fmt.Errorf("prove %d entries to begin %d: %w", from, to, err)
	}
	return &Consistency{from, to, hashes}, nil
}

// Verify verifies that the ledger of the older checkpoint is the beginning of the newer one's. Both come from Open. An
// error wraps ErrOrigin (they are of two ledgers), ErrSize (the proof is for other sizes) or ErrInconsistent (what the
// older one had was changed or taken away, or the proof was changed).
func (p *Consistency) Verify(older, newer *Checkpoint) error {
	if older.Origin != newer.Origin {
		return fmt.Errorf("%w: one checkpoint is of %q, the other of %q", ErrOrigin, older.Origin, newer.Origin)
	}
	if p.From != older.Size || p.To != newer.Size {
		return fmt.Errorf("%w: the proof is from %d entries to %d, the checkpoints have %d and %d", ErrSize, p.From, p.To,
			older.Size, newer.Size)
	}
	if !p.holds(older.Root, newer.Root) {
		return fmt.Errorf("%w: the %d entries of then are not the first of the %d", ErrInconsistent, p.From, p.To)
	}
	return nil
}

// holds says whether the hashes lead from one root to the other.
func (p *Consistency) holds(older, newer tlog.Hash) bool {
	empty := (&Tree{}).Root()
	switch {
	case p.From > p.To || p.To > maxSize:
		return false
	case p.To == 0 && newer != empty:
		return false
	case p.From == 0:
		return older == empty && len(p.Hashes) == 0
	}
	return tlog.CheckTree(p.Hashes, p.To, newer, p.From, older) == nil
}
