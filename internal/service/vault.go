package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

// vault knows by what an organization's identifiers are found, and opens what is sealed by people's keys. It is for use
// at once from many goroutines.
type vault struct {
	secrets *secrets
	shared  sharedTexts

	mu    sync.Mutex
	known map[consent.ID]*indexes
}

// indexes are made of an organization's secret, which never changes.
type indexes struct {
	names      *sealing.BlindIndex // finds subjects by their identifiers
	suppressed *sealing.BlindIndex
	imported   *sealing.BlindIndex // of lines that imports brought
}

// maxIndexes is how many organizations' are kept: past it they are read anew.
const maxIndexes = 4096

func newVault(s *secrets) *vault { return &vault{secrets: s, known: map[consent.ID]*indexes{}} }

// get gives the indexes of an organization, where they were needed before.
func (v *vault) get(organization consent.ID) *indexes {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.known[organization]
}

// secretReader reads secrets as they are stored.
type secretReader interface {
	SubjectSecrets(ctx context.Context, subjects []consent.SubjectKey) ([][]byte, error)
}

// indexesOf gives the indexes of an organization; nil: it has no secret yet, and so no identifier. Errors: those of the
// store, and of the key file.
func (v *vault) indexesOf(ctx context.Context, r secretReader, organization consent.ID) (*indexes, error) {
	if known := v.get(organization); known != nil {
		return known, nil
	}
	of := consent.SubjectKey{Organization: organization}
	wrapped, err := r.SubjectSecrets(ctx, []consent.SubjectKey{of})
	if err != nil || wrapped[0] == nil {
		return nil, err
	}
	secret, err := v.secrets.Open(of, wrapped[0])
	if err != nil {
		return nil, keyLacks(fmt.Errorf("read the secret of organization %s: %w", organization, err))
	}
	made, err := indexesBy(secret)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= maxIndexes {
		clear(v.known)
	}
	v.known[organization] = made
	return made, nil
}

// indexesBy makes the indexes of an organization of its secret.
func indexesBy(secret *ledger.Secret) (*indexes, error) {
	key, err := sealing.NewKey(bytes.NewReader(secret[:]))
	if err != nil {
		return nil, err
	}
	names, err := sealing.NewBlindIndex(key, sealing.IndexIdentifier)
	if err != nil {
		return nil, err
	}
	suppressed, err := sealing.NewBlindIndex(key, sealing.IndexSuppressed)
	if err != nil {
		return nil, err
	}
	imported, err := sealing.NewBlindIndex(key, sealing.IndexImport)
	return &indexes{names, suppressed, imported}, err
}

// nameKind stands for all kinds by which an organization names subjects: they are looked for together too.
const nameKind = "name"

// of gives an identifier as the store has it.
func (x *indexes) of(name consent.OwnedName) consent.OwnedName {
	stored := consent.OwnedName{Organization: name.Organization,
		Identifier: consent.Identifier{Kind: name.Kind, Project: name.Project}}
	if name.Kind.OwnID() {
		stored.Own, _ = consent.ParseID(name.Value)
	}
	if x != nil {
		stored.Value = x.value(name.Identifier)
	}
	return stored
}

func (x *indexes) value(id consent.Identifier) string {
	kind := string(id.Kind)
	if id.Kind.Naming() {
		kind = nameKind
	}
	index := x.names.Of(kind, id.Project, id.Value)
	return string(index[:])
}

// subjectsOf gives by what the texts of subjects are sealed, by index of keys; nil: the key is gone, or was changed.
// Errors: those of the store, and such as say nothing of what is stored.
func (v *vault) subjectsOf(ctx context.Context, r secretReader, keys []consent.SubjectKey) ([]*sealing.Subject, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	wrapped, err := r.SubjectSecrets(ctx, keys)
	if err != nil {
		return nil, err
	}
	subjects := make([]*sealing.Subject, len(keys))
	for i, key := range keys {
		if wrapped[i] == nil {
			continue
		}
		if subjects[i], err = v.open(key, wrapped[i]); err != nil {
			return nil, err
		}
	}
	return subjects, nil
}

// open gives by what the texts of a subject are sealed, whose key is stored so; nil: it was changed. Errors: such as
// say nothing of what is stored.
func (v *vault) open(of consent.SubjectKey, wrapped []byte) (*sealing.Subject, error) {
	subject, err := v.secrets.subject(of, wrapped)
	if err != nil && !errors.Is(err, sealing.ErrDamaged) && !errors.Is(err, sealing.ErrNoKey) {
		return nil, keyLacks(fmt.Errorf("read the key of subject %s: %w", of.Subject, err))
	}
	return subject, nil
}

// keyLacks makes of what the key file has not, as after a restore from before a key was retired, what a caller may be
// told: it may be there again.
func keyLacks(err error) error {
	var unknown *sealing.UnknownKEKError
	if !errors.Is(err, errNoKeyFile) && !errors.As(err, &unknown) {
		return err
	}
	return &consent.Error{Kind: consent.Unavailable, Err: err, Msg: "who people are cannot be read, since the key file " +
		"is not there, or lacks a key that something is encrypted by"}
}
