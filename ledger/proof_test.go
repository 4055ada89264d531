package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

const testOrigin = "consentd.example/test"

// provable is a ledger of real leaves with rows in a map, and a key.
type provable struct {
	grown
	leaves    []Leaf
	signer    note.Signer
	verifiers note.Verifiers
}

func newProvable(t testing.TB, size int) *provable {
	t.Helper()
	signer, verifier := testKey(t, testOrigin, 1)
	p := &provable{grown: *newGrown(), signer: signer, verifiers: note.VerifierList(verifier)}
	for i := range size {
		leaf := NewLeaf(int64(i), &Secret{byte(i)}, uint64(i), []byte("body"), []byte("ident"))
		p.leaves = append(p.leaves, leaf)
		for _, row := range p.tree.Add(nil, leaf.Hash()) {
			p.rows[row.RowID] = row.Hashes
		}
	}
	return p
}

// checkpoint gives the checkpoint of a size, and as signed.
func (p *provable) checkpoint(t testing.TB, size int64) (*Checkpoint, []byte) {
	t.Helper()
	root, err := tlog.TreeHash(size, p.reader())
	if err != nil {
		t.Fatal(err)
	}
	c := &Checkpoint{Origin: testOrigin, Size: size, Root: root}
	signed, err := Sign(c, p.signer)
	if err != nil {
		t.Fatal(err)
	}
	return c, signed
}

func (p *provable) prove(t testing.TB, index, size int64) *Proof {
	t.Helper()
	_, signed := p.checkpoint(t, size)
	made, err := Prove(p.reader(), "event", index, p.leaves[index], size, signed)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// raw gives hashes as transparency-dev's verifier takes them.
func raw(hashes []tlog.Hash) [][]byte {
	b := make([][]byte, len(hashes))
	for i := range hashes {
		b[i] = hashes[i][:]
	}
	return b
}

// included asks transparency-dev's verifier about a proof and its checkpoint's root.
func included(p *Proof, root tlog.Hash) bool {
	if p.Index < 0 || p.Size < 0 {
		return false
	}
	hasher := rfc6962.DefaultHasher
	leaf := hasher.HashLeaf(p.Leaf)
	return proof.VerifyInclusion(hasher, uint64(p.Index), uint64(p.Size), leaf, raw(p.Hashes), root[:]) == nil
}

// TestProofsAsOthersVerifyThem: we and transparency-dev's verifier take each proof that we make, and refuse it when
// anything in it was changed.
func TestProofsAsOthersVerifyThem(t *testing.T) {
	p := newProvable(t, 300)
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(1, 300).Draw(rt, "size")
		index := rapid.Int64Range(0, size-1).Draw(rt, "index")
		made := p.prove(t, index, size)
		c, _ := p.checkpoint(t, size)
		if err := made.Verify(testOrigin, p.verifiers); err != nil || !included(made, c.Root) {
			rt.Fatalf("entry %d of %d: %v, others %t", index, size, err, included(made, c.Root))
		}
		what := rapid.SampledFrom([]string{"leaf", "index", "hash", "order", "less", "more", "repeated"}).Draw(rt, "what")
		if changed := change(rt, made, what); !changed {
			return
		}
		if err := made.Verify(testOrigin, p.verifiers); err == nil || included(made, c.Root) {
			rt.Fatalf("entry %d of %d with another %s: %v, others %t", index, size, what, err, included(made, c.Root))
		}
	})
}

