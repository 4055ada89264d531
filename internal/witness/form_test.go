package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

func cosignerID(name string, public []byte) uint32 {
	sum := sha256.Sum256(append(append([]byte(name), '\n'), public...))
	return binary.BigEndian.Uint32(sum[:])
}

// TestRequest is the body of a call, as C2SP tlog-witness shows it.
func TestRequest(t *testing.T) {
	const checkpoint = "o\n9\nAA==\n\n— o AAAA\n"
	for _, tc := range []struct {
		old  int64
		want string
	}{
		{0, "old 0\n\n" + checkpoint},
		{9, "old 9\n\n" + checkpoint},
		{3, "old 3\nAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" +
			"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" + checkpoint},
	} {
		var proof []tlog.Hash
		if tc.old == 3 {
			proof = []tlog.Hash{{1}, {2}}
		}
		if body, err := request(tc.old, proof, 9, []byte(checkpoint)); err != nil || string(body) != tc.want {
			t.Errorf("from %d: %q, %v, want %q", tc.old, body, err, tc.want)
		}
	}
	for what, call := range map[string]func() ([]byte, error){
		"a size below nothing":   func() ([]byte, error) { return request(-1, nil, 9, nil) },
		"a size beyond it":       func() ([]byte, error) { return request(10, nil, 9, nil) },
		"a proof from nothing":   func() ([]byte, error) { return request(0, make([]tlog.Hash, 1), 9, nil) },
		"too many lines of them": func() ([]byte, error) { return request(1, make([]tlog.Hash, 64), 9, nil) },
	} {
		if body, err := call(); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s: %q, %v", what, body, err)
		}
	}
}

// answers are what a witness may say, and what that means; nil: the cosignature is taken.
func answers(t testing.TB) (text []byte, w key, all []answer) {
	t.Helper()
	text, err := textOf(signed(t, 9))
	if err != nil {
		t.Fatal(err)
	}
	w = newKey("witness.example/w1", 1)
	other, namesake := newKey("witness.example/w2", 2), newKey("witness.example/w1", 3)
	line := w.line(1790000000, text)
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	says := func(part string) func(error) bool {
		return func(err error) bool { return err != nil && strings.Contains(err.Error(), part) }
	}
	size := func(want int64) func(error) bool {
		return func(err error) bool {
			var is *SizeError
			return errors.As(err, &is) && is.Size == want
		}
	}
	good := func(err error) bool { return err == nil }
	return text, w, []answer{
		{"its line", 3, 200, line, good},
		{"among those of others", 3, 200, other.line(1, text) + line + namesake.line(1, text), good},
		{"none of its own", 3, 200, other.line(1, text) + namesake.line(1, text), says("without a signature")},
		{"twice", 3, 200, line + line, says("two signatures")},
		{"nothing", 3, 200, "", says("without a signature")},
		{"another text", 3, 200, w.line(1790000000, []byte("o\n9\nx\n")), says("not over this checkpoint")},
		{"a page", 3, 200, "<html>\n", says("no signature line")},
		{"no newline", 3, 200, strings.TrimSuffix(line, "\n"), says("no signature line")},
		{"a carriage return", 3, 200, strings.TrimSuffix(line, "\n") + "\r\n", says("no signature line")},
		{"an empty line", 3, 200, line + "\n", says("no signature line")},
		{"a part of a signature", 3, 200, "— " + w.name + " AAAA\n", says("no signature line")},
		{"too much", 3, 200, strings.Repeat(other.line(1, text), 1+maxAnswer/100), says("more than")},
		{"a greater size", 3, 409, "12\n", size(12)},
		{"a smaller size", 3, 409, "0\n", size(0)},
		{"ours", 3, 409, "9\n", size(9)},
		{"no newline behind a size", 3, 409, "12", size(12)},
		{"the size that was said", 3, 409, "3\n", says("refuses to")},
		{"another root of the same size", 9, 409, "9\n", is(ErrInconsistent)},
		{"the same without a size", 9, 409, "", is(ErrInconsistent)},
		{"no size", 3, 409, "conflict\n", is(errNoSize)},
		{"a size below nothing", 3, 409, "-1\n", is(errNoSize)},
		{"a size with a zero before", 3, 409, "012\n", is(errNoSize)},
		{"a size beyond numbers", 3, 409, "99999999999999999999\n", is(errNoSize)},
		{"an inconsistent ledger", 3, 422, line, is(ErrInconsistent)},
		{"an unknown ledger", 3, 404, line, is(ErrUnknown)},
		{"an unknown key", 3, 403, line, is(ErrUnknown)},
		{"a redirect", 3, 302, line, says("status 302")},
		{"no content", 3, 204, line, says("status 204")},
		{"out of order", 3, 500, line, says("status 500")},
	}
}

