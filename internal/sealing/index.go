package sealing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
)

// IndexSize is how many bytes an index has.
const IndexSize = 16

// IndexUse says what an index is for. Indexes of different uses share nothing that could be compared.
type IndexUse uint8

// The uses. The strings that they stand for never change.
const (
	IndexIdentifier IndexUse = iota + 1 // finds a subject by an identifier
	IndexSuppressed                     // stays of an identifier whose person was erased and wants no more
	IndexImport                         // stays of a line that an import brought
	indexUseCount
)

var indexLabels = [indexUseCount]string{
	IndexIdentifier: "consentd/index/identifier/v1",
	IndexSuppressed: "consentd/index/suppressed/v1",
	IndexImport:     "consentd/index/import/v1",
}

// BlindIndex turns identifiers into what can be looked up and not read: HMAC-SHA-256 under a key of the organization,
// its first 16 bytes. Among 2^32 identifiers of an organization the odds that any two share an index are 2^-65, and
// nobody can search for such two without the key: who finds an index has found the identifier. An index tells who has
// the database, without the key file, which rows are equal and nothing else; who has the key too can try guesses, and
// of telephone numbers all. It holds its key until it is collected. Safe at once.
type BlindIndex struct {
	redacted
	states sync.Pool // of *indexState: keyed states are made once, which halves the hashing
}

type indexState struct {
	mac  hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// NewBlindIndex gives the index of one use under an organization's key. Errors: ErrNoKey.
func NewBlindIndex(organization Key, use IndexUse) (*BlindIndex, error) {
	if use == 0 || use >= indexUseCount {
		return nil, fmt.Errorf("no use of an index has the number %d", use)
	}
	key, err := organization.derive(indexLabels[use])
	if err != nil {
		return nil, err
	}
	return &BlindIndex{states: sync.Pool{New: func() any {
		return &indexState{mac: hmac.New(sha256.New, key.at.bytes[:])}
	}}}, nil
}

// Of gives the index of an identifier: a value of a kind, as far as a project sees it. Values that mean the same must
// be written the same before.
func (x *BlindIndex) Of(kind string, project int, value string) [IndexSize]byte {
	s := x.states.Get().(*indexState)
	// Each part but the last has its length in front or a fixed one, so no two identifiers have one text.
	s.text = binary.BigEndian.AppendUint32(s.text[:0], uint32(len(kind)))
	s.text = append(s.text, kind...)
	s.text = binary.BigEndian.AppendUint64(s.text, uint64(project))
	s.text = append(s.text, value...)
	s.mac.Reset()
	_, _ = s.mac.Write(s.text) // a hash takes everything
	s.mac.Sum(s.sum[:0])
	index := [IndexSize]byte(s.sum[:])
	clear(s.text)
	x.states.Put(s)
	return index
}
