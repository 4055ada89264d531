package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// ExportConsents calls take for the current consents of everybody that a filter asks for, in order of subject, project
// and purpose. They stand as they did when each was read, and expire by the instant when it began. What take gets is
// overwritten when it returns. Between parts nothing of the store is held. Errors: Forbidden, NotFound (organization),
// Unprocessable (a name in the filter), Unavailable; take's.
func (s *Service) ExportConsents(ctx context.Context, a consent.Actor, f consent.ConsentFilter,
	take func([]consent.StandingConsent) error) error {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return err
	}
	done, err := s.beginExport(ctx, a.Organization)
	if err != nil {
		return err
	}
	defer done()
	reader := consentReader{filter: f, at: s.now(), after: consent.ConsentKey{Organization: a.Organization}}
	if err := s.exportPart(ctx, reader.begin); err != nil {
		return err
	}
	return inParts(ctx, func(ctx context.Context, part *consentPart) (more bool, err error) {
		err = s.exportPart(ctx, func(ctx context.Context, r Reader) (err error) {
			part.after, more, err = reader.read(ctx, r, part)
			return err
		})
		reader.after = part.after
		return more, err
	}, func(part *consentPart) error { return take(part.standing) })
}

// maxLooked is how many consents one page of a list looks at: few of them may match.
const maxLooked = 20 * mostInPart

// Consents gives up to limit of the current consents that a filter asks for, behind a place in their order, and the
// place at which it ended; more tells that others may follow, also where there are fewer than limit. Errors: those of
// ExportConsents.
func (s *Service) Consents(ctx context.Context, a consent.Actor, f consent.ConsentFilter, after consent.ConsentKey,
	limit int) (found []consent.StandingConsent, last consent.ConsentKey, more bool, err error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, last, false, err
	}
	after.Organization = a.Organization
	at := s.now()
	err = s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		found, last, more = nil, after, true
		reader := consentReader{filter: f, at: at, after: after}
		if err := reader.begin(ctx, r); err != nil {
			return err
		}
		for looked := 0; more && looked < maxLooked && len(found) < limit; looked += mostInPart {
			var part consentPart
			var err error
			reader.after = last
			if last, more, err = reader.read(ctx, r, &part); err != nil {
				return err
			}
			found = append(found, part.standing...)
		}
		if len(found) > limit {
			found, more = found[:limit], true
			end := &found[limit-1]
			last.Subject, last.Project, last.Purpose = end.Subject, end.Project.Number, end.Purpose.Number
		}
		return nil
	})
	return found, last, more, err
}

// consentReader reads the current consents of an organization, part by part.
type consentReader struct {
	filter  consent.ConsentFilter
	at      time.Time
	after   consent.ConsentKey
	catalog *consent.Catalog
	query   consent.ConsentQuery
}

// consentPart is a part of them, in memory that the next part uses again.
type consentPart struct {
	rows     consent.ExportedConsents
	standing []consent.StandingConsent
	after    consent.ConsentKey
}

// begin looks up what the filter names, past memory: a consent may be for a purpose that was made just now.
func (c *consentReader) begin(ctx context.Context, r Reader) (err error) {
	if c.catalog, err = catalogOf(ctx, r, c.after.Organization); err == nil {
		c.query, err = c.catalog.ConsentQuery(c.filter)
	}
	return err
}

// read fills the next part, and gives its end. It may run again.
func (c *consentReader) read(ctx context.Context, r Reader, part *consentPart) (last consent.ConsentKey, more bool,
	err error) {
	part.standing = part.standing[:0]
	if last, more, err = r.ExportConsents(ctx, c.after, mostInPart, &part.rows); err != nil {
		return last, more, err
	}
	if slices.ContainsFunc(part.rows.Rows, func(row consent.Consent) bool {
		return c.catalog.PurposeNumbered(row.Project, row.Purpose) == nil
	}) {
		if err := c.begin(ctx, r); err != nil {
			return last, more, err
		}
	}
	for i := range part.rows.Rows {
		if s, ok := c.catalog.Standing(&c.query, &part.rows.Rows[i],
			consent.Restriction{At: part.rows.Restricted[i]}, c.at); ok {
			part.standing = append(part.standing, s)
		}
	}
	return last, more, nil
}
