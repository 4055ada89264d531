package service

import (
	"context"
	"errors"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// hasherFrom gives by what an organization hashes identifiers; nil: none is suppressed. Errors: those of indexesOf.
func (s *Service) hasherFrom(ctx context.Context, r writer.SuppressionReader, organization consent.ID) (
	*sealing.BlindIndex, error) {
	known, err := s.keys.indexesOf(ctx, r, organization)
	if err != nil || known == nil {
		return nil, err
	}
	return known.suppressed, nil
}

// hashesOf gives the hashes of identifiers by which they are found where they are suppressed, by index of them; nil:
// none can be.
func (s *Service) hashesOf(ctx context.Context, names []consent.OwnedName) (hashes [][]byte, err error) {
	organization := names[0].Organization
	var hasher *sealing.BlindIndex
	if known := s.keys.get(organization); known != nil {
		hasher = known.suppressed
	} else {
		err = s.view(ctx, func(r Reader) error {
			hasher, err = s.hasherFrom(ctx, r, organization)
			return err
		})
	}
	if hasher == nil || err != nil {
		return nil, err
	}
	hashes = make([][]byte, len(names))
	for i := range names {
		hashes[i] = hashOf(hasher, names[i].Identifier)
	}
	return hashes, nil
}

func hashOf(hasher *sealing.BlindIndex, id consent.Identifier) []byte {
	hash := hasher.Of(string(id.Kind), id.Project, id.Value)
	return hash[:]
}

// suppressedOf tells which of some identifiers are suppressed, by their hashes, each once.
func (s *Service) suppressedOf(ctx context.Context, r writer.SuppressionReader, organization consent.ID,
	names []consent.Identifier) (map[consent.Identifier]consent.Suppression, error) {
	hasher, err := s.hasherFrom(ctx, r, organization)
	if err != nil || hasher == nil || len(names) == 0 {
		return nil, err
	}
	hashes := make([][]byte, len(names))
	for i := range names {
		hashes[i] = hashOf(hasher, names[i])
	}
	since, err := r.Suppressed(ctx, organization, hashes)
	found := map[consent.Identifier]consent.Suppression{}
	for i, at := range since {
		if !at.IsZero() {
			found[names[i]] = consent.Suppression{Organization: organization, Hash: consent.SuppressionHash(hashes[i]), At: at}
		}
	}
	return found, err
}

// ownNames are by which a subject may be named without any row that says so.
func ownNames(id consent.ID) []consent.Identifier {
	return []consent.Identifier{{Kind: consent.AnonymousID, Value: id.String()},
		{Kind: consent.SubjectID, Value: id.String()}}
}

// suppress has what stays of the names of a person who is being erased put into changes. secret is the organization's.
func (e *erasure) suppress(ctx context.Context, secret *ledger.Secret, changes *consent.Changes) error {
	names, err := identifiersOf(ctx, e.tx, e.all)
	if errors.Is(err, errUnreadable) {
		return &consent.Error{Kind: consent.Unprocessable, Field: "suppress", Err: err, Msg: "an identifier of the person " +
			"cannot be read, since what is stored of it was changed; erase without it"}
	}
	if err != nil {
		return err
	}
	organization := e.actor.Organization
	own, err := indexesBy(secret) // it may be new, and the transaction may fail: not to be kept yet
	if err != nil {
		return err
	}
	var all []consent.Identifier
	if e.removed && len(names) == 0 {
		if !e.first.IsZero() { // it was suppressed then, and of the state that was lost nothing is known
			return nil
		}
		return consent.Errorf(consent.Unprocessable, "suppress", "the record was removed, and with it by which identifiers "+
			"the person is known: there is nothing to suppress; erase without it")
	}
	for _, key := range e.all {
		all = append(append(all, names[key]...), ownNames(key.Subject)...)
	}
	known, err := e.s.suppressedOf(ctx, e.tx, organization, all)
	if err != nil {
		return err
	}
	for _, id := range all {
		if _, is := known[id]; is {
			continue
		}
		changes.Suppressions = append(changes.Suppressions, consent.Suppression{Organization: organization,
			Hash: consent.SuppressionHash(hashOf(own.suppressed, id)), At: changes.ErasedSubjects[0].At})
		changes.SuppressedNames = append(changes.SuppressedNames, consent.OwnedName{Organization: organization,
			Identifier: id})
	}
	return nil
}

// SuppressionCount tells how many identifiers of the actor's organization are suppressed.
func (s *Service) SuppressionCount(ctx context.Context, a consent.Actor) (n int64, err error) {
	if err := a.Require(consent.SubjectsRead); err != nil {
		return 0, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return 0, err
	}
	err = s.viewOnce(ctx, func(r Reader) error {
		head, err := headOf(ctx, r, a.Organization)
		n = head.Suppressed
		return err
	})
	return n, err
}

// CheckSuppressed tells which of some identifiers are suppressed. project is that of a ProjectUserID, NoID the default
// one. Errors: Forbidden, NotFound, Invalid with the kind.
func (s *Service) CheckSuppressed(ctx context.Context, a consent.Actor, project consent.ID,
	given []consent.Identifier) (*consent.Suppressed, error) {
	ranked, err := s.named(ctx, a, project, given)
	if err != nil {
		return nil, err
	}
	answer := &consent.Suppressed{}
	err = s.view(ctx, func(r Reader) error {
		found, err := s.suppressedOf(ctx, r, a.Organization, ranked)
		answer.Kinds = nil // it may run again
		for _, id := range ranked {
			if _, is := found[id]; is {
				answer.Kinds = append(answer.Kinds, id.Kind)
			}
		}
		return err
	})
	return answer, err
}
