package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

type keysRetireCmd struct {
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids, as keys list has them; default: all but the newest."`
	DryRun bool     `help:"Say what would be destroyed, and destroy nothing."`
}

// Help implements kong.HelpProvider.
func (keysRetireCmd) Help() string {
	return `Destroys keys of the key file that wrap nothing any more, after it has looked at the secret of everybody.
Refused are the newest key, one that still wraps something (consentd keys rotate-kek rewraps it), and one that a server
may still wrap something by: until 15 minutes after the next key was added. This cannot be undone.

Only the store that --data or --database names is looked at. What any other store wraps by the key is lost with it: that
of a restored backup or of a staging machine which reads this very file. Give each such store a copy of its own.

The key stays in copies of the file that were made before. With one of them, a backup of the database from that time
gives back what was erased since. So destroy those copies, and keep a new one; then no older backup proves anything.

Examples:

	consentd keys retire
	consentd keys retire --dry-run
	consentd keys retire 0a1b2c3d --data /var/lib/consentd

Exit codes: 0 no other key is left than the newest, or those that were named are destroyed, or with --dry-run would
be; 1 one was refused, or it failed; 2 wrong command line.`
}

// Run destroys keys.
func (c *keysRetireCmd) Run(k *keysCmd) error {
	named := []sealing.KEKID{}
	for _, text := range c.IDs {
		id, err := sealing.ParseKEKID(text)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("%w; consentd keys list shows the ids", err)}
		}
		named = append(named, id)
	}
	return k.onKeys(func(ctx context.Context, w *keysWork) error {
		may, refused, err := lookToRetire(ctx, w.store, w.keys.file, named, w.progress.at("counting"))
		if err != nil {
			return err
		}
		if len(named) > 0 && len(refused) > 0 {
			may = nil // who names several means all of them
		}
		if err := w.retire(may, c.DryRun); err != nil {
			return err
		}
		if len(refused) > 0 {
			return fmt.Errorf("not retired: %s", strings.Join(refused, "; "))
		}
		if len(may) == 0 {
			w.say("Nothing to retire: the key file has the key %s alone.", w.keys.file.Newest().ID)
		}
		return nil
	})
}

// lookToRetire looks at all secrets, and gives what retirable does.
func lookToRetire(ctx context.Context, store service.Viewer, f *sealing.File, named []sealing.KEKID,
	at func(service.KeyUse)) (may []sealing.KEKID, refused []string, err error) {
	// A secret that is wrapped behind the page that is looked at is not counted. So nobody may wrap anything by the key
	// any more when the count begins, rather than when it ends.
	began := time.Now()
	use, err := service.CountKeyUse(ctx, store, at)
	if err != nil {
		return nil, nil, err
	}
	may, refused = retirable(f, &use, named, began)
	return may, refused, nil
}

// retirable gives which of the named keys, none: of all but the newest, may be destroyed, and why others may not.
// now is when the count began.
func retirable(f *sealing.File, use *service.KeyUse, named []sealing.KEKID, now time.Time) (may []sealing.KEKID,
	refused []string) {
	keys := f.KEKs()
	for i, k := range keys {
		wanted := slices.Contains(named, k.ID)
		last := i == len(keys)-1
		if !wanted && (len(named) > 0 || last) {
			continue
		}
		fault := ""
		switch wraps := use.Wrapped[k.ID]; {
		case wraps > 0:
			fault = fmt.Sprintf("%s wrapped by it; consentd keys rotate-kek rewraps them", secrets(wraps))
		case last:
			fault = "it is the newest; consentd keys rotate-kek adds another"
		case now.Before(keys[i+1].Created.Add(service.OutOfUseAfter)):
			fault = fmt.Sprintf("a server may wrap something by it until %s; run the command again after that",
				stamp(keys[i+1].Created.Add(service.OutOfUseAfter)))
		}
		if fault != "" {
			refused = append(refused, fmt.Sprintf("%s: %s", k.ID, fault))
			continue
		}
		may = append(may, k.ID)
	}
	for _, id := range named {
		if !slices.Contains(kekIDs(f), id) {
			refused = append(refused, fmt.Sprintf("%s: the key file has no such key; consentd keys list shows the ids", id))
		}
	}
	return may, refused
}

// otherStores is what nobody but the operator can look at.
const otherStores = "No other store was looked at; what another one wraps by it, such as a restored copy, cannot be " +
	"read after that."

// retire destroys keys, or says that it would.
func (w *keysWork) retire(may []sealing.KEKID, dry bool) error {
	if len(may) == 0 {
		return nil
	}
	if dry {
		w.say("Would destroy, since nothing in %s is wrapped by it any more: %s. %s", w.place, ids(may), otherStores)
		return nil
	}
	w.say("Destroying, since nothing in %s is wrapped by it any more: %s. %s", w.place, ids(may), otherStores)
	f, err := sealing.Retire(w.keys.path, may...)
	if err != nil {
		return err
	}
	w.say(`Destroyed; %s has %s left. Running servers forget it within seconds.
Copies of the key file from before still have it: destroy them, and keep a copy of the file as it is now. As long as
one is left, a backup of the database from before gives back what was erased since.`, w.keys.path,
		plural(len(f.KEKs()), "key"))
	return nil
}
