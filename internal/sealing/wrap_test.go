package sealing

import (
	"bytes"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawID gives a 16-byte id, often one that looks like another.
func drawID(t *rapid.T, name string) (id [16]byte) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, name))
	return id
}

// TestWrapRoundTrip: a key comes back for its organization and subject, and for no other.
func TestWrapRoundTrip(t *testing.T) {
	f := newFile(t)
	rapid.Check(t, func(t *rapid.T) {
		ring := f.Ring(rand.Reader)
		organization, subject := drawID(t, "organization"), drawID(t, "subject")
		key, err := NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := ring.Wrap(key, organization, subject)
		if err != nil || len(wrapped) != WrappedSize {
			t.Fatalf("wrapped in %d bytes: %v", len(wrapped), err)
		}
		if id, err := KEKOf(wrapped); err != nil || id != ring.Newest() {
			t.Fatalf("wrapped with %s: %v", id, err)
		}
		if bytes.Contains(wrapped, key.at.bytes[:8]) {
			t.Fatal("the key is in the wrap")
		}
		back, err := f.Ring(rand.Reader).Unwrap(wrapped, organization, subject)
		if err != nil || *back.Secret() != *key.Secret() {
			t.Fatalf("came back otherwise: %v", err)
		}
		otherOrganization, otherSubject := drawID(t, "other organization"), drawID(t, "other subject")
		if otherOrganization != organization {
			refused(t, ring, wrapped, otherOrganization, subject)
		}
		if otherSubject != subject {
			refused(t, ring, wrapped, organization, otherSubject)
		}
		if organization != subject {
			refused(t, ring, wrapped, subject, organization)
		}
	})
}

func refused(t *rapid.T, ring *Ring, wrapped []byte, organization, subject [16]byte) {
	t.Helper()
	if key, err := ring.Unwrap(wrapped, organization, subject); !errors.Is(err, ErrDamaged) || key.Secret() != nil {
		t.Fatalf("unwrapped for organization %x and subject %x: %v", organization, subject, err)
	}
}

