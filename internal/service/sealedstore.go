package service

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// sealedStore is a store as the rules see it, over one that keeps what tells of people encrypted: identifiers, idents,
// data, profiles, archives and texts that one person alone was shown are sealed by the subject's key, and identifiers
// are found by an index that cannot be read. The store beneath has ciphertexts in the places of texts.
type sealedStore struct {
	Store
	keys *vault
}

// View implements Store.
func (s *sealedStore) View(ctx context.Context, read func(Reader) error) error {
	return s.Store.View(ctx, func(r Reader) error { return read(&openedReader{Reader: r, keys: s.keys}) })
}

// ViewOnce implements Store. What is sealed needs a second read, for the key.
func (s *sealedStore) ViewOnce(ctx context.Context, read func(Reader) error) error {
	return s.Store.ViewOnce(ctx, func(r Reader) error { return read(&openedReader{Reader: r, keys: s.keys}) })
}

// Person implements Store.
func (s *sealedStore) Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (consent.Who,
	error) {
	known := s.keys.get(name.Organization)
	if known == nil {
		err := s.Store.View(ctx, func(r Reader) (err error) {
			known, err = s.keys.indexesOf(ctx, r, name.Organization)
			return err
		})
		if err != nil {
			return consent.Who{}, err
		}
	}
	return s.Store.Person(ctx, known.of(name), project, hash)
}

// Update implements Store.
func (s *sealedStore) Update(ctx context.Context, organization consent.ID, write func(Tx) error) error {
	var t *sealingTx
	err := s.Store.Update(ctx, organization, func(tx Tx) error {
		t = &sealingTx{openedReader: openedReader{Reader: tx, keys: s.keys}, tx: tx}
		return write(t)
	})
	if t == nil {
		return err
	}
	for i := range t.erased {
		s.keys.secrets.opened.drop(t.erased[i].SubjectKey)
	}
	if err == nil && len(t.shared) > 0 {
		s.keys.shared.add(t.shared)
	}
	return err
}
