package evidence

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/ledger"
)

// TestBundleVerifies: what is written holds, with the bundle's own key, which is said, and with a key from elsewhere.
func TestBundleVerifies(t *testing.T) {
	for _, decisions := range []int{0, 1, 5, 40} {
		b := testBundle(decisions)
		if decisions == 0 {
			b.Versions, b.Texts = []Version{}, map[string]string{}
		}
		bundle := written(t, b)
		r := verify(t, bundle, Options{})
		if !r.Holds() || len(r.Notes) < 2 || !strings.Contains(r.Notes[0], "--vkey") {
			t.Errorf("%d decisions: %+v", decisions, r)
		}
		r = verify(t, bundle, Options{Keys: []string{vkeyOf(testKey), vkeyOf(testKey)}})
		if !r.Holds() || len(r.Notes) != len(Unproved) {
			t.Errorf("%d decisions by the key: %+v", decisions, r)
		}
		if again := written(t, testBundle(decisions)); decisions > 0 && !bytes.Equal(bundle, again) {
			t.Errorf("%d decisions: written twice, they differ", decisions)
		}
	}
}

func TestNothingHoldsByItself(t *testing.T) {
	if (&Report{}).Holds() {
		t.Error("a report without checks holds")
	}
}

// TestTamperedBundles: each kind of change is named with its file, decision and field. Whoever changes a bundle may
// make the page, the receipt and the README anew, so they agree here.
func TestTamperedBundles(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Bundle)
		want   string // one of the failures
	}{
		{"a yes for a no", func(b *Bundle) {
			b.Decisions[1].Body = strings.Replace(b.Decisions[1].Body, "declined", "accepted", 1)
		}, "evidence.json 2 body"},
		{"somebody else", func(b *Bundle) {
			b.Decisions[0].Ident = strings.Replace(b.Decisions[0].Ident, "ada@", "bob@", 1)
		}, "evidence.json 1 ident"},
		{"another salt of the body", func(b *Bundle) { b.Decisions[0].BodySalt[3] ^= 1 }, "evidence.json 1 body"},
		{"another salt of the ident", func(b *Bundle) { b.Decisions[0].IdentSalt[3] ^= 1 }, "evidence.json 1 ident"},
		{"a short salt", func(b *Bundle) { b.Decisions[0].BodySalt = []byte{1} }, "evidence.json 1 bodySalt, identSalt"},
		{"another time", func(b *Bundle) { b.Decisions[2].RecordedAt = "2026-03-01T12:00:00.006Z" },
			"evidence.json 3 recordedAt"},
		{"another time in the leaf", func(b *Bundle) { b.Decisions[2].Leaf[8] ^= 1 }, "evidence.json 3 hashes"},
		{"another opening with its own leaf", func(b *Bundle) {
			s, d := ledger.Secret{9}, &b.Decisions[1]
			leaf, _ := ledger.ParseLeaf(d.Leaf)
			o := s.Open(uint64(d.Sequence), []byte(strings.Replace(d.Body, "declined", "accepted", 1)), []byte(d.Ident))
			d.Body, d.BodySalt, d.IdentSalt = string(o.Body), o.BodySalt[:], o.IdentSalt[:]
			d.Leaf = ledger.NewLeaf(leaf.RecordedAt, &s, uint64(d.Sequence), o.Body, o.Ident).Append(nil)
		}, "evidence.json 2 hashes"},
		{"no leaf", func(b *Bundle) { b.Decisions[0].Leaf = b.Decisions[0].Leaf[1:] }, "evidence.json 1 leaf"},
		{"another hash", func(b *Bundle) { b.Decisions[4].Hashes[0][9] ^= 1 }, "evidence.json 5 hashes"},
		{"a hash less", func(b *Bundle) { b.Decisions[4].Hashes = b.Decisions[4].Hashes[1:] }, "evidence.json 5 hashes"},
		{"another index", func(b *Bundle) { b.Decisions[4].Index-- }, "evidence.json 5 hashes"},
		{"an index beyond", func(b *Bundle) { b.Decisions[4].Index = 1 << 40 }, "evidence.json 5 hashes"},
		{"another sequence", func(b *Bundle) { b.Decisions[0].Sequence++ }, "evidence.json 1 sequence"},
		{"a decision twice", func(b *Bundle) { b.Decisions[1] = b.Decisions[0] }, "evidence.json 2 index"},
		{"another order", func(b *Bundle) {
			b.Decisions[0], b.Decisions[1] = b.Decisions[1], b.Decisions[0]
		}, "evidence.json 2 index"},
		{"another purpose", func(b *Bundle) { b.Purpose = "analytics" }, "evidence.json 1 body"},
		{"a stranger's", func(b *Bundle) { b.Decisions[3].Subject = testProject }, "evidence.json 4 subject"},
		{"another text", func(b *Bundle) {
			for hash := range b.Texts {
				b.Texts[hash] += " "
				return
			}
		}, "texts/"},
		{"a text more", func(b *Bundle) { b.Texts[hexOf("more")] = "more" }, "texts/" + hexOf("more") + ".txt 0 "},
		{"a text less", func(b *Bundle) { delete(b.Texts, hexOf("Shall we write to you?\n<b>0</b>")) },
			"evidence.json 1 body"},
		{"a legal text less", func(b *Bundle) { delete(b.Texts, hexOf("We write letters.")) }, "purposes.json 0 legalText"},
		{"a legal text by no hash", func(b *Bundle) { b.Versions[0].Translations = "none" }, "purposes.json 0 translations"},
		{"a version less", func(b *Bundle) { b.Versions = b.Versions[:0] }, "purposes.json 1 version"},
		{"a version more", func(b *Bundle) {
			b.Versions = append(b.Versions, b.Versions[0])
			b.Versions[1].Version = 2
		}, "purposes.json 0 version"},
		{"a version twice", func(b *Bundle) { b.Versions = append(b.Versions, b.Versions[0]) }, "purposes.json 0 version"},
		{"another root", func(b *Bundle) { b.Checkpoint = strings.Replace(b.Checkpoint, "\n10\n", "\n11\n", 1) },
			"evidence.json 0 checkpoint"},
		{"another organization", func(b *Bundle) { b.Organization.ID = testProject }, "evidence.json 0 organization"},
		{"another key", func(b *Bundle) { b.Keys[0].Key = vkeyOf(witnessKey) }, "evidence.json 0 checkpoint"},
		{"no key", func(b *Bundle) { b.Keys = []Key{} }, "evidence.json 0 checkpoint"},
		{"another earlier root", func(b *Bundle) { b.Earlier.Root[0] ^= 1 }, "evidence.json 0 earlier"},
		{"another earlier size", func(b *Bundle) { b.Earlier.Size++ }, "evidence.json 0 earlier"},
		{"a body that is none", func(b *Bundle) { b.Decisions[0].Body = "[]" }, "evidence.json 1 body"},
		{"a state twice", func(b *Bundle) {
			b.Decisions[0].Body = strings.Replace(b.Decisions[0].Body, "{", `{"state":"accepted",`, 1)
		}, "evidence.json 1 body"},
		{"a text by no hash", func(b *Bundle) {
			b.Decisions[0].Body = strings.Replace(b.Decisions[0].Body, "sha256:", "sha512:", 1)
		}, "evidence.json 1 body"},
	} {
		b := testBundle(5)
		c.change(b)
		found := failures(verify(t, written(t, b), Options{}))
		if !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
			t.Errorf("%s: %q, want %q", c.name, found, c.want)
		}
	}
}

