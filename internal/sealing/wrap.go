package sealing

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"sync"
)

// WrappedSize is how many bytes a wrapped key has: version (1), id of the key-encryption key (4), nonce (12),
// ciphertext (32), tag (16).
const WrappedSize = wrapHeader + nonceSize + KeySize + tagSize

const (
	wrapVersion = 1
	wrapHeader  = 1 + 4
	wrapLabel   = "consentd/wrap/v1"
	nonceSize   = 12
	tagSize     = 16

	// maxCiphers bounds what a Ring keeps: about a kilobyte for each organization that is at work.
	maxCiphers = 4096
)

// ErrDamaged says that a ciphertext is not one, was altered, or belongs elsewhere: to another subject, organization,
// label or row. Which of these, nobody can tell.
var ErrDamaged = errors.New("not decrypted: it was altered, belongs elsewhere, or a newer version wrote it")

// Ring wraps and unwraps keys with the key-encryption keys of a File. Each organization's keys are wrapped with a key
// of its own, HKDF-SHA-256 of the key-encryption key with info "consentd/wrap/v1" || organization: random nonces are
// safe for 2^32 wraps under one key (NIST SP 800-38D, 8.3), which then is a bound an organization, not a server. Safe
// at once.
type Ring struct {
	redacted
	random io.Reader
	keks   []kek

	mu      sync.RWMutex
	ciphers map[cipherName]cipher.AEAD
}

type cipherName struct {
	kek          KEKID
	organization [16]byte
}

// Ring gives the keys of the file for use. Nonces are drawn from random, which must be safe at once and must never
// repeat: crypto/rand.Reader, but in tests.
func (f *File) Ring(random io.Reader) *Ring {
	return &Ring{random: random, keks: f.keks, ciphers: map[cipherName]cipher.AEAD{}}
}

// Newest names the key that Wrap uses.
func (r *Ring) Newest() KEKID { return r.keks[len(r.keks)-1].id }

// KEKOf names the key-encryption key that a key was wrapped with. Errors: ErrDamaged where it is no wrapped key.
func KEKOf(wrapped []byte) (KEKID, error) {
	if len(wrapped) != WrappedSize || wrapped[0] != wrapVersion {
		return KEKID{}, ErrDamaged
	}
	return KEKID(wrapped[1:wrapHeader]), nil
}

// Wrap encrypts a key with the newest key-encryption key, for this organization and subject only: WrappedSize bytes,
// others each time. The organization's own key has the zero subject. Errors: ErrNoKey, and those of the random source.
func (r *Ring) Wrap(key Key, organization, subject [16]byte) ([]byte, error) {
	if !key.usable() {
		return nil, ErrNoKey
	}
	newest := &r.keks[len(r.keks)-1]
	aead, err := r.cipherOf(newest, organization)
	if err != nil {
		return nil, err
	}
	wrapped := make([]byte, wrapHeader+nonceSize, WrappedSize)
	wrapped[0] = wrapVersion
	copy(wrapped[1:], newest.id[:])
	nonce := wrapped[wrapHeader:]
	if _, err := io.ReadFull(r.random, nonce); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return aead.Seal(wrapped, nonce, key.at.bytes[:], wrapContext(wrapped[:wrapHeader], organization, subject)), nil
}

// Unwrap decrypts what Wrap gave for the same organization and subject. Errors: UnknownKEKError, ErrDamaged.
func (r *Ring) Unwrap(wrapped []byte, organization, subject [16]byte) (Key, error) {
	id, err := KEKOf(wrapped)
	if err != nil {
		return Key{}, err
	}
	k := findKEK(r.keks, id)
	if k == nil {
		return Key{}, &UnknownKEKError{ID: id}
	}
	aead, err := r.cipherOf(k, organization)
	if err != nil {
		return Key{}, err
	}
	key := keyOf(new([KeySize]byte))
	nonce, sealed := wrapped[wrapHeader:wrapHeader+nonceSize], wrapped[wrapHeader+nonceSize:]
	context := wrapContext(wrapped[:wrapHeader], organization, subject)
	if _, err := aead.Open(key.at.bytes[:0], nonce, sealed, context); err != nil {
		return Key{}, ErrDamaged
	}
	if !key.usable() {
		return Key{}, ErrNoKey
	}
	return key, nil
}

// wrapContext is the associated data: the header, so that nothing in front of the nonce can be altered, and whose key
// it is. All parts have a fixed length.
func wrapContext(header []byte, organization, subject [16]byte) []byte {
	data := make([]byte, 0, wrapHeader+2*16)
	data = append(data, header...)
	data = append(data, organization[:]...)
	return append(data, subject[:]...)
}

// cipherOf derives an organization's wrapping key, or has it still.
func (r *Ring) cipherOf(k *kek, organization [16]byte) (cipher.AEAD, error) {
	name := cipherName{k.id, organization}
	r.mu.RLock()
	aead, ok := r.ciphers[name]
	r.mu.RUnlock()
	if ok {
		return aead, nil
	}
	derived, err := k.key.derive(wrapLabel + string(organization[:]))
	if err != nil {
		return nil, err
	}
	defer derived.Wipe()
	if aead, err = derived.gcm(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, ok := r.ciphers[name]; ok { // somebody was quicker
		return first, nil
	}
	if len(r.ciphers) >= maxCiphers {
		for other := range r.ciphers { // any: to derive one again takes microseconds
			delete(r.ciphers, other)
			break
		}
	}
	r.ciphers[name] = aead
	return aead, nil
}
