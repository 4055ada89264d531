package sealing

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	ringLine = "ring 909192939495969798999a9b9c9d9e9f\n"
	signLine = "sign 9865f463 2026-01-31T12:00:00Z ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"
	kekLine  = "kek  e3899404 2026-01-31T12:00:00Z AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	topLine  = firstLine + "\n"
)

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"as written":      vectorFile,
		"comments":        topLine + "# a\n\n  # b\n" + ringLine + "#" + kekLine + signLine + kekLine + "#",
		"another order":   topLine + kekLine + ringLine + signLine,
		"no last newline": strings.TrimSuffix(vectorFile, "\n"),
		"Windows lines":   strings.ReplaceAll(vectorFile, "\n", "\r\n"),
		"spaces":          strings.ReplaceAll(vectorFile, " ", "\t  "),
		"another offset":  strings.ReplaceAll(vectorFile, "12:00:00Z", "14:00:00+02:00"),
	} {
		f, err := parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(f.keks) != 1 || !bytes.Equal(f.keks[0].key.at.bytes[:], counted(0, 32)) ||
			!f.keks[0].created.Equal(testTime) || !bytes.Equal(f.sign.seed.at.bytes[:], counted(32, 32)) {
			t.Errorf("%s: read otherwise", name)
		}
	}
}

// TestParseRefuses wants of each message the line and what to do.
func TestParseRefuses(t *testing.T) {
	altered := strings.Replace(kekLine, "AAEC", "AAED", 1)
	alteredSign := strings.Replace(signLine, "ICEi", "ICEj", 1)
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"no version", ringLine + signLine + kekLine, "line 1: must be"},
		{"comment first", "# x\n" + vectorFile, "line 1: must be"},
		{"byte order mark", "\ufeff" + vectorFile, "line 1: must be"},
		{"newer", strings.Replace(vectorFile, "keys 1", "keys 2", 1), "line 1: this form of the file is not known"},
		{"no ring", topLine + signLine + kekLine, "has no ring line"},
		{"no kek", topLine + ringLine + signLine, "has no kek line"},
		{"no sign", topLine + ringLine + kekLine, "has no sign line"},
		{"two rings", vectorFile + ringLine, "line 5: a second ring line"},
		{"two signs", vectorFile + signLine, "line 5: a second sign line"},
		{"a kek twice", vectorFile + "\n" + kekLine, "line 6: the key e3899404 stands in line 4 already"},
		{"short ring", topLine + ringLine[:20] + "\n", "line 2: must be ring and 32 hex digits"},
		{"long ring", topLine + "ring 90" + ringLine[5:], "line 2: must be ring and 32 hex digits"},
		{"ring of other letters", topLine + strings.Replace(ringLine, "90", "9g", 1), "line 2: must be ring"},
		{"ring alone", topLine + "ring\n", "line 2: must be ring"},
		{"an unknown word", vectorFile + "kekk" + kekLine[4:], "line 5: must begin with"},
		{"another case", vectorFile + "KEK" + kekLine[4:], "line 5: must begin with"},
		{"a broken line", topLine + kekLine[:50] + "\n" + kekLine[50:], "line 2: the key must be 32 bytes"},
		{"no id", topLine + "kek" + kekLine[13:], "line 2: must have an id, a time and a key"},
		{"more words", topLine + strings.TrimSpace(kekLine) + " x\n", "line 2: must have an id, a time and a key"},
		{"a long id", topLine + strings.Replace(kekLine, "e3", "e3e3", 1), "line 2: the id of a key is 8 hex digits"},
		{"an id of capitals", topLine + strings.Replace(kekLine, "e3", "E3", 1), "line 2: the id of a key is 8 hex"},
		{"another id", topLine + strings.Replace(kekLine, "e3", "e4", 1), "line 2: the key is not the one that its id"},
		{"an altered key", topLine + altered, "line 2: the key is not the one that its id names"},
		{"an altered seed", topLine + alteredSign, "line 2: the key is not the one that its id names"},
		{"a day", topLine + strings.Replace(kekLine, "T12:00:00Z", "", 1), "line 2: the time must be as in RFC 3339"},
		{"a short key", topLine + kekLine[:len(kekLine)-6] + "\n", "line 2: the key must be 32 bytes"},
		{"33 bytes", topLine + strings.Replace(kekLine, "8=\n", "8g\n", 1), "line 2: the key must be 32 bytes"},
		{"loose bits", topLine + strings.Replace(kekLine, "8=\n", "9=\n", 1), "line 2: the key must be 32 bytes"},
		{"no padding", topLine + strings.Replace(kekLine, "=\n", "\n", 1), "line 2: the key must be 32 bytes"},
		{"zeros", topLine + kekLine[:35] + strings.Repeat("A", 43) + "=\n", "line 2: the key must be 32 bytes"},
		{"zeros on disk", string(make([]byte, len(vectorFile))), "line 1: must be"},
	} {
		f, err := parse([]byte(tc.text))
		if err == nil || f != nil {
			t.Errorf("%s passes", tc.name)
			continue
		}
		if !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, err, tc.want)
		}
		if word := shownWord(err, tc.text); word != "" {
			t.Errorf("%s: the error shows %q: %v", tc.name, word, err)
		}
	}
}

