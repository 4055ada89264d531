package service

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
)

// rotated is a key file that a test changes while secrets are in use, with what they ask of it.
type rotated struct {
	t             *testing.T
	path          string
	mu            sync.Mutex
	looks, always int
	err           error // what the file is out of order with
}

func newRotated(t *testing.T) *rotated {
	t.Helper()
	r := &rotated{t: t, path: filepath.Join(t.TempDir(), "kek")}
	if _, _, err := sealing.Create(r.path, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rotated) ring() *sealing.Ring {
	r.t.Helper()
	file, err := sealing.Load(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	return file.Ring(rand.Reader)
}

func (r *rotated) rotate() *sealing.Ring {
	r.t.Helper()
	file, err := sealingtest.Rotate(r.path, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return file.Ring(rand.Reader)
}

// reload implements ReloadKeys; it takes each look for a change.
func (r *rotated) reload(always bool) (*sealing.Ring, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	if always {
		r.always++
	}
	if r.err != nil {
		return nil, false, r.err
	}
	return r.ring(), true, nil
}

func (r *rotated) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *rotated) forced() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.always
}

func someone() consent.SubjectKey {
	return consent.SubjectKey{Organization: uuid.New(), Subject: uuid.New()}
}

func wrappedBy(t *testing.T, ring *sealing.Ring, of consent.SubjectKey) []byte {
	t.Helper()
	key, err := sealing.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := ring.Wrap(key, of.Organization, of.Subject)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

// TestSecretsFollowTheFile: a key that was added is found at the first secret that needs it, and used for new secrets
// within a second; one that was retired is used no more.
func TestSecretsFollowTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := newRotated(t)
		var log bytes.Buffer
		s := newSecrets(file.ring(), rand.Reader, file.reload, slog.New(slog.NewTextHandler(&log, nil)))
		newer := file.rotate()
		of := someone()
		if _, err := s.Open(of, wrappedBy(t, newer, of)); err != nil {
			t.Errorf("a secret by a key that was added: %v", err)
		}
		newest := file.rotate()
		ended := make(chan struct{})
		go s.watch(ended)
		time.Sleep(lookEvery + lookEvery/2)
		synctest.Wait()
		_, wrapped, err := s.New(of)
		if err != nil {
			t.Fatal(err)
		}
		if by, err := sealing.KEKOf(wrapped); err != nil || by != newest.Newest() {
			t.Errorf("after a second a new secret is encrypted by %s, want %s: %v", by, newest.Newest(), err)
		}
		close(ended)
		synctest.Wait()
		if !strings.Contains(log.String(), "newest="+newest.Newest().String()) {
			t.Errorf("the log does not say so:\n%s", &log)
		}
	})
}

// TestMissingKeysAreSoughtOnceASecond: however many secrets by however many keys that nobody has are opened at once,
// the file is read once a second for them.
func TestMissingKeysAreSoughtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, other := newRotated(t), newRotated(t)
		s := newSecrets(file.ring(), rand.Reader, file.reload, slog.New(slog.DiscardHandler))
		of := someone()
		lost := [][]byte{wrappedBy(t, other.ring(), of), wrappedBy(t, other.rotate(), of)}
		open := func() {
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					var unknown *sealing.UnknownKEKError
					if _, err := s.Open(of, lost[i%2]); !errors.As(err, &unknown) {
						t.Errorf("a secret by a key that is lost: %v", err)
					}
				})
			}
			all.Wait()
		}
		open()
		open()
		if n := file.forced(); n != 1 {
			t.Errorf("the file was read %d times at once", n)
		}
		time.Sleep(lookEvery)
		if open(); file.forced() != 2 {
			t.Errorf("the file was read %d times in two seconds", file.forced())
		}
	})
}

// TestKeyFileOutOfOrder: the keys of before stay, the log says why once a minute, and after ten minutes nothing new is
// encrypted by them, since they may have been retired; what is known is opened all the same. Once the file is in order
// all goes on at once.
func TestKeyFileOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := newRotated(t)
		var log bytes.Buffer
		s := newSecrets(file.ring(), rand.Reader, file.reload, slog.New(slog.NewTextHandler(&log, nil)))
		ended := make(chan struct{})
		go s.watch(ended)
		of := someone()
		_, wrapped, err := s.New(of)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		file.fail(errors.New("it is gone"))
		time.Sleep(unseenAfter - 2*lookEvery)
		if _, _, err := s.New(someone()); err != nil {
			t.Errorf("before ten minutes are over: %v", err)
		}
		time.Sleep(3 * lookEvery)
		if _, _, err := s.New(someone()); !errors.Is(err, errKeyFileUnseen) {
			t.Errorf("after ten minutes: %v", err)
		}
		if _, err := s.Open(of, wrapped); err != nil {
			t.Errorf("a known secret: %v", err)
		}
		if said := strings.Count(log.String(), "it is gone"); said < 9 || said > 11 {
			t.Errorf("in ten minutes the log says it %d times", said)
		}
		close(ended)
		time.Sleep(2 * lookEvery)
		file.fail(nil)
		if _, _, err := s.New(someone()); err != nil {
			t.Errorf("as soon as the file is in order: %v", err)
		}
	})
}

