package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// vector is a leaf as testdata/leaf.py made it. Bytes are in hexadecimal.
type vector struct {
	RecordedAt int64  `json:"recorded_at"`
	Secret     string `json:"secret"`
	N          uint64 `json:"n"`
	Body       string `json:"body"`
	Ident      string `json:"ident"`
	BodySalt   string `json:"body_salt"`
	IdentSalt  string `json:"ident_salt"`
	Leaf       string `json:"leaf"`
	Hash       string `json:"hash"`
}

// TestLeafVectors compares with what Python's hashlib and hmac make of the layout in the design:
//
//	python3 testdata/leaf.py > testdata/leaf.json
func TestLeafVectors(t *testing.T) {
	content, err := os.ReadFile("testdata/leaf.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(content, &vectors); err != nil || len(vectors) < 3 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		secret := Secret(unhex(t, v.Secret))
		bodySalt, identSalt := secret.Salts(v.N)
		leaf := NewLeaf(v.RecordedAt, &secret, v.N, unhex(t, v.Body), unhex(t, v.Ident))
		hash := leaf.Hash()
		for _, tc := range []struct{ what, got, want string }{
			{"salt of the body", hex.EncodeToString(bodySalt[:]), v.BodySalt},
			{"salt of the ident", hex.EncodeToString(identSalt[:]), v.IdentSalt},
			{"leaf", hex.EncodeToString(leaf.Append(nil)), v.Leaf},
			{"hash", hex.EncodeToString(hash[:]), v.Hash},
		} {
			if tc.got != tc.want {
				t.Errorf("entry %d: %s is %s, want %s", v.N, tc.what, tc.got, tc.want)
			}
		}
	}
}

// TestDeriveIsHMAC compares with the standard library's HMAC.
func TestDeriveIsHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := Secret(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
		n := rapid.Uint64().Draw(t, "n")
		for _, label := range []string{tagLabel, bodySaltLabel, identSaltLabel} {
			mac := hmac.New(sha256.New, secret[:])
			mac.Write(binary.BigEndian.AppendUint64([]byte(label), n))
			if got := secret.derive(label, n); !bytes.Equal(got[:], mac.Sum(nil)) {
				t.Fatalf("%s, %d: %x, want %x", label, n, got, mac.Sum(nil))
			}
		}
	})
}

// TestLeafCommits: each of what a leaf is made from changes it, and only its own part of it.
func TestLeafCommits(t *testing.T) {
	long := bytes.Repeat([]byte("long "), 1000)
	secret, other := Secret{1}, Secret{2}
	base := NewLeaf(1, &secret, 1, long, []byte("ident"))
	for _, tc := range []struct {
		what                   string
		leaf                   Leaf
		at, tag, body, identit bool // what differs
	}{
		{"time", NewLeaf(2, &secret, 1, long, []byte("ident")), true, false, false, false},
		{"secret", NewLeaf(1, &other, 1, long, []byte("ident")), false, true, true, true},
		{"number", NewLeaf(1, &secret, 2, long, []byte("ident")), false, true, true, true},
		{"body", NewLeaf(1, &secret, 1, long[1:], []byte("ident")), false, false, true, false},
		{"ident", NewLeaf(1, &secret, 1, long, []byte("idenT")), false, false, false, true},
	} {
		if at := tc.leaf.RecordedAt != base.RecordedAt; at != tc.at {
			t.Errorf("another %s: another time %t", tc.what, at)
		}
		if tag := tc.leaf.Tag != base.Tag; tag != tc.tag {
			t.Errorf("another %s: another tag %t", tc.what, tag)
		}
		if body := tc.leaf.Body != base.Body; body != tc.body {
			t.Errorf("another %s: another body %t", tc.what, body)
		}
		if ident := tc.leaf.Ident != base.Ident; ident != tc.identit {
			t.Errorf("another %s: another ident %t", tc.what, ident)
		}
		if tc.leaf.Hash() == base.Hash() {
			t.Errorf("another %s: the same hash", tc.what)
		}
	}
	if CommitBody(Salt{1}, long) == CommitIdent(Salt{1}, long) {
		t.Error("a body can stand for an ident")
	}
}

func TestLeafRefusesTimeBefore1970(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("made a leaf that no reader takes")
		}
	}()
	NewLeaf(-1, &Secret{}, 1, nil, nil)
}

func TestParseLeafRefuses(t *testing.T) {
	good := NewLeaf(1, &Secret{}, 1, nil, nil).Append(nil)
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for what, b := range map[string][]byte{
		"nothing":                  nil,
		"a byte less":              good[:LeafSize-1],
		"a byte more":              append(bytes.Clone(good), 0),
		"version 0":                change(0, 0),
		"version 2":                change(0, 2),
		"a time beyond all clocks": change(1, 0x80),
	} {
		if _, err := ParseLeaf(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
	}
	if _, err := ParseLeaf(good); err != nil {
		t.Error(err)
	}
}

// FuzzParseLeaf: what is read is written back the same, and hashes as the library says.
func FuzzParseLeaf(f *testing.F) {
	f.Add([]byte{})
	f.Add(NewLeaf(1790000000000, &Secret{7}, 3, []byte("{}"), []byte("{}")).Append(nil))
	f.Add(bytes.Repeat([]byte{1}, LeafSize))
	f.Add(bytes.Repeat([]byte{1}, LeafSize+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		leaf, err := ParseLeaf(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := leaf.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
		if hash := leaf.Hash(); hash != tlog.RecordHash(b) {
			t.Errorf("%x hashes to %v", b, hash)
		}
	})
}

// TestLeafTakesNoHeap: every write makes a leaf.
func TestLeafTakesNoHeap(t *testing.T) {
	body, ident := make([]byte, 600), make([]byte, 300)
	secret := Secret{1}
	var hash tlog.Hash
	if n := testing.AllocsPerRun(100, func() { hash = NewLeaf(1, &secret, 1, body, ident).Hash() }); n != 0 {
		t.Errorf("%v allocations, hash %v", n, hash)
	}
}

func BenchmarkNewLeaf(b *testing.B) {
	body, ident := make([]byte, 500), make([]byte, 300)
	secret := Secret{1}
	b.ReportAllocs()
	for n := uint64(1); b.Loop(); n++ {
		leaf := NewLeaf(1790000000000, &secret, n, body, ident)
		_ = leaf.Hash()
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
