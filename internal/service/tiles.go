package service

import (
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

var errNoTile = &consent.Error{Kind: consent.NotFound, Msg: "there is no such tile, or not yet"}

// LedgerTile gives the content of a tile of the actor's organization's ledger, as far as its newest checkpoint reaches,
// by its path (C2SP tlog-tiles: tile/0/x001/234.p/5, tile/entries/000). full tells that it never changes. NotFound:
// there is no such tile, not yet, or not any more, since an entry is gone.
func (s *Service) LedgerTile(ctx context.Context, a consent.Actor, path string) (content []byte, full bool, err error) {
	tile, malformed := ledger.ParseTilePath(path)
	err = s.readLedger(ctx, a, func(r Reader) error {
		l, err := signedLedgerOf(ctx, r, a.Organization)
		if consent.IsKind(err, consent.Conflict) || malformed != nil || err == nil && !tile.Covered(l.Size) {
			return errNoTile
		}
		if err != nil {
			return err
		}
		if tile.Level == ledger.EntriesLevel {
			content, err = s.entries(ctx, r, l, tile)
		} else {
			content, err = l.reader.Tile(tile)
		}
		return err
	})
	return content, tile.Width == ledger.TileWidth, err
}

// entries makes a bundle of entries anew, from what they were committed with.
func (s *Service) entries(ctx context.Context, r Reader, l *signedLedger, tile ledger.Tile) ([]byte, error) {
	before := tile.Number * ledger.TileWidth
	after, err := seek(ctx, r, l, before)
	if err != nil {
		return nil, err
	}
	var part consent.ExportedEvents
	span := consent.EventSpan{After: after, To: l.LastID}
	if _, err = r.Entries(ctx, l.Organization, span, tile.Width, &part); err != nil {
		return nil, err
	}
	if len(part.Rows) < tile.Width {
		return nil, errNoTile
	}
	leaves, err := s.leavesOf(ctx, r, l.Organization, part.Rows[:tile.Width])
	if err != nil {
		return nil, err
	}
	content := make([]byte, 0, len(leaves)*(2+ledger.LeafSize))
	for _, leaf := range leaves {
		content = ledger.AppendEntry(content, leaf)
	}
	return content, nil
}

// seek gives an id behind which the first entry is the one that so many are before. Ids are in the order of the ledger,
// and no index knows the sequence, so it halves the ids between. NotFound: that entry is not there any more.
func seek(ctx context.Context, r Reader, l *signedLedger, before int64) (consent.ID, error) {
	low, high := consent.NoID, l.LastID // the entry is behind the one, and not behind the other
	for {
		middle := between(low, high)
		id, sequence, err := r.EntryAfter(ctx, l.Organization, middle)
		switch {
		case err != nil:
			return middle, err
		case id != consent.NoID && sequence == before+1:
			return middle, nil
		case middle == low:
			return middle, errNoTile
		case id != consent.NoID && sequence <= before:
			low = id
		default:
			high = middle
		}
	}
}

// between gives the id halfway between two; low where there is none.
func between(low, high consent.ID) consent.ID {
	a, b := binary.BigEndian.Uint64(low[:8]), binary.BigEndian.Uint64(low[8:])
	c, borrow := bits.Sub64(binary.BigEndian.Uint64(high[8:]), b, 0)
	d, _ := bits.Sub64(binary.BigEndian.Uint64(high[:8]), a, borrow)
	lower, carry := bits.Add64(b, c>>1|d<<63, 0)
	upper, _ := bits.Add64(a, d>>1, carry)
	var id consent.ID
	binary.BigEndian.PutUint64(id[:8], upper)
	binary.BigEndian.PutUint64(id[8:], lower)
	return id
}