// TestWrapDamage alters every bit, and takes and adds bytes.
func TestWrapDamage(t *testing.T) {
	ring, key := newFile(t).Ring(rand.Reader), newKey(t)
	wrapped, err := ring.Wrap(key, testOrganization, testSubject)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(wrapped) * 8 {
		altered := bytes.Clone(wrapped)
		altered[bit/8] ^= 1 << (bit % 8)
		_, err := ring.Unwrap(altered, testOrganization, testSubject)
		var unknown *UnknownKEKError
		inID := bit/8 >= 1 && bit/8 < wrapHeader
		if inID != errors.As(err, &unknown) || !inID && !errors.Is(err, ErrDamaged) {
			t.Errorf("bit %d: %v", bit, err)
		}
		if inID && unknown.ID != KEKID(altered[1:5]) {
			t.Errorf("bit %d: the error names %s", bit, unknown.ID)
		}
	}
	for n := range len(wrapped) {
		if _, err := ring.Unwrap(wrapped[:n], testOrganization, testSubject); !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	newer := bytes.Clone(wrapped)
	newer[0]++
	for _, input := range [][]byte{nil, newer, wrapped[1:], append(bytes.Clone(wrapped), 0)} {
		if id, err := KEKOf(input); !errors.Is(err, ErrDamaged) {
			t.Errorf("%x was wrapped with %s: %v", input, id, err)
		}
	}
	longer := append(bytes.Clone(wrapped), 0)
	if _, err := ring.Unwrap(longer, testOrganization, testSubject); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

// TestWrapIDIsBound: a wrap whose id was altered to another key of the same file is refused, though both are known.
func TestWrapIDIsBound(t *testing.T) {
	path := newPath(t)
	f, err := rotate(path, testTime)
	if err != nil {
		t.Fatal(err)
	}
	ring := f.Ring(rand.Reader)
	wrapped, err := ring.Wrap(newKey(t), testOrganization, testSubject)
	if err != nil {
		t.Fatal(err)
	}
	copy(wrapped[1:], f.keks[0].id[:])
	if _, err := ring.Unwrap(wrapped, testOrganization, testSubject); !errors.Is(err, ErrDamaged) {
		t.Errorf("unwrapped under another key: %v", err)
	}
}

// TestWrapsDiffer: the same key wrapped twice shows nothing that is equal but the header.
func TestWrapsDiffer(t *testing.T) {
	ring, key := newFile(t).Ring(rand.Reader), newKey(t)
	seen := map[string]bool{}
	for range 1000 {
		wrapped, err := ring.Wrap(key, testOrganization, testSubject)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(wrapped[wrapHeader:wrapHeader+nonceSize])] = true
		seen[string(wrapped[wrapHeader+nonceSize:])] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 nonces and ciphertexts differ", len(seen))
	}
}

// TestRewrap is what a rotation is for: old wraps open, new ones need the new key, and what is retired opens nothing.
func TestRewrap(t *testing.T) {
	path := newPath(t)
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	old, key := before.Ring(rand.Reader), newKey(t)
	wrapped, err := old.Wrap(key, testOrganization, testSubject)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := rotate(path, testTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ring := rotated.Ring(rand.Reader)
	back, err := ring.Unwrap(wrapped, testOrganization, testSubject)
	if err != nil || *back.Secret() != *key.Secret() {
		t.Fatalf("after the rotation: %v", err)
	}
	rewrapped, err := ring.Wrap(back, testOrganization, testSubject)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *UnknownKEKError
	if _, err := old.Unwrap(rewrapped, testOrganization, testSubject); !errors.As(err, &unknown) ||
		unknown.ID != ring.Newest() {
		t.Errorf("with the ring from before: %v", err)
	}
	retired, err := Retire(path, old.Newest())
	if err != nil {
		t.Fatal(err)
	}
	ring = retired.Ring(rand.Reader)
	if _, err := ring.Unwrap(wrapped, testOrganization, testSubject); !errors.As(err, &unknown) ||
		unknown.ID != old.Newest() {
		t.Errorf("with a key that was retired: %v", err)
	}
	back, err = ring.Unwrap(rewrapped, testOrganization, testSubject)
	if err != nil || *back.Secret() != *key.Secret() {
		t.Errorf("after the old one was retired: %v", err)
	}
}

// TestRingIsBounded: more organizations than a Ring keeps ciphers of are served all the same, from many goroutines.
func TestRingIsBounded(t *testing.T) {
	ring, key := newFile(t).Ring(rand.Reader), newKey(t)
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for n := range maxCiphers/2 + 100 {
				organization := [16]byte{byte(worker / 2), byte(n), byte(n >> 8)} // each by two workers
				wrapped, err := ring.Wrap(key, organization, testSubject)
				if err != nil {
					t.Error(err)
					return
				}
				if back, err := ring.Unwrap(wrapped, organization, testSubject); err != nil ||
					*back.Secret() != *key.Secret() {
					t.Errorf("organization %x: %v", organization, err)
					return
				}
			}
		})
	}
	wait.Wait()
	if n := len(ring.ciphers); n != maxCiphers {
		t.Errorf("%d ciphers are kept", n)
	}
}

func TestWrapWithoutRandomness(t *testing.T) {
	ring := newFile(t).Ring(bytes.NewReader(make([]byte, nonceSize-1)))
	if wrapped, err := ring.Wrap(newKey(t), testOrganization, testSubject); err == nil || wrapped != nil {
		t.Errorf("wrapped with a nonce that was not drawn: %v", err)
	}
}

// FuzzUnwrap: nothing but what was wrapped is unwrapped, and what is no wrap is told from one of another key.
func FuzzUnwrap(f *testing.F) {
	file, err := parse([]byte(vectorFile))
	if err != nil {
		f.Fatal(err)
	}
	ring := file.Ring(rand.Reader)
	wrapped, err := ring.Wrap(vectorKey, vectorOrganization, vectorSubject)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wrapped)
	f.Add(wrapped[:WrappedSize-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, input []byte) {
		key, err := ring.Unwrap(input, vectorOrganization, vectorSubject)
		var unknown *UnknownKEKError
		switch {
		case err == nil:
			if *key.Secret() != *vectorKey.Secret() {
				t.Errorf("%x unwraps to another key", input)
			}
		case errors.As(err, &unknown):
			if id, err := KEKOf(input); err != nil || id != unknown.ID || id == ring.Newest() {
				t.Errorf("%x: key %s is said to be missing (%v)", input, unknown.ID, err)
			}
		case !errors.Is(err, ErrDamaged):
			t.Errorf("%x: %v", input, err)
		}
	})
}