// shownWord looks for a piece of a text in an error: 12 characters that are in both, aside from what the messages give
// as examples.
func shownWord(err error, text string) string {
	const length = 12
	message := strings.NewReplacer(firstLine, "", "2026-01-31T12:00:00Z", "").Replace(err.Error())
	for i := range len(text) - length + 1 {
		piece := text[i : i+length]
		if !strings.ContainsAny(piece, " \n") && strings.Contains(message, piece) {
			return piece
		}
	}
	return ""
}

// TestEveryByteOfAKeyCounts alters each character of the lines of keys: none may give another key.
func TestEveryByteOfAKeyCounts(t *testing.T) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	for _, line := range []string{signLine, kekLine} {
		before := strings.Index(vectorFile, line)
		for i := before + strings.Index(line, "T12") + 11; i < before+len(line)-1; i++ {
			for j := range len(digits) {
				text := []byte(vectorFile)
				if text[i] == digits[j] {
					continue
				}
				text[i] = digits[j]
				if _, err := parse(text); err == nil {
					t.Errorf("%q in place of %q at %d passes", digits[j], vectorFile[i], i)
				}
			}
		}
	}
}

// TestLinesComeAndGo: whatever the order of new keys and of those that go, the file holds what is left, in order, and
// its comments.
func TestLinesComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := newText(rand.Reader, testTime)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{f.keks[0].id.String()}
		fingerprint, sign := f.Fingerprint(), *f.sign.seed.Secret()
		for step := range rapid.IntRange(0, 12).Draw(t, "steps") {
			if len(want) > 1 && rapid.Bool().Draw(t, "retire") {
				i := rapid.IntRange(0, len(want)-2).Draw(t, "which")
				text = withoutLines(text, map[int]bool{f.keks[i].line: true})
				want = append(want[:i:i], want[i+1:]...)
			} else {
				text = fmt.Appendf(text, "# comment %d", step) // without a newline
				if text, err = appendKEK(text, f.keks, rand.Reader, testTime); err != nil {
					t.Fatal(err)
				}
			}
			if f, err = parse(text); err != nil {
				t.Fatal(err)
			}
			if len(f.keks) > len(want) {
				want = append(want, f.keks[len(f.keks)-1].id.String())
				if !strings.Contains(string(text), fmt.Sprintf("# comment %d\n", step)) {
					t.Fatal("a comment is gone")
				}
			}
			var got []string
			for _, k := range f.KEKs() {
				got = append(got, k.ID.String())
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Fatalf("holds %s, want %s", got, want)
			}
			if f.Fingerprint() != fingerprint || *f.sign.seed.Secret() != sign {
				t.Fatal("the ring's name or the signing key changed")
			}
		}
	})
}

// TestRepeatedRandomness: a source that gives the same again makes no second key of one id.
func TestRepeatedRandomness(t *testing.T) {
	f, err := parse([]byte(vectorFile))
	if err != nil {
		t.Fatal(err)
	}
	random := bytes.NewReader(bytes.Repeat(counted(0, 32), 20))
	if _, err := appendKEK([]byte(vectorFile), f.keks, random, testTime); err == nil {
		t.Error("a key that was there was added")
	}
	random = bytes.NewReader(append(counted(0, 32), counted(1, 32)...)) // once, by chance
	text, err := appendKEK([]byte(vectorFile), f.keks, random, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = parse(text); err != nil || len(f.keks) != 2 || !bytes.Equal(f.keks[1].key.at.bytes[:], counted(1, 32)) {
		t.Errorf("the second one that was drawn is not there: %v", err)
	}
}

func TestParseKEKID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := KEKID(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "id"))
		if back, err := ParseKEKID(id.String()); err != nil || back != id {
			t.Fatalf("%s reads as %s: %v", id, back, err)
		}
	})
	for _, s := range []string{"", "f4e3d2c", "f4e3d2c1b", "F4E3D2C1", "f4e3d2cg", " f4e3d2c", "f4e3d2c1é"} {
		if id, err := ParseKEKID(s); err == nil || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%q reads as %s: %v", s, id, err)
		}
	}
}

// FuzzParse: any text is read or refused. What is read takes another key and reads again; what is refused is not shown.
func FuzzParse(f *testing.F) {
	f.Add([]byte(vectorFile))
	f.Add([]byte(topLine + "# c\n\n" + ringLine + signLine + kekLine + "kek x"))
	f.Add([]byte(strings.Replace(vectorFile, "AAEC", "AAED", 1)))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parse(text)
		if err != nil {
			if word := shownWord(err, string(text)); word != "" {
				t.Errorf("the error shows %q: %v", word, err)
			}
			return
		}
		if len(file.KEKs()) == 0 || file.Fingerprint() == "" || !file.sign.seed.usable() {
			t.Fatalf("incomplete: %q", text)
		}
		more, err := appendKEK(bytes.Clone(text), file.keks, rand.Reader, testTime)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(more)
		if err != nil || len(again.keks) != len(file.keks)+1 || again.Fingerprint() != file.Fingerprint() {
			t.Fatalf("with another key: %v", err)
		}
		first := again.keks[0]
		if again, err = parse(withoutLines(more, map[int]bool{first.line: true})); err != nil ||
			findKEK(again.keks, first.id) != nil || len(again.keks) != len(file.keks) {
			t.Fatalf("without the first key: %v", err)
		}
	})
}