// TestFollowing: the pages of secrets leave none out, also not after an id that ends with ff.
func TestFollowing(t *testing.T) {
	all := bytes.Repeat([]byte{0xff}, 16)
	for _, tc := range []struct{ id, want consent.ID }{
		{consent.NoID, consent.ID{15: 1}},
		{consent.ID{15: 0xfe}, consent.ID{15: 0xff}},
		{consent.ID{15: 0xff}, consent.ID{14: 1}},
		{consent.ID{0: 1, 14: 0xff, 15: 0xff}, consent.ID{0: 1, 13: 1}},
		{consent.ID(all), consent.NoID},
	} {
		if got, more := following(tc.id); got != tc.want || more != (tc.want != consent.NoID) {
			t.Errorf("behind %s comes %s (%t), want %s", tc.id, got, more, tc.want)
		}
	}
}

// TestHangingKeyFile: where a look at the file never comes back, as on a network file system, nobody waits for it for
// more than a second, and only once: neither who needs a new secret, nor who meets a key that is missing, nor who ends
// the service.
func TestHangingKeyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, other := newRotated(t), newRotated(t)
		hangs := make(chan struct{})
		s := newSecrets(file.ring(), rand.Reader, func(bool) (*sealing.Ring, bool, error) {
			<-hangs
			return nil, false, nil
		}, slog.New(slog.DiscardHandler))
		ended := make(chan struct{})
		go s.watch(ended)
		time.Sleep(lookEvery + lookEvery/2) // half a second after the look has begun
		of := someone()
		lost := wrappedBy(t, other.ring(), of)
		took := func(what string, most time.Duration, do func()) {
			t.Helper()
			began := time.Now()
			if do(); time.Since(began) > most {
				t.Errorf("%s takes %s", what, time.Since(began))
			}
		}
		open := func() {
			var unknown *sealing.UnknownKEKError
			if _, err := s.Open(of, lost); !errors.As(err, &unknown) {
				t.Errorf("a secret by a key that is missing: %v", err)
			}
		}
		took("the first secret by a key that is missing", lookEvery, open)
		took("the next one", 0, open)
		took("a new secret", 0, func() {
			if _, _, err := s.New(someone()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(unseenAfter)
		took("a new secret after ten minutes", 0, func() {
			if _, _, err := s.New(someone()); !errors.Is(err, errKeyFileUnseen) {
				t.Errorf("after ten minutes: %v", err)
			}
		})
		close(ended)
		close(hangs)
	})
}

// TestKeyMissingWhileItIsRead: who meets a key that another one is just reading waits for it.
func TestKeyMissingWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := newRotated(t)
		s := newSecrets(file.ring(), rand.Reader, func(always bool) (*sealing.Ring, bool, error) {
			time.Sleep(lookEvery / 2)
			return file.reload(always)
		}, slog.New(slog.DiscardHandler))
		newer := file.rotate()
		var all sync.WaitGroup
		for range 20 {
			of := someone()
			wrapped := wrappedBy(t, newer, of)
			all.Go(func() {
				if _, err := s.Open(of, wrapped); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// TestUnseenByTheClockOnTheWall: the monotonic clock stands still while a machine is suspended, and a clock may be set
// back; the file is looked at anew in both.
func TestUnseenByTheClockOnTheWall(t *testing.T) {
	// The clock of a bubble has no monotonic reading, so that is looked at outside.
	s := newSecrets(newRotated(t).ring(), rand.Reader, nil, nil)
	s.sawInOrder(time.Now())
	if looked := *s.looked.Load(); looked != looked.Round(0) {
		t.Errorf("%s has a reading of the monotonic clock", looked)
	}
	synctest.Test(t, func(t *testing.T) {
		file := newRotated(t)
		s := newSecrets(file.ring(), rand.Reader, file.reload, slog.New(slog.DiscardHandler))
		for name, looked := range map[string]time.Time{"suspended": time.Now().Add(-time.Hour),
			"set back": time.Now().Add(time.Hour)} {
			time.Sleep(2 * lookEvery)
			s.sawInOrder(looked)
			looks := file.looks
			if !s.unseen(time.Now()) {
				t.Errorf("%s: the file counts as seen", name)
			}
			if _, _, err := s.New(someone()); err != nil || file.looks != looks+1 || s.unseen(time.Now()) {
				t.Errorf("%s: %v after %d looks", name, err, file.looks-looks)
			}
		}
	})
}
