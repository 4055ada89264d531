package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// checkpoint reads the newest of an organization, and the keys that signed.
func (f *fixture) checkpoint(o consent.ID) (newest *consent.Checkpoint, keys []consent.LedgerKey) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		if newest, err = r.Checkpoint(ctx, o); err != nil {
			return err
		}
		keys, err = r.LedgerKeys(ctx, o)
		return err
	})
	return newest, keys
}

func testCheckpoints(f *fixture) {
	a, b := f.organization(), f.organization()
	if newest, keys := f.checkpoint(a); newest != nil || len(keys) > 0 {
		f.Errorf("at birth the checkpoint is %v, signed by %v", newest, keys)
	}
	first := consent.Checkpoint{Organization: a, Size: 3, LastID: f.id(), Tree: []byte{0, 1, 255},
		Note: []byte("é\n\n— x y\n"), KeyID: 1<<32 - 1, SignedAt: noon}
	other := consent.Checkpoint{Organization: b, Size: 1, LastID: f.id(), Tree: []byte{2}, Note: []byte("b"), KeyID: 7,
		SignedAt: noon}
	key := consent.LedgerKey{Organization: a, FromSize: 3, Text: "x+1+é", From: noon}
	f.append(consent.Changes{Checkpoints: []consent.Checkpoint{first, other}, LedgerKeys: []consent.LedgerKey{key}})
	newest, keys := f.checkpoint(a)
	same(f, "first checkpoint", newest, &first)
	same(f, "first key", keys, []consent.LedgerKey{key})
	next, nextKey := first, key
	next.Size, next.LastID, next.Tree, next.Note, next.KeyID = 1<<40, f.id(), []byte{3}, []byte("next"), 0
	next.SignedAt = noon.Add(time.Second)
	nextKey.FromSize, nextKey.Text, nextKey.From = next.Size, "x+2+", next.SignedAt
	f.append(consent.Changes{Checkpoints: []consent.Checkpoint{next}, LedgerKeys: []consent.LedgerKey{nextKey}})
	newest, keys = f.checkpoint(a)
	same(f, "next checkpoint", newest, &next)
	same(f, "both keys", keys, []consent.LedgerKey{key, nextKey})
	newest, keys = f.checkpoint(b)
	same(f, "another organization's checkpoint", newest, &other)
	same(f, "another organization's keys", keys, []consent.LedgerKey{})
}

// testUnsigned: a ledger is found while its checkpoint is not of its end, be it before or behind that.
func testUnsigned(f *fixture) {
	unsigned := func() (found []consent.ID) {
		for after := consent.NoID; ; {
			var some []consent.ID
			f.view(func(ctx context.Context, r service.Reader) (err error) {
				some, err = r.Unsigned(ctx, after, 2)
				return err
			})
			if found = append(found, some...); len(some) < 2 {
				return found
			}
			after = some[1]
		}
	}
	all := make([]consent.ID, 5)
	for i := range all {
		all[i] = f.organization()
	}
	same(f, "unsigned at birth", unsigned(), []consent.ID{})
	for i, o := range all {
		f.append(consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: int64(i), LastID: f.id()}}})
	}
	same(f, "unsigned with entries", unsigned(), all[1:])
	for i, size := range []int64{1: 1, 2: 1, 3: 4} {
		if size > 0 {
			f.append(consent.Changes{Checkpoints: []consent.Checkpoint{{Organization: all[i], Size: size, LastID: f.id(),
				Tree: []byte{1}, Note: []byte{1}, SignedAt: noon}}})
		}
	}
	same(f, "unsigned with checkpoints", unsigned(), all[2:])
}

func testEntryAfter(f *fixture) {
	a, b := f.organization(), f.organization()
	events := make([]consent.Event, 4)
	for i := range events {
		events[i] = f.event(a, f.id(), 1, 1, nil)
	}
	foreign := f.event(b, f.id(), 1, 1, nil)
	f.append(consent.Changes{Events: slices.Concat(events, []consent.Event{foreign})})
	for i := range len(events) + 1 {
		after, want, sequence := consent.NoID, consent.NoID, int64(0)
		if i > 0 {
			after = events[i-1].ID
		}
		if i < len(events) {
			want, sequence = events[i].ID, events[i].Sequence
		}
		f.view(func(ctx context.Context, r service.Reader) error {
			id, n, err := r.EntryAfter(ctx, a, after)
			if id != want || n != sequence {
				f.Errorf("behind entry %d is %s with %d, want %s with %d", i, id, n, want, sequence)
			}
			return err
		})
	}
}