// change breaks a proof in one way, where it has what to break.
func change(t *rapid.T, p *Proof, what string) bool {
	at := rapid.IntRange(0, max(0, len(p.Hashes)-1)).Draw(t, "at")
	switch what {
	case "leaf":
		p.Leaf[rapid.IntRange(1, LeafSize-1).Draw(t, "byte")] ^= 0x20
	case "index":
		p.Index += rapid.SampledFrom([]int64{-1, 1, p.Size, -p.Size}).Draw(t, "by")
	case "more":
		p.Hashes = append(p.Hashes, tlog.Hash{})
	case "hash":
		if len(p.Hashes) == 0 {
			return false
		}
		p.Hashes[at][rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
	case "order":
		if at == 0 {
			return false
		}
		p.Hashes[at], p.Hashes[at-1] = p.Hashes[at-1], p.Hashes[at]
	case "less":
		if len(p.Hashes) == 0 {
			return false
		}
		p.Hashes = append(p.Hashes[:at:at], p.Hashes[at+1:]...)
	case "repeated":
		if len(p.Hashes) == 0 {
			return false
		}
		p.Hashes = append(p.Hashes, p.Hashes[at])
	}
	return true
}

// consistent asks transparency-dev's verifier.
func consistent(p *Consistency, older, newer tlog.Hash) bool {
	return proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(p.From), uint64(p.To), raw(p.Hashes), older[:],
		newer[:]) == nil
}

// TestConsistencyAsOthersVerifyIt does the same between two sizes.
func TestConsistencyAsOthersVerifyIt(t *testing.T) {
	p := newProvable(t, 300)
	rapid.Check(t, func(rt *rapid.T) {
		to := rapid.Int64Range(0, 300).Draw(rt, "to")
		from := rapid.Int64Range(0, to).Draw(rt, "from")
		older, _ := p.checkpoint(t, from)
		newer, _ := p.checkpoint(t, to)
		made, err := ProveConsistency(p.reader(), from, to)
		if err != nil {
			rt.Fatal(err)
		}
		if err := made.Verify(older, newer); err != nil || !consistent(made, older.Root, newer.Root) {
			rt.Fatalf("from %d to %d: %v, others %t", from, to, err, consistent(made, older.Root, newer.Root))
		}
		at := rapid.IntRange(0, 31).Draw(rt, "byte")
		switch rapid.SampledFrom([]string{"older", "newer", "hash", "more", "less"}).Draw(rt, "what") {
		case "older":
			older.Root[at] ^= 1
		case "newer":
			if from == 0 && to > 0 {
				return // whatever it is, it began with nothing
			}
			newer.Root[at] ^= 1
		case "hash":
			if len(made.Hashes) == 0 {
				return
			}
			made.Hashes[at%len(made.Hashes)][at] ^= 1
		case "more":
			made.Hashes = append(made.Hashes, older.Root)
		case "less":
			if len(made.Hashes) == 0 {
				return
			}
			made.Hashes = made.Hashes[1:]
		}
		if err := made.Verify(older, newer); !errors.Is(err, ErrInconsistent) {
			rt.Fatalf("from %d to %d, changed: %v", from, to, err)
		}
		if from > 0 && consistent(made, older.Root, newer.Root) {
			rt.Fatalf("from %d to %d, changed: others took it", from, to)
		}
	})
}

// TestErrorsTellApart: what was changed decides the error.
func TestErrorsTellApart(t *testing.T) {
	p := newProvable(t, 100)
	_, stranger := testKey(t, testOrigin, 2)
	_, forty := p.checkpoint(t, 40)
	for _, tc := range []struct {
		what   string
		change func(*Proof)
		want   error
	}{
		{"nothing", func(*Proof) {}, nil},
		{"another event, which is not covered", func(p *Proof) { p.Event = "other" }, nil},
		{"another entry's index", func(p *Proof) { p.Index++ }, ErrNotIncluded},
		{"an index beyond", func(p *Proof) { p.Index = 50 }, ErrRange},
		{"an index below 0", func(p *Proof) { p.Index = -1 }, ErrRange},
		{"another size", func(p *Proof) { p.Size++ }, ErrSize},
		{"another checkpoint", func(p *Proof) { p.Checkpoint = forty }, ErrSize},
		{"another leaf", func(p *Proof) { p.Leaf[50]++ }, ErrNotIncluded},
		{"a short leaf", func(p *Proof) { p.Leaf = p.Leaf[1:] }, ErrMalformed},
		{"another hash", func(p *Proof) { p.Hashes[0][0]++ }, ErrNotIncluded},
		{"a million hashes", func(p *Proof) { p.Hashes = make([]tlog.Hash, 1_000_000) }, ErrNotIncluded},
		{"no hashes", func(p *Proof) { p.Hashes = nil }, ErrNotIncluded},
		{"another root", func(p *Proof) { p.Checkpoint[len(testOrigin)+5] ^= 1 }, ErrSignature},
		{"no checkpoint", func(p *Proof) { p.Checkpoint = nil }, ErrMalformed},
	} {
		made := p.prove(t, 5, 50)
		tc.change(made)
		if err := made.Verify(testOrigin, p.verifiers); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.want)
		}
	}
	made := p.prove(t, 5, 50)
	if err := made.Verify(testOrigin, note.VerifierList(stranger)); !errors.Is(err, ErrUnsigned) {
		t.Errorf("a stranger's key: %v, want ErrUnsigned", err)
	}
	if err := made.Verify("other.example", p.verifiers); !errors.Is(err, ErrOrigin) {
		t.Errorf("another ledger's name: %v, want ErrOrigin", err)
	}
}

