package service

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
)

func drawBytes(t *rapid.T, n int) []byte {
	switch rapid.IntRange(0, 5).Draw(t, "extreme") {
	case 0:
		return make([]byte, n)
	case 1:
		return []byte(strings.Repeat("\xff", n))
	}
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes")
}

func TestBase62RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, size := range []struct{ bytes, digits int }{{32, namesLen}, {secretBytes, secretLen}, {4, checksumLen}} {
			b := drawBytes(t, size.bytes)
			s := encode62(b, size.digits)
			back, ok := decode62(s, size.bytes)
			if len(s) != size.digits || !ok || string(back) != string(b) {
				t.Fatalf("%x becomes %s and back %x (%t)", b, s, back, ok)
			}
		}
	})
	for _, s := range []string{"zzzzzz", "00000-", "00000é", " 00000"} {
		if b, ok := decode62(s, 4); ok {
			t.Errorf("%q reads as %x", s, b)
		}
	}
}

func TestKeyTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		organization, id := consent.ID(drawBytes(t, 16)), consent.ID(drawBytes(t, 16))
		secret := [secretBytes]byte(drawBytes(t, secretBytes))
		test := rapid.Bool().Draw(t, "test")
		text := keyText(organization, id, secret, test)
		if !keyForm.MatchString(text) || strings.HasPrefix(text, "cd_test_") != test {
			t.Fatalf("key reads %s", text)
		}
		parsed, ok := parseKey(text)
		if !ok || parsed.organization != organization || parsed.id != id || parsed.secretHash != sha256.Sum256(secret[:]) {
			t.Fatalf("%s is taken apart as %+v (%t)", text, parsed, ok)
		}
	})
}

// TestKeyChecksum mistypes one character at every place in every way.
func TestKeyChecksum(t *testing.T) {
	text := keyText(consent.ID{1, 2, 3}, consent.ID{4, 5, 6}, [secretBytes]byte{7, 8, 9}, false)
	for i := range text {
		for c := range 256 {
			if byte(c) == text[i] {
				continue
			}
			wrong := text[:i] + string([]byte{byte(c)}) + text[i+1:]
			if _, ok := parseKey(wrong); ok {
				t.Errorf("%s with %q at %d passes", text, rune(c), i)
			}
		}
		if i > 0 && text[i] != text[i-1] { // neighbours swapped
			wrong := text[:i-1] + string([]byte{text[i], text[i-1]}) + text[i+1:]
			if _, ok := parseKey(wrong); ok {
				t.Errorf("%s passes for %s", wrong, text)
			}
		}
		if _, ok := parseKey(text[:i]); ok {
			t.Errorf("the first %d characters pass", i)
		}
	}
	live := strings.Replace(text, "cd_live_", "cd_test_", 1)
	for _, wrong := range []string{live, text + "0", " " + text, text + "\n", strings.ToUpper(text), ""} {
		if _, ok := parseKey(wrong); ok {
			t.Errorf("%q passes", wrong)
		}
	}
}

// TestKeyForm holds the form still: keys that are in use must go on working.
func TestKeyForm(t *testing.T) {
	organization, _ := consent.ParseID("0192f0c1-2b3a-7c4d-8e5f-0123456789ab")
	id, _ := consent.ParseID("0192f0c1-2b3a-7c4d-8e5f-ba9876543210")
	const want = "cd_live_0N8jgKqgYlIl3c0jUl1wgdRNC9uRdSoXyksMZbLPeS0138qckHDc6PExaPP0anCerLUmL2kYwW1g3dbTmp"
	got := keyText(organization, id, [secretBytes]byte([]byte("abcdefghijklmnopqrstuvwx")), false)
	if len(got) != 90 || got != want {
		t.Errorf("the key reads\n%s, want\n%s", got, want)
	}
}

var keyForm = regexp.MustCompile(`^cd_(live|test)_[0-9A-Za-z]{82}$`)
