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
	opened openedKeys
	reload ReloadKeys // nil: the keys stay as they are
	log    *slog.Logger
	looked atomic.Pointer[time.Time] // when the file was found in order last, by the clock on the wall

	mu      sync.Mutex    // never held while the file is looked at
	looking chan struct{} // closed when whoever looks at the file is through; nil: nobody does
	began   time.Time     // when that one began

	// Of whoever looks.
	tried  time.Time // when it was looked at last
	sought time.Time // when it was read last because a key was missing
	fault  string    // what was wrong with it then; "": nothing
	said   time.Time // when that was logged
}

func newSecrets(ring *sealing.Ring, random io.Reader, reload ReloadKeys, log *slog.Logger) *secrets {
	s := &secrets{random: random, reload: reload, log: log}
	s.ring.Store(ring)
	s.sawInOrder(time.Now())
	return s
}

// sawInOrder notes when the file was found in order. The monotonic clock stands still while a machine is suspended, and
// others may rotate and retire meanwhile, so it does not count.
func (s *secrets) sawInOrder(at time.Time) {
	at = at.Round(0)
	s.looked.Store(&at)
}

// errNoKeyFile is for a service that was made without one, to look after keys of the API alone.
var errNoKeyFile = errors.New("this process was given no key file, so it puts nothing on record")

// errKeyFileUnseen keeps a key from being used that others may have retired meanwhile: nobody could read again what it
// encrypts. Only what needs a new secret is refused with it. The service is not ready meanwhile, since another server
// may see its file.
var errKeyFileUnseen = consent.Errorf(consent.Unavailable, "", "the key file could not be read for %s, so nobody new "+
	"is put on record until it can (the log tells); about who has decisions on record, writes and reads go on",
	unseenAfter)

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
	if err != nil {
		return nil, nil, err
	}
	s.opened.put(of, wrapped, sealing.NewSubject(key, nonces{}))
	return (*ledger.Secret)(key.Secret()), wrapped, nil
}

// Open implements writer.Secrets.
func (s *secrets) Open(of consent.SubjectKey, wrapped []byte) (*ledger.Secret, error) {
	subject, err := s.subject(of, wrapped)
	if err != nil {
		return nil, err
	}
	return (*ledger.Secret)(subject.Key().Secret()), nil
}

// subject gives by what the texts of a subject are sealed, whose key is stored so.
func (s *secrets) subject(of consent.SubjectKey, wrapped []byte) (*sealing.Subject, error) {
	if known := s.opened.get(of, wrapped); known != nil {
		return known, nil
	}
	key, err := s.unwrap(of, wrapped)
	if err != nil {
		return nil, err
	}
	subject := sealing.NewSubject(key, nonces{})
	s.opened.put(of, wrapped, subject)
	return subject, nil
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
	if s.begin() {
		if now := time.Now(); s.ring.Load() == lacking && now.Sub(s.sought) >= lookEvery {
			s.sought = now
			s.look(now, true)
		}
		s.end()
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
	if s.begin() { // the process may have stood still
		if now := time.Now(); s.unseen(now) && now.Sub(s.tried) >= lookEvery {
			s.look(now, false)
		}
		s.end()
	}
	if s.unseen(time.Now()) {
		return nil, errKeyFileUnseen
	}
	return s.ring.Load(), nil
}

// begin takes the turn to look at the file; end gives it back. false: somebody else has it for more than a second. Who
// decides about people does not wait for longer than that, even where a network file system never answers.
func (s *secrets) begin() bool {
	for {
		s.mu.Lock()
		other, left := s.looking, lookEvery-time.Since(s.began)
		if other == nil {
			s.looking, s.began = make(chan struct{}), time.Now()
		}
		s.mu.Unlock()
		switch {
		case other == nil:
			return true
		case left <= 0:
			return false
		}
		select {
		case <-other:
		case <-time.After(left):
		}
	}
}

func (s *secrets) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.looking)
	s.looking = nil
}

// unseen tells whether nobody knows what the key file holds by now. Where the clock was set back, nobody knows for how
// long either.
func (s *secrets) unseen(now time.Time) bool {
	if s.reload == nil {
		return false
	}
	ago := now.Round(0).Sub(*s.looked.Load())
	return ago >= unseenAfter || ago < -lookEvery
}

// watch looks at the key file until the service ends, or a little longer: where a look hangs, nobody waits for it.
func (s *secrets) watch(ended <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if s.begin() {
			s.look(time.Now(), false)
			s.end()
		}
	}
}

// look looks at the key file and takes in what changed; where it is not in order, the keys of before stay. The caller
// has the turn (see begin).
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
	s.sawInOrder(now)
	if changed {
		s.ring.Store(ring)
		s.log.Info("took in the changed key file", "newest", ring.Newest().String())
	}
}
