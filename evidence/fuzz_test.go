package evidence

import (
	"bytes"
	"errors"
	"maps"
	"testing"
)

// FuzzVerify: whatever the bytes are, they are refused as unreadable, or verified; and what holds is a bundle that is
// written back and holds again.
func FuzzVerify(f *testing.F) {
	for _, decisions := range []int{1, 3} {
		bundle := written(f, testBundle(decisions))
		f.Add(bundle)
		f.Add(bundle[:len(bundle)/2])
		f.Add(zipped(f, unpacked(f, bundle)))
	}
	files := unpacked(f, written(f, testBundle(1)))
	files[DataFile] = bytes.Replace(files[DataFile], []byte(`"index": 1`), []byte(`"index": 0`), 1)
	f.Add(zipped(f, files))
	files[KeysFile] = []byte("{}")
	f.Add(zipped(f, files))
	f.Add([]byte{})
	f.Add([]byte("PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		r, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), Options{})
		if err != nil {
			if !errors.Is(err, ErrUnreadable) || r != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		if !r.Holds() {
			return
		}
		b, err := parse(unpacked(t, bundle))
		if err != nil {
			t.Fatal(err)
		}
		if again := verify(t, written(t, b), Options{}); !again.Holds() {
			t.Errorf("written back it does not hold: %+v", again)
		}
	})
}

// FuzzData: whatever the files of data are, beside a page, a receipt and a README that are made of them, they hold only
// where they are in the one form of a bundle that was not changed.
func FuzzData(f *testing.F) {
	files := unpacked(f, written(f, testBundle(2)))
	f.Add(files[DataFile], files[PurposesFile], files[KeysFile])
	other := bytes.Replace(files[DataFile], []byte("marketing"), []byte("analytics"), 1)
	f.Add(other, files[PurposesFile], files[KeysFile])
	f.Add([]byte(`{"format":"consentd/evidence/v1"}`), []byte(`{"versions":null}`), []byte(`{"keys":null}`))
	f.Add([]byte("{}"), []byte("[]"), []byte("null"))
	f.Fuzz(func(t *testing.T, data, purposes, keys []byte) {
		changed := maps.Clone(files)
		changed[DataFile], changed[PurposesFile], changed[KeysFile] = data, purposes, keys
		if b, err := parse(changed); err == nil {
			again, err := render(b)
			if err != nil {
				t.Fatal(err)
			}
			changed = again
		}
		r, err := verifyFiles(changed, nil, nil)
		if err != nil {
			if !errors.Is(err, ErrUnreadable) {
				t.Fatal(err)
			}
			return
		}
		// Names and purposes are not in the ledger's entries: whoever makes all files anew may change those.
		if b, err := parse(changed); err != nil || r.Holds() && !sameProved(b, testBundle(2)) {
			t.Errorf("%s\n%s\n%s\nholds: %+v, %v", data, purposes, keys, r, err)
		}
	})
}

// sameProved tells whether the first bundle shows no decision that the second one does not.
func sameProved(b, of *Bundle) bool {
	known := map[string]bool{}
	for _, d := range of.Decisions {
		known[d.Body+d.Ident+d.RecordedAt] = true
	}
	for _, d := range b.Decisions {
		if !known[d.Body+d.Ident+d.RecordedAt] {
			return false
		}
	}
	return true
}
