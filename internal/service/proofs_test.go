package service_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/ledger"
)

func bytesOf(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// TestProofsVerify: what is served is verified by package ledger and by others' code, at the newest size and at earlier
// ones, and tells nothing to who changes it.
func TestProofsVerify(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	g := h.signing(t, h.store)
	ids := h.people(t, a, 0, 5)
	older := []*ledger.Checkpoint{g.checkpointAfter(t, a, 5)}
	ids = append(ids, h.people(t, a, 5, 65)...)
	h.people(t, a, 0, 0)
	newest := g.checkpointAfter(t, a, 70)
	for i, id := range ids {
		for _, size := range []int64{0, 70, int64(i + 1), 69} {
			if size != 0 && size <= int64(i) {
				continue
			}
			p, err := g.LedgerProof(context.Background(), a, id, size)
			if err != nil {
				t.Fatalf("entry %d at %d: %v", i+1, size, err)
			}
			if size == 0 {
				size = 70
			}
			if p.Size != size || p.Index != int64(i) || p.Event != id.String() {
				t.Errorf("entry %d at %d: the proof says %d, %d, %s", i+1, size, p.Size, p.Index, p.Event)
			}
			if err := p.Verify(origin(a), verifiers(t, a)); err != nil {
				t.Errorf("entry %d at %d: %v", i+1, size, err)
			}
			opened, _, err := ledger.Open(p.Checkpoint, origin(a), verifiers(t, a))
			if err != nil {
				t.Fatal(err)
			}
			leaf := rfc6962.DefaultHasher.HashLeaf(p.Leaf)
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(size), leaf, bytesOf(p.Hashes),
				opened.Root[:]); err != nil {
				t.Errorf("entry %d at %d, by others: %v", i+1, size, err)
			}
		}
	}
	for _, from := range older {
		grown, err := g.Consistency(context.Background(), a, from.Size, newest.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := grown.Verify(from, newest); err != nil {
			t.Error(err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(from.Size), uint64(newest.Size),
			bytesOf(grown.Hashes), from.Root[:], newest.Root[:]); err != nil {
			t.Errorf("by others: %v", err)
		}
	}
}

// checkpointAfter waits for the checkpoint of what the harness's own service wrote, which tells nobody: another server.
func (g *signing) checkpointAfter(t *testing.T, a consent.Actor, size int64) *ledger.Checkpoint {
	t.Helper()
	if !g.AwaitCheckpoint(context.Background(), a, size, 5*time.Second) {
		t.Fatalf("no checkpoint of %d entries", size)
	}
	return g.checkpoint(t, a, size)
}

// TestProofAtAnEarlierSizeIsWhatWasSigned: the note of an earlier size is, to the byte, the one that was signed then.
func TestProofAtAnEarlierSizeIsWhatWasSigned(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	g := h.signing(t, h.store)
	id := h.people(t, a, 0, 3)[2]
	g.checkpointAfter(t, a, 3)
	then, err := g.Checkpoint(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	h.people(t, a, 3, 40)
	g.checkpointAfter(t, a, 43)
	p, err := g.LedgerProof(context.Background(), a, id, 3)
	if err != nil || string(p.Checkpoint) != string(then.Note) {
		t.Errorf("got %s, %v\nwant %s", p.Checkpoint, err, then.Note)
	}
	// A hash beside the way from the entry to the root is another: the entry is in that tree too, and the newest checkpoint
	// does not go on from its root. So that is not signed.
	h.damage(t, "UPDATE ledger_rows SET hashes = CAST(substr(hashes, 1, 288) || zeroblob(32) || substr(hashes, 321) AS BLOB) "+
		"WHERE level = 0 AND number = 0")
	if p, err := g.LedgerProof(context.Background(), a, id, 20); !consent.IsKind(err, consent.Internal) {
		t.Errorf("signed %+v of changed rows, %v", p, err)
	}
}

// TestChangedEventIsNotProved: a proof is not served where it would not verify.
func TestChangedEventIsNotProved(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	g := h.signing(t, h.store)
	ids := h.people(t, a, 0, 3)
	g.checkpointAfter(t, a, 3)
	h.damage(t, "UPDATE events SET body = CAST('{}' AS BLOB) WHERE sequence = 2")
	for i, id := range ids {
		p, err := g.LedgerProof(context.Background(), a, id, 0)
		if changed := i == 1; (err != nil) != changed || changed && !consent.IsKind(err, consent.Internal) {
			t.Errorf("entry %d: %+v, %v", i+1, p, err)
		}
	}
}

// TestTiles: the tiles of a ledger make its tree again, and the entries its leaves.
func TestTiles(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	items := itemsOf(600)
	h.record(t, a, items...)
	g := h.signing(t, h.store)
	signed := g.checkpoint(t, a, 600)
	tree := &ledger.Tree{}
	for n, width := range []int{256, 256, 88} {
		tile := ledger.Tile{Level: ledger.EntriesLevel, Number: int64(n), Width: width}
		content, full, err := g.LedgerTile(context.Background(), a, tile.Path())
		if err != nil || full != (width == 256) {
			t.Fatalf("%s: full %t, %v", tile.Path(), full, err)
		}
		leaves, err := ledger.ParseEntries(content, width)
		if err != nil {
			t.Fatal(err)
		}
		tile.Level = 0
		hashes, _, err := g.LedgerTile(context.Background(), a, tile.Path())
		if err != nil || len(hashes) != width*sha256.Size {
			t.Fatalf("%s: %d bytes, %v", tile.Path(), len(hashes), err)
		}
		for i, leaf := range leaves {
			hash := leaf.Hash()
			if string(hashes[i*sha256.Size:][:sha256.Size]) != string(hash[:]) {
				t.Errorf("%s: hash %d is not the entry's", tile.Path(), i)
			}
			tree.Add(nil, hash)
		}
	}
	if tree.Root() != signed.Root {
		t.Errorf("the entries have the root %s, signed is %s", tree.Root(), signed.Root)
	}
	for _, path := range []string{"tile/0/001.p/255", "tile/1/000.p/2", "tile/1/000.p/1", "tile/entries/002.p/1"} {
		if _, full, err := g.LedgerTile(context.Background(), a, path); err != nil || full {
			t.Errorf("%s: full %t, %v", path, full, err)
		}
	}
	for _, path := range []string{"tile/0/003", "tile/0/002", "tile/0/002.p/89", "tile/entries/002.p/89", "tile/1/000",
		"tile/1/000.p/3", "tile/2/000.p/1", "tile/64/000", "tile/0/0", "tile/0/000.p/256", "tile/0/x000/000", "tile/", "",
		"tile/0/000/", "tile/00/000"} {
		content, _, err := g.LedgerTile(context.Background(), a, path)
		if !consent.IsKind(err, consent.NotFound) {
			t.Errorf("%s: %d bytes, %v", path, len(content), err)
		}
	}
}

// TestEntriesThatAreGone: where what an entry was committed with is gone, or the entry itself, its bundle is gone with
// it, and other bundles, hashes and proofs stay.
func TestEntriesThatAreGone(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	items := itemsOf(520)
	ids := h.record(t, a, items...).Items
	g := h.signing(t, h.store)
	g.checkpoint(t, a, 520)
	h.damage(t, "DELETE FROM subject_keys WHERE subject_id = (SELECT subject_id FROM events WHERE sequence = 300)")
	h.damage(t, "DELETE FROM events WHERE sequence <= 3")
	for path, want := range map[string]bool{"tile/entries/000": false, "tile/entries/000.p/5": false,
		"tile/entries/001": false, "tile/entries/001.p/43": true, "tile/entries/001.p/44": false,
		"tile/entries/002.p/8": true, "tile/0/000": true, "tile/0/001": true} {
		_, _, err := g.LedgerTile(context.Background(), a, path)
		if (err == nil) != want || err != nil && !consent.IsKind(err, consent.NotFound) {
			t.Errorf("%s: %v, want it there: %t", path, err, want)
		}
	}
	for sequence, want := range map[int]bool{2: false, 4: true, 299: true, 300: false, 301: true} {
		_, err := g.LedgerProof(context.Background(), a, ids[sequence-1].Events[0].ID, 0)
		if (err == nil) != want || err != nil && !consent.IsKind(err, consent.NotFound) {
			t.Errorf("proof of entry %d: %v, want one: %t", sequence, err, want)
		}
	}
}

// TestLedgerReadsRefuse: who may not, what is not there, and what no checkpoint covers yet.
func TestLedgerReadsRefuse(t *testing.T) {
	h := newHarness(t) // whose service signs nothing
	ctx := context.Background()
	a, other := h.bare(t), h.bare(t)
	theirs := h.people(t, other, 0, 1)[0]
	calls := map[string]func(s *service.Service, a consent.Actor, event consent.ID, size int64) error{
		"checkpoint": func(s *service.Service, a consent.Actor, _ consent.ID, _ int64) error {
			_, err := s.Checkpoint(ctx, a)
			return err
		},
		"keys": func(s *service.Service, a consent.Actor, _ consent.ID, _ int64) error {
			_, err := s.LedgerKeys(ctx, a)
			return err
		},
		"proof": func(s *service.Service, a consent.Actor, event consent.ID, size int64) error {
			_, err := s.LedgerProof(ctx, a, event, size)
			return err
		},
		"consistency": func(s *service.Service, a consent.Actor, _ consent.ID, size int64) error {
			_, err := s.Consistency(ctx, a, 1, size)
			return err
		},
		"tile": func(s *service.Service, a consent.Actor, _ consent.ID, _ int64) error {
			_, _, err := s.LedgerTile(ctx, a, "tile/0/000.p/1")
			return err
		},
	}
	without := a // of a key without the scope, which would be an entry
	without.Root, without.Scopes = false, []consent.Scope{consent.OrganizationsRead, consent.ConsentsRead,
		consent.SubjectsRead}
	nobody, err := h.root.In(consent.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	event := h.people(t, a, 0, 2)[1]
	for name, call := range calls {
		isKind(t, name+" without the scope", call(h.svc, without, event, 1), consent.Forbidden, "")
		isKind(t, name+" of no organization", call(h.svc, nobody, event, 1), consent.NotFound, "")
		isKind(t, name+" of no organization, open", call(h.svc, service.LedgerReader(consent.ID{1}), event, 1),
			consent.NotFound, "")
	}
	isKind(t, "no checkpoint", calls["checkpoint"](h.svc, a, event, 1), consent.NotFound, "")
	isKind(t, "no tile", calls["tile"](h.svc, a, event, 1), consent.NotFound, "")
	isKind(t, "no checkpoint to prove under", calls["proof"](h.svc, a, event, 0), consent.Conflict, "")
	isKind(t, "no checkpoint to grow to", calls["consistency"](h.svc, a, event, 1), consent.Conflict, "")

	g := h.signing(t, h.store)
	g.checkpointAfter(t, a, 2)
	g.Close() // it signs no more
	late := h.people(t, a, 2, 1)[0]
	for name, call := range calls {
		if err := call(g.Service, service.LedgerReader(a.Organization), event, 2); err != nil {
			t.Errorf("%s, open: %v", name, err)
		}
	}
	isKind(t, "an event that is not covered", calls["proof"](g.Service, a, late, 0), consent.Conflict, "")
	isKind(t, "a size that is not covered", calls["proof"](g.Service, a, event, 3), consent.Conflict, "")
	isKind(t, "a size before the event", calls["proof"](g.Service, a, event, 1), consent.Invalid, "size")
	isKind(t, "another's event", calls["proof"](g.Service, a, theirs, 0), consent.NotFound, "")
	isKind(t, "nobody's event", calls["proof"](g.Service, a, consent.ID{7}, 0), consent.NotFound, "")
	isKind(t, "grown to what is not covered", calls["consistency"](g.Service, a, event, 3), consent.Conflict, "")
	_, err = g.Consistency(ctx, a, 2, 1)
	isKind(t, "grown backwards", err, consent.Invalid, "from")
	if grown, err := g.Consistency(ctx, a, 0, 2); err != nil || len(grown.Hashes) > 0 {
		t.Errorf("grown from nothing: %v, %v", grown, err)
	}
	if g.AwaitCheckpoint(ctx, a, 3, 50*time.Millisecond) {
		t.Error("a checkpoint that nobody signed was awaited")
	}
}
