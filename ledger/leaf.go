package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// LeafSize is the length of a leaf in bytes.
const LeafSize = 1 + 8 + 3*sha256.Size

// leafVersion begins a leaf, so that another form can follow.
const leafVersion = 0x01

// What is hashed begins with what it is, so that no hash can stand for another.
const (
	tagLabel       = "consentd/tag/v1"
	bodySaltLabel  = "consentd/salt-b/v1"
	identSaltLabel = "consentd/salt-i/v1"
	bodyLabel      = "consentd/body/v1"
	identLabel     = "consentd/ident/v1"
)

// A Secret is the 32 random bytes that a subject's tags and salts are made from. Once it is destroyed, nobody can tell
// what the subject's leaves commit to, or that they are of one subject.
type Secret [32]byte

// A Salt makes the commitment to one text unguessable. Whoever gets it can verify that text, and no other.
type Salt [32]byte

// Tag gives what marks an entry of the subject: HMAC-SHA256(s, "consentd/tag/v1" || u64 n). n is the entry's sequence
// in its ledger, which no other entry has. Nobody can link two of them without the secret. Safe for use by many at
// once, as all of Secret is.
func (s *Secret) Tag(n uint64) [32]byte {
	return s.derive(tagLabel, n)
}

// Salts gives the salts of the body and the ident of the subject's entry with sequence n: HMAC-SHA256(s, label || u64
// n).
func (s *Secret) Salts(n uint64) (body, ident Salt) {
	return s.derive(bodySaltLabel, n), s.derive(identSaltLabel, n)
}

// derive is HMAC-SHA256 (RFC 2104) of a label and a number. Every write makes three, and crypto/hmac would allocate
// five objects for each.
func (s *Secret) derive(label string, n uint64) [32]byte {
	const block = sha256.BlockSize
	var inner [block + 32]byte
	var outer [block + sha256.Size]byte
	for i := range block {
		inner[i], outer[i] = 0x36, 0x5c
	}
	for i, c := range s {
		inner[i] ^= c
		outer[i] ^= c
	}
	message := binary.BigEndian.AppendUint64(append(inner[:block], label...), n)
	sum := sha256.Sum256(message)
	copy(outer[block:], sum[:])
	return sha256.Sum256(outer[:])
}

// CommitBody gives the commitment to the body of an entry: SHA-256("consentd/body/v1" || salt || body).
func CommitBody(salt Salt, body []byte) [32]byte {
	return commit(bodyLabel, &salt, body)
}

// CommitIdent gives the commitment to the ident of an entry: SHA-256("consentd/ident/v1" || salt || ident).
func CommitIdent(salt Salt, ident []byte) [32]byte {
	return commit(identLabel, &salt, ident)
}

func commit(label string, salt *Salt, text []byte) [32]byte {
	var space [1024]byte // enough for nearly all texts, so that they take nothing from the heap
	b := append(append(append(space[:0], label...), salt[:]...), text...)
	return sha256.Sum256(b)
}

// A Leaf is what the tree holds of one entry: when it was recorded, and commitments to the rest. It says nothing about
// anybody by itself.
type Leaf struct {
	RecordedAt int64    // milliseconds since 1970 in UTC, never negative
	Tag        [32]byte // marks the subject's entry, for who has the secret
	Body       [32]byte // commits to what was decided
	Ident      [32]byte // commits to who it was and from where
}

// NewLeaf makes the leaf of the subject's entry with sequence n, counted from 1. body and ident are hashed byte for
// byte as they are kept. It panics where recordedAtMs is negative, since no reader would take such a leaf.
func NewLeaf(recordedAtMs int64, s *Secret, n uint64, body, ident []byte) Leaf {
	if recordedAtMs < 0 {
		panic("ledger: a leaf cannot be recorded before 1970")
	}
	bodySalt, identSalt := s.Salts(n)
	return Leaf{
		RecordedAt: recordedAtMs,
		Tag:        s.Tag(n),
		Body:       CommitBody(bodySalt, body),
		Ident:      CommitIdent(identSalt, ident),
	}
}

// Append appends the leaf's LeafSize bytes to b: 0x01 || u64 RecordedAt || Tag || Body || Ident, big endian.
func (l Leaf) Append(b []byte) []byte {
	b = append(b, leafVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(l.RecordedAt))
	b = append(b, l.Tag[:]...)
	b = append(b, l.Body[:]...)
	return append(b, l.Ident[:]...)
}

// ParseLeaf reads what Append wrote, and nothing else: another length or version, or a time beyond int64, is an error
// that wraps ErrMalformed.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) != LeafSize {
		return Leaf{}, fmt.Errorf("%w: a leaf has %d bytes, this has %d", ErrMalformed, LeafSize, len(b))
	}
	if b[0] != leafVersion {
		return Leaf{}, fmt.Errorf("%w: a leaf of version %d, which is not known", ErrMalformed, b[0])
	}
	l := Leaf{RecordedAt: int64(binary.BigEndian.Uint64(b[1:]))}
	if l.RecordedAt < 0 {
		return Leaf{}, fmt.Errorf("%w: a leaf with an impossible time", ErrMalformed)
	}
	copy(l.Tag[:], b[9:])
	copy(l.Body[:], b[41:])
	copy(l.Ident[:], b[73:])
	return l, nil
}

// Hash gives the leaf's hash in the tree: SHA-256(0x00 || leaf), RFC 6962, section 2.1.
func (l Leaf) Hash() tlog.Hash {
	var space [1 + LeafSize]byte
	return sha256.Sum256(l.Append(space[:1]))
}
