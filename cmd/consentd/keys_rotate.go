package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

type keysRotateCmd struct {
	OnlyAdd bool `help:"Add the key and rewrap nothing, to copy the file to other machines before."`
}

// Help implements kong.HelpProvider.
func (keysRotateCmd) Help() string {
	return `Adds a key to the key file, by which everything is wrapped from then on, waits some seconds for the servers to
take it in, and wraps the secrets of everybody by it, some hundred in a transaction. Servers go on reading and writing.

It may be stopped at any moment, by Ctrl-C, a crash or kill -9: run it again. Where an earlier run has not rewrapped
all, or has added the newest key less than 15 minutes ago, it finishes that and adds no key.

Servers on several machines need the same file. Where each has a copy, add the key on one machine, copy the file to all,
and then have it rewrapped; a server whose copy lacks the key could not read what others have rewrapped:

	consentd keys rotate-kek --only-add
	scp /etc/consentd/kek other:/etc/consentd/kek.new    # and rename it to kek there
	consentd keys rotate-kek

Keep a copy of the changed file at once: without the new key nothing can be proved any more. The old key stays in it
until consentd keys retire.

Progress goes to stderr: every second on a terminal, else every 5 s. What was done goes to stdout.

Examples:

	consentd keys rotate-kek
	consentd keys rotate-kek --data /var/lib/consentd
	CONSENTD_DATABASE_URL_FILE=/run/secrets/database consentd keys rotate-kek --kek-file /etc/kek

Exit codes: 0 all is wrapped by the newest key, 1 failed, stopped by a signal, or something could not be rewrapped, 2
wrong command line.`
}

// Run adds a key and rewraps.
func (c *keysRotateCmd) Run(k *keysCmd) error {
	return k.onKeys(func(ctx context.Context, w *keysWork) error {
		if c.OnlyAdd {
			return w.addKey()
		}
		began, err := w.begin(ctx)
		if err != nil {
			return err
		}
		return w.rewrap(ctx, began)
	})
}

// begin adds a key, unless an earlier rotation is to be finished: something was still wrapped by an older key, or the
// newest is so young that a server may still wrap by the one before it. rewrapped is what it has rewrapped to find out.
func (w *keysWork) begin(ctx context.Context) (rewrapped int64, err error) {
	if len(w.keys.file.KEKs()) == 1 {
		return 0, w.addKey()
	}
	use, err := w.pass(ctx)
	if err != nil {
		return 0, err
	}
	newest := w.keys.file.Newest()
	settled := newest.Created.Add(service.OutOfUseAfter)
	switch {
	case use.Rewrapped > 0:
		w.say("An earlier rotation was not finished: the key %s is the newest already, and none was added.", newest.ID)
	case time.Now().Before(settled):
		w.say("The key %s was added at %s, and none was added now. From %s on the same command adds one; with --only-add "+
			"it does at once.", newest.ID, stamp(newest.Created), stamp(settled))
	default:
		return 0, w.addKey()
	}
	return use.Rewrapped, nil
}

// addKey adds a key, unless another command does so at once.
func (w *keysWork) addKey() error {
	before := w.keys.file.Newest().ID
	_, err := sealing.RotateAfter(w.keys.path, before, rand.Reader, time.Now())
	added := err == nil
	if err != nil && !errors.Is(err, sealing.ErrRotated) {
		return err
	}
	if _, _, err := w.keys.reload(true); err != nil {
		return err
	}
	newest := w.keys.file.Newest()
	if !added {
		w.say("Another command added the key %s at the same time; no other was added.", newest.ID)
		return nil
	}
	w.say("Added the key %s to %s. Keep a copy of the file, as it is now, apart from backups.", newest.ID, w.keys.path)
	return nil
}

// pass looks at all secrets once, and rewraps.
func (w *keysWork) pass(ctx context.Context) (service.KeyUse, error) {
	r := service.NewRewrapper(w.store, w.keys.file.Ring(rand.Reader), w.keys.reload, w.log)
	return r.Pass(ctx, w.progress.at("rewrapping"))
}

// mostPasses bounds how often all secrets are looked at: after the first pass that began when the servers had taken the
// key in, nothing is left but what another command did meanwhile.
const mostPasses = 5

// rewrap looks at all secrets until nothing is left to rewrap, and says what was done. before were rewrapped already.
func (w *keysWork) rewrap(ctx context.Context, before int64) error {
	w.progress.begin("waiting until the servers have taken in the key")
	taken := time.Until(w.keys.file.Newest().Created.Add(service.TakenInAfter + time.Second)) // of whole seconds
	select {
	case <-time.After(min(taken, service.TakenInAfter+time.Second)):
	case <-ctx.Done():
		return ctx.Err()
	}
	for range mostPasses {
		use, err := w.pass(ctx)
		if err != nil {
			return err
		}
		before += use.Rewrapped
		if use.Rewrapped == 0 {
			return w.tellRewrapped(&use, before)
		}
	}
	return fmt.Errorf("secrets are wrapped by an older key again and again, after %d passes: a server reads another "+
		"copy of the key file, or cannot read it (its log tells); give it this one, and run the command again", mostPasses)
}

// tellRewrapped says what was done, and what is to be done next.
func (w *keysWork) tellRewrapped(use *service.KeyUse, rewrapped int64) error {
	f := w.keys.file
	newest := f.Newest().ID
	if use.Secrets() == 0 {
		w.say("There is nothing to rewrap yet.")
		return nil
	}
	var unused []sealing.KEKID
	var inUse []string
	for _, id := range kekIDs(f) {
		switch {
		case use.Wrapped[id] > 0:
			inUse = append(inUse, fmt.Sprintf("%s wraps %d", id, use.Wrapped[id]))
		case id != newest:
			unused = append(unused, id)
		}
	}
	w.say("Rewrapped %s by the key %s. In use: %s.", plural(rewrapped, "secret"), newest, strings.Join(inUse, ", "))
	if len(unused) > 0 {
		w.say("Nothing is wrapped by %s any more: consentd keys retire destroys that, from %s on.", ids(unused),
			stamp(f.Newest().Created.Add(service.OutOfUseAfter)))
	}
	if use.Unopened > 0 {
		of := use.FirstUnopenedOf
		return fmt.Errorf("%s not rewrapped, since they could not be opened, the first that of subject %s of "+
			"organization %s: %w; consentd doctor tells more", secrets(use.Unopened), of.Subject, of.Organization,
			use.FirstUnopened)
	}
	return nil
}
