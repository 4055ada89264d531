package sealing

import (
	"crypto/rand"
	"testing"
)

var benchIdent = []byte(`{"identifiers":[{"kind":"email","value":"somebody@example.org"}],"ip":"203.0.113.7",` +
	`"url":"https://shop.example.org/checkout?step=3",` +
	`"userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"}`)

func benchRing(b *testing.B) *Ring {
	b.Helper()
	return newFile(b).Ring(rand.Reader)
}

func BenchmarkWrap(b *testing.B) {
	ring, key := benchRing(b), newKey(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Wrap(key, testOrganization, testSubject); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnwrap(b *testing.B) {
	ring := benchRing(b)
	wrapped, err := ring.Wrap(newKey(b), testOrganization, testSubject)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Unwrap(wrapped, testOrganization, testSubject); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrapOtherOrganizations derives the organization's key each time.
func BenchmarkWrapOtherOrganizations(b *testing.B) {
	ring, key, organization := benchRing(b), newKey(b), [16]byte{}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		organization[0], organization[1], organization[2] = byte(n), byte(n>>8), byte(n>>16)
		if _, err := ring.Wrap(key, organization, testSubject); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSealFirst is a subject's first text in a batch: the derivation is in it.
func BenchmarkSealFirst(b *testing.B) {
	key := newKey(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewSubject(key, rand.Reader).Seal(LabelIdent, testSubject[:], benchIdent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealNext(b *testing.B) {
	subject := NewSubject(newKey(b), rand.Reader)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := subject.Seal(LabelIdent, testSubject[:], benchIdent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenNext(b *testing.B) {
	subject := NewSubject(newKey(b), rand.Reader)
	sealed, err := subject.Seal(LabelIdent, testSubject[:], benchIdent)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := subject.Open(LabelIdent, testSubject[:], sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	index, err := NewBlindIndex(newKey(b), IndexIdentifier)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		index.Of("email", 3, "somebody@example.org")
	}
}

func BenchmarkLoad(b *testing.B) {
	path := newPath(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(path); err != nil {
			b.Fatal(err)
		}
	}
}
