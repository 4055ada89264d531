package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestGenerateKeyTakesAllRandomness(t *testing.T) {
	one, err := GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	two, err := GenerateKey(bytes.NewReader(append(bytes.Repeat([]byte{1}, 31), 2)))
	if err != nil || one.Equal(two) {
		t.Errorf("the last byte makes no difference, %v", err)
	}
	if key, err := GenerateKey(bytes.NewReader(make([]byte, 31))); !errors.Is(err, io.ErrUnexpectedEOF) || key != nil {
		t.Errorf("31 bytes made a key, %v", err)
	}
}

func TestNamesOfKeys(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	for name, fine := range map[string]bool{
		"a": true, "consentd.example/0198c0de-0000-7000-8000-000000000001": true, "é": true,
		"": false, "a b": false, "a+b": false, "a\n": false, "a\u00a0b": false, "a\u2003": false, "a\x00": false,
		"\xff": false,
	} {
		_, err := NewSigner(name, key)
		text, err2 := VerifierKey(name, public)
		_, err3 := NewVerifier(vkey(name, algEd25519, public))
		for _, err := range []error{err, err2, err3} {
			if (err == nil) != fine || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if fine {
			if v, err := note.NewVerifier(text); err != nil || v.Name() != name {
				t.Errorf("%q: package note reads %s as %v, %v", name, text, v, err)
			}
		}
	}
	if _, err := NewSigner("a", key[:32]); !errors.Is(err, ErrMalformed) {
		t.Errorf("half a key: %v", err)
	}
	if _, err := VerifierKey("a", public[:31]); !errors.Is(err, ErrMalformed) {
		t.Errorf("most of a key: %v", err)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	public := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	good := vkey("a", algCosignature, public)
	_, id, _ := strings.Cut(good, "+")
	for what, text := range map[string]string{
		"nothing":                "",
		"a name alone":           "a",
		"no key":                 "a+12345678",
		"another name":           "b+" + id,
		"capitals":               "a+" + strings.ToUpper(id[:8]) + id[8:],
		"a line more":            good + "\n",
		"a line in it":           good[:20] + "\n" + good[20:],
		"a shorter key":          vkey("a", algEd25519, public[:31]),
		"a longer key":           vkey("a", algEd25519, append(public[:32:32], 0)),
		"an unknown algorithm":   vkey("a", 0x02, public),
		"the algorithm after it": vkey("a", 0x06, public),
		"a private key":          "PRIVATE+KEY+" + good,
	} {
		if v, err := NewVerifier(text); !errors.Is(err, ErrMalformed) || v != nil {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
	}
}

// FuzzNewVerifier: what is read is the one text form of its key.
func FuzzNewVerifier(f *testing.F) {
	v := readSignedVector(f)
	f.Add(v.VKey)
	f.Add(v.Witness)
	f.Add("a+b+c")
	f.Fuzz(func(t *testing.T, text string) {
		verifier, err := NewVerifier(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !strings.HasPrefix(text, verifier.Name()+"+") {
			t.Errorf("%q has the name %q", text, verifier.Name())
		}
		if c, ok := verifier.(*Cosigner); ok && vkey(c.name, algCosignature, c.key) != text {
			t.Errorf("%q was written back as another", text)
		}
	})
}
