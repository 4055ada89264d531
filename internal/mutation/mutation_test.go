package mutation

import (
	"bytes"
	"testing"
)

// TestKinds: each kind changes something, leaves what it was given, and does the same again for the same seed.
func TestKinds(t *testing.T) {
	valid := []byte(`{"index":7,"size":21,"leaf":"QUFBQUFBQUFBQUFBQUFBQUE=",` +
		`"hashes":["QUJDQUJDQUJDQUJDQUJDQUI="]}` + "\nend\n")
	other := []byte(`{"index":9,"size":22,"leaf":"QkJCQkJCQkJCQkJCQkJCQkI=","hashes":[]}` + "\nother\n")
	kept := bytes.Clone(valid)
	for _, kind := range Kinds() {
		changed := 0
		for seed := range uint64(50) {
			got := New(seed).By(kind, valid, other)
			if !bytes.Equal(got, valid) {
				changed++
			}
			if again := New(seed).By(kind, valid, other); !bytes.Equal(got, again) {
				t.Errorf("%s: %q and %q", kind, got, again)
			}
		}
		if changed < 20 {
			t.Errorf("%s changes %d of 50", kind, changed)
		}
		if !bytes.Equal(valid, kept) {
			t.Fatalf("%s changed what it was given", kind)
		}
	}
	seen := map[string]bool{}
	m := New(1)
	for range 1000 {
		kind, _ := m.Change(valid, other)
		seen[kind] = true
	}
	if len(seen) != len(Kinds()) {
		t.Errorf("%d kinds of %d", len(seen), len(Kinds()))
	}
}

// TestShortBytes: whatever is changed, and however short it is, nothing goes wrong.
func TestShortBytes(t *testing.T) {
	m := New(2)
	for _, text := range []string{"", "x", "\n", ",", "{}", "AAAAAAAAAAAAAAAA"} {
		for _, other := range []string{"", "y", "[1,2]"} {
			for range 2000 {
				m.Change([]byte(text), []byte(other))
			}
		}
	}
}
