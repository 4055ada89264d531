package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// grown is a tree with its rows in a map, beside tlog's own storage of the same leaves.
type grown struct {
	tree  Tree
	rows  map[RowID][]byte
	asked [][]RowID   // each call for rows
	plain []tlog.Hash // every hash, in tlog's order
}

func newGrown() *grown {
	return &grown{rows: map[RowID][]byte{}}
}

// add adds leaves that are all different, one by one.
func (g *grown) add(t testing.TB, n int) {
	t.Helper()
	var rows []Row
	for range n {
		leaf := tlog.Hash(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(g.tree.Size))))
		hashes, err := tlog.StoredHashesForRecordHash(g.tree.Size, leaf, tlog.HashReaderFunc(g.readPlain))
		if err != nil {
			t.Fatal(err)
		}
		g.plain = append(g.plain, hashes...)
		rows = g.tree.Add(rows, leaf)
	}
	for _, row := range rows {
		if g.rows[row.RowID] != nil || len(row.Hashes) != RowSize {
			t.Fatalf("row %v was given out again, or has %d bytes", row.RowID, len(row.Hashes))
		}
		g.rows[row.RowID] = row.Hashes
	}
}

func (g *grown) readPlain(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = g.plain[index]
	}
	return hashes, nil
}

func (g *grown) fetch(ids []RowID) ([][]byte, error) {
	g.asked = append(g.asked, slices.Clone(ids))
	rows := make([][]byte, len(ids))
	for i, id := range ids {
		if rows[i] = g.rows[id]; rows[i] == nil {
			return nil, fmt.Errorf("row %v is not there", id)
		}
	}
	return rows, nil
}

// reader reads the rows; plain reads tlog's storage.
func (g *grown) reader() *Reader        { return NewReader(&g.tree, g.fetch) }
func (g *grown) other() tlog.HashReader { return tlog.HashReaderFunc(g.readPlain) }

// TestTreeIsTlogs grows a tree leaf by leaf and compares roots, proofs and tiles with those of tlog's own storage.
func TestTreeIsTlogs(t *testing.T) {
	g := newGrown()
	random := rand.New(rand.NewPCG(1, 1)).Int64N
	for size := int64(0); size <= 3000; size++ {
		if size > 0 {
			g.add(t, 1)
		}
		want, err := tlog.TreeHash(size, g.other())
		if got := g.tree.Root(); err != nil || got != want {
			t.Fatalf("size %d: root %v, want %v, %v", size, got, want, err)
		}
		again, err := ParseTree(g.tree.Append(nil))
		if err != nil || again.Root() != want || again.Size != size {
			t.Fatalf("size %d: read back with another root, %v", size, err)
		}
		if size > 0 {
			compareProofs(t, g, size, random(size))
			older := 1 + random(size)
			compareProofs(t, g, older, random(older))
		}
		if size%97 == 0 {
			compareTiles(t, g, size)
		}
	}
}

// TestLongTreeIsTlogs does so with more leaves at a time, so that four levels of rows are there.
func TestLongTreeIsTlogs(t *testing.T) {
	g := newGrown()
	random := rand.New(rand.NewPCG(2, 2)).Int64N
	for g.tree.Size < 70_000 {
		g.add(t, 1+int(random(6000)))
		size := g.tree.Size
		for range 20 {
			compareProofs(t, g, size, random(size))
			older := 1 + random(size)
			compareProofs(t, g, older, random(older))
		}
		compareTiles(t, g, size)
	}
}

// compareProofs compares the root of an older size, the proof of an entry in it and the proof between both sizes.
func compareProofs(t testing.TB, g *grown, size, entry int64) {
	t.Helper()
	read := g.reader()
	for what, prove := range map[string]func(r tlog.HashReader) (any, error){
		"root":   func(r tlog.HashReader) (any, error) { return tlog.TreeHash(size, r) },
		"record": func(r tlog.HashReader) (any, error) { return tlog.ProveRecord(size, entry, r) },
		"tree":   func(r tlog.HashReader) (any, error) { return tlog.ProveTree(g.tree.Size, size, r) },
	} {
		g.asked = nil
		got, err := prove(read)
		if err != nil {
			t.Fatalf("%s of size %d, entry %d in %d: %v", what, size, entry, g.tree.Size, err)
		}
		want, err := prove(g.other())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s of size %d, entry %d in %d: %v, want %v, %v", what, size, entry, g.tree.Size, got, want, err)
		}
		askedOnce(t, g)
	}
}

