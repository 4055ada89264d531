package evidence

import (
	"encoding/base64"
	"encoding/hex"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

// lost is a checkpoint that an epoch names.
type lost struct {
	size int64
	root tlog.Hash
}

// epochs verifies that each epoch is in the ledger and says what was recorded then, and tells of it.
func (v *verification) epochs() {
	if len(v.bundle.Epochs) == 0 || v.checkpoint == nil { // which is said
		return
	}
	before := len(v.report.Checks)
	for i := range v.bundle.Epochs {
		e := &v.bundle.Epochs[i]
		if i > 0 && e.Index <= v.bundle.Epochs[i-1].Index {
			v.fails(DataFile, 0, "epochs", "Epoch %d is there twice, or not in the order of the ledger.", i+1)
		}
		leaf, err := ledger.ParseLeaf(e.Leaf)
		switch {
		case err != nil:
			v.fails(DataFile, 0, "epochs", "Epoch %d has no leaf that can be read: %v.", i+1, err)
			continue
		case len(e.BodySalt) != len(ledger.Salt{}),
			ledger.CommitBody(ledger.Salt(e.BodySalt), []byte(e.Body)) != leaf.Body:
			v.fails(DataFile, 0, "epochs", "What epoch %d says (or its salt) is not what was recorded then.", i+1)
			continue
		case RecordedAt(leaf) != e.RecordedAt || e.Sequence != e.Index+1:
			v.fails(DataFile, 0, "epochs", "When epoch %d was recorded, or as which entry, is not what its leaf says.", i+1)
			continue
		}
		if err := ledger.VerifyInclusion(v.checkpoint, e.Index, leaf, e.Hashes); err != nil {
			v.fails(DataFile, 0, "epochs", "Epoch %d is not shown to be in the ledger that was signed: %v.", i+1, err)
			continue
		}
		l, reason, err := readEpoch(e.Body)
		if err != nil {
			v.fails(DataFile, 0, "epochs", "What epoch %d says cannot be read: %v.", i+1, err)
			continue
		}
		v.lost = append(v.lost, l)
		v.note("Entry %d says that the ledger goes on from before a checkpoint of %d entries that was lost, root %s: "+
			"%.500q.", e.Sequence, l.size, base64.StdEncoding.EncodeToString(l.root[:]), reason)
	}
	v.kind(before, "All %d epochs of the bundle are in the ledger that was signed.", len(v.bundle.Epochs))
}

// readEpoch reads the body of an epoch.
func readEpoch(body string) (l lost, reason string, err error) {
	all, err := members(body)
	if err != nil {
		return l, "", err
	}
	r := reader{of: all}
	r.into("lost_size", &l.size)
	reason = r.text("reason")
	root, err := hex.DecodeString(r.text("lost_root"))
	switch {
	case r.err != nil:
		return l, "", r.err
	case err != nil || len(root) != len(l.root) || l.size <= 0 || r.text("entry") != "epoch":
		return l, "", errors.New("it does not say which checkpoint was lost")
	}
	l.root = tlog.Hash(root)
	return l, reason, nil
}
