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
	testRewrapped(f, a, ada, b, bob)
	f.append(consent.Changes{RemovedSubjects: []consent.SubjectKey{key(a, ada)}})
	f.view(func(ctx context.Context, r service.Reader) error {
		secrets, err := r.SubjectSecrets(ctx, []consent.SubjectKey{key(a, ada)})
		same(f, "the secret of who was removed", secrets, [][]byte{{9}})
		return err
	})
}

// testRewrapped lists secrets in pages, and puts others in their place: where it is still the one that was read, and
// where there is one.
func testRewrapped(f *fixture, a, ada, b, bob consent.ID) {
	secret := func(o, s consent.ID, wrapped ...byte) consent.SubjectSecret {
		return consent.SubjectSecret{SubjectKey: consent.SubjectKey{Organization: o, Subject: s}, Wrapped: wrapped}
	}
	own, last := secret(a, consent.NoID, 7), secret(a, consent.ID(bytes.Repeat([]byte{0xff}, 16)), 8)
	f.append(consent.Changes{SubjectSecrets: []consent.SubjectSecret{last, own}})
	list := func(what string, o, from consent.ID, limit int, want ...consent.SubjectSecret) {
		f.Helper()
		f.view(func(ctx context.Context, r service.Reader) error {
			got, err := r.SubjectSecretsFrom(ctx, o, from, limit)
			same(f, what, got, want)
			return err
		})
	}
	list("all secrets", a, consent.NoID, 10, own, secret(a, ada, 0, 255), last)
	list("the first", a, consent.NoID, 2, own, secret(a, ada, 0, 255))
	list("from one on", a, ada, 1, secret(a, ada, 0, 255))
	list("the last", a, last.Subject, 10, last)
	list("another's", b, consent.NoID, 10, secret(b, bob, 1))
	list("nobody's", f.id(), consent.NoID, 10)
	f.append(consent.Changes{Rewrapped: []consent.RewrappedSecret{
		{SubjectSecret: secret(a, ada, 9), Before: []byte{0, 255}},
		{SubjectSecret: secret(a, last.Subject, 9), Before: []byte{9}}, // another by now
		{SubjectSecret: secret(a, bob, 9), Before: []byte{1}},          // another organization's
		{SubjectSecret: secret(a, f.id(), 9), Before: []byte{9}}}})     // gone
	list("after some were rewrapped", a, consent.NoID, 10, own, secret(a, ada, 9), last)
	list("another's after that", b, consent.NoID, 10, secret(b, bob, 1))
}
