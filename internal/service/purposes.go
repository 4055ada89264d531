package service

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// Purposes lists the purposes of a project of the actor's organization.
func (s *Service) Purposes(ctx context.Context, a consent.Actor, project consent.ID) (*consent.Project,
	[]consent.Purpose, error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, nil, err
	}
	d, err := s.freshCatalog(ctx, a.Organization)
	if err != nil {
		return nil, nil, err
	}
	p, err := d.Project(project)
	if err != nil {
		return nil, nil, err
	}
	return p, d.PurposesOf(p.Number), nil
}

// Document gives a purpose's legal text; empty where it has none.
func (s *Service) Document(ctx context.Context, a consent.Actor, p *consent.Purpose) (text string, err error) {
	if len(p.DocumentHash) == 0 {
		return "", nil
	}
	err = s.viewOnce(ctx, func(r Reader) error {
		text, err = r.Text(ctx, a.Organization, p.DocumentHash)
		return err
	})
	return text, err
}

// CreatePurpose makes a purpose. The answer to keep is rendered from a *Purpose.
// Errors: Invalid, Forbidden, NotFound (project), Conflict (taxonomy or key taken).
func (s *Service) CreatePurpose(ctx context.Context, a consent.Actor, project consent.ID, in consent.NewPurpose,
	idem consent.Idempotency) (*consent.Purpose, error) {
	if err := a.Require(consent.ConsentsWrite); err != nil {
		return nil, err
	}
	if err := consent.CheckNewPurpose(in); err != nil {
		return nil, err
	}
	var made consent.Purpose
	err := s.update(ctx, a, idem, func(tx Tx) (any, error) {
		d, err := catalogOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		p, err := d.Project(project)
		if err != nil {
			return nil, err
		}
		if err := d.Admits(p.Number, in); err != nil {
			return nil, err
		}
		made = d.NewPurpose(p.Number, s.newID(), s.now(), in)
		changes := consent.Changes{}
		if in.Document != "" {
			made.DocumentHash = hashText(in.Document)
			changes.Texts = append(changes.Texts, consent.Text{Organization: a.Organization, Hash: made.DocumentHash,
				Text: in.Document})
		}
		changes.Purposes = []consent.Purpose{made}
		return &made, tx.Append(ctx, &changes)
	})
	s.cache.drop()
	return &made, err
}