type answer struct {
	what   string
	old    int64
	status int
	body   string
	means  func(error) bool
}

func TestReadAnswer(t *testing.T) {
	text, w, all := answers(t)
	for _, a := range all {
		line, err := readAnswer(w.address(t, "http://w").cosigner, a.old, 9, text, a.status, []byte(a.body))
		if !a.means(err) || (err == nil) != (string(line) == w.line(1790000000, text)) {
			t.Errorf("%s: %q, %v", a.what, line, err)
		}
	}
}

// TestEachByteOfACosignatureCounts flips them one by one.
func TestEachByteOfACosignatureCounts(t *testing.T) {
	text, w, _ := answers(t)
	line := []byte(w.line(1790000000, text))
	for i := range line {
		changed := bytes.Clone(line)
		changed[i] ^= 1
		if got, err := readAnswer(w.address(t, "http://w").cosigner, 3, 9, text, 200, changed); err == nil {
			t.Errorf("byte %d changed: %q is taken", i, got)
		}
	}
}

// TestCosignedByOpenSSL takes what OpenSSL signed, and gives a note that a verifier of notes reads.
func TestCosignedByOpenSSL(t *testing.T) {
	content, err := os.ReadFile("../../ledger/testdata/checkpoint.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Origin, VKey, Witness, Signed, Cosigned string }
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	a, err := Parse("https://witness.example/w1=" + v.Witness)
	if err != nil {
		t.Fatal(err)
	}
	text, err := textOf([]byte(v.Signed))
	if err != nil {
		t.Fatal(err)
	}
	line, err := readAnswer(a.cosigner, 1, 12345, text, 200, []byte(strings.TrimPrefix(v.Cosigned, v.Signed)))
	if err != nil || v.Signed+string(line) != v.Cosigned {
		t.Fatalf("%q, %v", line, err)
	}
	own, err := ledger.NewVerifier(v.VKey)
	if err != nil {
		t.Fatal(err)
	}
	_, n, err := ledger.Open([]byte(v.Signed+string(line)), v.Origin, note.VerifierList(own, a.cosigner))
	if err != nil || len(n.Sigs) != 2 {
		t.Errorf("%v, %v", n, err)
	}
}

// FuzzReadAnswer: nothing that a witness answers makes us panic, or keep what a verifier of notes would not take.
func FuzzReadAnswer(f *testing.F) {
	text, w, all := answers(f)
	for _, a := range all {
		f.Add(a.old, a.status, []byte(a.body))
	}
	checkpoint, cosigner := signed(f, 9), w.address(f, "http://w").cosigner
	f.Fuzz(func(t *testing.T, old int64, status int, body []byte) {
		line, err := readAnswer(cosigner, old, 9, text, status, body)
		var size *SizeError
		if errors.As(err, &size) && (size.Size < 0 || size.Size == old) {
			t.Errorf("%d: sent again from %d", old, size.Size)
		}
		if err != nil {
			if line != nil {
				t.Errorf("%q beside %v", line, err)
			}
			return
		}
		n, err := note.Open(append(bytes.Clone(checkpoint), line...), note.VerifierList(cosigner))
		if err != nil || len(n.Sigs) != 1 || n.Sigs[0].Name != w.name {
			t.Errorf("%q is taken: %v", line, err)
		}
	})
}