// TestManyWereMerged: decisions of those who were merged are the person's, strangers' are not, and to tell so takes no
// longer for as many as a bundle may have.
func TestManyWereMerged(t *testing.T) {
	b := &Bundle{Person: Person{ID: testPerson}}
	for i := range maxNames {
		b.Person.Merged = append(b.Person.Merged, fmt.Sprintf("0199f4c8-7a00-7000-8001-%012x", i))
	}
	b.Decisions = slices.Repeat([]Decision{{Subject: b.Person.Merged[maxNames-1]}}, MaxDecisions)
	for i := range b.Decisions {
		b.Decisions[i].Index = int64(i)
	}
	b.Decisions[1].Subject, b.Decisions[2].Subject = testPerson, "a stranger"
	v := &verification{bundle: b, facts: make([]facts, MaxDecisions), report: &Report{}}
	start := time.Now()
	v.order()
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if found := failures(v.report); !slices.Equal(found, []string{"evidence.json 3 subject"}) {
		t.Errorf("%q", found)
	}
}

// TestRenderedFiles: the page, the receipt and the README are not taken on trust.
func TestRenderedFiles(t *testing.T) {
	for _, name := range []string{PageFile, ReceiptFile, ReadmeFile} {
		files := unpacked(t, written(t, testBundle(2)))
		good := files[name]
		for what, changed := range map[string][]byte{
			"an id":          bytes.Replace(good, []byte("0199f4c8"), []byte("0199f4c9"), 1),
			"something more": append(bytes.Clone(good), '\n'),
			"something less": good[:len(good)-1],
			"nothing":        {},
		} {
			files[name] = changed
			if found := failures(verify(t, zipped(t, files), Options{})); !slices.Equal(found, []string{name + " 0 "}) {
				t.Errorf("%s, %s: %q", name, what, found)
			}
		}
	}
}

