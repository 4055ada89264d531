package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

// sealingTx is a transaction that encrypts what it writes of people. Whoever has no key yet gets one.
type sealingTx struct {
	openedReader
	tx     Tx
	noted  []notedSecrets
	erased []consent.ErasedSubject
	shared map[textKey]bool // texts that were seen to be, or become, those of several people
}

var _ Tx = (*sealingTx)(nil)

// notedSecrets are what this transaction read, by index of subjects. They may be filled in later than asked for.
type notedSecrets struct {
	subjects []consent.SubjectKey
	wrapped  [][]byte
}

// Prefetch implements Tx.
func (t *sealingTx) Prefetch(read func() error) (wait func() error, err error) {
	return t.tx.Prefetch(read)
}

// SubjectSecrets implements Reader.
func (t *sealingTx) SubjectSecrets(ctx context.Context, subjects []consent.SubjectKey) ([][]byte, error) {
	wrapped, err := t.tx.SubjectSecrets(ctx, subjects)
	t.noted = append(t.noted, notedSecrets{subjects, wrapped})
	return wrapped, err
}

// ConsentsByName implements Reader.
func (t *sealingTx) ConsentsByName(ctx context.Context, asked []consent.NamedConsent) ([]consent.NamedHolder, error) {
	found, err := t.openedReader.ConsentsByName(ctx, asked)
	n := notedSecrets{make([]consent.SubjectKey, len(found)), make([][]byte, len(found))}
	for i := range found {
		n.subjects[i] = consent.SubjectKey{Organization: asked[i].Name.Organization, Subject: found[i].Subject}
		n.wrapped[i] = found[i].Secret
	}
	t.noted = append(t.noted, n)
	return found, err
}

// Append implements Tx.
func (t *sealingTx) Append(ctx context.Context, c *consent.Changes) error {
	t.erased = append(t.erased, c.ErasedSubjects...)
	s := &sealer{t: t, changes: *c, subjects: map[consent.SubjectKey]*sealing.Subject{}}
	if err := s.seal(ctx); err != nil {
		return fmt.Errorf("encrypt what is written: %w", err)
	}
	return t.tx.Append(ctx, &s.changes)
}

// sealer encrypts the changes of one Append, in a copy.
type sealer struct {
	t        *sealingTx
	changes  consent.Changes
	subjects map[consent.SubjectKey]*sealing.Subject
	keys     []consent.SubjectKey // those of subjects, in the order in which they came
}

func (s *sealer) seal(ctx context.Context) error {
	s.collect()
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.refuseSecond(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.identifiers, s.names, s.idents, s.records, s.texts, s.webhooks} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) want(of consent.SubjectKey) {
	if _, noted := s.subjects[of]; !noted {
		s.subjects[of] = nil
		s.keys = append(s.keys, of)
	}
}

// collect notes whose keys are needed, and which organizations'.
func (s *sealer) collect() {
	c := &s.changes
	for i := range c.Identifiers {
		s.want(c.Identifiers[i].First())
		s.wantIndexes(c.Identifiers[i].Organization)
	}
	for i := range c.Claims {
		s.wantIndexes(c.Claims[i].Organization)
	}
	for i := range c.Events {
		s.want(consent.SubjectKey{Organization: c.Events[i].Organization, Subject: c.Events[i].Subject})
	}
	for i := range c.Entries {
		s.want(consent.SubjectKey{Organization: c.Entries[i].Organization, Subject: c.Entries[i].Subject})
	}
	for i := range c.Texts {
		if of := c.Texts[i].Subject; of != consent.NoID {
			s.want(consent.SubjectKey{Organization: c.Texts[i].Organization, Subject: of})
		}
	}
	for i := range c.Subjects {
		if r := &c.Subjects[i].Record; hasData(r) || r.Profile != nil {
			s.want(consent.SubjectKey{Organization: c.Subjects[i].Organization, Subject: c.Subjects[i].ID})
		}
	}
	for i := range c.Webhooks {
		s.want(consent.SubjectKey{Organization: c.Webhooks[i].Organization})
	}
	for i := range c.Archive {
		if r := &c.Archive[i].Record; hasData(r) || r.Profile != nil {
			s.want(consent.SubjectKey{Organization: c.Archive[i].Organization, Subject: c.Archive[i].Subject})
		}
	}
}

// wantIndexes notes an organization whose identifiers are written for the first time, as far as is known.
func (s *sealer) wantIndexes(organization consent.ID) {
	if s.t.made[organization] == nil && s.t.keys.get(organization) == nil {
		s.want(consent.SubjectKey{Organization: organization})
	}
}

// hasData tells whether a record has data that are worth a key.
func hasData(r *consent.Record) bool { return len(r.Data) > 0 && !bytes.Equal(r.Data, noData) }

var noData = []byte("{}")

