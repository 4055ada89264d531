package consent

import (
	"context"
	"crypto/sha256"
	"unicode/utf8"
)

// maxPurposes is the most purposes of a project.
const maxPurposes = 1000

// MaxDocument is the most characters of a purpose's legal text.
const MaxDocument = 5_000_000

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
			text := newText(a.Organization, wish.Document)
			made.DocumentHash = text.Hash
			changes.Texts = append(changes.Texts, text)
		}
		changes.Purposes = []Purpose{made}
		return &made, tx.Append(ctx, &changes)
	})
	s.cache.drop()
	return &made, err
}

func newText(organization ID, text string) Text {
	hash := sha256.Sum256([]byte(text))
	return Text{Organization: organization, Hash: hash[:], Text: text}
}

func checkNewPurpose(wish NewPurpose) error {
	if err := checkName("name", wish.Name, 5, 100); err != nil {
		return err
	}
	if utf8.RuneCountInString(wish.Description) > 2000 {
		return Errorf(Invalid, "description", "must have 2000 characters at most")
	}
	if utf8.RuneCountInString(wish.Document) > MaxDocument {
		return Errorf(Invalid, "document", "must have %d characters at most", MaxDocument)
	}
	if wish.Duration != "" {
		if _, err := ParseDuration(string(wish.Duration)); err != nil {
			return Errorf(Invalid, "duration", "%s", err)
		}
	}
	return nil
}

// admits tells whether a project can have one more purpose like this.
func (d *Directory) admits(project int, wish NewPurpose) error {
	of := d.PurposesOf(project)
	if len(of) >= maxPurposes {
		return Errorf(Conflict, "", "a project may have %d purposes at most", maxPurposes)
	}
	for i := range of {
		if of[i].Taxonomy == wish.Taxonomy {
			return Errorf(Conflict, "", "this category, subcategory and label are taken and cannot be changed")
		}
		if wish.Key != "" && of[i].Key == wish.Key {
			return Errorf(Conflict, "", "this key is taken")
		}
	}
	return nil
}
