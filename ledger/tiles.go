package ledger

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileWidth is how many hashes or entries a full tile has.
const TileWidth = 1 << tileHeight

const tileHeight = 8

// EntriesLevel is the level of a Tile that has entries instead of hashes: a bundle.
const EntriesLevel = -1

// A Tile names a part of the tree or of the entries, as auditors fetch it (C2SP tlog-tiles): the Width hashes of level
// 8·Level of the tree from index 256·Number on, or so many entries.
type Tile struct {
	Level  int // 0 to 63, or EntriesLevel
	Number int64
	Width  int // TileWidth, or less for a partial tile
}

// Path gives the tile's path, "tile/<L>/<N>[.p/<W>]" or "tile/entries/<N>[.p/<W>]", with N as in "x001/x234/067".
func (t Tile) Path() string {
	level := "entries"
	if t.Level != EntriesLevel {
		level = strconv.Itoa(t.Level)
	}
	number := fmt.Sprintf("%03d", t.Number%1000)
	for n := t.Number / 1000; n > 0; n /= 1000 {
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	path := "tile/" + level + "/" + number
	if t.Width < TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

// ParseTilePath reads a path as Path writes it, and no other. An error wraps ErrMalformed.
func ParseTilePath(path string) (Tile, error) {
	// There is one way to write each tile, so what is not written back the same is not a tile's path.
	if t := readTilePath(path); t.valid() && t.Path() == path {
		return t, nil
	}
	return Tile{}, fmt.Errorf("%w: no path of a tile", ErrMalformed)
}

// readTilePath reads the path of a tile, and makes anything of what is none.
func readTilePath(path string) (t Tile) {
	level, rest, _ := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
	if t.Level = EntriesLevel; level != "entries" {
		t.Level, _ = strconv.Atoi(level)
	}
	number, width, partial := strings.Cut(rest, ".p/")
	number = strings.NewReplacer("x", "", "/", "").Replace(number)
	t.Number, _ = strconv.ParseInt(number, 10, 64)
	if t.Width = TileWidth; partial {
		t.Width, _ = strconv.Atoi(width)
	}
	return t
}

func (t Tile) valid() bool {
	return t.Level >= EntriesLevel && t.Level < 64 && t.Number >= 0 && t.Number < maxSize/TileWidth &&
		t.Width >= 1 && t.Width <= TileWidth
}

// Covered says whether a ledger of that size has all of the tile.
func (t Tile) Covered(size int64) bool {
	height := tileHeight * max(t.Level, 0)
	return t.valid() && t.Number*TileWidth+int64(t.Width) <= size>>height
}

// Tile gives the content of a tile of hashes, one after the other. It fetches rows as ReadHashes does. A tile that the
// tree does not have all of is an error that wraps ErrRange; one of entries has no hashes, and wraps ErrMalformed.
func (r *Reader) Tile(t Tile) ([]byte, error) {
	if t.Level == EntriesLevel {
		return nil, fmt.Errorf("%w: a bundle of entries has no hashes", ErrMalformed)
	}
	if !t.Covered(r.tree.Size) {
		return nil, fmt.Errorf("%w: no tile %s in a ledger of %d entries", ErrRange, t.Path(), r.tree.Size)
	}
	return tlog.ReadTileData(tlog.Tile{H: tileHeight, L: t.Level, N: t.Number, W: t.Width}, r)
}

// AppendEntry appends an entry of a bundle to b: a u16 length, big endian, and the leaf.
func AppendEntry(b []byte, leaf Leaf) []byte {
	return leaf.Append(binary.BigEndian.AppendUint16(b, LeafSize))
}

// ParseEntries reads the bundle of a tile of entries, which has Width of them and nothing else. An error wraps
// ErrMalformed.
func ParseEntries(b []byte, width int) ([]Leaf, error) {
	const entry = 2 + LeafSize
	if width < 1 || width > TileWidth || len(b) != width*entry {
		return nil, fmt.Errorf("%w: %d bytes are no bundle of %d entries", ErrMalformed, len(b), width)
	}
	leaves := make([]Leaf, width)
	for i := range leaves {
		at := b[i*entry:][:entry]
		if length := binary.BigEndian.Uint16(at); length != LeafSize {
			return nil, fmt.Errorf("%w: entry %d of a bundle has %d bytes", ErrMalformed, i, length)
		}
		leaf, err := ParseLeaf(at[2:])
		if err != nil {
			return nil, fmt.Errorf("entry %d of a bundle: %w", i, err)
		}
		leaves[i] = leaf
	}
	return leaves, nil
}
