package consent

import (
	"context"
)

// Purposes lists the purposes of a project of the actor's organization.
func (s *Service) Purposes(ctx context.Context, a Actor, project ID) (*Project, []Purpose, error) {
	if err := a.need(ConsentsRead); err != nil {
		return nil, nil, err
	}
	d, err := s.directoryAnew(ctx, a.Organization)
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
func (s *Service) Document(ctx context.Context, a Actor, p *Purpose) (text string, err error) {
	if len(p.DocumentHash) == 0 {
		return "", nil
	}
	err = s.ask(ctx, func(r Reader) error {
		text, err = r.Text(ctx, a.Organization, p.DocumentHash)
		return err
	})
	return text, err
}

// CreatePurpose makes a purpose. The once answer is rendered from a *Purpose.
// Errors: Invalid, Forbidden, NotFound (project), Conflict (taxonomy or key taken).
func (s *Service) CreatePurpose(ctx context.Context, a Actor, project ID, wish NewPurpose, once Once) (*Purpose, error) {
	if err := a.need(ConsentsWrite); err != nil {
		return nil, err
	}
	if err := checkNewPurpose(wish); err != nil {
		return nil, err
	}
	var made Purpose
	err := s.update(ctx, a, once, func(tx Tx) (any, error) {
		d, err := directoryOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		p, err := d.Project(project)
		if err != nil {
			return nil, err
		}
		if err := d.admits(p.Number, wish); err != nil {
			return nil, err
		}
		made = d.newPurpose(p.Number, s.newID(), s.now(), wish)
		changes := Changes{}
		if wish.Document != "" {
			made.DocumentHash = hashText(wish.Document)
			changes.Texts = append(changes.Texts, Text{a.Organization, made.DocumentHash, wish.Document})
		}
		changes.Purposes = []Purpose{made}
		return &made, tx.Append(ctx, &changes)
	})
	s.cache.drop()
	return &made, err
}
