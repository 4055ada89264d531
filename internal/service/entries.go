package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// ledgerEnd is the end of an organization's ledger within a transaction that adds an entry which is no decision.
type ledgerEnd struct {
	s    *Service
	head consent.Head
	tree *ledger.Tree
	// secrets are what entries that were added are committed with, by subject; NoID: the organization's own.
	secrets map[consent.ID]*ledger.Secret
}

// endOf reads where the ledger ends. On an engine with round trips it takes the organization's lock, so it comes first.
func (s *Service) endOf(ctx context.Context, tx Tx, organization consent.ID) (*ledgerEnd, error) {
	heads, err := tx.Heads(ctx, []consent.ID{organization})
	if err != nil {
		return nil, err
	}
	l := s.startOf(organization)
	if head, there := heads[organization]; there {
		l.head = head
	}
	l.tree, err = writer.TreeOf(&l.head)
	return l, err
}

// startOf is the end of a ledger that has no entry yet.
func (s *Service) startOf(organization consent.ID) *ledgerEnd {
	return &ledgerEnd{s: s, head: consent.Head{Organization: organization}, tree: &ledger.Tree{},
		secrets: map[consent.ID]*ledger.Secret{}}
}

// updateLedger is update of what adds to the ledger of the actor's organization.
func (s *Service) updateLedger(ctx context.Context, a consent.Actor, idem consent.Idempotency,
	write func(Tx) (any, error)) error {
	err := s.update(ctx, a, idem, write)
	s.changed([]consent.ID{a.Organization}) // also where it is not known what came of it
	return err
}

// addPurposes adds the entries of purposes that are made or changed, each of one of the projects.
func (l *ledgerEnd) addPurposes(ctx context.Context, tx Tx, a consent.Actor, projects []consent.Project,
	purposes []consent.Purpose, changes *consent.Changes) error {
	for i := range purposes {
		p := &purposes[i]
		at := slices.IndexFunc(projects, func(of consent.Project) bool { return of.Number == p.Project })
		if at < 0 {
			return fmt.Errorf("purpose %s is of project %d, which is not there", p.ID, p.Project)
		}
		if _, err := l.add(ctx, tx, a.PurposeEntry(projects[at].ID, p), changes); err != nil {
			return err
		}
	}
	return nil
}

// add gives an entry its place behind all others and what it is committed with, and puts both into changes.
func (l *ledgerEnd) add(ctx context.Context, tx Tx, e consent.LedgerEntry, changes *consent.Changes) (
	consent.LedgerEntry, error) {
	secret := l.secrets[e.Subject]
	if secret == nil {
		var err error
		of := consent.SubjectKey{Organization: e.Organization, Subject: e.Subject}
		if secret, err = l.s.secretFor(ctx, tx, of, changes); err != nil {
			return e, err
		}
		l.secrets[e.Subject] = secret
	}
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

// addEntry puts an entry behind all others of its ledger.
func (s *Service) addEntry(ctx context.Context, tx Tx, e consent.LedgerEntry, changes *consent.Changes) (
	consent.LedgerEntry, error) {
	end, err := s.endOf(ctx, tx, e.Organization)
	if err != nil {
		return e, err
	}
	return end.add(ctx, tx, e, changes)
}

// secretFor gives what entries of a subject (NoID: of the organization) are committed with, and makes it where there is
// none yet.
func (s *Service) secretFor(ctx context.Context, r Reader, of consent.SubjectKey, changes *consent.Changes) (
	*ledger.Secret, error) {
	known, err := s.secretOf(ctx, r, of)
	if err != nil || known != nil {
		return known, err
	}
	secret, made, err := s.secrets.New(of)
	if err != nil {
		return nil, fmt.Errorf("make what entries are committed with: %w", err)
	}
	changes.SubjectSecrets = append(changes.SubjectSecrets, consent.SubjectSecret{SubjectKey: of, Wrapped: made})
	return secret, nil
}

// secretOf gives what entries of a subject are committed with; nil: there is none.
func (s *Service) secretOf(ctx context.Context, r Reader, of consent.SubjectKey) (*ledger.Secret, error) {
	wrapped, err := r.SubjectSecrets(ctx, []consent.SubjectKey{of})
	if err != nil || wrapped[0] == nil {
		return nil, err
	}
	secret, err := s.secrets.Open(of, wrapped[0])
	if err != nil {
		return nil, fmt.Errorf("read what entries of subject %s are committed with: %w", of.Subject, err)
	}
	return secret, nil
}
