package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// written makes the folder of a ledger of so many decisions, each of a person of its own, of which retention has
// dropped the first ones.
func written(t *testing.T, entries, dropped int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	w, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	secret := ledger.Secret{1}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	project := consent.ID{7}
	var tree ledger.Tree
	var consents []*Consent
	for n := int64(1); n <= entries; n++ {
		occurred := at
		if n == entries {
			occurred = time.Unix(0, 0).UTC() // as imports from old systems say
		}
		body := fmt.Sprintf(`{"action":"user_click","occurred_at":%q,"project":%q,"purpose":"p","purpose_version":0,`+
			`"regime":"opt-in","state":"accepted"}`, occurred.Format("2006-01-02T15:04:05.000000Z"), project)
		leaf := ledger.NewLeaf(at.UnixMilli(), &secret, uint64(n), []byte(body), []byte(`{}`))
		opening := secret.Open(uint64(n), []byte(body), []byte(`{}`))
		id, who := consent.ID{1, 14: byte(n >> 8), 15: byte(n)}, consent.ID{2, 14: byte(n >> 8), 15: byte(n)}
		e := &Entry{Sequence: n, ID: id, Subject: who, RecordedAt: at, Leaf: &leaf, Hash: leaf.Hash(), Opening: &opening}
		if n <= dropped {
			e = &Entry{Sequence: n, Hash: leaf.Hash()}
		} else {
			consents = append(consents, &Consent{Subject: who, Project: project, Purpose: "p", Decisions: []int64{n},
				Standing: Standing{DecidedBy: id, State: "accepted", Weight: int(consent.WeightActive),
					Grants: true, Active: true, OccurredAt: occurred, Since: occurred}})
		}
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
		tree.Add(nil, leaf.Hash())
	}
	for _, c := range consents {
		if err := w.AddConsent(c); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ledger.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewSigner("shop.example/ledger", key)
	if err != nil {
		t.Fatal(err)
	}
	said := &ledger.Checkpoint{Origin: signer.Name(), Size: tree.Size, Root: tree.Root()}
	note, err := ledger.Sign(said, signer)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := ledger.VerifierKey(signer.Name(), key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(note, said, []Key{{Key: verifier}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// verify gives what is wrong with a folder.
func verify(t *testing.T, dir string) (*Report, string) {
	t.Helper()
	var faults []string
	r, err := Verify(context.Background(), dir, Options{Fault: func(what string) { faults = append(faults, what) }})
	if err != nil {
		t.Fatal(err)
	}
	return r, strings.Join(faults, "\n")
}

// TestDropped: a ledger of which retention dropped the first entries verifies, wherever that ends in a bundle, and all
// that is left is opened.
func TestDropped(t *testing.T) {
	for _, c := range []struct{ entries, dropped int64 }{{300, 0}, {300, 1}, {300, 100}, {300, 256}, {300, 257},
		{300, 300}, {256, 255}, {70000, 66000}} {
		r, faults := verify(t, written(t, c.entries, c.dropped))
		if faults != "" || r.Dropped != c.dropped || r.Opened != c.entries-c.dropped || r.Consents != r.Opened {
			t.Errorf("%d of %d dropped: %+v\n%.300s", c.dropped, c.entries, r, faults)
		}
	}
}

// TestChangedConsents changes the lines of consents in ways that keep each of them true by itself.
func TestChangedConsents(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, says string }{
		{"a line twice", consentsFile, "\n", "\n$line\n", "the subject has another consent to that purpose"},
		{"another order", consentsFile, "$line\n$next", "$next\n$line", "its subject stands behind a greater one"},
		{"later, and said", consentsFile, `"decisions":[101],`, `"decisions":[101],"later":true,`,
			"and that this cannot be said"},
		{"a decision twice", consentsFile, `"decisions":[101]`, `"decisions":[101,101]`, "its decisions are not in order"},
		{"dropped, where a leaf is", "openings/000", `{"sequence":102,"kind":"decision"`, `{"sequence":102,"kind":"dropped"`,
			"entry 102"},
	} {
		dir := written(t, 300, 100)
		path := filepath.Join(dir, c.file)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(before), "\n")
		fill := strings.NewReplacer("$line", lines[0], "$next", lines[1])
		after := strings.Replace(string(before), fill.Replace(c.old), fill.Replace(c.new), 1)
		if after == string(before) {
			t.Errorf("%s: nothing was changed", c.name)
		}
		if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, faults := verify(t, dir); !strings.Contains(faults, c.says) {
			t.Errorf("%s: %.500s", c.name, faults)
		}
	}
}
