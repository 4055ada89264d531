package consent

import "context"

// WriterTx is what a batch needs of a transaction of the store. service.Tx has it, and says what each method does.
type WriterTx interface {
	peopleReader
	Directory(ctx context.Context, organization ID) (*Directory, error)
	Consents(ctx context.Context, keys []ConsentKey) ([]Consent, error)
	ConsentsOf(ctx context.Context, subjects []SubjectKey) (map[SubjectKey][]Consent, error)
	History(ctx context.Context, keys []ConsentKey) (map[ConsentKey][]Step, error)
	Merges(ctx context.Context, subjects []SubjectKey) (map[SubjectKey][]SubjectMerge, error)
	Heads(ctx context.Context, organizations []ID) (map[ID]Head, error)
	Answers(ctx context.Context, keys []AnswerKey) ([]*KeptAnswer, error)
	Ahead(read func() error) (wait func() error, err error)
	Append(ctx context.Context, changes *Changes) error
}
