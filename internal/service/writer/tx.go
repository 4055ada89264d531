package writer

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// TimelineReader reads what people decided.
type TimelineReader interface {
	ConsentsOf(ctx context.Context, subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.Consent, error)
	History(ctx context.Context, keys []consent.ConsentKey) (map[consent.ConsentKey][]consent.Step, error)
	Merges(ctx context.Context, subjects []consent.SubjectKey) (map[consent.SubjectKey][]consent.SubjectMerge, error)
}

// Tx is what a batch needs of a transaction of the store. service.Tx has it, and says what each method does.
type Tx interface {
	PeopleReader
	TimelineReader
	Catalog(ctx context.Context, organization consent.ID) (*consent.Catalog, error)
	Consents(ctx context.Context, keys []consent.ConsentKey) ([]consent.Consent, error)
	ConsentsByName(ctx context.Context, asked []consent.NamedConsent) ([]consent.NamedHolder, error)
	SuppressionReader
	importReader
	Heads(ctx context.Context, organizations []consent.ID) (map[consent.ID]consent.Head, error)
	IdempotencyRecords(ctx context.Context, keys []consent.IdempotencyKey) ([]*consent.IdempotencyRecord, error)
	Prefetch(read func() error) (wait func() error, err error)
	Append(ctx context.Context, changes *consent.Changes) error
}
