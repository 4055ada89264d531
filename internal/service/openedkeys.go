package service

import (
	"bytes"
	"crypto/rand"
	"sync"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// openedKeys keeps the keys of people who were written about or asked for lately, since to decrypt one costs more than
// what is done by it. It is for use at once from many goroutines.
type openedKeys struct {
	mu         sync.Mutex
	young, old map[consent.SubjectKey]openedKey // when the young generation is full, it becomes the old one
}

// openedKey is good for as long as the key is stored so: after an erasure nothing is, and after a rotation another
// text.
type openedKey struct {
	wrapped []byte
	subject *sealing.Subject
}

// maxOpenedKeys bounds a generation. Each takes about 3 KiB, most of it expanded keys of ciphers.
const maxOpenedKeys = 512

func (k *openedKeys) get(of consent.SubjectKey, wrapped []byte) *sealing.Subject {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, young := k.young[of]
	if !young {
		found = k.old[of]
	}
	if found.subject == nil || !bytes.Equal(found.wrapped, wrapped) {
		return nil
	}
	if !young {
		k.insert(of, found) // asked for again: it stays
	}
	return found.subject
}

func (k *openedKeys) put(of consent.SubjectKey, wrapped []byte, subject *sealing.Subject) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.insert(of, openedKey{wrapped, subject})
}

func (k *openedKeys) insert(of consent.SubjectKey, key openedKey) {
	if k.young == nil || len(k.young) >= maxOpenedKeys {
		k.young, k.old = make(map[consent.SubjectKey]openedKey), k.young
	}
	k.young[of] = key
}

// drop forgets the key of somebody who was erased.
func (k *openedKeys) drop(of consent.SubjectKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.young, of)
	delete(k.old, of)
}

// nonces draws random bytes in large pieces, since asking the kernel for a few at a time is slow.
type nonces struct{}

var noncePool = sync.Pool{New: func() any { return new(nonceBuffer) }}

type nonceBuffer struct {
	bytes [1024]byte
	left  int
}

// Read implements io.Reader. It never fails (see crypto/rand).
func (nonces) Read(p []byte) (int, error) {
	b := noncePool.Get().(*nonceBuffer)
	defer noncePool.Put(b)
	if len(p) > len(b.bytes) {
		return rand.Read(p)
	}
	if b.left < len(p) {
		_, _ = rand.Read(b.bytes[:])
		b.left = len(b.bytes)
	}
	n := copy(p, b.bytes[len(b.bytes)-b.left:])
	clear(b.bytes[len(b.bytes)-b.left:][:n]) // nothing of it is given out twice, or stays
	b.left -= n
	return n, nil
}
