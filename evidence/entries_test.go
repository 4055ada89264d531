package evidence

import (
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/ledger"
)

// TestVersionsAreWhatTheLedgerSays: what purposes.json says is held against the entries of the ledger, field by field,
// and a version without an entry is told.
func TestVersionsAreWhatTheLedgerSays(t *testing.T) {
	for want, change := range map[string]func(*Bundle){
		"purposes.json 0 name":            func(b *Bundle) { b.Versions[0].Name = "Newsletter" },
		"purposes.json 0 description":     func(b *Bundle) { b.Versions[0].Description = "" },
		"purposes.json 0 url":             func(b *Bundle) { b.Versions[0].URL += "/" },
		"purposes.json 0 legalBasis":      func(b *Bundle) { b.Versions[0].LegalBasis = "contract" },
		"purposes.json 0 heldFrom":        func(b *Bundle) { b.Versions[0].HeldFrom = "2025-01-01T00:00:00.000000Z" },
		"purposes.json 0 requireReaccept": func(b *Bundle) { b.Versions[0].RequireReaccept = true },
		"purposes.json 0 legalText": func(b *Bundle) {
			b.Versions[0].LegalText = hashPrefix + hexOf("Other")
			b.Texts[hexOf("Other")] = "Other"
		},
		"purposes.json 0 translations": func(b *Bundle) {
			b.Versions[0].Translations = hashPrefix + hexOf("{}")
			b.Texts[hexOf("{}")] = "{}"
		},
		"evidence.json 0 entries": func(b *Bundle) {
			b.Versions[0].Name = "Newsletter"
			b.Entries[0].Body = strings.Replace(b.Entries[0].Body, `"Marketing"`, `"Newsletter"`, 1)
		},
	} {
		b := testBundle(2)
		change(b)
		if found := failures(verify(t, written(t, b), Options{})); !slices.Contains(found, want) {
			t.Errorf("%q, want %q", found, want)
		}
	}
	b := testBundle(2)
	b.Entries, b.Versions[0].Name = nil, "Newsletter"
	r := verify(t, written(t, b), Options{})
	if !strings.Contains(strings.Join(r.Notes, ""), `What version 1 of the purpose "marketing" says, or how long`) {
		t.Errorf("without an entry it tells %q", r.Notes)
	}
	b = testBundle(2)
	b.Versions[0].HeldTo = "2026-02-01T00:00:00.000000Z"
	r = verify(t, written(t, b), Options{})
	if !strings.Contains(strings.Join(r.Notes, ""), "or how long it held") {
		t.Errorf("without the entry of the next version it tells %q", r.Notes)
	}
}

// mergedBundle makes a bundle of a decision of somebody who was merged by entries of these bodies and idents.
func mergedBundle(entries ...[2]string) *Bundle {
	b := identified(`{"anonymous_id":"` + testOther + `","identifiers":{"user_id":"ada"}}`)
	secret, tree := ledger.Secret{7}, &ledger.Tree{}
	leaf := must(ledger.ParseLeaf(b.Decisions[0].Leaf))
	leaves, rows := []ledger.Leaf{leaf}, tree.Add(nil, leaf.Hash())
	for i, e := range entries {
		leaf := ledger.NewLeaf(1772366400000, &secret, uint64(i+2), []byte(e[0]), []byte(e[1]))
		leaves, rows = append(leaves, leaf), tree.Add(rows, leaf.Hash())
		b.Merges = append(b.Merges, entryOf(&secret, int64(i+1), leaf, e[0], e[1]))
	}
	b.Person.Merged, b.Decisions[0].Subject = []string{testOther}, testOther
	prove(b, tree, rows, leaves)
	return b
}

// TestMergesAreInTheLedger: that somebody else's decisions are the person's is held against entries of the ledger, and
// where there is none it is told.
func TestMergesAreInTheLedger(t *testing.T) {
	const third = "0199f4c8-7a00-7000-8000-0000000000cc"
	const body = `{"entry":"merge","merged_at":"2026-03-01T12:00:00.000000Z"}`
	names := func(from, into string) string { return `{"from_id":"` + from + `","into_id":"` + into + `","key":"k"}` }
	direct := [2]string{body, names(testOther, testPerson)}
	for _, c := range []struct {
		name    string
		entries [][2]string
		change  func(*Bundle)
		fails   bool
		told    bool
	}{
		{"at once", [][2]string{direct}, nil, false, false},
		{"by way of another", [][2]string{{body, names(testOther, third)}, {body, names(third, testPerson)}}, nil, false,
			false},
		{"in a circle", [][2]string{{body, names(testOther, third)}, {body, names(third, testOther)}}, nil, false, true},
		{"into somebody else", [][2]string{{body, names(testOther, third)}}, nil, false, true},
		{"no entry", nil, nil, false, true},
		{"another entry", [][2]string{{`{"entry":"unmerge","merge":2}`, direct[1]}}, nil, true, true},
		{"no names", [][2]string{{body, `{"key":"k"}`}}, nil, true, true},
		{"forged names", [][2]string{{body, names(testOther, third)}}, func(b *Bundle) { b.Merges[0].Ident = direct[1] },
			true, true},
		{"names left out", [][2]string{direct}, func(b *Bundle) { b.Merges[0].Ident = "" }, true, true},
		{"a short salt", [][2]string{direct}, func(b *Bundle) { b.Merges[0].IdentSalt = nil }, true, true},
		{"another proof", [][2]string{direct}, func(b *Bundle) { b.Merges[0].Hashes[0][0]++ }, true, true},
	} {
		b := mergedBundle(c.entries...)
		if c.change != nil {
			c.change(b)
		}
		r := verify(t, written(t, b), Options{})
		told := strings.Contains(strings.Join(r.Notes, ""), "is the same person is the operator's word alone")
		if found := failures(r); slices.Contains(found, "evidence.json 0 merges") != c.fails || told != c.told {
			t.Errorf("%s: %q, %q", c.name, found, r.Notes)
		}
	}
}