// TestKeysFromElsewhere: a bundle that somebody else signed is no evidence to who knows the key.
func TestKeysFromElsewhere(t *testing.T) {
	b := testBundle(3)
	cosigned, witness := cosign(b.Checkpoint, 1772366500)
	_, other := cosign(b.Checkpoint, 1)
	bundle := written(t, b)
	b.Checkpoint = cosigned
	seen := written(t, b)
	elsewhere := must(ledger.VerifierKey("other.example/x", testKey.Public().(ed25519.PublicKey)))
	for _, c := range []struct {
		name   string
		bundle []byte
		keys   []string
		holds  bool
		says   string
	}{
		{"the key", bundle, []string{vkeyOf(testKey)}, true, "by the key that you gave"},
		{"another key", bundle, []string{vkeyOf(witnessKey)}, false, "not signed by the key that you gave"},
		{"both", bundle, []string{vkeyOf(witnessKey), vkeyOf(testKey)}, true, "by the key that you gave"},
		{"of another ledger", bundle, []string{elsewhere}, false, "not signed by the key that you gave"},
		{"a witness", seen, []string{vkeyOf(testKey), witness}, true, "witness.example saw this ledger on 2026-03-01"},
		{"a witness alone", seen, []string{witness}, true, "by the key that is in the bundle"},
		{"a witness who has not", bundle, []string{other}, false, "witness.example has not cosigned"},
		{"nobody asks the witness", seen, nil, true, "by the key that is in the bundle"},
	} {
		r := verify(t, c.bundle, Options{Keys: c.keys})
		said := slices.ContainsFunc(r.Checks, func(k Check) bool { return strings.Contains(k.Says, c.says) })
		if r.Holds() != c.holds || !said {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	b.Checkpoint, _ = cosign(testBundle(2).Checkpoint, 1772366500)
	_, sigs, _ := strings.Cut(b.Checkpoint, "\n\n")
	_, sig, _ := strings.Cut(strings.TrimSpace(sigs), "\n")
	b.Checkpoint = testBundle(3).Checkpoint + sig + "\n" // the witness saw another one
	if r := verify(t, written(t, b), Options{Keys: []string{witness}}); r.Holds() {
		t.Errorf("another's cosignature: %+v", r)
	}
	if _, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), Options{Keys: []string{"none"}}); !errors.Is(err,
		ledger.ErrMalformed) || errors.Is(err, ErrUnreadable) {
		t.Errorf("a key that is none: %v", err)
	}
}

// TestPinnedCheckpoint: the ledger must go on from a checkpoint that was noted elsewhere.
func TestPinnedCheckpoint(t *testing.T) {
	b := testBundle(3)
	older := earlierNote(b)
	signed := func(size int64, root byte, key ed25519.PrivateKey) []byte {
		c := &ledger.Checkpoint{Origin: testOrigin, Size: size}
		c.Root[0] = root
		return must(ledger.Sign(c, must(ledger.NewSigner(testOrigin, key))))
	}
	foreign := must(ledger.Sign(&ledger.Checkpoint{Origin: "other.example/x", Size: 1}, must(ledger.NewSigner(
		"other.example/x", testKey))))
	without := testBundle(3)
	without.Earlier = nil
	for _, c := range []struct {
		name   string
		bundle *Bundle
		note   []byte
		says   string // empty: it holds
	}{
		{"as it was", b, older, ""},
		{"the same", b, []byte(b.Checkpoint), ""},
		{"another of that size", b, signed(1, 1, testKey), "another one than that of your checkpoint of 1"},
		{"another of the same size", b, signed(6, 1, testKey), "another one than that of your checkpoint of 6"},
		{"no proof", without, older, "?since=1"},
		{"a size between", b, signed(3, 1, testKey), "?since=3"},
		{"a later one", b, signed(9, 1, testKey), "Ask for the evidence again"},
		{"not signed", b, signed(1, 1, witnessKey), "not signed by a key of this ledger"},
		{"of another ledger", b, foreign, "not signed by a key of this ledger"},
	} {
		r := verify(t, written(t, c.bundle), Options{Checkpoint: c.note})
		said := slices.ContainsFunc(r.Checks, func(k Check) bool { return !k.OK && strings.Contains(k.Says, c.says) })
		if missing := strings.HasPrefix(c.says, "?since=") || strings.HasPrefix(c.says, "Ask"); missing != r.OnlyMissing() {
			t.Errorf("%s: is a proof all that is missing? %v", c.name, r.OnlyMissing())
		}
		if r.Holds() != (c.says == "") || said != (c.says != "") {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	bundle := written(t, b)
	for _, bad := range []string{"", "no note", "a\n1\n"} {
		_, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), Options{Checkpoint: []byte(bad)})
		if !errors.Is(err, ledger.ErrMalformed) || errors.Is(err, ErrUnreadable) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
