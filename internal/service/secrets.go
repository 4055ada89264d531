package service

import (
	"errors"
	"io"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

// secrets implements writer.Secrets by the keys of a key file.
type secrets struct {
	ring   *sealing.Ring // nil: nothing can be put on record
	random io.Reader
}

// errNoKeyFile is for a service that was made without one, to look after keys of the API alone.
var errNoKeyFile = errors.New("this process was given no key file, so it puts nothing on record")

// New implements writer.Secrets.
func (s *secrets) New(of consent.SubjectKey) (*ledger.Secret, []byte, error) {
	if s.ring == nil {
		return nil, nil, errNoKeyFile
	}
	key, err := sealing.NewKey(s.random)
	if err != nil {
		return nil, nil, err
	}
	wrapped, err := s.ring.Wrap(key, of.Organization, of.Subject)
	return (*ledger.Secret)(key.Secret()), wrapped, err
}

// Open implements writer.Secrets.
func (s *secrets) Open(of consent.SubjectKey, wrapped []byte) (*ledger.Secret, error) {
	if s.ring == nil {
		return nil, errNoKeyFile
	}
	key, err := s.ring.Unwrap(wrapped, of.Organization, of.Subject)
	if err != nil {
		return nil, err
	}
	return (*ledger.Secret)(key.Secret()), nil
}
