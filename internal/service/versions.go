package service

import (
	"context"
	"errors"

	"github.com/consentd/consentd/internal/consent"
)

// Purposes with all that they say, and their versions.

const (
	// maxWording is how many bytes of text a page may show; it ends with the item that passes it.
	maxWording = 4 << 20
	// wordingsAtOnce is how many items' texts are read together.
	wordingsAtOnce = 8
)

// PurposePage lists the purposes of a project behind a number, in the order of their making. more tells that the page
// is not the last; it may be shorter than the limit, where texts are long. Errors: Forbidden, NotFound.
func (s *Service) PurposePage(ctx context.Context, a consent.Actor, project consent.ID, after, limit int) (
	page []consent.PurposeView, more bool, err error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return nil, false, err
	}
	err = s.view(ctx, func(r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization)
		if err != nil {
			return err
		}
		p, err := d.Project(project)
		if err != nil {
			return err
		}
		of := d.PurposesOf(p.Number)
		of = of[min(max(after, 0), len(of)):]
		page = nil
		for size := 0; len(page) < min(limit, len(of)) && size < maxWording; {
			next := of[len(page):min(len(page)+wordingsAtOnce, limit, len(of))]
			wordings, n, err := readWordings(ctx, r, a.Organization, next, func(p *consent.Purpose) hashes {
				return hashes{p.DocumentHash, p.TextsHash}
			})
			if err != nil {
				return err
			}
			size += n
			for i := range next {
				page = append(page, consent.PurposeView{Purpose: next[i], ProjectID: p.ID, Wording: wordings[i]})
			}
		}
		more = len(page) < len(of)
		return nil
	})
	return page, more, err
}

// hashes name what something says.
type hashes struct{ document, texts []byte }

// readWordings reads what each of some items says, by one set query, and how many bytes that is.
func readWordings[T any](ctx context.Context, r Reader, organization consent.ID, items []T, of func(*T) hashes) (
	wordings []consent.Wording, size int, err error) {
	wordings = make([]consent.Wording, len(items))
	var names [][]byte
	var fill []func(text string) error
	add := func(hash []byte, use func(text string) error) {
		if len(hash) > 0 {
			names, fill = append(names, hash), append(fill, use)
		}
	}
	for i := range items {
		h := of(&items[i])
		add(h.document, func(text string) error {
			wordings[i].Document = text
			return nil
		})
		add(h.texts, func(text string) (err error) {
			wordings[i].Texts, err = consent.ParseTexts(text)
			return err
		})
	}
	if len(names) == 0 {
		return wordings, 0, nil
	}
	texts, err := r.Texts(ctx, organization, names)
	for i := 0; i < len(texts) && err == nil; i++ {
		size += len(texts[i])
		err = fill[i](texts[i])
	}
	return wordings, size, err
}

// purposeOf reads a purpose by its key, and what it says.
func purposeOf(ctx context.Context, r Reader, organization, project consent.ID, key string) (*consent.Catalog,
	*consent.PurposeView, error) {
	d, err := catalogOf(ctx, r, organization)
	if err != nil {
		return nil, nil, err
	}
	p, err := d.Project(project)
	if err != nil {
		return nil, nil, err
	}
	found := d.PurposeByKey(p.Number, key)
	if found == nil {
		return nil, nil, consent.Errorf(consent.NotFound, "", "purpose not found")
	}
	wordings, _, err := readWordings(ctx, r, organization, []hashes{{found.DocumentHash, found.TextsHash}},
		func(h *hashes) hashes { return *h })
	if err != nil {
		return nil, nil, err
	}
	return d, &consent.PurposeView{Purpose: *found, ProjectID: p.ID, Wording: wordings[0]}, nil
}

// Purpose gives a purpose of a project by its key. Errors: Forbidden, NotFound.
func (s *Service) Purpose(ctx context.Context, a consent.Actor, project consent.ID, key string) (
	v *consent.PurposeView, err error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		_, v, err = purposeOf(ctx, r, a.Organization, project, key)
		return err
	})
	return v, err
}

// AddPurpose is CreatePurpose for those who may write the organization. The answer to keep is rendered from a
// *PurposeView.
func (s *Service) AddPurpose(ctx context.Context, a consent.Actor, project consent.ID, in consent.NewPurpose,
	idem consent.Idempotency) (made *consent.PurposeView, err error) {
	if err := a.Require(consent.OrganizationsWrite); err != nil {
		return nil, err
	}
	err = s.makePurpose(ctx, a, project, in, idem, func(v *consent.PurposeView) any {
		made = v
		return v
	})
	return made, err
}

