package service

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// RestrictSubject has a person kept and not used: a check answers no, and writes are kept. Once it was done it gives the
// same again. The answer to keep is rendered from a *Restricted. Errors: Unprocessable, Forbidden, NotFound, Gone.
func (s *Service) RestrictSubject(ctx context.Context, a consent.Actor, in consent.RestrictSubject) (
	*consent.Restricted, error) {
	return s.changeRestriction(ctx, a, in, func(ctx context.Context, tx Tx, subject *consent.Subject) (
		consent.Restriction, error) {
		if !subject.Restriction.At.IsZero() {
			return subject.Restriction, nil
		}
		var changes consent.Changes
		entry, err := s.addEntry(ctx, tx, a.RestrictionEntry(consent.RestrictionEntry, subject.ID, in.Reason), &changes)
		if err != nil {
			return consent.Restriction{}, err
		}
		made := consent.Restriction{At: entry.RecordedAt, Sequence: entry.Sequence}
		changes.Restrictions = []consent.RestrictedSubject{{Restriction: made,
			SubjectKey: consent.SubjectKey{Organization: subject.Organization, Subject: subject.ID}}}
		return made, tx.Append(ctx, &changes)
	})
}

// UnrestrictSubject lets a person be used again, with all who were merged into them. Where they are not restricted it
// changes nothing. The answer to keep is rendered from a *Restricted. Errors: those of RestrictSubject.
func (s *Service) UnrestrictSubject(ctx context.Context, a consent.Actor, in consent.RestrictSubject) (
	*consent.Restricted, error) {
	return s.changeRestriction(ctx, a, in, func(ctx context.Context, tx Tx, subject *consent.Subject) (
		none consent.Restriction, err error) {
		if subject.Restriction.At.IsZero() {
			return none, nil
		}
		var changes consent.Changes
		_, err = s.addEntry(ctx, tx, a.RestrictionEntry(consent.UnrestrictionEntry, subject.ID, in.Reason), &changes)
		if err != nil {
			return none, err
		}
		person := consent.SubjectKey{Organization: subject.Organization, Subject: subject.ID}
		merges, err := tx.Merges(ctx, []consent.SubjectKey{person})
		if err != nil {
			return none, err
		}
		changes.EndedRestrictions = []consent.SubjectKey{person}
		for _, m := range merges[person] {
			changes.EndedRestrictions = append(changes.EndedRestrictions, consent.SubjectKey{Organization: m.Organization,
				Subject: m.From})
		}
		return none, tx.Append(ctx, &changes)
	})
}

// changeRestriction has change do something about the restriction of a subject, and gives it as it is then.
func (s *Service) changeRestriction(ctx context.Context, a consent.Actor, in consent.RestrictSubject,
	change func(context.Context, Tx, *consent.Subject) (consent.Restriction, error)) (*consent.Restricted, error) {
	if _, err := s.catalogForPeople(ctx, a); err != nil {
		return nil, err
	}
	if err := consent.CheckReason(in.Reason); err != nil {
		return nil, err
	}
	var answer *consent.Restricted
	err := s.updateLedger(ctx, a, in.Idempotency, func(tx Tx) (any, error) {
		subject, err := survivor(ctx, tx, a.Organization, in.Subject)
		if err != nil {
			return nil, err
		}
		answer = &consent.Restricted{Subject: subject.ID}
		answer.Restriction, err = change(ctx, tx, subject)
		return answer, err
	})
	return answer, err
}