func TestConsistencyRefuses(t *testing.T) {
	p := newProvable(t, 100)
	older, _ := p.checkpoint(t, 40)
	newer, _ := p.checkpoint(t, 90)
	other := &Checkpoint{Origin: "other.example", Size: 90, Root: newer.Root}
	made, err := ProveConsistency(p.reader(), 40, 90)
	if err != nil {
		t.Fatal(err)
	}
	empty := &Checkpoint{Origin: testOrigin, Root: (&Tree{}).Root()}
	noRoot := &Checkpoint{Origin: testOrigin}
	absurd := &Checkpoint{Origin: testOrigin, Size: 1<<63 - 1}
	negative := &Checkpoint{Origin: testOrigin, Size: -1}
	for _, tc := range []struct {
		what         string
		proof        Consistency
		older, newer *Checkpoint
		want         error
	}{
		{"nothing", *made, older, newer, nil},
		{"another ledger", *made, older, other, ErrOrigin},
		{"exchanged checkpoints", *made, newer, older, ErrSize},
		{"another start", Consistency{39, 90, made.Hashes}, older, newer, ErrSize},
		{"another end", Consistency{40, 91, made.Hashes}, older, newer, ErrSize},
		{"a ledger that shrank", Consistency{90, 40, made.Hashes}, newer, older, ErrInconsistent},
		{"a ledger that went to nothing", Consistency{90, 0, nil}, newer, empty, ErrInconsistent},
		{"nothing with hashes", Consistency{0, 90, made.Hashes}, empty, newer, ErrInconsistent},
		{"nothing with a root", Consistency{0, 90, nil}, noRoot, newer, ErrInconsistent},
		{"nothing to nothing", Consistency{0, 0, nil}, empty, empty, nil},
		{"nothing to nothing with a root", Consistency{0, 0, nil}, empty, noRoot, ErrInconsistent},
		{"a million hashes", Consistency{40, 90, make([]tlog.Hash, 1_000_000)}, older, newer, ErrInconsistent},
		{"an absurd size", Consistency{40, absurd.Size, made.Hashes}, older, absurd, ErrInconsistent},
		{"a size below 0", Consistency{-1, 90, nil}, negative, newer, ErrInconsistent},
		{"nothing to less", Consistency{0, -1, nil}, empty, negative, ErrInconsistent},
	} {
		if err := tc.proof.Verify(tc.older, tc.newer); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.want)
		}
	}
}

func TestProveRefuses(t *testing.T) {
	p := newProvable(t, 100)
	for _, tc := range []struct{ index, size int64 }{{-1, 50}, {50, 50}, {0, 0}, {0, -1}, {100, 101}, {0, 1<<63 - 1}} {
		if _, err := Prove(p.reader(), "", tc.index, Leaf{}, tc.size, nil); !errors.Is(err, ErrRange) {
			t.Errorf("entry %d of %d: %v, want ErrRange", tc.index, tc.size, err)
		}
	}
	for _, tc := range []struct{ from, to int64 }{{-1, 5}, {6, 5}, {5, 101}, {0, 1<<63 - 1}, {1, 1<<63 - 1}} {
		if _, err := ProveConsistency(p.reader(), tc.from, tc.to); !errors.Is(err, ErrRange) {
			t.Errorf("from %d to %d: %v, want ErrRange", tc.from, tc.to, err)
		}
	}
	if err := VerifyInclusion(&Checkpoint{Size: 1<<63 - 1}, 1<<62, Leaf{}, nil); !errors.Is(err, ErrRange) {
		t.Errorf("an absurd checkpoint: %v, want ErrRange", err)
	}
}

