package sealing

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

var everyLabel = []Label{LabelIdentifier, LabelIdent, LabelData, LabelProfile, LabelArchive, LabelText, LabelWebhook}

// TestSealRoundTrip: a text comes back for its key, label and associated data, and for no other.
func TestSealRoundTrip(t *testing.T) {
	subject, stranger := NewSubject(newKey(t), rand.Reader), NewSubject(newKey(t), rand.Reader)
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.SampledFrom(everyLabel).Draw(t, "label")
		associated := rapid.SliceOf(rapid.Byte()).Draw(t, "associated")
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		sealed, err := subject.Seal(label, associated, text)
		if err != nil || len(sealed) != len(text)+Overhead || Overhead > 29 {
			t.Fatalf("%d bytes sealed in %d: %v", len(text), len(sealed), err)
		}
		if len(text) >= 8 && bytes.Contains(sealed, text) {
			t.Fatal("the text is in what was sealed")
		}
		again := NewSubject(subject.Key(), rand.Reader)
		if back, err := again.Open(label, associated, sealed); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("came back as %q: %v", back, err)
		}
		for _, other := range everyLabel {
			if _, err := subject.Open(other, associated, sealed); other != label && !errors.Is(err, ErrDamaged) {
				t.Fatalf("sealed under label %d, opened under %d: %v", label, other, err)
			}
		}
		if _, err := stranger.Open(label, associated, sealed); !errors.Is(err, ErrDamaged) {
			t.Fatalf("opened with another's key: %v", err)
		}
		other := rapid.SliceOf(rapid.Byte()).Draw(t, "other")
		_, err = subject.Open(label, other, sealed)
		if !bytes.Equal(other, associated) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("opened at another place: %v", err)
		}
	})
}

// TestSealDamage alters every bit, and takes and adds bytes.
func TestSealDamage(t *testing.T) {
	subject := NewSubject(newKey(t), rand.Reader)
	for _, text := range []string{"", "x", "a text of some length, longer than a block"} {
		sealed, err := subject.Seal(LabelData, nil, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(sealed) * 8 {
			altered := bytes.Clone(sealed)
			altered[bit/8] ^= 1 << (bit % 8)
			if got, err := subject.Open(LabelData, nil, altered); !errors.Is(err, ErrDamaged) || got != nil {
				t.Errorf("%q, bit %d: %v", text, bit, err)
			}
		}
		for n := range len(sealed) {
			if _, err := subject.Open(LabelData, nil, sealed[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%q, the first %d bytes: %v", text, n, err)
			}
		}
		if _, err := subject.Open(LabelData, nil, append(bytes.Clone(sealed), 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q, a byte more: %v", text, err)
		}
	}
}

// TestSealsDiffer: equal texts are not seen to be equal, and no nonce comes twice.
func TestSealsDiffer(t *testing.T) {
	subject, seen := NewSubject(newKey(t), rand.Reader), map[string]bool{}
	for range 1000 {
		sealed, err := subject.Seal(LabelIdent, nil, []byte("the same text"))
		if err != nil {
			t.Fatal(err)
		}
		seen[string(sealed[1:1+nonceSize])] = true
		seen[string(sealed[1+nonceSize:])] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 nonces and ciphertexts differ", len(seen))
	}
}

// TestLabelsAreNamed: a label without a name of its own would share a key.
func TestLabelsAreNamed(t *testing.T) {
	if len(everyLabel) != int(labelCount)-1 {
		t.Errorf("%d labels are tested, %d are there", len(everyLabel), labelCount-1)
	}
	names := map[string]bool{kekIDLabel: true, wrapLabel: true}
	for _, name := range append(labelNames[1:], indexLabels[1:]...) {
		if names[name] || !strings.HasPrefix(name, "consentd/") {
			t.Errorf("the name %q", name)
		}
		names[name] = true
	}
	subject := NewSubject(newKey(t), rand.Reader)
	for _, label := range []Label{0, labelCount, 255} {
		if _, err := subject.Seal(label, nil, nil); err == nil {
			t.Errorf("label %d seals", label)
		}
		if _, err := subject.Open(label, nil, append([]byte{sealVersion}, make([]byte, Overhead)...)); err == nil {
			t.Errorf("label %d opens", label)
		}
	}
}

// TestSubjectAtOnce: one Subject serves many goroutines, all labels at once.
func TestSubjectAtOnce(t *testing.T) {
	subject := NewSubject(newKey(t), rand.Reader)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for n := range 60 {
				label := everyLabel[(n+worker)%len(everyLabel)]
				sealed, err := subject.Seal(label, nil, []byte("text"))
				if err != nil {
					t.Error(err)
					return
				}
				if text, err := subject.Open(label, nil, sealed); err != nil || string(text) != "text" {
					t.Errorf("label %d: %q: %v", label, text, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestSealWithoutRandomness(t *testing.T) {
	subject := NewSubject(newKey(t), bytes.NewReader(make([]byte, nonceSize-1)))
	if sealed, err := subject.Seal(LabelIdent, nil, []byte("text")); err == nil || sealed != nil {
		t.Errorf("sealed with a nonce that was not drawn: %v", err)
	}
}

// FuzzOpen: nothing but what was sealed is opened.
func FuzzOpen(f *testing.F) {
	subject := NewSubject(vectorKey, vectorNonce()) // the same in every process of the fuzzer
	sealed, err := subject.Seal(LabelIdent, []byte("place"), []byte("text"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(LabelIdent), []byte("place"), sealed)
	f.Add(uint8(LabelData), []byte("place"), sealed)
	f.Add(uint8(LabelIdent), []byte(""), sealed[:Overhead])
	f.Add(uint8(0), []byte(""), []byte{})
	f.Fuzz(func(t *testing.T, label uint8, associated, input []byte) {
		text, err := subject.Open(Label(label), associated, input)
		whole := Label(label) == LabelIdent && string(associated) == "place" && bytes.Equal(input, sealed)
		if whole != (err == nil) || whole && string(text) != "text" {
			t.Errorf("label %d, place %q: %x opens as %q: %v", label, associated, input, text, err)
		}
	})
}
