package storetest

import (
	"bytes"
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// testLedger keeps what subjects' entries are committed with, and rows of trees, of two organizations: each gets its
// own back, and one that is missing is an error.
func testLedger(f *fixture) {
	a, b := f.organization(), f.organization()
	ada, bob, nobody := f.subject(a, named(consent.UserID, "ada")), f.subject(b, named(consent.UserID, "bob")), f.id()
	key := func(o, s consent.ID) consent.SubjectKey { return consent.SubjectKey{Organization: o, Subject: s} }
	row := func(o consent.ID, level int, number int64, with byte) consent.LedgerRow {
		return consent.LedgerRow{Organization: o, Level: level, Number: number, Hashes: bytes.Repeat([]byte{with, 0}, 512)}
	}
	rows := []consent.LedgerRow{row(a, 0, 0, 1), row(a, 0, 1<<40, 2), row(a, 1, 0, 3), row(b, 0, 0, 4)}
	f.append(consent.Changes{SubjectSecrets: []consent.SubjectSecret{{SubjectKey: key(a, ada), Wrapped: []byte{0, 255}},
		{SubjectKey: key(b, bob), Wrapped: []byte{1}}}, LedgerRows: rows})
	f.view(func(ctx context.Context, r service.Reader) error {
		secrets, err := r.SubjectSecrets(ctx, []consent.SubjectKey{key(b, bob), key(a, ada), key(b, ada), key(a, nobody)})
		same(f, "secrets", secrets, [][]byte{{1}, {0, 255}, nil, nil})
		return err
	})
	for _, asked := range [][]int{{0, 1, 2}, {3}, {2, 0}, {}, {0, 1, 2, 3}} {
		want, got := []consent.LedgerRow{}, []consent.LedgerRow{}
		for _, i := range asked {
			want = append(want, rows[i])
			got = append(got, consent.LedgerRow{Organization: rows[i].Organization, Level: rows[i].Level,
				Number: rows[i].Number})
		}
		f.view(func(ctx context.Context, r service.Reader) error { return r.LedgerRows(ctx, got) })
		same(f, "rows", got, want)
	}
	err := f.store.View(context.Background(), func(r service.Reader) error {
		return r.LedgerRows(context.Background(), []consent.LedgerRow{{Organization: a}, {Organization: b, Level: 1}})
	})
	if err == nil {
		f.Errorf("a row that is not there was given")
	}
	f.append(consent.Changes{RemovedSubjects: []consent.SubjectKey{key(a, ada)}})
	f.view(func(ctx context.Context, r service.Reader) error {
		secrets, err := r.SubjectSecrets(ctx, []consent.SubjectKey{key(a, ada)})
		same(f, "the secret of who was removed", secrets, [][]byte{{0, 255}})
		return err
	})
}
