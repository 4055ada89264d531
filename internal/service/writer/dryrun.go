package writer

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// DryRun decides on a write as a batch of its own would, by what tx reads, and gives what that batch would append. It
// makes no secret and no leaf, so what it gives is not to be appended to a ledger. Of the options Now, Random and
// Suppressed are needed. Errors: those of Write.
func DryRun(ctx context.Context, o Options, tx Tx, p *consent.Prepared) (*consent.Recorded, *consent.Changes, error) {
	o.dry = true
	b := newBatch(&o, []*request{{Prepared: p}})
	if err := b.load(ctx, tx); err != nil {
		return nil, nil, err
	}
	if err := b.decide(); err != nil {
		return nil, nil, err
	}
	return b.outcomes[0].recorded, &b.changes, b.outcomes[0].err
}
