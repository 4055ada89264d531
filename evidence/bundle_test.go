package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

const (
	testOrganization = "0199f4c8-7a00-7000-8000-000000000001"
	testOrigin       = "ledger.example/" + testOrganization
	testProject      = "0199f4c8-7a00-7000-8000-000000000002"
	testPerson       = "0199f4c8-7a00-7000-8000-000000000003"
)

var (
	testKey    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	witnessKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func vkeyOf(key ed25519.PrivateKey) string {
	return must(ledger.VerifierKey(testOrigin, key.Public().(ed25519.PublicKey)))
}

func hexOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// bodyOf and identOf are what a test's decision says.
func bodyOf(text, state string) string {
	return fmt.Sprintf(`{"action":"user_click","displayed_text":"sha256:%s","locale":"de-DE","metadata":{"button":"a<b>",`+
		`"n":3},"occurred_at":"2026-03-01T12:00:00.000000Z","project":"%s","purpose":"marketing","purpose_version":1,`+
		`"regime":"opt-in","state":"%s"}`, hexOf(text), testProject, state)
}

const testIdent = `{"anonymous_id":"0199f4c8-7a00-7000-8000-000000000003","country":"DE","domain":"shop.example",` +
	`"form_url":"https://shop.example/<form>","identifiers":{"email":"ada@shop.example","user_id":"ada"},` +
	`"ip":"192.0.2.7","key":"0199f4c8-7a00-7000-8000-000000000009","notice_url":"javascript:alert(1)",` +
	`"protocol":"native","session":"0199f4c8-7a00-7000-8000-00000000000a","user_agent":"<script>alert(1)</script>"}`

// testVersion is the entry of the version that testBundle has.
var testVersion = `{"description":"Letters <now>","entry":"purpose","held_from":"2026-01-01T00:00:00.000000Z",` +
	`"legal_basis":"consent","legal_text":"sha256:` + hexOf("We write letters.") + `","name":"Marketing","project":"` +
	testProject + `","purpose":"marketing","require_reaccept":false,"url":"https://shop.example/m","version":1}`

// entryOf makes an entry that is no decision, but for its proof.
func entryOf(secret *ledger.Secret, index int64, leaf ledger.Leaf, body, ident string) Entry {
	o := secret.Open(uint64(index+1), []byte(body), []byte(ident))
	return Entry{Index: index, Sequence: index + 1, RecordedAt: RecordedAt(leaf), Body: body, BodySalt: o.BodySalt[:],
		Ident: ident, IdentSalt: o.IdentSalt[:], Leaf: leaf.Append(nil)}
}

// testBundle makes a bundle of so many decisions of one person, which lie between others' in the ledger.
func testBundle(decisions int) *Bundle {
	secret := ledger.Secret{7}
	tree := &ledger.Tree{}
	var rows []ledger.Row
	var leaves []ledger.Leaf
	b := &Bundle{Organization: Organization{testOrganization, "Shop & Söhne"},
		Person: Person{testPerson, []string{}, []Identifier{{Kind: "userId", Value: "ada"},
			{Kind: "email", Value: "ada@shop.example"}}},
		Versions: []Version{{Project: testProject, Purpose: "marketing", Version: 1, Name: "Marketing",
			Description: "Letters <now>", URL: "https://shop.example/m", LegalBasis: "consent",
			HeldFrom: "2026-01-01T00:00:00.000000Z"}},
		Keys:  []Key{{Key: vkeyOf(testKey), From: "2026-01-01T00:00:00.000000Z"}},
		Texts: map[string]string{}}
	legal := "We write letters."
	b.Texts[hexOf(legal)], b.Versions[0].LegalText = legal, hashPrefix+hexOf(legal)
	for i := range 2 * decisions {
		text := fmt.Sprintf("Shall we write to you?\n<b>%d</b>", i/4)
		body := bodyOf(text, []string{"accepted", "withdrawn", "implied", "declined"}[i%4])
		if i == 0 {
			body = testVersion
		}
		leaf := ledger.NewLeaf(1772366400000+int64(i), &secret, uint64(i+1), []byte(body), []byte(testIdent))
		leaves = append(leaves, leaf)
		rows = tree.Add(rows, leaf.Hash())
		if i == 0 {
			b.Entries = append(b.Entries, entryOf(&secret, 0, leaf, body, testIdent))
			b.Entries[0].Ident, b.Entries[0].IdentSalt = "", nil
		}
		if i%2 == 0 {
			continue
		}
		o := secret.Open(uint64(i+1), []byte(body), []byte(testIdent))
		b.Texts[hexOf(text)] = text
		b.Decisions = append(b.Decisions, Decision{Event: fmt.Sprintf("0199f4c8-7a00-7000-8000-%012x", i),
			Subject: testPerson, Index: int64(i), Sequence: int64(i + 1), RecordedAt: RecordedAt(leaf), Body: body,
			Ident: testIdent, BodySalt: o.BodySalt[:], IdentSalt: o.IdentSalt[:], Leaf: leaf.Append(nil)})
	}
	prove(b, tree, rows, leaves)
	return b
}

// prove adds the checkpoint and the proofs.
func prove(b *Bundle, tree *ledger.Tree, rows []ledger.Row, leaves []ledger.Leaf) {
	at := map[ledger.RowID][]byte{}
	for _, row := range rows {
		at[row.RowID] = row.Hashes
	}
	reader := ledger.NewReader(tree, func(ids []ledger.RowID) (out [][]byte, err error) {
		for _, id := range ids {
			out = append(out, at[id])
		}
		return out, nil
	})
	signer := must(ledger.NewSigner(testOrigin, testKey))
	b.Checkpoint = string(must(ledger.Sign(&ledger.Checkpoint{Origin: testOrigin, Size: tree.Size, Root: tree.Root()},
		signer)))
	for _, list := range [][]Entry{b.Merges, b.Entries} {
		for i := range list {
			list[i].Hashes = must(ledger.Prove(reader, "", list[i].Index, leaves[list[i].Index], tree.Size, nil)).Hashes
		}
	}
	for i := range b.Decisions {
		d := &b.Decisions[i]
		d.Hashes = must(ledger.Prove(reader, d.Event, d.Index, leaves[d.Index], tree.Size, nil)).Hashes
	}
	if tree.Size > 1 {
		grown := must(ledger.ProveConsistency(reader, 1, tree.Size))
		b.Earlier = &Earlier{Size: 1, Root: leaves[0].Hash(), Hashes: grown.Hashes}
	}
}

// earlierNote is the checkpoint of the bundle's earlier size, signed.
func earlierNote(b *Bundle) []byte {
	return must(ledger.Sign(&ledger.Checkpoint{Origin: testOrigin, Size: b.Earlier.Size, Root: b.Earlier.Root},
		must(ledger.NewSigner(testOrigin, testKey))))
}

// cosign adds a witness's cosignature to a note (C2SP tlog-cosignature), and gives its key as text.
func cosign(signed string, seconds uint64) (cosigned, vkey string) {
	const name = "witness.example"
	public := witnessKey.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	text, _, _ := strings.Cut(signed, "\n\n")
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s\n", seconds, text)
	sig := binary.BigEndian.AppendUint64(append([]byte{}, sum[:4]...), seconds)
	sig = append(sig, ed25519.Sign(witnessKey, []byte(message))...)
	return signed + "— " + name + " " + base64.StdEncoding.EncodeToString(sig) + "\n",
		fmt.Sprintf("%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(append([]byte{4}, public...)))
}

func written(t testing.TB, b *Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func verify(t testing.TB, bundle []byte, o Options) *Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failures are the places where a report fails.
func failures(r *Report) (out []string) {
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, fmt.Sprintf("%s %d %s", c.File, c.Decision, c.Field))
		}
	}
	return out
}

var (
	_ note.Verifier = (*ledger.Cosigner)(nil)
	_               = tlog.HashSize
)

// filesOf writes files, as parts of a page where there is one.
func filesOf(p *page, parts []part) (map[string][]byte, error) {
	if p == nil {
		p = &page{sums: map[string]string{}}
	}
	files := map[string][]byte{}
	for _, of := range parts {
		var out bytes.Buffer
		if err := p.make(of, &out); err != nil {
			return nil, err
		}
		files[of.name] = out.Bytes()
	}
	return files, nil
}

// render gives all files of a bundle by name, whatever its bounds are.
func render(b *Bundle) (map[string][]byte, error) {
	p, parts := pageOf(b, nil), b.data()
	for hash, text := range b.Texts {
		parts = append(parts, textPart(hash, text))
	}
	return filesOf(p, append(parts, p.others()...))
}