// askedOnce: all rows were asked for in one call at most, and none twice.
func askedOnce(t testing.TB, g *grown) {
	t.Helper()
	if len(g.asked) > 1 {
		t.Fatalf("asked %d times for rows", len(g.asked))
	}
	for _, ids := range g.asked {
		distinct := map[RowID]bool{}
		for _, id := range ids {
			distinct[id] = true
		}
		if len(distinct) != len(ids) || len(ids) == 0 {
			t.Fatalf("asked for %v", ids)
		}
	}
}

// compareTiles compares all tiles of a size.
func compareTiles(t testing.TB, g *grown, size int64) {
	t.Helper()
	for _, tile := range tlog.NewTiles(8, 0, size) {
		g.asked = nil
		got, err := tlog.ReadTileData(tile, g.reader())
		if err != nil {
			t.Fatalf("size %d, %v: %v", size, tile, err)
		}
		want, err := tlog.ReadTileData(tile, g.other())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("size %d, %v: %x, want %x, %v", size, tile, got, want, err)
		}
		askedOnce(t, g)
	}
}

// sameLeaves gives the hash of each level of a tree of which all leaves are the same, and what reads it as tlog does.
func sameLeaves() ([]tlog.Hash, tlog.HashReader) {
	levels := []tlog.Hash{tlog.RecordHash([]byte("the same"))}
	for len(levels) < 61 {
		last := levels[len(levels)-1]
		levels = append(levels, tlog.NodeHash(last, last))
	}
	return levels, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, _ := tlog.SplitStoredHashIndex(index)
			hashes[i] = levels[level]
		}
		return hashes, nil
	})
}

// TestHugeTrees: where all leaves are the same, a tree of any size can be had.
func TestHugeTrees(t *testing.T) {
	levels, plain := sameLeaves()
	fetch := func(ids []RowID) ([][]byte, error) {
		rows := make([][]byte, len(ids))
		for i, id := range ids {
			h := levels[rowHeight*id.Level]
			rows[i] = bytes.Repeat(h[:], rowWidth)
		}
		return rows, nil
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, maxSize).Draw(t, "size")
		tree := newTree(size)
		for level, tail := range tree.tails {
			for i := range tail {
				tail[i] = levels[rowHeight*level]
			}
		}
		tree, err := ParseTree(tree.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := tlog.TreeHash(size, plain)
		if got := tree.Root(); got != want {
			t.Fatalf("root %v, want %v", got, want)
		}
		older := rapid.Int64Range(1, size).Draw(t, "older")
		entry := rapid.Int64Range(0, older-1).Draw(t, "entry")
		reader := NewReader(tree, fetch)
		root, err := tlog.TreeHash(older, reader)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := tlog.ProveRecord(older, entry, reader)
		if err != nil || tlog.CheckRecord(proof, older, root, entry, levels[0]) != nil {
			t.Fatalf("no proof of entry %d in %d: %v", entry, older, err)
		}
		between, err := tlog.ProveTree(size, older, reader)
		if err != nil || tlog.CheckTree(between, size, want, older, root) != nil {
			t.Fatalf("no proof from %d to %d: %v", older, size, err)
		}
	})
}

// TestAddManyAtOnce: many leaves by one call make the same as one by one, and go on from a tree that was read back.
func TestAddManyAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, many := &Tree{}, &Tree{}
		var oneRows, manyRows []Row
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 1100), 1, 4).Draw(t, "leaves") {
			leaves := make([]tlog.Hash, n)
			for j := range leaves {
				leaves[j] = tlog.Hash{byte(i), byte(j), byte(j >> 8)}
				oneRows = one.Add(oneRows, leaves[j])
			}
			read, err := ParseTree(many.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			many = read
			manyRows = many.Add(manyRows, leaves...)
		}
		if !bytes.Equal(one.Append(nil), many.Append(nil)) {
			t.Fatal("the trees differ")
		}
		if fmt.Sprint(oneRows) != fmt.Sprint(manyRows) {
			t.Fatal("the rows differ")
		}
	})
}

