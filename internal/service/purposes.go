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
	var made *consent.PurposeView
	err := s.makePurpose(ctx, a, project, in, idem, func(v *consent.PurposeView) any {
		made = v
		return &v.Purpose
	})
	if err != nil {
		return nil, err
	}
	return &made.Purpose, nil
}

// makePurpose makes a purpose; the answer to keep is rendered from what result gives.
func (s *Service) makePurpose(ctx context.Context, a consent.Actor, project consent.ID, in consent.NewPurpose,
	idem consent.Idempotency, result func(*consent.PurposeView) any) error {
	in, err := in.Prepare()
	if err != nil {
		return err
	}
	err = s.updateLedger(ctx, a, idem, func(tx Tx) (any, error) {
		d, err := catalogOf(ctx, tx, a.Organization)
		if err != nil {
			return nil, err
		}
		p, err := d.Project(project)
		if err != nil {
			return nil, err
		}
		in := in
		if in.Taxonomy == (consent.Taxonomy{}) {
			in.Taxonomy = d.FreeTaxonomy(p.Number, in.Key)
		}
		if err := d.Admits(p.Number, in); err != nil {
			return nil, err
		}
		made := consent.PurposeView{Purpose: d.NewPurpose(p.Number, s.newID(), s.now(), in), ProjectID: p.ID,
			Wording: consent.Wording{Document: in.Document, Texts: in.Texts}}
		changes := consent.Changes{}
		if err := keepWording(&made, &changes); err != nil {
			return nil, err
		}
		changes.Purposes = []consent.Purpose{made.Purpose}
		if _, err := s.addEntry(ctx, tx, a.PurposeEntry(p.ID, &made.Purpose), &changes); err != nil {
			return nil, err
		}
		return result(&made), tx.Append(ctx, &changes)
	})
	s.cache.drop()
	return err
}

// keepWording sets the hashes of what a purpose says, and adds the texts to what is to be written.
func keepWording(v *consent.PurposeView, changes *consent.Changes) error {
	texts, err := v.Wording.Texts.JSON()
	if err != nil {
		return err
	}
	for _, kept := range []struct {
		text string
		hash *[]byte
	}{{v.Wording.Document, &v.DocumentHash}, {texts, &v.TextsHash}} {
		*kept.hash = nil
		if kept.text != "" {
			*kept.hash = hashText(kept.text)
			changes.Texts = append(changes.Texts, consent.Text{Organization: v.Organization, Hash: *kept.hash,
				Text: kept.text})
		}
	}
	return nil
}
