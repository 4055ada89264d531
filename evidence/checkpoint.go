package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/ledger"
)

// open verifies who signed the checkpoint, and that it is one of the organization's.
func (v *verification) open() error {
	said, err := noted(v.bundle.Checkpoint)
	if err != nil {
		return fmt.Errorf("%w: %s: checkpoint: %w", ErrUnreadable, DataFile, err)
	}
	trusted, witnesses, own := v.trusted()
	opened, signed, err := ledger.Open([]byte(v.bundle.Checkpoint), said.Origin,
		note.VerifierList(append(trusted, witnesses...)...))
	switch {
	case errors.Is(err, ledger.ErrMalformed):
		return fmt.Errorf("%w: %s: checkpoint: %w", ErrUnreadable, DataFile, err)
	case err != nil && own:
		v.fails(DataFile, 0, "checkpoint", "The ledger's checkpoint is not signed by a key of %s: %v.", KeysFile, err)
		return nil
	case err != nil:
		v.fails(DataFile, 0, "checkpoint", "The ledger's checkpoint is not signed by the key that you gave: %v.", err)
		return nil
	case !strings.HasSuffix(said.Origin, "/"+v.bundle.Organization.ID):
		v.fails(DataFile, 0, "organization", "The ledger %s is not that of organization %.60q.", said.Origin,
			v.bundle.Organization.ID)
		return nil
	}
	v.checkpoint = opened
	v.signedBy(signed, own)
	v.witnessed(signed, witnesses)
	return nil
}

// trusted gives the keys that the ledger's signature is held against, and those of witnesses. own: they are the
// bundle's.
func (v *verification) trusted() (keys, witnesses []note.Verifier, own bool) {
	for _, key := range v.given {
		if _, ok := key.(*ledger.Cosigner); ok {
			witnesses = append(witnesses, key)
		} else {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		return keys, witnesses, false
	}
	for _, key := range v.own {
		if _, ok := key.(*ledger.Cosigner); !ok { // who the witnesses are the bundle cannot say
			keys = append(keys, key)
		}
	}
	return keys, witnesses, true
}

// signedBy tells whose signature was verified.
func (v *verification) signedBy(n *note.Note, own bool) {
	for _, sig := range n.Sigs {
		if sig.Name != v.checkpoint.Origin {
			continue
		}
		from := "by the key that you gave"
		if own {
			from = "by the key that is in the bundle"
		}
		v.holds("The ledger %s with %d entries is signed %s.", v.checkpoint.Origin, v.checkpoint.Size, from)
	}
	if !own {
		return
	}
	v.report.Notes = append(v.report.Notes, "The key is the bundle's own: whoever made the bundle could have made the "+
		"key too. Compare it with the ledger's key as you know it from elsewhere, by --vkey.")
	for _, key := range keysOf(v.bundle) {
		v.report.Notes = append(v.report.Notes, "Key in the bundle: "+key)
	}
}

// witnessed verifies that each witness whose key was given has cosigned.
func (v *verification) witnessed(n *note.Note, witnesses []note.Verifier) {
	for _, w := range witnesses {
		cosigner := w.(*ledger.Cosigner)
		found := false
		for _, sig := range n.Sigs {
			at, err := cosigner.Time(sig)
			if err == nil && !found {
				found = true
				v.holds("The witness %s saw this ledger on %s.", w.Name(), at.Format("2006-01-02 15:04:05 UTC"))
			}
		}
		if !found {
			v.fails(DataFile, 0, "checkpoint", "The witness %s has not cosigned the ledger's checkpoint.", w.Name())
		}
	}
}

// pin verifies that the ledger only grew since the bundle's earlier size, and since the checkpoint that was given.
func (v *verification) pin(given []byte) error {
	var older *ledger.Checkpoint
	if given != nil {
		said, err := noted(string(given))
		if err != nil {
			return &OptionError{"Checkpoint", err}
		}
		keys := note.VerifierList(distinct(slices.Concat(v.own, v.given))...)
		if older, _, err = ledger.Open(given, said.Origin, keys); err != nil {
			v.fails("", 0, "", "The checkpoint that you gave is not signed by a key of this ledger: %v.", err)
		}
	}
	if v.checkpoint == nil {
		return nil // said already
	}
	v.earlier()
	if older == nil {
		return nil
	}
	e := v.bundle.Earlier
	switch {
	case older.Origin != v.checkpoint.Origin:
		v.fails(DataFile, 0, "checkpoint", "Your checkpoint is of the ledger %s, and the bundle's of %s.", older.Origin,
			v.checkpoint.Origin)
	case older.Size == v.checkpoint.Size && older.Root == v.checkpoint.Root,
		e != nil && older.Size == e.Size && older.Root == e.Root:
		v.holds("The ledger goes on from your checkpoint of %d entries: nothing of it was changed or taken away.", older.Size)
	case slices.ContainsFunc(v.lost, func(l lost) bool { return l.size == older.Size && l.root == older.Root }):
		v.fails(DataFile, 0, "checkpoint", "Your checkpoint of %d entries is one that the ledger names as lost: it goes "+
			"on from before it, and what came then up to your checkpoint is not shown.", older.Size)
	case older.Size == v.checkpoint.Size, e != nil && older.Size == e.Size:
		v.fails(DataFile, 0, "checkpoint", "The ledger is another one than that of your checkpoint of %d entries: it was "+
			"changed since.", older.Size)
	case older.Size > v.checkpoint.Size:
		v.fails(DataFile, 0, "checkpoint", "Your checkpoint has %d entries, and the bundle's %d only. Ask for the evidence "+
			"again.", older.Size, v.checkpoint.Size)
		v.missing()
	default:
		v.fails(DataFile, 0, "earlier", "The bundle does not show that the ledger goes on from your checkpoint of %d "+
			"entries. Ask for the evidence with ?since=%[1]d.", older.Size)
		v.missing()
	}
	return nil
}

// missing notes of the last check that nothing is wrong but that what was asked for is not there.
func (v *verification) missing() { v.report.Checks[len(v.report.Checks)-1].Missing = true }

// earlier verifies the bundle's own proof that the ledger only grew.
func (v *verification) earlier() {
	e := v.bundle.Earlier
	if e == nil {
		return
	}
	older := &ledger.Checkpoint{Origin: v.checkpoint.Origin, Size: e.Size, Root: e.Root}
	grown := ledger.Consistency{From: e.Size, To: v.checkpoint.Size, Hashes: e.Hashes}
	if err := grown.Verify(older, v.checkpoint); err != nil {
		v.fails(DataFile, 0, "earlier", "The ledger is not shown to go on from %d entries: %v.", e.Size, err)
		return
	}
	v.holds("The ledger only grew since it had %d entries.", e.Size)
}

// distinct leaves one verifier of each name and hash, which package note wants.
func distinct(all []note.Verifier) (out []note.Verifier) {
	type id struct {
		name string
		hash uint32
	}
	known := map[id]bool{}
	for _, one := range all {
		if key := (id{one.Name(), one.KeyHash()}); !known[key] {
			known[key] = true
			out = append(out, one)
		}
	}
	return out
}
