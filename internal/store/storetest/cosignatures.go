package storetest

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func (f *fixture) cosignatures(o consent.ID) (all []consent.Cosignature) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		all, err = r.Cosignatures(ctx, o)
		return err
	})
	return all
}

// testCosignatures: of each witness and ledger the one of most entries stays, in whatever order they come.
func testCosignatures(f *fixture) {
	a, b := f.organization(), f.organization()
	same(f, "at birth", f.cosignatures(a), []consent.Cosignature{})
	first := consent.Cosignature{Organization: a, Witness: "w+1+é", Size: 3, Note: []byte("n\n"), Line: []byte("— w x\n"),
		At: noon}
	second, other := first, first
	second.Witness, second.Size = "v+2+=", 7
	other.Organization, other.Size, other.Line = b, 1<<40, []byte{0, 1, 255}
	f.append(consent.Changes{Cosignatures: []consent.Cosignature{first, second}})
	f.append(consent.Changes{Cosignatures: []consent.Cosignature{other}})
	same(f, "of two witnesses", f.cosignatures(a), []consent.Cosignature{second, first})
	same(f, "of another ledger", f.cosignatures(b), []consent.Cosignature{other})
	for _, size := range []int64{2, 3} {
		late := consent.Cosignature{Organization: a, Witness: first.Witness, Size: size, Note: []byte("late"),
			Line: []byte("late"), At: noon.Add(time.Hour)}
		f.append(consent.Changes{Cosignatures: []consent.Cosignature{late}})
		same(f, "after one that came late", f.cosignatures(a), []consent.Cosignature{second, first})
	}
	next := consent.Cosignature{Organization: a, Witness: first.Witness, Size: 4, Note: []byte("next"),
		Line: []byte("next line"), At: noon.Add(time.Second)}
	f.append(consent.Changes{Cosignatures: []consent.Cosignature{next}})
	same(f, "after a newer one", f.cosignatures(a), []consent.Cosignature{second, next})
	same(f, "of another ledger", f.cosignatures(b), []consent.Cosignature{other})
}

// testUncosigned: a ledger is found while a witness has not cosigned its newest checkpoint, and counts as behind unless
// that was done lately.
func testUncosigned(f *fixture) {
	const mine, others = "mine", "another's"
	all := make([]consent.ID, 5)
	for i := range all {
		all[i] = f.organization()
	}
	for i, o := range all[1:] {
		f.append(consent.Changes{Checkpoints: []consent.Checkpoint{{Organization: o, Size: int64(10 * (i + 1)),
			LastID: f.id(), Tree: []byte{1}, Note: []byte{1}, SignedAt: noon}}})
	}
	uncosigned := func() (found []consent.ID) {
		f.view(func(ctx context.Context, r service.Reader) error {
			for after := consent.NoID; ; {
				some, err := r.Uncosigned(ctx, mine, after, 2)
				if found = append(found, some...); err != nil || len(some) < 2 {
					return err
				}
				after = some[1]
			}
		})
		return found
	}
	lag := func(since time.Time) (is consent.WitnessLag) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			is, err = r.WitnessLag(ctx, mine, since)
			return err
		})
		return is
	}
	same(f, "before any", uncosigned(), all[1:])
	same(f, "behind before any", lag(noon), consent.WitnessLag{Ledgers: 4, Never: 4, Entries: 40})
	for i, size := range []int64{2: 20, 3: 1, 4: 39} {
		if size > 0 {
			f.append(consent.Changes{Cosignatures: []consent.Cosignature{{Organization: all[i], Witness: mine, Size: size,
				Note: []byte{1}, Line: []byte{1}, At: noon.Add(time.Duration(i) * time.Second)}}})
		}
	}
	f.append(consent.Changes{Cosignatures: []consent.Cosignature{{Organization: all[1], Witness: others, Size: 10,
		Note: []byte{1}, Line: []byte{1}, At: noon}}})
	same(f, "with some", uncosigned(), []consent.ID{all[1], all[3], all[4]})
	same(f, "behind with some", lag(noon.Add(time.Hour)), consent.WitnessLag{Ledgers: 3, Never: 1, Entries: 29})
	same(f, "behind for longer", lag(noon.Add(4*time.Second)), consent.WitnessLag{Ledgers: 2, Never: 1, Entries: 29})
	same(f, "behind since long", lag(noon), consent.WitnessLag{Ledgers: 1, Never: 1, Entries: 10})
}
