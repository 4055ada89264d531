package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// readLedger asks what signing a checkpoint asks, and what proofs and tiles do.
func (p *people) readLedger(ctx context.Context, r service.Reader) error {
	checkpoint, err := r.Checkpoint(ctx, p.organization)
	if err == nil && checkpoint == nil {
		err = errors.New("there is no checkpoint")
	}
	keys, err2 := r.LedgerKeys(ctx, p.organization)
	if err2 == nil && len(keys) == 0 {
		err2 = errors.New("there are no keys of the ledger")
	}
	entry, _, err3 := r.EntryAfter(ctx, p.organization, consent.NoID)
	if err3 == nil && entry == consent.NoID {
		err3 = errors.New("there is no entry")
	}
	secrets, err4 := r.SubjectSecretsFrom(ctx, p.organization, consent.NoID, 100)
	if err4 == nil && len(secrets) == 0 {
		err4 = errors.New("there are no secrets")
	}
	return errors.Join(err, err2, err3, err4)
}

// signed is a checkpoint that another key signs.
func (p *people) signed() consent.Changes {
	now := time.Now()
	size := 1000 + int64(len(p.subjects)) // another one for each number of people
	return consent.Changes{
		Checkpoints: []consent.Checkpoint{{Organization: p.organization, Size: size, LastID: p.organization, Tree: []byte{1},
			Note: []byte{1}, SignedAt: now}},
		Rewrapped: []consent.RewrappedSecret{{SubjectSecret: consent.SubjectSecret{SubjectKey: p.subjects[0],
			Wrapped: []byte{1}}, Before: []byte{2}}},
		LedgerKeys: []consent.LedgerKey{{Organization: p.organization, FromSize: size, Text: "key", From: now}}}
}