// TestCloneSharesNothing: what is added to a clone, or to what it is of, is not in the other.
func TestCloneSharesNothing(t *testing.T) {
	g := newGrown()
	g.add(t, 1055)
	before := g.tree.Append(nil)
	clone := g.tree.Clone()
	clone.Add(nil, tlog.Hash{1}, tlog.Hash{2})
	if !bytes.Equal(g.tree.Append(nil), before) {
		t.Error("adding to a clone changed the tree")
	}
	after := clone.Append(nil)
	g.tree.Add(nil, tlog.Hash{3})
	if !bytes.Equal(clone.Append(nil), after) {
		t.Error("adding to the tree changed a clone")
	}
	if fresh, err := ParseTree(before); err != nil || !bytes.Equal(fresh.Clone().Append(nil), before) {
		t.Errorf("a clone differs, %v", err)
	}
}

func TestParseTreeRefuses(t *testing.T) {
	g := newGrown()
	g.add(t, 70)
	good := g.tree.Append(nil)
	sized := func(size uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{1}, size), good[9:]...)
	}
	for what, b := range map[string][]byte{
		"nothing":                nil,
		"no size":                good[:8],
		"another version":        append([]byte{2}, good[1:]...),
		"a byte less":            good[:len(good)-1],
		"a hash less":            good[:len(good)-tlog.HashSize],
		"a byte more":            append(bytes.Clone(good), 0),
		"a leaf too many":        sized(71),
		"a leaf too few":         sized(69),
		"an absurd size":         newTree(maxSize + 1).Append(nil),
		"a size that is below 0": sized(1 << 63),
	} {
		if _, err := ParseTree(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
	}
	for _, b := range [][]byte{sized(70), newTree(maxSize).Append(nil)} {
		if _, err := ParseTree(b); err != nil {
			t.Error(err)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	g := newGrown()
	g.add(t, 100)
	broken := errors.New("the disk is gone")
	fetch := func(rows [][]byte, err error) FetchRows {
		return func([]RowID) ([][]byte, error) { return rows, err }
	}
	for _, tc := range []struct {
		what  string
		fetch FetchRows
		index int64
		want  error
	}{
		{"an index below 0", g.fetch, -1, ErrRange},
		{"an index beyond the tree", g.fetch, tlog.StoredHashCount(100), ErrRange},
		{"an index beyond all trees", g.fetch, 1<<63 - 1, ErrRange},
		{"a store that fails", fetch(nil, broken), 0, broken},
		{"no rows", fetch(nil, nil), 0, ErrMalformed},
		{"too many rows", fetch([][]byte{make([]byte, RowSize), make([]byte, RowSize)}, nil), 0, ErrMalformed},
		{"a short row", fetch([][]byte{make([]byte, RowSize-1)}, nil), 0, ErrMalformed},
		{"a long row", fetch([][]byte{make([]byte, RowSize+1)}, nil), 0, ErrMalformed},
	} {
		if _, err := NewReader(&g.tree, tc.fetch).ReadHashes([]int64{tc.index}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.want)
		}
	}
	if _, err := g.reader().ReadHashes([]int64{0, tlog.StoredHashCount(100) - 1}); err != nil {
		t.Error(err)
	}
}

// FuzzParseTree: what is read is written back the same, and has a root.
func FuzzParseTree(f *testing.F) {
	tree := &Tree{}
	for _, n := range []int{0, 1, 30, 1, 1, 1000} {
		tree.Add(nil, make([]tlog.Hash, n)...)
		f.Add(tree.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := ParseTree(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := tree.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
		tree.Root()
		tree.Add(nil, tlog.Hash{})
	})
}

func BenchmarkTreeAdd(b *testing.B) {
	tree := &Tree{}
	var rows []Row
	b.ReportAllocs()
	for b.Loop() {
		rows = tree.Add(rows[:0], tlog.Hash{1})
	}
}

func BenchmarkTreeRoot(b *testing.B) {
	tree := newTree(1<<25 - 1) // 33 million entries, where each level has most to hash
	for b.Loop() {
		tree.Root()
	}
}

func BenchmarkTreeLoad(b *testing.B) {
	stored := newTree(1<<25 - 1).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTree(stored); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProveRecord(b *testing.B) {
	g := newGrown()
	g.add(b, 70_000)
	g.asked = nil
	reader := NewReader(&g.tree, func(ids []RowID) ([][]byte, error) {
		rows := make([][]byte, len(ids))
		for i, id := range ids {
			rows[i] = g.rows[id]
		}
		return rows, nil
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tlog.ProveRecord(g.tree.Size, 12_345, reader); err != nil {
			b.Fatal(err)
		}
	}
}
