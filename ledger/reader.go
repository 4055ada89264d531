package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// FetchRows reads complete rows from where they are stored, in the order of ids, each RowSize bytes. A row that is not
// there is an error. What it gives is read before the call that needed it returns, and not kept.
type FetchRows func(ids []RowID) ([][]byte, error)

var _ tlog.HashReader = (*Reader)(nil)

// A Reader gives any hash of a tree, from its rows and its right edge, for tlog's functions: [tlog.ProveRecord],
// [tlog.ProveTree], [tlog.TreeHash] and so on work for every size up to that of the tree. It is safe for use by many
// at once, as long as its FetchRows is and nobody adds to the tree.
type Reader struct {
	tree  *Tree
	fetch FetchRows
}

// NewReader makes a Reader of a tree whose complete rows fetch reads.
func NewReader(t *Tree, fetch FetchRows) *Reader {
	return &Reader{tree: t, fetch: fetch}
}

// place is where a hash of the tree comes from: it is the root over width hashes of a row, from offset on.
type place struct {
	row           RowID
	offset, width int
}

// placeOf finds a hash by its stored index (tlog.StoredHashIndex). Rows hold every fifth level; the four between are
// hashed up from the one below.
func placeOf(index int64) place {
	level, n := tlog.SplitStoredHashIndex(index)
	above := level % rowHeight
	first := n << above
	return place{RowID{level / rowHeight, first / rowWidth}, int(first % rowWidth), 1 << above}
}

// ReadHashes gives the hashes with those stored indexes. It fetches the rows that it needs in one call, each once,
// sorted by level and number, and in none where the right edge has all. An index that the tree does not have is an
// error that wraps ErrRange; what fetch fails with is wrapped too.
func (r *Reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	places := make([]place, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= tlog.StoredHashCount(r.tree.Size) {
			return nil, fmt.Errorf("%w: no hash %d in a ledger of %d entries", ErrRange, index, r.tree.Size)
		}
		places[i] = placeOf(index)
	}
	rows, err := r.rows(places)
	if err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, len(places))
	for i, p := range places {
		row, complete := rows[p.row]
		if !complete {
			hashes[i] = subtree(r.tree.tails[p.row.Level][p.offset:][:p.width])
			continue
		}
		var space [rowWidth]tlog.Hash
		for j := range p.width {
			copy(space[j][:], row[(p.offset+j)*tlog.HashSize:])
		}
		hashes[i] = subtree(space[:p.width])
	}
	return hashes, nil
}

// rows fetches the complete rows among those places.
func (r *Reader) rows(places []place) (map[RowID][]byte, error) {
	var ids []RowID
	for _, p := range places {
		if p.row.Number < r.tree.Size>>(rowHeight*(p.row.Level+1)) {
			ids = append(ids, p.row)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.SortFunc(ids, func(a, b RowID) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Number, b.Number))
	})
	ids = slices.Compact(ids)
	fetched, err := r.fetch(ids)
	if err != nil {
		return nil, fmt.Errorf("fetch %d rows of the ledger: %w", len(ids), err)
	}
	if len(fetched) != len(ids) {
		return nil, fmt.Errorf("%w: asked for %d rows of the ledger and got %d", ErrMalformed, len(ids), len(fetched))
	}
	rows := make(map[RowID][]byte, len(ids))
	for i, id := range ids {
		if len(fetched[i]) != RowSize {
			return nil, fmt.Errorf("%w: row %d of level %d has %d bytes, not %d", ErrMalformed, id.Number, id.Level,
				len(fetched[i]), RowSize)
		}
		rows[id] = fetched[i]
	}
	return rows, nil
}