// UpdatePurpose changes a purpose (see consent.Purpose.Change). The answer to keep is rendered from a *PurposeView.
// Errors: Invalid, Unprocessable, Forbidden, NotFound, Conflict, PreconditionFailed.
func (s *Service) UpdatePurpose(ctx context.Context, a consent.Actor, in consent.UpdatePurpose) (
	v *consent.PurposeView, err error) {
	if err := a.Require(consent.OrganizationsWrite); err != nil {
		return nil, err
	}
	changed := false
	err = s.updateLedger(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		d, was, err := purposeOf(ctx, tx, a.Organization, in.Project, in.Key)
		if err != nil {
			return nil, err
		}
		v = &consent.PurposeView{ProjectID: was.ProjectID}
		v.Purpose, v.Wording, changed, err = was.Change(&in.Change, was.Wording, s.now())
		if err == nil {
			err = d.AdmitsChange(&v.Purpose)
		}
		if err == nil {
			err = in.If.Check(was.Revision)
		}
		if err != nil || !changed {
			return v, err
		}
		var changes consent.Changes
		if err := keepWording(v, &changes); err != nil {
			return nil, err
		}
		changes.ChangedPurposes = []consent.Purpose{v.Purpose}
		if v.Version > was.Version {
			changes.PurposeVersions = []consent.PurposeVersion{was.CurrentVersion()}
		}
		if _, err := s.addEntry(ctx, tx, a.PurposeEntry(v.ProjectID, &v.Purpose), &changes); err != nil {
			return nil, err
		}
		return v, tx.Append(ctx, &changes)
	})
	s.cache.drop()
	var replayed *consent.Replayed
	if err == nil && changed || errors.As(err, &replayed) {
		if cut := s.seenByAll(ctx); cut != nil {
			return nil, cut
		}
	}
	return v, err
}

// PurposeVersions lists the versions of a purpose behind a number, without their texts. more tells that there are
// others behind. Errors: Forbidden, NotFound.
func (s *Service) PurposeVersions(ctx context.Context, a consent.Actor, project consent.ID, key string, after,
	limit int) (list []consent.PurposeVersionView, more bool, err error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return nil, false, err
	}
	err = s.view(ctx, func(r Reader) error {
		_, of, err := purposeOf(ctx, r, a.Organization, project, key)
		if err != nil {
			return err
		}
		list, more, err = versionsOf(ctx, r, &of.Purpose, after, limit)
		return err
	})
	return list, more, err
}

// versionsOf reads versions of a purpose behind a number, the current one last.
func versionsOf(ctx context.Context, r Reader, p *consent.Purpose, after, limit int) (
	list []consent.PurposeVersionView, more bool, err error) {
	var earlier []consent.PurposeVersion
	if after+1 < p.Version {
		key := consent.PurposeKey{Organization: p.Organization, Project: p.Project, Purpose: p.Number}
		if earlier, err = r.PurposeVersions(ctx, key, after, limit); err != nil {
			return nil, false, err
		}
	}
	for i := range earlier {
		list = append(list, consent.PurposeVersionView{PurposeVersion: earlier[i], HeldTo: p.HeldTo(earlier[i].Number)})
	}
	if len(list) == limit {
		return list, true, nil // the current one at least
	}
	if after < p.Version {
		list = append(list, consent.PurposeVersionView{PurposeVersion: p.CurrentVersion(), Revision: p.Revision})
	}
	return list, false, nil
}

// PurposeVersion gives a version of a purpose with all that it said. Errors: Forbidden, NotFound.
func (s *Service) PurposeVersion(ctx context.Context, a consent.Actor, project consent.ID, key string, number int) (
	v *consent.PurposeVersionView, err error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		_, of, err := purposeOf(ctx, r, a.Organization, project, key)
		if err != nil {
			return err
		}
		if !of.HasVersion(number) {
			return consent.Errorf(consent.NotFound, "", "version not found")
		}
		list, _, err := versionsOf(ctx, r, &of.Purpose, number-1, 1)
		if err != nil {
			return err
		}
		wordings, _, err := readWordings(ctx, r, a.Organization, list, func(v *consent.PurposeVersionView) hashes {
			return hashes{v.DocumentHash, v.TextsHash}
		})
		if err != nil {
			return err
		}
		v = &list[0]
		v.Wording = wordings[0]
		return nil
	})
	return v, err
}
