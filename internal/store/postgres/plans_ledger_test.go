package postgres

import (
	"context"
	"crypto/md5" // names rows as the database does
	"errors"
	"time"

	"github.com/google/uuid"

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
	var part consent.ExportedEvents
	_, err4 := r.Entries(ctx, p.organization, consent.EventSpan{To: consent.ID{0: 0xff}}, 100, &part)
	if err4 == nil && len(part.Rows) < 100 {
		err4 = errors.New("a part of the ledger has few entries")
	}
	_, err5 := r.LedgerEntry(ctx, p.organization, entry)
	_, err8 := r.Suppressed(ctx, p.organization, [][]byte{p.subjects[0].Subject[:], p.organization[:]})
	_, err10 := r.MergedInto(ctx, p.subjects[0])
	_, err12 := r.ErasedAfter(ctx, consent.ErasedSubject{}, 10)
	_, err13 := r.Unerased(ctx, p.subjects)
	_, err6 := r.EntriesOf(ctx, p.subjects[0], entry, 10)
	_, err7 := r.EventsBefore(ctx, p.organization, p.subjects[0].Subject, 10)
	secrets, err9 := r.SubjectSecretsFrom(ctx, p.organization, consent.NoID, 100)
	if err9 == nil && len(secrets) == 0 {
		err9 = errors.New("there are no secrets")
	}
	cosigned, err11 := r.Cosignatures(ctx, p.organization)
	if err11 == nil && len(cosigned) == 0 {
		err11 = errors.New("there are no cosignatures")
	}
	return errors.Join(err, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13)
}

// erased are they all, with the decision that each has taken, and with the answers about them that again kept.
func (p *people) erased() (c consent.Changes) {
	now := time.Now()
	for _, key := range p.subjects {
		c.ErasedEntries = append(c.ErasedEntries, consent.LedgerEntry{Organization: key.Organization, ID: key.Subject,
			Kind: consent.ErasedEntry, RecordedAt: now, Leaf: []byte{1}})
		c.ErasedSubjects = append(c.ErasedSubjects, consent.ErasedSubject{SubjectKey: key,
			Erasure: consent.Erasure{At: now, Sequence: 1}})
	}
	return c
}

// signed is a checkpoint that another key signs, entries that are no decisions, and restrictions.
func (p *people) signed() consent.Changes {
	now := time.Now()
	size := 1000 + int64(len(p.subjects)) // another one for each number of people
	var entries []consent.LedgerEntry
	for range p.subjects {
		entries = append(entries, consent.LedgerEntry{Organization: p.organization, ID: consent.ID(uuid.Must(uuid.NewV7())),
			Kind: consent.ErasureEntry, RecordedAt: now, BodyJSON: []byte{}, IdentityJSON: []byte{}})
	}
	restricted := make([]consent.RestrictedSubject, len(p.subjects))
	for i, key := range p.subjects {
		restricted[i] = consent.RestrictedSubject{SubjectKey: key, Restriction: consent.Restriction{At: now, Sequence: 1}}
	}
	var suppressed []consent.Suppression
	for i, key := range p.subjects {
		suppressed = append(suppressed, consent.Suppression{Organization: p.organization, At: now,
			Hash: consent.SuppressionHash(key.Subject)})
		suppressed[i].Hash[0] ^= 0xff
	}
	return consent.Changes{Suppressions: suppressed, LiftedSuppressions: suppressed, Entries: entries,
		Restrictions: restricted, EndedRestrictions: p.subjects,
		Checkpoints: []consent.Checkpoint{{Organization: p.organization, Size: size, LastID: p.organization, Tree: []byte{1},
			Note: []byte{1}, SignedAt: now}},
		Rewrapped: []consent.RewrappedSecret{{SubjectSecret: consent.SubjectSecret{SubjectKey: p.subjects[0],
			Wrapped: []byte{1}}, Before: []byte{2}}},
		Cosignatures: []consent.Cosignature{{Organization: p.organization, Witness: "witness", Size: size, Note: []byte{1},
			Line: []byte{1}, At: now}},
		LedgerKeys: []consent.LedgerKey{{Organization: p.organization, FromSize: size, Text: "key", From: now}}}
}

// hook is a webhook of which fillShard made deliveries.
func (p *people) hook() consent.WebhookKey {
	return consent.WebhookKey{Organization: p.organization,
		Webhook: consent.ID(md5.Sum([]byte(p.organization.String() + "hook1")))}
}

// readWebhooks asks what telling a webhook asks, and what shows it.
func (p *people) readWebhooks(ctx context.Context, r service.Reader) error {
	all, err := r.Webhooks(ctx, p.organization)
	if err == nil && len(all) < 3 {
		err = errors.New("there are few webhooks")
	}
	one, err2 := r.Webhook(ctx, p.hook())
	if err2 == nil && one == nil {
		err2 = errors.New("there is no webhook")
	}
	page, err3 := r.Deliveries(ctx, p.hook(), consent.NoID, 50)
	if err3 == nil && len(page) < 50 {
		err3 = errors.New("a page of deliveries is short")
	}
	due, err4 := r.DueDeliveries(ctx, p.hook(), time.Now().AddDate(1, 0, 0), 50)
	if err4 == nil && len(due) < 50 {
		err4 = errors.New("few deliveries are due")
	}
	_, err5 := r.Delivery(ctx, p.hook(), page[0].ID)
	parked, err6 := r.ParkedDeliveries(ctx, p.organization, consent.NoID, 50)
	if err6 == nil && len(parked) == 0 {
		err6 = errors.New("no delivery is parked")
	}
	_, err7 := r.WebhookCounts(ctx)
	return errors.Join(err, err2, err3, err4, err5, err6, err7)
}

// told is what telling a webhook writes: how far it has come, deliveries that are new and known, and another webhook.
func (p *people) told() (c consent.Changes) {
	now := time.Now()
	hook := p.hook()
	other := consent.WebhookKey{Organization: p.organization, Webhook: p.subjects[0].Subject}
	for _, key := range p.subjects {
		c.Deliveries = append(c.Deliveries, consent.Delivery{WebhookKey: hook, ID: key.Subject, CreatedAt: now,
			NextTryAt: now})
	}
	c.Webhooks = []consent.Webhook{{WebhookKey: other, Secret: []byte{1}, CreatedAt: now, UpdatedAt: now,
		WebhookCursor: consent.WebhookCursor{ExpiredAt: now}}}
	c.MovedWebhooks = []consent.MovedWebhook{{WebhookKey: hook, WebhookCursor: consent.WebhookCursor{Sequence: 1,
		ExpiredAt: now}}}
	c.DisabledWebhooks = []consent.Webhook{{WebhookKey: hook, UpdatedAt: now}}
	c.DropDeliveriesOf = []consent.DeliveriesFrom{{WebhookKey: hook, From: p.organization}}
	c.RemovedWebhooks = []consent.WebhookKey{{Organization: p.organization, Webhook: p.organization}}
	return c
}
