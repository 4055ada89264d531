package sealing

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"
)

var (
	testTime         = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	testOrganization = [16]byte{1, 2, 3}
	testSubject      = [16]byte{4, 5, 6}
)

// newPath gives the path of a key file that was made there.
func newPath(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if _, made, err := Create(path, rand.Reader, testTime); err != nil || !made {
		t.Fatalf("made %t: %v", made, err)
	}
	return path
}

func newFile(t testing.TB) *File {
	t.Helper()
	f, err := Load(newPath(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newKey(t testing.TB) Key {
	t.Helper()
	key, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// counted gives bytes that count up, as the vectors have them.
func counted(start, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(start + i)
	}
	return b
}

func second[T any](_ T, err error) error { return err }
