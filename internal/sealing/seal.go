package sealing

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
)

// Label says what a text is. What was sealed under one opens under no other.
type Label uint8

// The labels. The strings that they stand for are part of every ciphertext's key, and never change.
const (
	LabelIdentifier Label = iota + 1 // an identifier, to be shown
	LabelIdent                       // the ident of an event
	LabelData                        // a subject's data
	LabelProfile                     // a subject's profile
	LabelArchive                     // what is kept of a subject's past
	LabelText                        // a text that was given per person
	LabelWebhook                     // a secret of a webhook's, by the organization's own key
	labelCount
)

// They differ from the prefixes of the ledger's hashes ("consentd/ident/v1"), though no key is used for both.
var labelNames = [labelCount]string{
	LabelIdentifier: "consentd/seal/identifier/v1",
	LabelIdent:      "consentd/seal/ident/v1",
	LabelData:       "consentd/seal/data/v1",
	LabelProfile:    "consentd/seal/profile/v1",
	LabelArchive:    "consentd/seal/archive/v1",
	LabelText:       "consentd/seal/text/v1",
	LabelWebhook:    "consentd/seal/webhook/v1",
}

// Overhead is how many bytes a sealed text has more than the text: version (1), nonce (12), tag (16). So a sealed text
// tells how long the text is.
const Overhead = 1 + nonceSize + tagSize

const sealVersion = 1

// Subject seals texts under a subject's key. Making one costs little; each label costs a derivation when it is first
// used, so one Subject should serve all of a person's rows in a batch. Safe at once, but for Wipe.
//
// Nonces are random, not counted: a count comes back when a backup is restored or a transaction runs again, and then
// two texts would share a nonce, which shows both. They are safe for 2^32 texts of a person under each label.
type Subject struct {
	redacted
	key    Key
	random io.Reader

	mu      sync.Mutex
	prk     Key // HKDF's pseudorandom key; none until it is needed
	ciphers [labelCount]cipher.AEAD
}

// NewSubject gives a Subject of a key. Nonces are drawn from random, as those of [File.Ring].
func NewSubject(key Key, random io.Reader) *Subject { return &Subject{key: key, random: random} }

// Key gives the subject's key.
func (s *Subject) Key() Key { return s.key }

// Wipe overwrites the key and what was derived from it, best effort. It may not run at once with another method.
func (s *Subject) Wipe() {
	s.key.Wipe()
	s.prk.Wipe()
	s.prk = Key{}
	s.ciphers = [labelCount]cipher.AEAD{}
}

// Seal encrypts a text under a label. It opens with the same associated data only: what names the place where it is
// kept, so that no text can be moved to another. Errors: ErrNoKey after Wipe, and those of the random source.
func (s *Subject) Seal(label Label, associated, text []byte) ([]byte, error) {
	aead, err := s.cipherOf(label)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 1+nonceSize, len(text)+Overhead)
	sealed[0] = sealVersion
	nonce := sealed[1:]
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return aead.Seal(sealed, nonce, text, associated), nil
}

// Open decrypts what Seal gave for the same key, label and associated data. Errors: ErrDamaged; ErrNoKey after Wipe.
func (s *Subject) Open(label Label, associated, sealed []byte) ([]byte, error) {
	return s.open(label, associated, sealed, func() []byte { return make([]byte, 0, len(sealed)-Overhead) })
}

// OpenInPlace is Open for a sealed text whose memory the text may take. Where it gives an error, what was there is
// gone.
func (s *Subject) OpenInPlace(label Label, associated, sealed []byte) ([]byte, error) {
	return s.open(label, associated, sealed, func() []byte { return sealed[1+nonceSize : 1+nonceSize] })
}

func (s *Subject) open(label Label, associated, sealed []byte, into func() []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != sealVersion {
		return nil, ErrDamaged
	}
	aead, err := s.cipherOf(label)
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(into(), sealed[1:1+nonceSize], sealed[1+nonceSize:], associated)
	if err != nil {
		return nil, ErrDamaged
	}
	return text, nil
}

// cipherOf derives a label's key when it is first used. Extracting once serves all labels.
func (s *Subject) cipherOf(label Label) (cipher.AEAD, error) {
	if label == 0 || label >= labelCount {
		return nil, fmt.Errorf("no label has the number %d", label)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if aead := s.ciphers[label]; aead != nil {
		return aead, nil
	}
	if !s.key.usable() {
		return nil, ErrNoKey
	}
	if !s.prk.usable() {
		prk, err := hkdf.Extract(sha256.New, s.key.at.bytes[:], nil)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		s.prk = keyOf((*[KeySize]byte)(prk))
	}
	derived, err := hkdf.Expand(sha256.New, s.prk.at.bytes[:], labelNames[label], KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	key := keyOf((*[KeySize]byte)(derived))
	defer key.Wipe()
	aead, err := key.gcm()
	if err != nil {
		return nil, err
	}
	s.ciphers[label] = aead
	return aead, nil
}
