package service

import (
	"bytes"
	"context"
	"sync"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/ledger"
)

// hashers keeps by what organizations hash identifiers that are suppressed. Its key is the organization's own, which
// never changes. It is for use at once from many goroutines.
type hashers struct {
	mu    sync.Mutex
	known map[consent.ID]*sealing.BlindIndex
}

// maxHashers is how many are kept: past it they are read anew.
const maxHashers = 4096

func (h *hashers) get(organization consent.ID) *sealing.BlindIndex {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[organization]
}

func (h *hashers) put(organization consent.ID, hasher *sealing.BlindIndex) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= maxHashers || h.known == nil {
		h.known = map[consent.ID]*sealing.BlindIndex{}
	}
	h.known[organization] = hasher
}

// hasherOf makes the one of an organization of its secret.
func hasherOf(secret *ledger.Secret) (*sealing.BlindIndex, error) {
	key, err := sealing.NewKey(bytes.NewReader(secret[:]))
	if err != nil {
		return nil, err
	}
	return sealing.NewBlindIndex(key, sealing.IndexSuppressed)
}

// errNoSuppressionKey is said where somebody may be suppressed and nobody can tell whom: a check must not say yes then.
var errNoSuppressionKey = consent.Errorf(consent.Unavailable, "", "who is suppressed cannot be told, since the key "+
	"file is not there, or lacks the key that this organization's secret is encrypted by")

// hasherFrom gives by what an organization hashes identifiers; nil: none is suppressed. Errors: errNoSuppressionKey.
func (s *Service) hasherFrom(ctx context.Context, r writer.SuppressionReader, organization consent.ID) (
	*sealing.BlindIndex, error) {
	if known := s.hashers.get(organization); known != nil {
		return known, nil
	}
	of := consent.SubjectKey{Organization: organization}
	wrapped, err := r.SubjectSecrets(ctx, []consent.SubjectKey{of})
	if err != nil || wrapped[0] == nil {
		return nil, err
	}
	secret, err := s.secrets.Open(of, wrapped[0])
	if err != nil { // as after a restore from before a key was retired: what is not suppressed can be told all the same
		heads, headErr := r.Heads(ctx, []consent.ID{organization})
		if headErr != nil || heads[organization].Suppressed == 0 {
			return nil, headErr
		}
		return nil, &consent.Error{Kind: consent.Unavailable, Msg: errNoSuppressionKey.Msg, Err: err}
	}
	hasher, err := hasherOf(secret)
	if err == nil {
		s.hashers.put(organization, hasher)
	}
	return hasher, err
}

// hashesOf gives the hashes of identifiers by which they are found where they are suppressed, by index of them; nil:
// none can be.
func (s *Service) hashesOf(ctx context.Context, names []consent.OwnedName) (hashes [][]byte, err error) {
	organization := names[0].Organization
	hasher := s.hashers.get(organization)
	if hasher == nil {
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
func (e *erasure) suppress(ctx context.Context, secret *ledger.Secret, names map[consent.SubjectKey][]consent.Identifier,
	changes *consent.Changes) error {
	organization := e.actor.Organization
	hasher, err := hasherOf(secret) // it may be new, and the transaction may fail: not to be kept yet
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
			Hash: consent.SuppressionHash(hashOf(hasher, id)), At: changes.ErasedSubjects[0].At})
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
