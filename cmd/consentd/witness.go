package main

import (
	"context"
	"fmt"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

// witnessNames are what the witnesses of a configuration are called in metrics and logs.
func witnessNames(cfg *config.Config) (names []string) {
	for _, address := range cfg.Witnesses {
		names = append(names, address.Name())
	}
	return names
}

// witnesses tells how far each witness is behind, by what was kept of its cosignatures. It asks none.
func (d *doctor) witnesses(ctx context.Context, i *store.Inspection) {
	const check = "witnesses"
	if len(d.cfg.Witnesses) == 0 {
		d.ok(check, "none is configured; --witness names one that cosigns checkpoints")
		return
	}
	d.progress.step(check)
	for _, address := range d.cfg.Witnesses {
		var lag consent.WitnessLag
		err := i.View(ctx, func(r service.Reader) (err error) {
			lag, err = r.WitnessLag(ctx, address.Key, time.Now().Add(-service.WitnessGrace))
			return err
		})
		switch {
		case d.ends(ctx, check, notDone):
			return
		case err != nil:
			d.cannot(check, err)
		case lag.Ledgers > 0:
			d.warn(check, fmt.Sprintf("%s has not cosigned the newest checkpoint of %s, never any of %d of them, and is "+
				"behind by %s at most", address.Name(), plural(lag.Ledgers, "ledger"), lag.Never, entries(lag.Entries)),
				"see that it runs and is reached at "+address.URL+", and knows the key of each ledger; the server's log "+
					"tells which it refuses, and why")
		default:
			d.ok(check, address.Name()+" has cosigned the newest checkpoint of each ledger")
		}
	}
}
