package writer

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// SuppressionReader reads what is suppressed.
type SuppressionReader interface {
	SubjectSecrets(ctx context.Context, subjects []consent.SubjectKey) ([][]byte, error)
	Suppressed(ctx context.Context, organization consent.ID, hashes [][]byte) ([]time.Time, error)
}

// Suppressed tells which of some identifiers of an organization are suppressed.
type Suppressed func(ctx context.Context, r SuppressionReader, organization consent.ID,
	names []consent.Identifier) (map[consent.Identifier]consent.Suppression, error)

// loadSuppressed reads which identifiers are suppressed by which people decide something themselves, or that an import
// names. It asks for nothing where the organization has no suppressions, as its head tells.
func (b *batch) loadSuppressed(ctx context.Context, tx Tx) error {
	names := map[consent.ID][]consent.Identifier{}
	noted := map[consent.OwnedName]bool{}
	for _, r := range b.requests {
		o := r.Actor.Organization
		if b.heads[o].Suppressed == 0 {
			continue
		}
		for n := range r.Items {
			for _, id := range r.Items[n].Identifiers {
				name := consent.OwnedName{Organization: o, Identifier: id}
				if (r.Import != nil || r.Items[n].Clicked()) && !noted[name] {
					noted[name] = true
					names[o] = append(names[o], id)
				}
			}
		}
	}
	for o, some := range names {
		found, err := b.o.Suppressed(ctx, tx, o, some)
		if err != nil {
			return err
		}
		for id, one := range found {
			b.suppressed[consent.OwnedName{Organization: o, Identifier: id}] = one
		}
	}
	return nil
}

// lift ends the suppression of the identifiers of somebody who has decided something since. What was decided before,
// and comes once more from somebody's records, lifts nothing.
func (b *batch) lift(r *request, item *batchItem, events []consent.EventView) {
	var clicked time.Time
	for i := range events {
		if e := &events[i]; e.Action == consent.UserClick && e.OccurredAt.After(clicked) {
			clicked = e.OccurredAt
		}
	}
	for _, id := range item.Identifiers {
		name := consent.OwnedName{Organization: r.Actor.Organization, Identifier: id}
		if one, is := b.suppressed[name]; is && !clicked.Before(one.At) {
			delete(b.suppressed, name)
			b.changes.LiftedSuppressions = append(b.changes.LiftedSuppressions, one)
			b.changes.SuppressedNames = append(b.changes.SuppressedNames, name)
		}
	}
}
