package ledger

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// TestTilePaths has the specification's own example, and compares others with tlog's paths, which have the height too.
func TestTilePaths(t *testing.T) {
	for path, tile := range map[string]Tile{
		"tile/0/x001/x234/067":        {0, 1234067, 256},
		"tile/63/000":                 {63, 0, 256},
		"tile/0/000.p/1":              {0, 0, 1},
		"tile/1/x001/000.p/255":       {1, 1000, 255},
		"tile/entries/999":            {EntriesLevel, 999, 256},
		"tile/entries/x273/000.p/112": {EntriesLevel, 273000, 112},
	} {
		if got := tile.Path(); got != path {
			t.Errorf("%v is at %s, want %s", tile, got, path)
		}
		if got, err := ParseTilePath(path); err != nil || got != tile {
			t.Errorf("%s is %v, want %v, %v", path, got, tile, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		tile := Tile{
			Level:  rapid.IntRange(EntriesLevel, 63).Draw(t, "level"),
			Number: rapid.Int64Range(0, maxSize/TileWidth-1).Draw(t, "number"),
			Width:  rapid.IntRange(1, TileWidth).Draw(t, "width"),
		}
		path := tile.Path()
		theirs := tlog.Tile{H: tileHeight, L: tile.Level, N: tile.Number, W: tile.Width}.Path()
		if want := strings.Replace(strings.Replace(theirs, "/8/", "/", 1), "data", "entries", 1); path != want {
			t.Fatalf("%v is at %s, want %s", tile, path, want)
		}
		if got, err := ParseTilePath(path); err != nil || got != tile {
			t.Fatalf("%s is %v, want %v, %v", path, got, tile, err)
		}
	})
}

func TestParseTilePathRefuses(t *testing.T) {
	for _, path := range []string{
		"", "/", "tile", "tile/", "tile/0", "tile/0/", "tile/000", "/tile/0/000", "tile/0/000/", "tiles/0/000", "0/000",
		"tile/00/000", "tile/64/000", "tile/-1/000", "tile/+1/000", "tile/x/000", "tile/data/000", "tile/Entries/000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/x001", "tile/0/001/000", "tile/0/1000",
		"tile/0/x1/000", "tile/0/x001/x000", "tile/0/X001/000", "tile/0/xx001/000", "tile/0/-01", "tile/0/+01",
		"tile/0/0x1", "tile/0/x001//000", "tile/0/../000", "tile/0/ 00", "tile/0/1_0", "tile/0/٠٠٠",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/01",
		"tile/0/000.p/+1", "tile/0/000.p/-1", "tile/0/000.p/1/", "tile/0/000.p/1.p/1", "tile/0/000.P/1",
		"tile/0/x000.p/1", "tile/0/000p/1", "tile/0/x004/x503/x599/x627/x370/496", // as many tiles as 2^60 entries have
		"tile/0/x999/x999/x999/x999/x999/x999/999", "tile/8/0/000", "tile/0/000?", "tile/0/000\x00",
		strings.Repeat("tile/0/", 1000) + "000",
	} {
		if tile, err := ParseTilePath(path); !errors.Is(err, ErrMalformed) || tile != (Tile{}) {
			t.Errorf("%q is %v, %v", path, tile, err)
		}
	}
	if _, err := ParseTilePath("tile/0/x004/x503/x599/x627/x370/495"); err != nil {
		t.Error(err)
	}
}

// TestCovered has the specification's example: 70,000 entries.
func TestCovered(t *testing.T) {
	for _, tc := range []struct {
		tile    Tile
		covered bool
	}{
		{Tile{0, 272, 256}, true}, {Tile{0, 273, 112}, true}, {Tile{0, 273, 113}, false}, {Tile{0, 274, 1}, false},
		{Tile{1, 0, 256}, true}, {Tile{1, 1, 17}, true}, {Tile{1, 1, 18}, false}, {Tile{2, 0, 1}, true},
		{Tile{2, 0, 2}, false}, {Tile{3, 0, 1}, false}, {Tile{63, 0, 1}, false},
		{Tile{EntriesLevel, 273, 112}, true}, {Tile{EntriesLevel, 273, 113}, false},
		{Tile{0, 0, 0}, false}, {Tile{0, 0, 257}, false}, {Tile{0, -1, 256}, false}, {Tile{-2, 0, 1}, false},
		{Tile{0, 1<<63 - 1, 1}, false}, {Tile{0, 1 << 55, 1}, false},
	} {
		if got := tc.tile.Covered(70_000); got != tc.covered {
			t.Errorf("%v: covered %t", tc.tile, got)
		}
	}
	if !(Tile{0, 0, 256}).Covered(256) || !(Tile{1, 0, 1}).Covered(256) || (Tile{1, 0, 1}).Covered(255) {
		t.Error("256 entries make a full tile, and the first hash of the next level")
	}
}

// served reads tiles as an auditor does who has nothing but their paths.
type served struct {
	t      testing.TB
	reader *Reader
}

func (s served) Height() int                     { return tileHeight }
func (s served) SaveTiles([]tlog.Tile, [][]byte) {}
func (s served) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, theirs := range tiles {
		tile, err := ParseTilePath(strings.Replace(theirs.Path(), "/8/", "/", 1))
		if err != nil {
			return nil, err
		}
		content, err := s.reader.Tile(tile)
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

// TestTilesMakeTheTree: tlog's reader of tiles, which believes the root alone, proves entries and sizes from ours.
func TestTilesMakeTheTree(t *testing.T) {
	p := newProvable(t, 1500)
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(1, 1500).Draw(rt, "size")
		c, _ := p.checkpoint(t, size)
		reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: c.Root}, served{t, p.reader()})
		index := rapid.Int64Range(0, size-1).Draw(rt, "index")
		proof, err := tlog.ProveRecord(size, index, reader)
		if err != nil {
			rt.Fatal(err)
		}
		if err := VerifyInclusion(c, index, p.leaves[index], proof); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestReaderRefusesTiles(t *testing.T) {
	p := newProvable(t, 300)
	for tile, want := range map[Tile]error{
		{0, 0, 256}: nil, {0, 1, 44}: nil, {1, 0, 1}: nil,
		{0, 1, 45}: ErrRange, {0, 2, 1}: ErrRange, {1, 0, 2}: ErrRange, {2, 0, 1}: ErrRange, {8, 0, 1}: ErrRange,
		{63, 0, 1}: ErrRange, {0, 0, 0}: ErrRange, {0, -1, 1}: ErrRange, {EntriesLevel, 0, 1}: ErrMalformed,
	} {
		content, err := p.reader().Tile(tile)
		if !errors.Is(err, want) || err == nil && len(content) != tile.Width*tlog.HashSize {
			t.Errorf("%v: %d bytes, %v, want %v", tile, len(content), err, want)
		}
	}
}

func TestEntries(t *testing.T) {
	p := newProvable(t, TileWidth)
	var full []byte
	for i, leaf := range p.leaves {
		full = AppendEntry(full, leaf)
		got, err := ParseEntries(full, i+1)
		if err != nil || !reflect.DeepEqual(got, p.leaves[:i+1]) {
			t.Fatalf("%d entries: %v", i+1, err)
		}
	}
	// The hashes of a bundle are the tile beside it.
	tile, err := p.reader().Tile(Tile{0, 0, TileWidth})
	if err != nil {
		t.Fatal(err)
	}
	for i := range TileWidth {
		entry := full[i*(2+LeafSize)+2:][:LeafSize]
		if hash := tlog.RecordHash(entry); !bytes.Equal(hash[:], tile[i*tlog.HashSize:][:tlog.HashSize]) {
			t.Errorf("entry %d hashes to another than in the tile", i)
		}
	}
	two := full[:2*(2+LeafSize)]
	change := func(at int, to byte) []byte {
		b := bytes.Clone(two)
		b[at] = to
		return b
	}
	for _, tc := range []struct {
		what  string
		b     []byte
		width int
	}{
		{"nothing", nil, 0}, {"nothing of one", nil, 1}, {"a width below 0", nil, -1},
		{"one too few", two, 3}, {"one too many", two, 1},
		{"a byte less", two[:len(two)-1], 2}, {"a byte more", full[:len(two)+1], 2},
		{"more than a tile", append(full[:len(full):len(full)], two[:2+LeafSize]...), TileWidth + 1},
		{"a shorter entry", change(1, LeafSize-1), 2}, {"a longer entry", change(2+LeafSize, 1), 2},
		{"another version", change(2, 2), 2},
	} {
		if leaves, err := ParseEntries(tc.b, tc.width); !errors.Is(err, ErrMalformed) || leaves != nil {
			t.Errorf("%s: %d entries, %v", tc.what, len(leaves), err)
		}
	}
}

// FuzzParseTilePath: what is read is written back the same.
func FuzzParseTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/x001/x234/067", "tile/entries/000.p/5", "tile/63/999.p/255", "tile/0/0x0"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := ParseTilePath(path)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := tile.Path(); again != path {
			t.Errorf("%q was written back as %q", path, again)
		}
		tile.Covered(maxSize)
	})
}

// FuzzParseEntries: what is read is written back the same.
func FuzzParseEntries(f *testing.F) {
	one := AppendEntry(nil, NewLeaf(1, &Secret{}, 1, nil, nil))
	f.Add(one, 1)
	f.Add(append(one, one...), 2)
	f.Add([]byte{0, 0}, 1)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		leaves, err := ParseEntries(b, width)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for _, leaf := range leaves {
			again = AppendEntry(again, leaf)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
	})
}

func BenchmarkTile(b *testing.B) {
	p := newProvable(b, 1<<16)
	for _, tile := range []Tile{{0, 100, TileWidth}, {1, 0, TileWidth}} {
		b.Run(tile.Path(), func(b *testing.B) {
			reader := p.reader()
			b.ReportAllocs()
			for b.Loop() {
				p.asked = nil
				if _, err := reader.Tile(tile); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