// TestProofJSON: the members are those of the API, and bytes are in base64.
func TestProofJSON(t *testing.T) {
	p := newProvable(t, 3)
	made := p.prove(t, 0, 1)
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := json.Marshal(made.Leaf)
	checkpoint, _ := json.Marshal(made.Checkpoint)
	want := `{"event":"event","index":0,"size":1,"leaf":` + string(leaf) + `,"hashes":[],"checkpoint":` +
		string(checkpoint) + `}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	between, err := ProveConsistency(p.reader(), 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(between)
	if want := `{"from":2,"to":3,"hashes":["` + between.Hashes[0].String() + `"]}`; err != nil || string(text) != want {
		t.Errorf("%s\nwant %s, %v", text, want, err)
	}
	none, err := ProveConsistency(p.reader(), 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(none); err != nil || string(text) != `{"from":0,"to":3,"hashes":[]}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestProofJSONRefuses(t *testing.T) {
	const good = `{"event":"e","index":0,"size":1,"leaf":"AQ==","hashes":[],"checkpoint":""}`
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	hash := func(text string) string { return with("[]", `["`+text+`"]`) }
	zeros := tlog.Hash{}.String()
	for what, text := range map[string]string{
		"no object":                `[]`,
		"null for all":             `null`,
		"a list of all":            `["event","e","index",0,"size",1,"leaf","AQ==","hashes",[],"checkpoint",""]`,
		"a missing member":         with(`"index":0,`, ""),
		"a member twice":           with(`"index":0`, `"index":0,"index":0`),
		"a member in capitals":     with(`"index"`, `"Index"`),
		"a member more":            with(`"index":0`, `"index":0,"other":1`),
		"null for the index":       with(`"index":0`, `"index":null`),
		"null for the hashes":      with(`[]`, `null`),
		"null for a hash":          with(`[]`, `[null]`),
		"half an entry":            with(`"index":0`, `"index":0.5`),
		"text for the index":       with(`"index":0`, `"index":"0"`),
		"an index beyond 64 bits":  with(`"index":0`, `"index":9223372036854775808`),
		"a number for the leaf":    with(`"AQ=="`, `1`),
		"numbers for the leaf":     with(`"AQ=="`, `[1]`),
		"no padding":               with("AQ==", "AQ"),
		"bits after the leaf":      with("AQ==", "AR=="),
		"a new line in the leaf":   with("AQ==", `AQ\n==`),
		"base64 for addresses":     with("AQ==", "-_8="),
		"a short hash":             hash("AAAA"),
		"a long hash":              hash("AAAA" + zeros),
		"bits after a hash":        hash(zeros[:42] + "B="),
		"an object for the hashes": with("[]", "{}"),
	} {
		var p Proof
		if err := json.Unmarshal([]byte(text), &p); !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(p, Proof{}) {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
	}
}

func TestProofJSONEndsWhereItEnds(t *testing.T) {
	const good = `{"event":"e","index":0,"size":1,"leaf":"AQ==","hashes":[],"checkpoint":""}`
	var p Proof
	for _, text := range []string{"", good[:40], good + good, good + "1", good[:len(good)-1] + ",}"} {
		if err := p.UnmarshalJSON([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", text, err)
		}
	}
	zeros := tlog.Hash{}.String()
	for _, text := range []string{
		good, " " + strings.ReplaceAll(good, ",", " ,\n"), strings.Replace(good, "[]", `["`+zeros+`"]`, 1),
		strings.Replace(good, "[]", `["\u0041`+zeros[1:]+`"]`, 1),
	} {
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestConsistencyJSONRefuses(t *testing.T) {
	zeros := tlog.Hash{}.String()
	var between Consistency
	for text, fine := range map[string]bool{
		`{"from":1,"to":2,"hashes":["` + zeros + `"]}`: true, `{"to":2,"from":1,"hashes":[]}`: true,
		`{"from":1,"to":2}`: false, `{"from":1,"to":2,"hashes":["AAAA"]}`: false,
		`{"from":1,"to":2,"hashes":[],"size":3}`: false,
	} {
		err := json.Unmarshal([]byte(text), &between)
		if (err == nil) != fine || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzProofJSON: what is read is written back in a form that reads the same, and can be verified without harm.
func FuzzProofJSON(f *testing.F) {
	p := newProvable(f, 40)
	for _, index := range []int64{0, 20, 39} {
		text, err := json.Marshal(p.prove(f, index, 40))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(bytes.Replace(text, []byte(`"size":40`), []byte(`"size":9223372036854775807`), 1))
	}
	c, _ := p.checkpoint(f, 40)
	f.Fuzz(func(t *testing.T, text []byte) {
		var read, again Proof
		if err := json.Unmarshal(text, &read); err != nil {
			return
		}
		written, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil || !reflect.DeepEqual(read, again) {
			t.Errorf("%s was written back as %s, %v", text, written, err)
		}
		if err := read.Verify(testOrigin, p.verifiers); err == nil && !included(&read, c.Root) {
			t.Errorf("others refuse %s", text)
		}
	})
}

// FuzzConsistencyJSON: whatever is verified between two checkpoints is what we make between them.
func FuzzConsistencyJSON(f *testing.F) {
	p := newProvable(f, 40)
	older, _ := p.checkpoint(f, 13)
	newer, _ := p.checkpoint(f, 40)
	made, err := ProveConsistency(p.reader(), 13, 40)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(made)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"from":0,"to":40,"hashes":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var read Consistency
		if err := json.Unmarshal(text, &read); err != nil {
			return
		}
		if err := read.Verify(older, newer); err == nil && !reflect.DeepEqual(&read, made) {
			t.Errorf("%s was taken", text)
		}
	})
}

func BenchmarkVerifyProof(b *testing.B) {
	p := newProvable(b, 5000)
	made := p.prove(b, 1234, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if err := made.Verify(testOrigin, p.verifiers); err != nil {
			b.Fatal(err)
		}
	}
}

// TestProveAllIsEachProof: the proofs of many are those of each, and their rows are fetched at once.
func TestProveAllIsEachProof(t *testing.T) {
	p := newProvable(t, 1500)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1500).Draw(t, "size")
		indexes := rapid.SliceOfN(rapid.Int64Range(0, size-1), 0, 40).Draw(t, "indexes")
		fetched := 0
		reader := NewReader(&p.tree, func(ids []RowID) (rows [][]byte, err error) {
			fetched++
			for _, id := range ids {
				rows = append(rows, p.rows[id])
			}
			return rows, nil
		})
		all, err := ProveAll(reader, indexes, size)
		if err != nil || len(all) != len(indexes) || fetched > 1 {
			t.Fatalf("%d proofs, %d fetches, %v", len(all), fetched, err)
		}
		for i, index := range indexes {
			one, err := Prove(p.reader(), "event", index, p.leaves[index], size, nil)
			if err != nil || !reflect.DeepEqual(all[i], one.Hashes) {
				t.Fatalf("entry %d of %d: %v, want %v, %v", index, size, all[i], one.Hashes, err)
			}
		}
	})
}

func TestProveAllRefuses(t *testing.T) {
	p := newProvable(t, 40)
	for _, c := range []struct{ index, size int64 }{{-1, 40}, {40, 40}, {0, 41}, {0, 0}} {
		if all, err := ProveAll(p.reader(), []int64{c.index}, c.size); !errors.Is(err, ErrRange) {
			t.Errorf("%+v: %v, %v", c, all, err)
		}
	}
	failing := errors.New("no row")
	reader := NewReader(&p.tree, func([]RowID) ([][]byte, error) { return nil, failing })
	if _, err := ProveAll(reader, []int64{3}, 40); !errors.Is(err, failing) {
		t.Errorf("where no row is read: %v", err)
	}
}
