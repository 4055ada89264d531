package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A row is as high as five levels of the tree, so that a busy ledger writes one row for each 32 leaves, and a proof
// reads one for each five levels.
const (
	rowHeight = 5
	rowWidth  = 1 << rowHeight

	// RowSize is the length of a complete row in bytes.
	RowSize = rowWidth * tlog.HashSize
)

// maxSize is far beyond any ledger. Within it no arithmetic on sizes overflows, here or in tlog.
const maxSize = 1 << 60

// treeVersion begins the stored form of a tree, so that another form can follow.
const treeVersion = 0x01

// A RowID names a row: row Number of Level has the hashes of level 5·Level of the tree (leaves are level 0) with the
// indexes 32·Number to 32·Number+31.
type RowID struct {
	Level  int
	Number int64
}

// A Row is complete: its 32 hashes one after the other, RowSize bytes, which never change.
type Row struct {
	RowID
	Hashes []byte
}

// A Tree is the right edge of a Merkle tree (RFC 6962), with which leaves can be added and the root be told. All that
// is left of the edge is in rows, which are stored elsewhere. The zero Tree is the empty one. A Tree is not safe for
// use by many at once while one of them adds. A copy by assignment shares its hashes; one by Clone does not.
type Tree struct {
	Size  int64         // the number of leaves; only Add changes it
	tails [][]tlog.Hash // for each level of rows, the hashes since its last complete row
}

// Add adds leaves by their hashes, and appends the rows that they completed to rows: each row is given out once, in the
// order in which they became complete. A row's bytes are the caller's.
func (t *Tree) Add(rows []Row, leaves ...tlog.Hash) []Row {
	for _, leaf := range leaves {
		rows = t.add(rows, leaf)
		t.Size++
	}
	return rows
}

func (t *Tree) add(rows []Row, h tlog.Hash) []Row {
	for level := 0; ; level++ {
		if level == len(t.tails) {
			t.tails = append(t.tails, make([]tlog.Hash, 0, rowWidth))
		}
		tail := append(t.tails[level], h)
		if len(tail) < rowWidth {
			t.tails[level] = tail
			return rows
		}
		row := Row{RowID{level, t.Size >> (rowHeight * (level + 1))}, make([]byte, 0, RowSize)}
		for i := range tail {
			row.Hashes = append(row.Hashes, tail[i][:]...)
		}
		rows = append(rows, row)
		h = subtree(tail)
		t.tails[level] = tail[:0]
	}
}

// subtree gives the root over hashes, of which there are 1, 2, 4, 8, 16 or 32.
func subtree(hashes []tlog.Hash) tlog.Hash {
	var space [rowWidth / 2]tlog.Hash
	for len(hashes) > 1 {
		half := space[:len(hashes)/2]
		for i := range half {
			half[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = half
	}
	return hashes[0]
}

// Root gives the root of the tree: MTH of its leaves in RFC 6962, section 2.1. For no leaf it is the hash of nothing.
func (t *Tree) Root() tlog.Hash {
	if t.Size == 0 {
		return sha256.Sum256(nil)
	}
	// The perfect subtrees that the leaves make lie in the tails, the smallest last: fold them from there.
	var root tlog.Hash
	found := false
	for _, tail := range t.tails {
		for width := 1; width < rowWidth; width *= 2 {
			if len(tail)&width == 0 {
				continue
			}
			left := subtree(tail[len(tail)-width:])
			tail = tail[:len(tail)-width]
			if found {
				root = tlog.NodeHash(left, root)
			} else {
				root, found = left, true
			}
		}
	}
	return root
}

// Clone gives a tree that shares nothing with t.
func (t *Tree) Clone() *Tree {
	c := newTree(t.Size)
	for level, tail := range t.tails {
		copy(c.tails[level], tail)
	}
	return c
}

// newTree makes room for a tree of that size, with hashes that are to be set.
func newTree(size int64) *Tree {
	levels := 0
	for size>>(rowHeight*levels) > 0 {
		levels++
	}
	t := &Tree{Size: size, tails: make([][]tlog.Hash, levels)}
	space := make([]tlog.Hash, levels*rowWidth)
	for level := range t.tails {
		room := space[level*rowWidth:][:rowWidth]
		t.tails[level] = room[:(size>>(rowHeight*level))%rowWidth]
	}
	return t
}

// Append appends the stored form of the tree to b: 0x01 || u64 size, big endian, and then the tails' hashes, from
// the leaves upwards. The size says how many each level has: the digits of the size to the base of 32.
func (t *Tree) Append(b []byte) []byte {
	b = append(b, treeVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Size))
	for _, tail := range t.tails {
		for i := range tail {
			b = append(b, tail[i][:]...)
		}
	}
	return b
}

// ParseTree reads what Append wrote, and nothing else: another version or length, or an absurd size, is an error that
// wraps ErrMalformed. Whether the hashes are right only a root that was signed can tell.
func ParseTree(b []byte) (*Tree, error) {
	if len(b) < 9 || b[0] != treeVersion {
		return nil, fmt.Errorf("%w: no stored tree of a known version", ErrMalformed)
	}
	size := binary.BigEndian.Uint64(b[1:])
	if size > maxSize {
		return nil, fmt.Errorf("%w: a stored tree of %d leaves", ErrMalformed, size)
	}
	t := newTree(int64(size))
	rest := b[9:]
	for _, tail := range t.tails {
		for i := range tail {
			if len(rest) < tlog.HashSize {
				return nil, fmt.Errorf("%w: a stored tree of %d leaves that ends early", ErrMalformed, size)
			}
			rest = rest[copy(tail[i][:], rest):]
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: a stored tree of %d leaves with %d bytes too many", ErrMalformed, size, len(rest))
	}
	return t, nil
}
