package evidence

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

var lostRoot = tlog.Hash{1, 2, 3}

func epochBody(size string) string {
	return fmt.Sprintf(`{"entry":"epoch","lost_root":"%s","lost_size":%s,"reason":"<backup> put back"}`,
		hex.EncodeToString(lostRoot[:]), size)
}

// epochBundle makes the bundle of two decisions in a ledger that begins with epochs of these bodies.
func epochBundle(bodies ...string) *Bundle {
	b := testBundle(2)
	b.Entries = nil
	secret := ledger.Secret{8}
	tree := &ledger.Tree{}
	var rows []ledger.Row
	var leaves []ledger.Leaf
	for i, body := range bodies {
		leaf := ledger.NewLeaf(1772366400000, &secret, uint64(i+1), []byte(body), []byte(`{"key":"x"}`))
		leaves = append(leaves, leaf)
		rows = tree.Add(rows, leaf.Hash())
		o := secret.Open(uint64(i+1), []byte(body), []byte(`{"key":"x"}`))
		b.Epochs = append(b.Epochs, Entry{Index: int64(i), Sequence: int64(i + 1), RecordedAt: RecordedAt(leaf), Body: body,
			BodySalt: o.BodySalt[:], Leaf: leaf.Append(nil)})
	}
	for i := range b.Decisions {
		d := &b.Decisions[i]
		leaf := must(ledger.ParseLeaf(d.Leaf))
		d.Index, d.Sequence = int64(len(leaves)), int64(len(leaves)+1)
		leaves = append(leaves, leaf)
		rows = tree.Add(rows, leaf.Hash())
	}
	prove(b, tree, rows, leaves)
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
	for i := range b.Epochs {
		e := &b.Epochs[i]
		e.Hashes = must(ledger.Prove(reader, "", e.Index, leaves[e.Index], tree.Size, nil)).Hashes
	}
	return b
}

// told verifies a bundle, and gives what does not hold and the notes.
func told(t *testing.T, b *Bundle, pinned []byte) (wrong, notes string) {
	t.Helper()
	files, err := render(b)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verifyFiles(files, []note.Verifier{must(ledger.NewVerifier(vkeyOf(testKey)))}, pinned)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if !c.OK {
			wrong += c.Says + "\n"
		}
	}
	return wrong, strings.Join(report.Notes, "\n")
}

// TestEpochs: of each epoch a note tells, also whoever holds the checkpoint that was lost.
func TestEpochs(t *testing.T) {
	b := epochBundle(epochBody("70"), epochBody("80"))
	wrong, notes := told(t, b, nil)
	if wrong != "" || strings.Count(notes, "says that the ledger goes on from before a checkpoint of") != 2 ||
		!strings.Contains(notes, "Entry 2 says") || !strings.Contains(notes, "80 entries that was lost") {
		t.Errorf("wrong: %s, notes: %s", wrong, notes)
	}
	signer := must(ledger.NewSigner(testOrigin, testKey))
	for size, says := range map[int64]string{70: "is one that the ledger names as lost", 71: "Your checkpoint has 71"} {
		pinned := must(ledger.Sign(&ledger.Checkpoint{Origin: testOrigin, Size: size, Root: lostRoot}, signer))
		if wrong, _ := told(t, b, pinned); !strings.Contains(wrong, says) {
			t.Errorf("the checkpoint of %d entries: %s", size, wrong)
		}
	}
	if _, notes := told(t, testBundle(2), nil); strings.Contains(notes, "lost") {
		t.Errorf("without an epoch: %s", notes)
	}
}

// TestForgedEpochs: what is no epoch of the ledger does not hold, and no note tells of it.
func TestForgedEpochs(t *testing.T) {
	for name, tc := range map[string]struct {
		bodies []string
		change func(b *Bundle)
		says   string
	}{
		"another body": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].Body = epochBody("71") },
			"Epoch 1 says (or its salt is) something else"},
		"another salt": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].BodySalt[0]++ },
			"Epoch 1 says (or its salt is) something else"},
		"a short salt": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].BodySalt = b.Epochs[0].BodySalt[:31] },
			"Epoch 1 says (or its salt is) something else"},
		"another time": {[]string{epochBody("70")},
			func(b *Bundle) { b.Epochs[0].RecordedAt = "2026-01-01T00:00:00.000Z" }, "Epoch 1 was recorded at another time"},
		"another sequence": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].Sequence++ },
			"Epoch 1 was recorded at another time"},
		"another place": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].Index, b.Epochs[0].Sequence = 1, 2 },
			"Epoch 1 is not shown to be in the ledger"},
		"an absurd place": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].Index, b.Epochs[0].Sequence = -1, 0 },
			"Epoch 1 is not shown to be in the ledger"},
		"no leaf": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs[0].Leaf = nil }, "Epoch 1 has no leaf"},
		"twice": {[]string{epochBody("70")}, func(b *Bundle) { b.Epochs = append(b.Epochs, b.Epochs[0]) },
			"Epoch 2 is there twice"},
		"another entry":   {[]string{`{"entry":"erasure","events":1}`}, nil, "What epoch 1 says cannot be read"},
		"no size":         {[]string{epochBody("0")}, nil, "What epoch 1 says cannot be read"},
		"a size of words": {[]string{epochBody(`"70"`)}, nil, "What epoch 1 says cannot be read"},
		"no JSON":         {[]string{"epoch"}, nil, "What epoch 1 says cannot be read"},
	} {
		b := epochBundle(tc.bodies...)
		if tc.change != nil {
			tc.change(b)
		}
		wrong, notes := told(t, b, nil)
		if !strings.Contains(wrong, tc.says) || name != "twice" && strings.Contains(notes, "says that the ledger") {
			t.Errorf("%s: wrong: %s, notes: %s", name, wrong, notes)
		}
	}
}

// TestTooManyEpochs: a bundle has no more than it may, and none that has is read.
func TestTooManyEpochs(t *testing.T) {
	b := epochBundle(slices.Repeat([]string{epochBody("70")}, MaxEpochs)...)
	if wrong, _ := told(t, b, nil); wrong != "" {
		t.Error(wrong)
	}
	b.Epochs = append(b.Epochs, b.Epochs[0])
	if !b.tooMany() {
		t.Error("one more is written")
	}
	files := must(render(b))
	if _, err := parse(files); err == nil || !strings.Contains(err.Error(), "more than 100 epochs") {
		t.Errorf("one more is read: %v", err)
	}
}
