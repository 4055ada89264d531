// Package ledger knows how entries are proved: what a leaf commits to, the tree over all leaves, the signed checkpoints
// of its root, and the proofs between them. It does not know what an entry says, who it is about or where anything is
// kept: it reads no clock, does no I/O, starts no goroutine, and takes randomness from its caller.
//
// The forms are those of RFC 6962 (hashes and proofs) and of C2SP (signed-note, tlog-checkpoint, tlog-cosignature,
// tlog-tiles), so that other people's tools read them. It imports nothing else of this module, so an auditor can use it
// alone.
package ledger

import "errors"

// What can be wrong with evidence. An error of this package wraps one of these, for errors.Is; its text is for people.
var (
	// ErrMalformed is about bytes or arguments that are not in their form, whatever they were meant to say.
	ErrMalformed = errors.New("malformed")
	// ErrRange is about an entry, a size or a tile that the ledger does not have, or does not have yet.
	ErrRange = errors.New("beyond the ledger")
	// ErrSignature is about a signature by a trusted key that is not over this text: one of both was changed.
	ErrSignature = errors.New("wrong signature")
	// ErrUnsigned is about a checkpoint that the ledger's own key did not sign, or none that is trusted.
	ErrUnsigned = errors.New("not signed")
	// ErrOrigin is about a checkpoint of another ledger.
	ErrOrigin = errors.New("another ledger")
	// ErrSize is about a proof for another number of entries than the checkpoint it came with.
	ErrSize = errors.New("another size")
	// ErrNotIncluded is about an entry that the proof does not show to be in the ledger: one of them was changed.
	ErrNotIncluded = errors.New("not proved to be in the ledger")
	// ErrNotCommitted is about a text that is not what a leaf commits to: one of them was changed.
	ErrNotCommitted = errors.New("not what was committed")
	// ErrInconsistent is about two checkpoints of which the proof does not show that the ledger only grew between them.
	ErrInconsistent = errors.New("not proved to go on from the earlier ledger")
)
