package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// KeySize is how many bytes a key has.
const KeySize = 32

// redactedText stands for a secret wherever it is shown.
const redactedText = "[secret]"

// ErrNoKey says that a key was used that was never set, or after it was wiped.
var ErrNoKey = errors.New("no key: it was never set, or was wiped")

// redacted keeps the type that embeds it out of logs and texts.
type redacted struct{}

// Format shows "[secret]" for every verb.
func (redacted) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redactedText) }

// String gives "[secret]".
func (redacted) String() string { return redactedText }

// MarshalText gives "[secret]", to encoding/json too.
func (redacted) MarshalText() ([]byte, error) { return []byte(redactedText), nil }

// LogValue gives "[secret]".
func (redacted) LogValue() slog.Value { return slog.StringValue(redactedText) }

// Key is 32 secret bytes: of a subject or of an organization. The zero Key is none. Copies share the bytes, so wiping
// one wipes all. Safe at once, but for Wipe.
type Key struct {
	redacted
	at *place
}

// place puts the bytes two pointers away. In an unexported field of another type, fmt asks no method of a Key: it shows
// what is in it, and follows one pointer where a verb does not fit it, but never two.
type place struct{ bytes *[KeySize]byte }

func keyOf(bytes *[KeySize]byte) Key { return Key{at: &place{bytes}} }

// NewKey draws a key. Errors: those of random, and one where it gives zeros only.
func NewKey(random io.Reader) (Key, error) {
	k := keyOf(new([KeySize]byte))
	if _, err := io.ReadFull(random, k.Secret()[:]); err != nil {
		return Key{}, fmt.Errorf("draw a key: %w", err)
	}
	if !k.usable() {
		return Key{}, errors.New("draw a key: the source of randomness gave zeros")
	}
	return k, nil
}

// Secret gives the bytes themselves, for the derivations of others (the ledger's tags and salts). They are not a copy:
// Wipe reaches them. Nil where the Key is none.
func (k Key) Secret() *[KeySize]byte {
	if k.at == nil {
		return nil
	}
	return k.at.bytes
}

// Wipe overwrites the bytes, best effort (see the package). It may not run at once with a use of the key or its copies.
func (k Key) Wipe() {
	if secret := k.Secret(); secret != nil {
		clear(secret[:])
	}
}

// usable is false for none and for a wiped one: zeros would seal under a key that everybody knows.
func (k Key) usable() bool {
	secret := k.Secret()
	return secret != nil && *secret != [KeySize]byte{}
}

// derive gives the key that a label names: HKDF-SHA-256 without salt (RFC 5869), which keeps uses of one key apart.
func (k Key) derive(label string) (Key, error) {
	if !k.usable() {
		return Key{}, ErrNoKey
	}
	derived, err := hkdf.Key(sha256.New, k.at.bytes[:], nil, label, KeySize)
	if err != nil {
		return Key{}, fmt.Errorf("derive a key: %w", err)
	}
	return keyOf((*[KeySize]byte)(derived)), nil
}

// gcm gives AES-256-GCM under the key.
func (k Key) gcm() (cipher.AEAD, error) {
	if !k.usable() {
		return nil, ErrNoKey
	}
	block, err := aes.NewCipher(k.at.bytes[:])
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return aead, nil
}
