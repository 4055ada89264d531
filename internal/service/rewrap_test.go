package service_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webtest"
)

// sealed is a store with secrets of people and of organizations, and its key file.
type sealed struct {
	t       *testing.T
	store   service.Store
	path    string
	secrets map[consent.SubjectKey][32]byte
}

func newSealed(t *testing.T, store service.Store, people ...int) *sealed {
	t.Helper()
	s := &sealed{t: t, store: store, path: filepath.Join(t.TempDir(), "kek"),
		secrets: map[consent.SubjectKey][32]byte{}}
	if _, _, err := sealing.Create(s.path, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, n := range people {
		o := consent.ID(uuid.Must(uuid.NewV7()))
		s.change(consent.NoID, &consent.Changes{Organizations: []consent.Organization{{ID: o, Slug: fmt.Sprint("shop-", i),
			CreatedAt: noon, UpdatedAt: noon}}})
		s.add(o, n)
	}
	return s
}

func (s *sealed) file() *sealing.File {
	s.t.Helper()
	f, err := sealing.Load(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *sealed) rotate() sealing.KEKID {
	s.t.Helper()
	f, err := sealingtest.Rotate(s.path, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return f.Newest().ID
}

func (s *sealed) change(o consent.ID, c *consent.Changes) {
	s.t.Helper()
	ctx := context.Background()
	if err := s.store.Update(ctx, o, func(tx service.Tx) error { return tx.Append(ctx, c) }); err != nil {
		s.t.Fatal(err)
	}
}

// add gives an organization its own secret and those of so many people, by the newest key; none for 0.
func (s *sealed) add(o consent.ID, people int) {
	s.t.Helper()
	ring := s.file().Ring(rand.Reader)
	var c consent.Changes
	for i := range people {
		of := consent.SubjectKey{Organization: o}
		if i > 0 || s.has(of) {
			of.Subject = uuid.Must(uuid.NewV7())
		}
		key, err := sealing.NewKey(rand.Reader)
		if err != nil {
			s.t.Fatal(err)
		}
		wrapped, err := ring.Wrap(key, of.Organization, of.Subject)
		if err != nil {
			s.t.Fatal(err)
		}
		s.secrets[of] = *key.Secret()
		c.SubjectSecrets = append(c.SubjectSecrets, consent.SubjectSecret{SubjectKey: of, Wrapped: wrapped})
	}
	s.change(o, &c)
}

func (s *sealed) has(of consent.SubjectKey) bool {
	_, ok := s.secrets[of]
	return ok
}

// wrapped reads all secrets as they are stored.
func (s *sealed) wrapped() map[consent.SubjectKey][]byte {
	s.t.Helper()
	all := map[consent.SubjectKey][]byte{}
	err := s.store.View(context.Background(), func(r service.Reader) error {
		for of := range s.secrets {
			found, err := r.SubjectSecrets(context.Background(), []consent.SubjectKey{of})
			if err != nil {
				return err
			}
			all[of] = found[0]
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// opens counts how many of some wrapped secrets a file's keys open, and holds them against what they were.
func (s *sealed) opens(f *sealing.File, wrapped map[consent.SubjectKey][]byte) (opened int) {
	s.t.Helper()
	ring := f.Ring(rand.Reader)
	for of, w := range wrapped {
		key, err := ring.Unwrap(w, of.Organization, of.Subject)
		if err != nil {
			continue
		}
		opened++
		if *key.Secret() != s.secrets[of] {
			s.t.Errorf("%v opens as another secret", of)
		}
	}
	return opened
}

func (s *sealed) rewrapper(reload service.ReloadKeys) *service.Rewrapper {
	s.t.Helper()
	return service.NewRewrapper(s.store, s.file().Ring(rand.Reader), reload, slog.New(slog.DiscardHandler))
}

func (s *sealed) reload(bool) (*sealing.Ring, bool, error) {
	f, err := sealing.Load(s.path)
	if err != nil {
		return nil, false, err
	}
	return f.Ring(rand.Reader), true, nil
}

func atNoPage(service.KeyUse) {}

// TestRewrap: after a pass every secret is what it was and the newest key wraps it. When the older one is retired,
// nothing of a copy from before opens any more.
func TestRewrap(t *testing.T) {
	t.Parallel()
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		s := newSealed(t, e.Open(t), 1203, 0, 500, 1)
		all := len(s.secrets)
		first, copied := s.file().Newest().ID, s.wrapped()
		second := s.rotate()
		for of := range s.secrets { // a few by the second key already
			s.add(of.Organization, 3)
			break
		}
		pages := 0
		use, err := s.rewrapper(s.reload).Pass(context.Background(), func(service.KeyUse) { pages++ })
		if err != nil || use.FirstUnopened != nil {
			t.Fatal(err, use.FirstUnopened)
		}
		want := service.KeyUse{Organizations: 4, Of: 4, Rewrapped: int64(all),
			Wrapped: map[sealing.KEKID]int64{second: int64(len(s.secrets))}}
		if diff := cmp.Diff(want, use); diff != "" {
			t.Errorf("the pass (-want +got):\n%s", diff)
		}
		if pages < 6 {
			t.Errorf("%d pages were told of", pages)
		}
		if n := s.opens(s.file(), s.wrapped()); n != len(s.secrets) {
			t.Errorf("%d of %d secrets open", n, len(s.secrets))
		}
		again, err := s.rewrapper(s.reload).Pass(context.Background(), atNoPage)
		if err != nil || again.Rewrapped != 0 {
			t.Errorf("a second pass rewraps %d: %v", again.Rewrapped, err)
		}
		if n := s.opens(s.file(), copied); n != all {
			t.Errorf("of a copy from before %d of %d secrets open while its key is there", n, all)
		}
		if _, err := sealing.Retire(s.path, first); err != nil {
			t.Fatal(err)
		}
		if n := s.opens(s.file(), s.wrapped()); n != len(s.secrets) {
			t.Errorf("after the first key was retired %d of %d secrets open", n, len(s.secrets))
		}
		if n := s.opens(s.file(), copied); n != 0 {
			t.Errorf("of a copy from before %d secrets open by today's key file", n)
		}
	})
}

// TestRewrapFollowsTheFile: who rewraps while another adds a key never wraps back to the older one.
func TestRewrapFollowsTheFile(t *testing.T) {
	t.Parallel()
	s := newSealed(t, webtest.Engines()[0].Open(t), 700)
	second := s.rotate()
	r, late := s.rewrapper(s.reload), s.rewrapper(s.reload)
	third := s.rotate()
	use, err := r.Pass(context.Background(), atNoPage)
	if err != nil || use.Rewrapped != 700 || use.Wrapped[third] != 700 {
		t.Fatalf("who has not seen %s does not wrap by it: %v, %v", third, use, err)
	}
	use, err = late.Pass(context.Background(), atNoPage)
	if err != nil || use.Rewrapped != 0 || use.Wrapped[third] != 700 || late.Newest() != third {
		t.Errorf("who began with %s rewraps %d to %s, where %s is the newest: %v", second, use.Rewrapped, late.Newest(),
			third, err)
	}
}

// TestRewrapLeavesWhatItCannotOpen: secrets that are damaged or by a key that nobody has stay as they are, are counted
// and named, and keep nothing else from being rewrapped.
func TestRewrapLeavesWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	s := newSealed(t, webtest.Engines()[0].Open(t), 600)
	other := newSealed(t, webtest.Engines()[0].Open(t))
	first := s.file().Newest().ID
	damaged := map[consent.SubjectKey][]byte{}
	var c consent.Changes
	for of, was := range s.wrapped() {
		broken := bytes.Clone(was)
		switch len(damaged) {
		case 0:
			broken[len(broken)-1] ^= 1
		case 1:
			broken = []byte("short")
		case 2:
			key, err := sealing.NewKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if broken, err = other.file().Ring(rand.Reader).Wrap(key, of.Organization, of.Subject); err != nil {
				t.Fatal(err)
			}
		}
		if len(damaged) == 3 {
			s.change(of.Organization, &c)
			break
		}
		damaged[of] = broken
		c.Rewrapped = append(c.Rewrapped, consent.RewrappedSecret{Before: was,
			SubjectSecret: consent.SubjectSecret{SubjectKey: of, Wrapped: broken}})
	}
	second := s.rotate()
	use, err := s.rewrapper(s.reload).Pass(context.Background(), atNoPage)
	if err != nil {
		t.Fatal(err)
	}
	if use.FirstUnopened == nil || damaged[use.FirstUnopenedOf] == nil {
		t.Errorf("it names %v: %v", use.FirstUnopenedOf, use.FirstUnopened)
	}
	use.FirstUnopened, use.FirstUnopenedOf = nil, consent.SubjectKey{}
	want := service.KeyUse{Organizations: 1, Of: 1, Rewrapped: 597, Damaged: 1, Unopened: 3,
		Wrapped: map[sealing.KEKID]int64{first: 1, second: 597, other.file().Newest().ID: 1}}
	if diff := cmp.Diff(want, use); diff != "" {
		t.Errorf("the pass (-want +got):\n%s", diff)
	}
	for of, was := range s.wrapped() {
		if broken := damaged[of]; broken != nil && !bytes.Equal(broken, was) {
			t.Errorf("%v was changed", of)
		}
	}
	counted, err := service.CountKeyUse(context.Background(), s.store, atNoPage)
	want.Rewrapped, want.Unopened = 0, 0
	if diff := cmp.Diff(want, counted); err != nil || diff != "" {
		t.Errorf("counted (-want +got):\n%s%v", diff, err)
	}
}

// TestRewrapStops: it ends with its context, and the next pass does the rest.
func TestRewrapStops(t *testing.T) {
	t.Parallel()
	s := newSealed(t, webtest.Engines()[0].Open(t), 1800)
	s.rotate()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	use, err := s.rewrapper(s.reload).Pass(ctx, func(u service.KeyUse) {
		if u.Rewrapped > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || use.Rewrapped != 500 {
		t.Errorf("it was stopped after %d: %v", use.Rewrapped, err)
	}
	use, err = s.rewrapper(s.reload).Pass(context.Background(), atNoPage)
	if err != nil || use.Rewrapped != 1300 {
		t.Errorf("the rest is %d: %v", use.Rewrapped, err)
	}
	if n := s.opens(s.file(), s.wrapped()); n != 1800 {
		t.Errorf("%d secrets open", n)
	}
}