// load finds or makes the keys: those that are new, those that were read in this transaction, those of the store.
func (s *sealer) load(ctx context.Context) error {
	for i := range s.changes.SubjectSecrets {
		n := &s.changes.SubjectSecrets[i]
		if err := s.take(n.SubjectKey, n.Wrapped); err != nil {
			return err
		}
	}
	for _, noted := range s.t.noted {
		for i, of := range noted.subjects {
			if i < len(noted.wrapped) && noted.wrapped[i] != nil {
				if err := s.take(of, noted.wrapped[i]); err != nil {
					return err
				}
			}
		}
	}
	missing := slices.DeleteFunc(slices.Clone(s.keys), func(of consent.SubjectKey) bool { return s.subjects[of] != nil })
	if len(missing) == 0 {
		return nil
	}
	wrapped, err := s.t.tx.SubjectSecrets(ctx, missing)
	if err != nil {
		return err
	}
	for i, of := range missing {
		if wrapped[i] == nil {
			_, wrapped[i], err = s.t.keys.secrets.New(of)
			if err != nil {
				return err
			}
			s.changes.SubjectSecrets = append(slices.Clip(s.changes.SubjectSecrets),
				consent.SubjectSecret{SubjectKey: of, Wrapped: wrapped[i]})
		}
		if err := s.take(of, wrapped[i]); err != nil {
			return err
		}
	}
	s.t.noted = append(s.t.noted, notedSecrets{missing, wrapped}) // a later Append of this transaction finds them
	return nil
}

// take opens a key that is wanted and was found.
func (s *sealer) take(of consent.SubjectKey, wrapped []byte) error {
	known, wanted := s.subjects[of]
	if !wanted || known != nil {
		return nil
	}
	subject, err := s.t.keys.secrets.subject(of, wrapped)
	if err != nil {
		return fmt.Errorf("read the key of subject %s: %w", of.Subject, err)
	}
	s.subjects[of] = subject
	if of.Subject == consent.NoID && s.t.keys.get(of.Organization) == nil {
		if s.t.made == nil {
			s.t.made = map[consent.ID]*indexes{}
		}
		s.t.made[of.Organization], err = indexesBy((*ledger.Secret)(subject.Key().Secret()))
	}
	return err
}

// identifiers replaces each identifier by its index, and seals it by the key of whoever has it first.
func (s *sealer) identifiers(ctx context.Context) error {
	c := &s.changes
	c.Identifiers = slices.Clone(c.Identifiers)
	for i := range c.Identifiers {
		n := &c.Identifiers[i]
		known, err := s.t.indexes(ctx, n.Organization)
		if err != nil {
			return err
		}
		value := n.Value
		n.OwnedName = known.of(n.OwnedName)
		if n.Sealed, err = s.subjects[n.First()].Seal(sealing.LabelIdentifier, []byte(n.Value), []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

// names replaces identifiers by their indexes where nothing else is needed of them.
func (s *sealer) names(ctx context.Context) error {
	c := &s.changes
	var err error
	for _, owned := range []*[]consent.OwnedIdentifier{&c.Claims, &c.RemovedClaims} {
		*owned = slices.Clone(*owned)
		for i := range *owned {
			var known *indexes
			if known, err = s.t.indexes(ctx, (*owned)[i].Organization); err != nil {
				return err
			}
			(*owned)[i].OwnedName = known.of((*owned)[i].OwnedName)
		}
	}
	for _, names := range []*[]consent.OwnedName{&c.RemovedIdentifiers, &c.SuppressedNames} {
		if *names, err = s.t.stored(ctx, *names); err != nil {
			return err
		}
	}
	return nil
}

// idents seals who entries are about, by the key that they are committed with.
func (s *sealer) idents(context.Context) (err error) {
	c := &s.changes
	c.Events, c.Entries = slices.Clone(c.Events), slices.Clone(c.Entries)
	for i := range c.Events {
		e := &c.Events[i]
		of := s.subjects[consent.SubjectKey{Organization: e.Organization, Subject: e.Subject}]
		if e.IdentityJSON, err = of.Seal(sealing.LabelIdent, e.ID[:], e.IdentityJSON); err != nil {
			return err
		}
	}
	for i := range c.Entries {
		e := &c.Entries[i]
		of := s.subjects[consent.SubjectKey{Organization: e.Organization, Subject: e.Subject}]
		if e.IdentityJSON, err = of.Seal(sealing.LabelIdent, e.ID[:], e.IdentityJSON); err != nil {
			return err
		}
	}
	return nil
}

// records seals the data and the profile of subjects, and of what they were before.
func (s *sealer) records(context.Context) error {
	c := &s.changes
	c.Subjects, c.Archive = slices.Clone(c.Subjects), slices.Clone(c.Archive)
	for i := range c.Subjects {
		of := consent.SubjectKey{Organization: c.Subjects[i].Organization, Subject: c.Subjects[i].ID}
		if err := s.record(of, &c.Subjects[i].Record, currentRecord); err != nil {
			return err
		}
	}
	for i := range c.Archive {
		of := consent.SubjectKey{Organization: c.Archive[i].Organization, Subject: c.Archive[i].Subject}
		if err := s.record(of, &c.Archive[i].Record, archivedRecord); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) record(of consent.SubjectKey, r *consent.Record, labels recordLabels) (err error) {
	subject := s.subjects[of]
	if !hasData(r) {
		r.Data = nil
	} else if r.Data, err = subject.Seal(labels.data, placeOf(r.Version, dataText), r.Data); err != nil {
		return err
	}
	if r.Profile != nil {
		r.Profile, err = subject.Seal(labels.profile, placeOf(r.Version, profileText), r.Profile)
	}
	return err
}
