package sealing

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the tests below want was printed by "python3 testdata/vectors.py", with cryptography 48. It holds the forms
// still: what databases and key files keep must go on being readable.

const vectorFile = `consentd-keys 1
ring 909192939495969798999a9b9c9d9e9f
sign 9865f463 2026-01-31T12:00:00Z ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=
kek  e3899404 2026-01-31T12:00:00Z AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
`

var (
	vectorKey          = keyOf((*[32]byte)(counted(64, 32)))
	vectorOrganization = [16]byte(counted(96, 16))
	vectorSubject      = [16]byte(counted(112, 16))
)

func vectorNonce() *bytes.Reader { return bytes.NewReader(counted(128, 12)) }

func TestVectorKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(vectorFile), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.Fingerprint() != "909192939495969798999a9b9c9d9e9f" {
		t.Errorf("fingerprint %s", f.Fingerprint())
	}
	if diff := cmp.Diff([]KEK{{KEKID{0xe3, 0x89, 0x94, 0x04}, testTime}}, f.KEKs()); diff != "" {
		t.Error(diff)
	}
	key, created := f.SigningKey()
	const public = "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"
	if got := hex.EncodeToString(key.Public()); got != public || !created.Equal(testTime) {
		t.Errorf("signing key of %s: %s, want %s", created, got, public)
	}
	if !bytes.Equal(key.Private().Seed(), counted(32, 32)) {
		t.Error("another seed")
	}
}

// TestVectorNewFile holds the text of a new file still: the same bytes are drawn in the same order.
func TestVectorNewFile(t *testing.T) {
	random := bytes.NewReader(append(append(counted(144, 16), counted(32, 32)...), counted(0, 32)...))
	text, err := newText(random, testTime)
	want := header + vectorFile[len(firstLine)+1:]
	if err != nil || string(text) != want {
		t.Errorf("new file (%v)\n%s\nwant\n%s", err, text, want)
	}
}

func TestVectorWrap(t *testing.T) {
	f, err := parse([]byte(vectorFile))
	if err != nil {
		t.Fatal(err)
	}
	const want = "01e3899404808182838485868788898a8b3aaf089e17d98eb740e665544d43f57271316b8af3d9d0100bb464bca36a22ea" +
		"f9aca2007234216a19b79fdde386051c"
	ring := f.Ring(vectorNonce())
	got, err := ring.Wrap(vectorKey, vectorOrganization, vectorSubject)
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("wrapped as %x (%v), want %s", got, err, want)
	}
	wrapped, _ := hex.DecodeString(want)
	key, err := ring.Unwrap(wrapped, vectorOrganization, vectorSubject)
	if err != nil || *key.Secret() != *vectorKey.Secret() {
		t.Errorf("unwrapped otherwise (%v)", err)
	}
}

func TestVectorSeal(t *testing.T) {
	for label, want := range map[Label]string{
		LabelIdentifier: "01808182838485868788898a8b9c464050b334aafde8b02ea9f5209783dab03646",
		LabelIdent:      "01808182838485868788898a8b031966ac1cefe7b6b434ca2fb80dfd62c59f9d9f",
		LabelData:       "01808182838485868788898a8be3535613cefde7fe0ba4f6d05d170ed3049d9c15",
		LabelProfile:    "01808182838485868788898a8bcce374849efa601c880d31bcdd78b4288b7728a4",
		LabelArchive:    "01808182838485868788898a8b8c9c6812624ed526daaf5230e7d5d360b0a1ddd4",
		LabelText:       "01808182838485868788898a8b8f4786c7e4007ae9a80bb2d341a40957fd15abff",
		LabelWebhook:    "01808182838485868788898a8b5472fff31955554b7843698d1d658824bedf5d90",
	} {
		subject := NewSubject(vectorKey, vectorNonce())
		got, err := subject.Seal(label, []byte("place"), []byte("text"))
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("label %d: sealed as %x (%v), want %s", label, got, err, want)
		}
		sealed, _ := hex.DecodeString(want)
		if text, err := subject.Open(label, []byte("place"), sealed); err != nil || string(text) != "text" {
			t.Errorf("label %d: opened as %q (%v)", label, text, err)
		}
	}
}

func TestVectorIndex(t *testing.T) {
	for use, want := range map[IndexUse]string{
		IndexIdentifier: "2dac9e69624aceb7409b33271a2c8d10",
		IndexSuppressed: "6dde4b265da2160f1a75d97659018575",
	} {
		index, err := NewBlindIndex(vectorKey, use)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // a state that was used gives the same
			if got := index.Of("email", 3, "zoë@example.org"); hex.EncodeToString(got[:]) != want {
				t.Errorf("use %d: %x, want %s", use, got, want)
			}
		}
	}
}
