package evidence

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/ledger"
)

const testOther = "0199f4c8-7a00-7000-8000-0000000000bb"

// identified makes a bundle of one decision with an ident, as a ledger has it.
func identified(ident string) *Bundle {
	secret, tree := ledger.Secret{7}, &ledger.Tree{}
	b := testBundle(1)
	d := &b.Decisions[0]
	b.Entries = nil
	leaf := ledger.NewLeaf(1772366400000, &secret, 1, []byte(d.Body), []byte(ident))
	o := secret.Open(1, []byte(d.Body), []byte(ident))
	*d = Decision{Event: d.Event, Subject: testPerson, Sequence: 1, RecordedAt: RecordedAt(leaf), Body: d.Body,
		Ident: ident, BodySalt: o.BodySalt[:], IdentSalt: o.IdentSalt[:], Leaf: leaf.Append(nil)}
	b.Earlier = nil
	prove(b, tree, tree.Add(nil, leaf.Hash()), []ledger.Leaf{leaf})
	return b
}

// TestSomebodyElsesDecisions: decisions of one person that are shown as another's do not hold where the ident has the
// person's own id; else it is told whom they name.
func TestSomebodyElsesDecisions(t *testing.T) {
	own, browser := `{"anonymous_id":"`+testOther+`","identifiers":{"user_id":"eve"}}`,
		`{"anonymous_id":"b7","identifiers":{"anonymous_id":"b7"}}`
	eve := Identifier{Kind: "user_id", Value: "eve"}
	for _, c := range []struct {
		name, ident string
		change      func(*Bundle)
		fails, told string
	}{
		{"hers", own, func(b *Bundle) {
			b.Person, b.Decisions[0].Subject = Person{testOther, []string{}, []Identifier{eve}}, testOther
		}, "", ""},
		{"shown as another's", own, func(*Bundle) {}, "evidence.json 1 subject", `Decisions 1 name user_id "eve", which`},
		{"and by her name", own, func(b *Bundle) { b.Person.Identifiers = []Identifier{eve} }, "evidence.json 1 subject", ""},
		{"somebody was merged", own, func(b *Bundle) {
			b.Person.Merged, b.Decisions[0].Subject = []string{testOther}, testOther
		}, "", `Decisions 1 name user_id "eve", which`},
		{"a browser's", browser, func(b *Bundle) {
			b.Person.Identifiers = []Identifier{{Kind: anonymousID, Value: "b7"}}
		}, "", ""},
		{"a browser's of nobody", browser, func(*Bundle) {}, "", `Decisions 1 name anonymous_id "b7", which`},
		{"a browser's by the id that one was merged by", strings.ReplaceAll(browser, "b7", testOther), func(b *Bundle) {
			b.Person.Merged = []string{testOther}
		}, "", ""},
		{"nobody's", `{}`, func(*Bundle) {}, "", "Decisions 1 name the person by no identifier."},
	} {
		b := identified(c.ident)
		c.change(b)
		r := verify(t, written(t, b), Options{})
		if found := strings.Join(failures(r), ", "); found != c.fails {
			t.Errorf("%s: it fails at %q", c.name, found)
		}
		if told := strings.Join(r.Notes, "\n"); strings.Contains(told, "Decisions 1 name") != (c.told != "") ||
			!strings.Contains(told, c.told) {
			t.Errorf("%s: it is told %s", c.name, told)
		}
	}
}

// TestManyStrangers: of many decisions that name others a few are told.
func TestManyStrangers(t *testing.T) {
	b := &Bundle{Person: Person{ID: testPerson}, Decisions: make([]Decision, 1000)}
	v := &verification{bundle: b, facts: make([]facts, 1000), report: &Report{}}
	for i := range v.facts {
		v.facts[i].Who = []named{{"user_id", fmt.Sprint("u", i%500)}}
	}
	v.facts[3].Who, v.facts[999].Who = v.facts[0].Who, v.facts[0].Who
	v.whose()
	told := v.report.Notes
	if len(told) != mostTold+1 || !strings.HasPrefix(told[0], "Decisions 1, 4, 501, 1000 name") {
		t.Errorf("%d notes: %q", len(told), told)
	}
	if got := numbered(make([]int, 12)); !strings.HasSuffix(got, "0, 0 and 2 more") {
		t.Errorf("%q", got)
	}
}

// TestWhatIsNotProved: whoever verifies, and whoever reads, is told the same of what rests on the operator's word.
func TestWhatIsNotProved(t *testing.T) {
	bundle := written(t, testBundle(2))
	r := verify(t, bundle, Options{Keys: []string{vkeyOf(testKey)}})
	files := unpacked(t, bundle)
	document, err := os.ReadFile("../docs/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range Unproved {
		if !strings.Contains(strings.ReplaceAll(string(document), "\n  ", " "), "\n- "+what) {
			t.Errorf("docs/evidence.md does not have: %s", what)
		}
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, what) }) {
			t.Errorf("it is not told: %s", what)
		}
		for _, name := range []string{PageFile, ReadmeFile} {
			text := strings.ReplaceAll(string(files[name]), "&#39;", "'")
			if !strings.Contains(text, what) {
				t.Errorf("%s does not have: %s", name, what)
			}
		}
	}
	if len(r.Notes) != len(Unproved) {
		t.Errorf("%q", r.Notes)
	}
}
