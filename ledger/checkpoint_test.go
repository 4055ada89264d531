package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// signedVector is a checkpoint as testdata/checkpoint.py had OpenSSL sign it.
type signedVector struct {
	Origin   string `json:"origin"`
	Size     int64  `json:"size"`
	Root     string `json:"root"`     // hexadecimal
	Seed     string `json:"seed"`     // of the ledger's key, hexadecimal
	VKey     string `json:"vkey"`     // the ledger's
	Witness  string `json:"witness"`  // its vkey
	Time     int64  `json:"time"`     // of the cosignature
	Signed   string `json:"signed"`   // by the ledger
	Cosigned string `json:"cosigned"` // by the witness too
}

func readSignedVector(t testing.TB) (v signedVector) {
	t.Helper()
	content, err := os.ReadFile("testdata/checkpoint.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// testKey gives a signer and its verifier, from a seed of one byte.
func testKey(t testing.TB, name string, seed byte) (note.Signer, note.Verifier) {
	t.Helper()
	key, err := GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(name, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return signer, testVerifier(t, text)
}

func testVerifier(t testing.TB, text string) note.Verifier {
	t.Helper()
	v, err := NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestCheckpointVector: we sign as OpenSSL does, byte for byte, and read what it signed.
//
//	cd testdata && python3 checkpoint.py > checkpoint.json
func TestCheckpointVector(t *testing.T) {
	v := readSignedVector(t)
	key, err := GenerateKey(bytes.NewReader(unhex(t, v.Seed)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifierKey(v.Origin, key.Public().(ed25519.PublicKey)); got != v.VKey {
		t.Errorf("public key %s, want %s, %v", got, v.VKey, err)
	}
	signer, err := NewSigner(v.Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	want := &Checkpoint{Origin: v.Origin, Size: v.Size, Root: tlog.Hash(unhex(t, v.Root))}
	signed, err := Sign(want, signer)
	if err != nil || string(signed) != v.Signed {
		t.Errorf("signed as %s\nwant %s\n%v", signed, v.Signed, err)
	}
	verifier := testVerifier(t, v.VKey)
	got, n, err := Open([]byte(v.Signed), v.Origin, note.VerifierList(verifier))
	if err != nil || !reflect.DeepEqual(got, want) || len(n.Sigs) != 1 {
		t.Errorf("opened as %v with %v, want %v, %v", got, n, want, err)
	}
	// Who does not know the witness reads the checkpoint as well.
	if _, n, err = Open([]byte(v.Cosigned), v.Origin, note.VerifierList(verifier)); err != nil || len(n.Sigs) != 1 {
		t.Errorf("opened with %v, %v", n, err)
	}
}

func TestCosignatureVector(t *testing.T) {
	v := readSignedVector(t)
	witness, ok := testVerifier(t, v.Witness).(*Cosigner)
	if !ok {
		t.Fatal("the witness's key makes no Cosigner")
	}
	verifiers := note.VerifierList(testVerifier(t, v.VKey), witness)
	_, n, err := Open([]byte(v.Cosigned), v.Origin, verifiers)
	if err != nil || len(n.Sigs) != 2 {
		t.Fatalf("opened with %v, %v", n, err)
	}
	if at, err := witness.Time(n.Sigs[1]); err != nil || at.Unix() != v.Time {
		t.Errorf("cosigned at %v, want %d, %v", at, v.Time, err)
	}
	if at, err := witness.Time(n.Sigs[0]); !errors.Is(err, ErrMalformed) {
		t.Errorf("the ledger's signature is a cosignature of %v, %v", at, err)
	}
	// A witness alone does not make a checkpoint of the ledger's.
	alone := strings.Replace(v.Cosigned, "— "+v.Origin, "— other.example", 1)
	if _, _, err := Open([]byte(alone), v.Origin, verifiers); !errors.Is(err, ErrUnsigned) {
		t.Errorf("signed by the witness alone: %v, want ErrUnsigned", err)
	}
	// Each byte of the cosignature counts, those of its time too.
	raw, err := base64.StdEncoding.DecodeString(n.Sigs[1].Base64)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		text := strings.Replace(v.Cosigned, n.Sigs[1].Base64, base64.StdEncoding.EncodeToString(changed), 1)
		_, n, err := Open([]byte(text), v.Origin, verifiers)
		if i < 4 && (err != nil || len(n.Sigs) != 1) { // another key's, which is nobody's here
			t.Errorf("byte %d of the key's id: %v, %v", i, n, err)
		}
		if i >= 4 && !errors.Is(err, ErrSignature) {
			t.Errorf("byte %d changed: %v, want ErrSignature", i, err)
		}
	}
}

// TestCosignatureRefusesBigTimes: tlog-cosignature wants seconds below 2^63.
func TestCosignatureRefusesBigTimes(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	witness := testVerifier(t, vkey("w", algCosignature, public)).(*Cosigner)
	for seconds, fine := range map[uint64]bool{0: true, 1<<63 - 1: true, 1 << 63: false, 1<<64 - 1: false} {
		sig := append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(key, cosigned(seconds, []byte("text")))...)
		if witness.Verify([]byte("text"), sig) != fine {
			t.Errorf("%d seconds: verified %t", seconds, !fine)
		}
		id := binary.BigEndian.AppendUint32(nil, witness.KeyHash())
		encoded := base64.StdEncoding.EncodeToString(append(id, sig...))
		at, err := witness.Time(note.Signature{Name: "w", Hash: witness.KeyHash(), Base64: encoded})
		if (err == nil) != fine || fine && at.Unix() != int64(seconds) {
			t.Errorf("%d seconds: at %v, %v", seconds, at, err)
		}
		for n := range sig {
			if witness.Verify([]byte("text"), sig[:n]) {
				t.Errorf("verified %d bytes of a signature", n)
			}
		}
		for _, other := range []note.Signature{
			{Name: "v", Hash: witness.KeyHash(), Base64: encoded},
			{Name: "w", Hash: witness.KeyHash() + 1, Base64: encoded},
			{Name: "w", Hash: witness.KeyHash(), Base64: encoded[4:]},
			{Name: "w", Hash: witness.KeyHash(), Base64: "!"},
		} {
			if at, err := witness.Time(other); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v was made at %v, %v", other, at, err)
			}
		}
	}
}

// TestCheckpointsAsOthersReadThem: transparency-dev's reader takes what we sign, and refuses what was changed.
func TestCheckpointsAsOthersReadThem(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		origin := rapid.StringMatching(`[a-z]{1,10}\.example/[0-9a-f-]{1,36}`).Draw(rt, "origin")
		c := &Checkpoint{
			Origin:    origin,
			Size:      rapid.Int64Range(0, maxSize).Draw(rt, "size"),
			Root:      tlog.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "root")),
			Extension: rapid.SliceOfN(rapid.StringMatching(`[ -~é]{1,9}`), 0, 2).Draw(rt, "extension"),
		}
		if len(c.Extension) == 0 {
			c.Extension = nil
		}
		signer, verifier := testKey(t, origin, 1)
		other, otherVerifier := testKey(t, "other.example", 2)
		signed, err := Sign(c, other, signer)
		if err != nil {
			rt.Fatal(err)
		}
		got, n, err := Open(signed, origin, note.VerifierList(verifier, otherVerifier))
		if err != nil || !reflect.DeepEqual(got, c) || len(n.Sigs) != 2 {
			rt.Fatalf("opened as %v, want %v, %v", got, c, err)
		}
		theirs, rest, _, err := log.ParseCheckpoint(signed, origin, verifier)
		if err != nil || theirs.Origin != origin || theirs.Size != uint64(c.Size) || !bytes.Equal(theirs.Hash, c.Root[:]) {
			rt.Fatalf("others read %v, %v", theirs, err)
		}
		if want := strings.Join(append(c.Extension, ""), "\n"); string(rest) != want {
			rt.Fatalf("others read the extension %q, want %q", rest, want)
		}
		at := rapid.IntRange(0, bytes.Index(signed, []byte("\n\n"))).Draw(rt, "changed at")
		changed := bytes.Clone(signed)
		changed[at] ^= 1
		if _, _, err := Open(changed, origin, note.VerifierList(verifier)); err == nil {
			rt.Fatalf("opened %q", changed)
		}
		if _, _, _, err := log.ParseCheckpoint(changed, origin, verifier); err == nil {
			rt.Fatalf("others opened %q", changed)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	v := readSignedVector(t)
	ours := testVerifier(t, v.VKey)
	_, stranger := testKey(t, v.Origin, 9)
	signer, otherName := testKey(t, "other.example", 9)
	byOther, err := note.Sign(&note.Note{Text: v.Signed[:strings.Index(v.Signed, "\n\n")+1]}, signer)
	if err != nil {
		t.Fatal(err)
	}
	noCheckpoint, err := note.Sign(&note.Note{Text: "just\nsome text\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what, signed, origin string
		keys                 []note.Verifier
		want                 error
	}{
		{"nothing", "", v.Origin, []note.Verifier{ours}, ErrMalformed},
		{"no signature", v.Signed[:strings.Index(v.Signed, "\n\n")+2], v.Origin, []note.Verifier{ours}, ErrMalformed},
		{"a carriage return", strings.Replace(v.Signed, "\n", "\r\n", 1), v.Origin, []note.Verifier{ours}, ErrMalformed},
		{"another size", strings.Replace(v.Signed, "12345", "12346", 1), v.Origin, []note.Verifier{ours}, ErrSignature},
		{"no key", v.Signed, v.Origin, nil, ErrUnsigned},
		{"a stranger's key", v.Signed, v.Origin, []note.Verifier{stranger}, ErrUnsigned},
		{"another origin", v.Signed, "other.example", []note.Verifier{ours}, ErrOrigin},
		{"another's key under its own name", string(byOther), v.Origin, []note.Verifier{ours, otherName}, ErrUnsigned},
		{"a note that is no checkpoint", string(noCheckpoint), "just", []note.Verifier{otherName}, ErrMalformed},
		{"a huge note", strings.Repeat("a", maxNote) + v.Signed, v.Origin, []note.Verifier{ours}, ErrMalformed},
	} {
		c, _, err := Open([]byte(tc.signed), tc.origin, note.VerifierList(tc.keys...))
		if !errors.Is(err, tc.want) || c != nil {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.want)
		}
	}
	if _, _, err := Open([]byte(v.Signed), v.Origin, nil); !errors.Is(err, ErrUnsigned) {
		t.Errorf("no keys at all: %v, want ErrUnsigned", err)
	}
}

func TestSignRefuses(t *testing.T) {
	signer, _ := testKey(t, "a.example", 1)
	long, _ := testKey(t, "b.example", 1)
	for _, tc := range []struct {
		what       string
		checkpoint Checkpoint
		signers    []note.Signer
		want       error
	}{
		{"no signer", Checkpoint{Origin: "a.example"}, nil, ErrUnsigned},
		{"another's name", Checkpoint{Origin: "a.example"}, []note.Signer{long}, ErrUnsigned},
		{"no origin", Checkpoint{}, []note.Signer{signer}, ErrMalformed},
		{"two lines of origin", Checkpoint{Origin: "a.example\n1"}, []note.Signer{signer}, ErrMalformed},
		{"a size below 0", Checkpoint{Origin: "a.example", Size: -1}, []note.Signer{signer}, ErrMalformed},
		{"an absurd size", Checkpoint{Origin: "a.example", Size: maxSize + 1}, []note.Signer{signer}, ErrMalformed},
		{"an empty line", Checkpoint{Origin: "a.example", Extension: []string{""}}, []note.Signer{signer}, ErrMalformed},
	} {
		if signed, err := Sign(&tc.checkpoint, tc.signers...); !errors.Is(err, tc.want) || signed != nil {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.want)
		}
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	const root = "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I="
	for what, text := range map[string]string{
		"nothing":                       "",
		"two lines":                     "a\n1\n",
		"no end":                        "a\n1\n" + root,
		"an empty origin":               "\n1\n" + root + "\n",
		"an empty line":                 "a\n1\n" + root + "\n\n",
		"a control character":           "a\x00\n1\n" + root + "\n",
		"a carriage return":             "a\r\n1\n" + root + "\n",
		"bad UTF-8":                     "a\xff\n1\n" + root + "\n",
		"a leading zero":                "a\n01\n" + root + "\n",
		"a plus":                        "a\n+1\n" + root + "\n",
		"a minus":                       "a\n-1\n" + root + "\n",
		"a minus zero":                  "a\n-0\n" + root + "\n",
		"no number":                     "a\none\n" + root + "\n",
		"an underscore":                 "a\n1_0\n" + root + "\n",
		"a hexadecimal number":          "a\n0x1\n" + root + "\n",
		"a space":                       "a\n 1\n" + root + "\n",
		"an absurd size":                "a\n1152921504606846977\n" + root + "\n",
		"a size beyond 64 bits":         "a\n18446744073709551617\n" + root + "\n",
		"no padding":                    "a\n1\n" + root[:43] + "\n",
		"bits after the root":           "a\n1\n" + root[:42] + "J=\n",
		"a longer root":                 "a\n1\n" + "AAAA" + root + "\n",
		"a root for addresses on a web": "a\n1\n" + strings.ReplaceAll(root, "+", "-") + "\n",
	} {
		if c, err := ParseCheckpoint(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v, want ErrMalformed", what, c, err)
		}
	}
	if _, err := ParseCheckpoint("a b\n1152921504606846976\n" + root + "\nmore\n— more\n"); err != nil {
		t.Error(err)
	}
}

// FuzzParseCheckpoint: what is read is written back the same.
func FuzzParseCheckpoint(f *testing.F) {
	v := readSignedVector(f)
	f.Add(v.Signed)
	f.Add(v.Signed[:strings.Index(v.Signed, "\n\n")+1])
	f.Add("a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nmore\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again, err := c.Text(); err != nil || again != text {
			t.Errorf("%q was written back as %q, %v", text, again, err)
		}
	})
}

// FuzzOpen: whatever opens has the text that the ledger signed.
func FuzzOpen(f *testing.F) {
	v := readSignedVector(f)
	f.Add([]byte(v.Signed))
	f.Add([]byte(v.Cosigned))
	f.Add([]byte(strings.Replace(v.Cosigned, "12345", "12346", 1)))
	verifiers := note.VerifierList(testVerifier(f, v.VKey), testVerifier(f, v.Witness))
	want, _, err := Open([]byte(v.Signed), v.Origin, verifiers)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, _, err := Open(signed, v.Origin, verifiers)
		if err == nil && !reflect.DeepEqual(c, want) {
			t.Errorf("opened %q", signed)
		}
	})
}
