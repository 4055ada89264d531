package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// How a key signs: the algorithm bytes of signed-note, section "Signature types".
const (
	algEd25519     = 0x01
	algCosignature = 0x04
)

// GenerateKey makes a key from 32 bytes of random. It fails as reading them does.
func GenerateKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("read randomness for a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// signer signs notes with Ed25519 under a name.
type signer struct {
	name string
	id   uint32
	key  ed25519.PrivateKey
}

func (s *signer) Name() string                    { return s.name }
func (s *signer) KeyHash() uint32                 { return s.id }
func (s *signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// NewSigner gives what signs checkpoints with a key under a name, which for a ledger's own key is the ledger's origin.
// One key may have many names. A name that signed-note does not allow (empty, with a space or a plus) and a key of
// another length are errors that wrap ErrMalformed. The signer is safe for use by many at once.
func NewSigner(name string, key ed25519.PrivateKey) (note.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: a private key of %d bytes", ErrMalformed, len(key))
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return &signer{name, keyID(name, algEd25519, key.Public().(ed25519.PublicKey)), key}, nil
}

// VerifierKey gives a public key in text form (signed-note, "vkey"), as NewVerifier reads it. Errors are NewSigner's.
func VerifierKey(name string, key ed25519.PublicKey) (string, error) {
	if len(key) != ed25519.PublicKeySize {
		return "", fmt.Errorf("%w: a public key of %d bytes", ErrMalformed, len(key))
	}
	if err := checkName(name); err != nil {
		return "", err
	}
	return vkey(name, algEd25519, key), nil
}

func checkName(name string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || isControl(r) || r == '+' }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%w: %q cannot be the name of a key", ErrMalformed, name)
	}
	return nil
}

// keyID is a hint at which key signed: signed-note, section "Signatures".
func keyID(name string, alg byte, key []byte) uint32 {
	sum := sha256.Sum256(append(append([]byte(name), '\n', alg), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func vkey(name string, alg byte, key []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, alg, key),
		base64.StdEncoding.EncodeToString(append([]byte{alg}, key...)))
}

// NewVerifier reads a public key in text form: one that signs notes with Ed25519, as a ledger's does, or one that
// cosigns them, as a witness's does (then it is a [*Cosigner]). Another form or algorithm is an error that wraps
// ErrMalformed. The verifier is safe for use by many at once.
func NewVerifier(text string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(text, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || checkName(name) != nil {
		return nil, fmt.Errorf("%w: %q is no public key of a ledger or a witness", ErrMalformed, text)
	}
	alg, key := key[0], key[1:]
	if vkey(name, alg, key) != text {
		return nil, fmt.Errorf("%w: the public key %q does not fit its own check sum", ErrMalformed, text)
	}
	switch alg {
	case algEd25519:
		return note.NewVerifier(text)
	case algCosignature:
		return &Cosigner{name, keyID(name, alg, key), key}, nil
	}
	return nil, fmt.Errorf("%w: the public key %q is for an algorithm that is not known", ErrMalformed, text)
}

// A Cosigner verifies the cosignatures of one witness (C2SP tlog-cosignature, Ed25519): that it saw the checkpoint, at
// some time, as the latest of a ledger that only grew.
type Cosigner struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

// Name gives the witness's name.
func (c *Cosigner) Name() string { return c.name }

// KeyHash gives the key's id.
func (c *Cosigner) KeyHash() uint32 { return c.id }

// Verify says whether sig, u64 seconds and then the signature, is the witness's over a checkpoint's text.
func (c *Cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize || sig[0] >= 0x80 {
		return false
	}
	return ed25519.Verify(c.key, cosigned(binary.BigEndian.Uint64(sig), text), sig[8:])
}

// cosigned is what a witness signs.
func cosigned(seconds uint64, text []byte) []byte {
	b := append([]byte("cosignature/v1\ntime "), strconv.FormatUint(seconds, 10)...)
	return append(append(b, '\n'), text...)
}

// Time tells when the witness made a cosignature of its own that Open has verified. One of another key, or in another
// form, is an error that wraps ErrMalformed.
func (c *Cosigner) Time(sig note.Signature) (time.Time, error) {
	b, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || sig.Name != c.name || sig.Hash != c.id || len(b) != 4+8+ed25519.SignatureSize || b[4] >= 0x80 {
		return time.Time{}, fmt.Errorf("%w: no cosignature of %s", ErrMalformed, c.name)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0).UTC(), nil
}
