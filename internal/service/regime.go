package service

import (
	"cmp"
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// Regime tells which regime holds in a place, and what follows for the purposes of a project of the actor's
// organization. It reads nobody's data and keeps nothing. Errors: Forbidden, NotFound (project).
func (s *Service) Regime(ctx context.Context, a consent.Actor, q consent.RegimeQuery) (consent.PlaceRegime, error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return consent.PlaceRegime{}, err
	}
	d, p, err := s.catalogFinding(ctx, a.Organization, func(d *consent.Catalog) (*consent.Project, error) {
		return d.ProjectNamed(cmp.Or(q.Project, "default"))
	})
	if err != nil {
		return consent.PlaceRegime{}, err
	}
	if q.Country == "" {
		q.Country = s.places.Country(q.Address)
	}
	if q.At.IsZero() {
		q.At = s.now()
	}
	rule := s.places.Rule(q.Country, q.At)
	return consent.PlaceRegime{Rule: rule, At: q.At,
		Purposes: consent.RegimesOf(rule.Regime, d.PurposesOf(p.Number), q.OptOut)}, nil
}
