package service

import (
	"context"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// ledgerEnd is the end of an organization's ledger within a transaction that adds an entry which is no decision.
type ledgerEnd struct {
	s    *Service
	head consent.Head
	tree *ledger.Tree
	// secret is what the last entry was committed with.
	secret *ledger.Secret
}

// endOf reads where the ledger ends. On an engine with round trips it takes the organization's lock, so it comes first.
func (s *Service) endOf(ctx context.Context, tx Tx, organization consent.ID) (*ledgerEnd, error) {
	heads, err := tx.Heads(ctx, []consent.ID{organization})
	if err != nil {
		return nil, err
	}
	l := &ledgerEnd{s: s, head: heads[organization]}
	l.head.Organization = organization
	l.tree, err = writer.TreeOf(&l.head)
	return l, err
}

// add gives an entry its place behind all others and what it is committed with, and puts both into changes.
func (l *ledgerEnd) add(ctx context.Context, tx Tx, e consent.LedgerEntry, changes *consent.Changes) (
	consent.LedgerEntry, error) {
	secret, err := l.s.secretFor(ctx, tx, consent.SubjectKey{Organization: e.Organization, Subject: e.Subject}, changes)
	if err != nil {
		return e, err
	}
	l.secret = secret
	var random [10]byte
	l.s.read(random[:])
	e.RecordedAt = l.s.now()
	l.head.LastID = consent.NextID(l.head.LastID, e.RecordedAt, random)
	l.head.Sequence++
	e.ID, e.Sequence = l.head.LastID, l.head.Sequence
	leaf := ledger.NewLeaf(e.RecordedAt.UnixMilli(), secret, uint64(e.Sequence), e.BodyJSON, e.IdentityJSON)
	for _, row := range l.tree.Add(nil, leaf.Hash()) {
		changes.LedgerRows = append(changes.LedgerRows, consent.LedgerRow{Organization: e.Organization, Level: row.Level,
			Number: row.Number, Hashes: row.Hashes})
	}
	l.head.Tree = l.tree.Append(nil)
	changes.Heads = []consent.Head{l.head}
	changes.Entries = append(changes.Entries, e)
	return e, nil
}

// secretFor gives what entries of a subject (NoID: of the organization) are committed with, and makes it where there is
// none yet.
func (s *Service) secretFor(ctx context.Context, r Reader, of consent.SubjectKey, changes *consent.Changes) (
	*ledger.Secret, error) {
	wrapped, err := r.SubjectSecrets(ctx, []consent.SubjectKey{of})
	if err != nil {
		return nil, err
	}
	if wrapped[0] != nil {
		secret, err := s.secrets.Open(of, wrapped[0])
		if err != nil {
			return nil, fmt.Errorf("read what entries are committed with: %w", err)
		}
		return secret, nil
	}
	secret, made, err := s.secrets.New(of)
	if err != nil {
		return nil, fmt.Errorf("make what entries are committed with: %w", err)
	}
	changes.SubjectSecrets = append(changes.SubjectSecrets, consent.SubjectSecret{SubjectKey: of, Wrapped: made})
	return secret, nil
}
