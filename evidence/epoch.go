package evidence

import (
	"encoding/base64"
	"encoding/hex"
	"errors"

	"golang.org/x/mod/sumdb/tlog"
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
	for i, e := range v.bundle.Epochs {
		if !v.entry(list{"epochs", "Epoch", v.bundle.Epochs}, i) {
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
