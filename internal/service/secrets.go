package service

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

const (
	// lookEvery is how often a running service looks whether the key file changed, and how often at most it reads the
	// file because a key is missing.
	lookEvery = time.Second
	// unseenAfter is how long the key file may be out of sight until nothing new is encrypted by what it held before.
	unseenAfter = 10 * time.Minute
	// sameFaultEvery is how often a fault of the key file is logged again that stays.
	sameFaultEvery = time.Minute
)

// TakenInAfter is how long after a key was added every running service uses it, which can read the key file.
const TakenInAfter = 3 * lookEvery

// OutOfUseAfter is how long after a newer key was added nothing is encrypted by a key any more: a service that could
// not look at the key file for that long has stopped to, some time before.
const OutOfUseAfter = unseenAfter + 5*time.Minute

// ReloadKeys looks whether the key file changed since it was read last, and gives its keys where it did. With always it
// reads the file, whatever the file's times say. It is called by one at a time.
type ReloadKeys func(always bool) (ring *sealing.Ring, changed bool, err error)

// secrets implements writer.Secrets by the keys of a key file, which may be rotated meanwhile.
type secrets struct {
	ring   atomic.Pointer[sealing.Ring] // nil: nothing can be put on record
	random io.Reader
	reload ReloadKeys // nil: the keys stay as they are
	log    *slog.Logger
	looked atomic.Pointer[time.Time] // when the file was found in order last

	mu     sync.Mutex // held while the file is looked at
	tried  time.Time  // when it was looked at last
	sought time.Time  // when it was read last because a key was missing
	fault  string     // what was wrong with it then; "": nothing
	said   time.Time  // when that was logged
}

func newSecrets(ring *sealing.Ring, random io.Reader, reload ReloadKeys, log *slog.Logger) *secrets {
	s := &secrets{random: random, reload: reload, log: log}
	s.ring.Store(ring)
	now := time.Now()
	s.looked.Store(&now)
	return s
}

// errNoKeyFile is for a service that was made without one, to look after keys of the API alone.
var errNoKeyFile = errors.New("this process was given no key file, so it puts nothing on record")

// errKeyFileUnseen keeps a key from being used that others may have retired meanwhile: nobody could read again what it
// encrypts.
var errKeyFileUnseen = consent.Errorf(consent.Unavailable, "", "the key file could not be read for %s, so nobody new "+
	"is put on record until it can (the log tells); about who is known, writes and reads go on", unseenAfter)

// New implements writer.Secrets.
func (s *secrets) New(of consent.SubjectKey) (*ledger.Secret, []byte, error) {
	ring, err := s.current()
	if err != nil {
		return nil, nil, err
	}
	key, err := sealing.NewKey(s.random)
	if err != nil {
		return nil, nil, err
	}
	wrapped, err := ring.Wrap(key, of.Organization, of.Subject)
	return (*ledger.Secret)(key.Secret()), wrapped, err
}

// Open implements writer.Secrets.
func (s *secrets) Open(of consent.SubjectKey, wrapped []byte) (*ledger.Secret, error) {
	key, err := s.unwrap(of, wrapped)
	if err != nil {
		return nil, err
	}
	return (*ledger.Secret)(key.Secret()), nil
}

func (s *secrets) unwrap(of consent.SubjectKey, wrapped []byte) (sealing.Key, error) {
	ring := s.ring.Load()
	if ring == nil {
		return sealing.Key{}, errNoKeyFile
	}
	key, err := ring.Unwrap(wrapped, of.Organization, of.Subject)
	var unknown *sealing.UnknownKEKError
	if errors.As(err, &unknown) && s.seek(ring) {
		return s.ring.Load().Unwrap(wrapped, of.Organization, of.Subject)
	}
	return key, err
}

// seek reads the key file again because a ring lacks a key, at most once a second; true: there is another ring now.
func (s *secrets) seek(lacking *sealing.Ring) bool {
	if s.reload == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.ring.Load() == lacking && now.Sub(s.sought) >= lookEvery {
		s.sought = now
		s.look(now, true)
	}
	return s.ring.Load() != lacking
}

// current gives the keys to encrypt by. Errors: errNoKeyFile, errKeyFileUnseen.
func (s *secrets) current() (*sealing.Ring, error) {
	ring := s.ring.Load()
	if ring == nil {
		return nil, errNoKeyFile
	}
	if !s.unseen(time.Now()) {
		return ring, nil
	}
	s.mu.Lock() // the process may have stood still
	if now := time.Now(); s.unseen(now) && now.Sub(s.tried) >= lookEvery {
		s.look(now, false)
	}
	s.mu.Unlock()
	if s.unseen(time.Now()) {
		return nil, errKeyFileUnseen
	}
	return s.ring.Load(), nil
}

// unseen tells whether nobody knows what the key file holds by now.
func (s *secrets) unseen(now time.Time) bool {
	return s.reload != nil && now.Sub(*s.looked.Load()) >= unseenAfter
}

// watch looks at the key file until the service ends.
func (s *secrets) watch(ended <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		s.look(time.Now(), false)
		s.mu.Unlock()
	}
}

// look looks at the key file and takes in what changed; where it is not in order, the keys of before stay. The caller
// holds mu.
func (s *secrets) look(now time.Time, always bool) {
	s.tried = now
	ring, changed, err := s.reload(always)
	if err != nil {
		if fault := err.Error(); fault != s.fault || now.Sub(s.said) >= sameFaultEvery {
			s.fault, s.said = fault, now
			s.log.Error("the key file is not in order; the keys that it held before stay in use", "error", err)
		}
		return
	}
	s.fault = ""
	s.looked.Store(&now)
	if changed {
		s.ring.Store(ring)
		s.log.Info("took in the changed key file", "newest", ring.Newest().String())
	}
}
