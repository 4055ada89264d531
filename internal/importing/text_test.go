package importing

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"
)

func encoded(t testing.TB, e encoding.Encoding, text string) string {
	t.Helper()
	made, err := e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

func TestText(t *testing.T) {
	const text = "email\r\nzoë@example.com\n"
	utf16 := encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), text)
	for _, tc := range []struct{ name, stored, encoding, fails string }{
		{"plain", text, "", ""},
		{"said to be UTF-8", text, "UTF8", ""},
		{"byte order mark", "\uFEFF" + text, "", ""},
		{"byte order mark against what is said", "\uFEFF" + text, "windows-1252", ""},
		{"UTF-16LE", utf16, "", ""},
		{"UTF-16BE", encoded(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), text), "", ""},
		{"UTF-16LE without a mark", utf16[2:], "utf-16le", ""},
		{"Windows-1252", encoded(t, charmap.Windows1252, text), "windows-1252", ""},
		{"ISO 8859-15", encoded(t, charmap.ISO8859_15, text), "iso-8859-15", ""},
		{"gzip", gzipped(t, text), "", ""},
		{"two members of gzip", gzipped(t, text[:7]) + gzipped(t, text[7:]), "", ""},
		{"zstd", zstandard(t, text), "", ""},
		{"gzip of UTF-16", gzipped(t, utf16), "", ""},
		{"taken for UTF-8", encoded(t, charmap.Windows1252, text), "",
			"line 2: not valid UTF-8 (byte 0xEB; is the file Windows-1252? give --encoding windows-1252)"},
		{"UTF-16 taken for UTF-8", utf16[2:], "", "line 1: there is a zero byte; is the file UTF-16? give --encoding " +
			"utf-16le or utf-16be"},
		{"UTF-8 that is cut off", text + "\xC3", "", "line 3: not valid UTF-8 (byte 0xC3; is the file Windows-1252? give " +
			"--encoding windows-1252)"},
		{"UTF-32", "\xFF\xFE\x00\x00a\x00\x00\x00", "", "the file is UTF-32: save it as UTF-8"},
		{"gzip that is cut off", gzipped(t, text)[:20], "", "the compressed file is cut off"},
		{"gzip that is damaged", strings.Replace(gzipped(t, text), "\x1f\x8b\x08", "\x1f\x8b\x09", 1), "",
			"it begins as gzip does, and is not: gzip: invalid header"},
		{"unknown encoding", text, "utf-9", `--encoding: "utf-9" is not known; such are utf-8, windows-1252, iso-8859-1, ` +
			"utf-16le, shift_jis"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, err := OpenText(strings.NewReader(tc.stored), tc.encoding)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(in)
			}
			if tc.fails != "" {
				if err == nil || err.Error() != tc.fails {
					t.Errorf("error %v", err)
				}
			} else if err != nil || string(got) != text {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// TestTextIsUTF8 reads any bytes in pieces of any size: what comes is what is there, to the first byte that is not of
// UTF-8, and that byte's line is told.
func TestTextIsUTF8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a", "é", "€", "😀", "\n", "\r\n", "\xE9", "\xF0\x9F",
			"plain text "})).Draw(t, "text"), "")
		if strings.HasPrefix(text, "\uFEFF") {
			return
		}
		size := rapid.IntRange(8, 40).Draw(t, "size")
		in, err := OpenText(iotest.HalfReader(strings.NewReader(text)), "")
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for p := make([]byte, size); err == nil; {
			var n int
			n, err = in.Read(p)
			got = append(got, p[:n]...)
		}
		good := text
		if !utf8.ValidString(text) {
			for at, r := range text {
				if _, size := utf8.DecodeRuneInString(text[at:]); r == utf8.RuneError && size == 1 {
					good = text[:at]
					break
				}
			}
			var wrong *EncodingError
			line := int64(1 + strings.Count(good, "\n"))
			if !errors.As(err, &wrong) || wrong.Line != line || wrong.Byte != text[len(good)] {
				t.Fatalf("%q: error %v, want one of line %d", text, err, line)
			}
		} else if !errors.Is(err, io.EOF) {
			t.Fatalf("%q: %v", text, err)
		}
		if string(got) != good {
			t.Fatalf("%q came as %q", text, got)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"), "")
	f.Add([]byte(gzipped(f, "a,b\n")), "windows-1252")
	f.Add([]byte(zstandard(f, "a,b\n")), "utf-16be")
	f.Add([]byte("\xFF\xFEa\x00"), "")
	f.Fuzz(func(t *testing.T, stored []byte, name string) {
		in, err := OpenText(bytes.NewReader(stored), name)
		if err != nil {
			return
		}
		text, _ := io.ReadAll(io.LimitReader(in, 8<<20))
		if !utf8.Valid(text) {
			t.Fatalf("%q", text)
		}
	})
}
