package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

const keysAdvice = "name it with --kek-file (CONSENTD_KEK_FILE)"

// keys looks whether the key file is the one that the store goes with, and has every key that something is wrapped by.
func (d *doctor) keys(ctx context.Context, i *store.Inspection) {
	const check = "keys"
	keys, err := knownKeys(ctx, d.cfg, i)
	switch {
	case d.ends(ctx, check, notDone):
		return
	case errors.Is(err, errNoKeyFileYet):
		d.keyless = true
		d.ok(check, "the store goes with no key file yet; the next consentd serve makes one, or takes the one there is")
		return
	case errors.Is(err, errKeyFileUnnamed):
		d.warn(check, "not looked at: the key file is not named", keysAdvice)
		return
	case err != nil:
		d.noKeys(check, err)
		return
	}
	d.progress.step("keys")
	use, err := keys.count(ctx, i, func(u service.KeyUse) {
		d.progress.update(func(s *doctorStatus) {
			s.step = fmt.Sprintf("keys: %s looked at", plural(u.Secrets(), "secret"))
		})
	})
	if d.ends(ctx, check, notDone) {
		return
	}
	lost := ""
	if err != nil {
		d.noKeys(check, err)
	} else if lost = lostKeys(keys.file, &use); lost != "" {
		d.fail(check, lost, lostAdvice)
	}
	if err == nil && lost == "" { // else the first that cannot be read would end the look at all others
		d.opener = service.NewOpener(keys.file.Ring(rand.Reader), keys.reload)
	}
	if use.Damaged > 0 {
		d.fail(check, secrets(use.Damaged)+" damaged", d.restore)
	}
	if err == nil && lost == "" && use.Damaged == 0 {
		d.ok(check, fmt.Sprintf("the key file has all that wrap something: %s, and %s", plural(len(use.Wrapped), "key"),
			plural(use.Secrets(), "secret")))
	}
}

// noKeys says of a key file that it is out of order, or of the store that it could not be looked at.
func (d *doctor) noKeys(check string, err error) {
	var wrong *keyFileError
	if errors.As(err, &wrong) {
		d.fail(check, err.Error(), "mend that: no server starts without its key file, and nothing that is on record can "+
			"be proved")
		return
	}
	d.cannot(check, err)
}
