// Package idempotency knows how the answer to a write is kept for a retry with the same Idempotency-Key, so that only
// the caller's own credential opens it. It does not know where it is kept.
package idempotency

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// keepFor is how long an answer is kept.
const keepFor = 24 * time.Hour

// Key names the record of a write: whose it is, and by which Idempotency-Key.
func Key(o consent.Idempotency, a consent.Actor) consent.IdempotencyKey {
	owner := a.Key
	if a.Person != "" { // a person's tokens come and go; the person stays
		sum := sha256.Sum256([]byte(a.Person))
		owner = consent.ID(sum[:16])
	}
	return consent.IdempotencyKey{Organization: a.Organization, Key: owner,
		Hash: keyed(a, "consentd/answer/key/v1", []byte(o.Key))}
}

// keyed hashes by the caller's credential, so that who has the database cannot try guesses: a request may be a
// telephone number and little else.
func keyed(a consent.Actor, label string, text []byte) (hash [32]byte) {
	mac := hmac.New(sha256.New, a.Seal[:])
	_, _ = mac.Write([]byte(label)) // a hash takes everything
	_, _ = mac.Write(text)
	mac.Sum(hash[:0])
	return hash
}

func fingerprint(o consent.Idempotency, a consent.Actor) [32]byte {
	return keyed(a, "consentd/answer/request/v1", o.Fingerprint[:])
}

// Replay gives nil where the write was not done yet, *Replayed where it was, and an error
// where the key was used for another request.
func Replay(o consent.Idempotency, a consent.Actor, kept *consent.IdempotencyRecord, now time.Time) error {
	if kept == nil || !now.Before(kept.ExpiresAt) {
		return nil
	}
	if request := fingerprint(o, a); subtle.ConstantTimeCompare(kept.Fingerprint[:], request[:]) != 1 {
		return consent.Errorf(consent.Unprocessable, "Idempotency-Key", "was used for another request; use a new key")
	}
	if len(kept.Sealed) == 0 {
		return consent.Errorf(consent.Conflict, "Idempotency-Key",
			"the request with this key was done, and its answer is gone with somebody who was erased")
	}
	answer, err := cipherOf(o, a).Open(nil, nil, kept.Sealed, additional(kept.IdempotencyKey))
	if err != nil {
		return fmt.Errorf("open idempotency record: %w", err)
	}
	return &consent.Replayed{Answer: answer}
}

// Keep seals the answer to a write that is about to be committed, and notes about which subjects it is.
func Keep(o consent.Idempotency, a consent.Actor, result any, now time.Time) (consent.IdempotencyRecord, error) {
	answer, err := o.Render(result)
	if err != nil {
		return consent.IdempotencyRecord{}, fmt.Errorf("render answer: %w", err)
	}
	key := Key(o, a)
	return consent.IdempotencyRecord{IdempotencyKey: key, Fingerprint: fingerprint(o, a),
		Sealed: cipherOf(o, a).Seal(nil, nil, answer, additional(key)), ExpiresAt: now.Add(keepFor),
		About: about(result)}, nil
}

// about lists the subjects that an answer tells of, each once.
func about(result any) (subjects []consent.ID) {
	switch r := result.(type) {
	case *consent.Recorded:
		seen := make(map[consent.ID]bool, len(r.Items))
		for i := range r.Items {
			if id := r.Items[i].Subject; !seen[id] {
				seen[id] = true
				subjects = append(subjects, id)
			}
		}
	case *consent.SubjectView:
		subjects = named(r)
	case *consent.Restricted:
		subjects = append(subjects, r.Subject)
	case *consent.MergedSubjects:
		subjects = named(r.Subject)
		for _, change := range r.Changes {
			if !slices.Contains(subjects, change.Subject) {
				subjects = append(subjects, change.Subject)
			}
		}
	case *consent.UnmergedSubjects:
		subjects = append(named(r.Subject), named(r.Other)...)
	}
	return subjects
}

// named lists whom a view of a subject names: that one, and those who were merged into it.
func named(v *consent.SubjectView) []consent.ID {
	if v == nil {
		return nil
	}
	subjects := []consent.ID{v.ID}
	for _, m := range v.Merged {
		subjects = append(subjects, m.From)
	}
	return subjects
}

// cipherOf makes the AES-256-GCM of one request, from the caller's credential, the Idempotency-Key and the
// request itself; it puts a random nonce before each message.
func cipherOf(o consent.Idempotency, a consent.Actor) cipher.AEAD {
	h := sha256.New()
	h.Write([]byte("consentd/answer/v1"))
	h.Write(a.Seal[:])
	h.Write(o.Fingerprint[:])
	h.Write([]byte(o.Key))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has 16-byte blocks
	}
	return aead
}

func additional(k consent.IdempotencyKey) []byte {
	return append(append(k.Organization[:len(k.Organization):len(k.Organization)], k.Key[:]...), k.Hash[:]...)
}
