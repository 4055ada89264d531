package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// threeKeys gives a key file of which the second key was added an hour before now, and the third 14 minutes before.
func threeKeys(t *testing.T, now time.Time) (f *sealing.File, a, b, c sealing.KEKID) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if _, _, err := sealing.Create(path, rand.Reader, now.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, ago := range []time.Duration{time.Hour, 14 * time.Minute} {
		var err error
		if f, err = sealingtest.Rotate(path, now.Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	all := kekIDs(f)
	return f, all[0], all[1], all[2]
}

// TestRetirable: the newest key, one in use and one that a server may use yet are refused, with what to do.
func TestRetirable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	f, a, b, c := threeKeys(t, now)
	const young, inUse, newest = "a server may wrap something by it until 2026-11-30T12:01:00Z; run the command again",
		" wrapped by it; consentd keys rotate-kek rewraps", "it is the newest; consentd keys rotate-kek adds"
	type wraps = map[sealing.KEKID]int64
	keys := func(ids ...sealing.KEKID) []sealing.KEKID { return ids }
	for name, tc := range map[string]struct {
		wraps   wraps
		named   []sealing.KEKID
		at      time.Duration
		may     []sealing.KEKID
		refused []string
	}{
		"all":                    {wraps{c: 9}, nil, 0, keys(a), []string{b.String() + ": " + young}},
		"all, a minute later":    {wraps{c: 9}, nil, time.Minute, keys(a, b), nil},
		"all, nothing on record": {nil, nil, time.Minute, keys(a, b), nil},
		"one in use": {wraps{a: 1, c: 9}, nil, time.Minute, keys(b),
			[]string{a.String() + ": 1 secret is" + inUse}},
		"in use and young": {wraps{b: 2}, nil, 0, keys(a), []string{b.String() + ": 2 secrets are" + inUse}},
		"the newest":       {nil, keys(c), time.Hour, nil, []string{c.String() + ": " + newest}},
		"the newest in use": {wraps{c: 9}, keys(c), time.Hour, nil,
			[]string{c.String() + ": 9 secrets are" + inUse}},
		"one by name": {nil, keys(a), 0, keys(a), nil},
		"one that is not there": {nil, keys(a, sealing.KEKID{}), 0, keys(a),
			[]string{"00000000: the key file has no such key"}},
		"one by name that is young": {nil, keys(b), 0, nil, []string{b.String() + ": " + young}},
	} {
		may, refused := retirable(f, &service.KeyUse{Wrapped: tc.wraps}, tc.named, now.Add(tc.at))
		if diff := cmp.Diff(tc.may, may); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if len(refused) != len(tc.refused) {
			t.Errorf("%s: refused are %q", name, refused)
			continue
		}
		for i, part := range tc.refused {
			if !strings.Contains(refused[i], part) {
				t.Errorf("%s: %q lacks %q", name, refused[i], part)
			}
		}
	}
}

// slowViewer is a store that is looked at while time goes by and others write.
type slowViewer struct {
	service.Viewer
	meanwhile func()
}

func (v *slowViewer) View(ctx context.Context, read func(service.Reader) error) error {
	err := v.Viewer.View(ctx, read)
	v.meanwhile()
	return err
}

// emptyStore opens a store in a folder of its own.
func emptyStore(t *testing.T) service.Store {
	t.Helper()
	store, err := openStore(t.Context(), &config.Config{Data: t.TempDir()}, slog.New(slog.DiscardHandler), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// TestRetireCountsFromItsBeginning: a key that got out of use while the count went on may wrap what was not counted.
func TestRetireCountsFromItsBeginning(t *testing.T) {
	t.Parallel()
	path, store := filepath.Join(t.TempDir(), "kek"), emptyStore(t)
	if _, _, err := sealing.Create(path, rand.Reader, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	f, err := sealingtest.Rotate(path, time.Now().Add(3*time.Second-service.OutOfUseAfter))
	if err != nil {
		t.Fatal(err)
	}
	outOfUse := f.Newest().Created.Add(service.OutOfUseAfter)
	slow := &slowViewer{store, func() { time.Sleep(time.Until(outOfUse.Add(100 * time.Millisecond))) }}
	look := func() (may []sealing.KEKID, refused []string) {
		may, refused, err := lookToRetire(t.Context(), slow, f, nil, func(service.KeyUse) {})
		if err != nil {
			t.Fatal(err)
		}
		return may, refused
	}
	if may, refused := look(); len(may) != 0 || len(refused) != 1 {
		t.Errorf("a count that began too early lets %v be destroyed, and refuses %q", may, refused)
	}
	if may, refused := look(); len(may) != 1 || len(refused) != 0 {
		t.Errorf("a count that began after that lets %v be destroyed, and refuses %q", may, refused)
	}
}

// TestKeysAddedDuringTheCount: what a rotation has wrapped meanwhile, which the file had no key for when it was read at
// first, is not lost.
func TestKeysAddedDuringTheCount(t *testing.T) {
	t.Parallel()
	path, store := filepath.Join(t.TempDir(), "kek"), emptyStore(t)
	f, _, err := sealing.Create(path, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := service.New(service.Options{Store: store, Keys: f.Ring(rand.Reader), Log: log})
	defer s.Close()
	_, err = s.CreateOrganization(t.Context(), s.Operator(), consent.NewOrganization{Name: "Shop"}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	rotate := sync.OnceFunc(func() {
		added, err := sealing.RotateAfter(path, f.Newest().ID, rand.Reader, time.Now())
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := service.NewRewrapper(store, added.Ring(rand.Reader), nil, log).Pass(t.Context(),
			func(service.KeyUse) {}); err != nil {
			t.Error(err)
		}
	})
	keys := &keyFile{path: path, file: f}
	use, err := keys.count(t.Context(), &slowViewer{store, rotate}, func(service.KeyUse) {})
	if err != nil {
		t.Fatal(err)
	}
	if n := use.Wrapped[newestOf(t, path)]; n != 1 {
		t.Fatalf("the key that was added wraps %d secrets", n)
	}
	if lost := lostKeys(keys.file, &use); lost != "" {
		t.Errorf("nothing is lost, and it says %q", lost)
	}
}

func newestOf(t *testing.T, path string) sealing.KEKID {
	t.Helper()
	f, err := sealing.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Newest().ID
}

// TestKeyLines is the list as it is shown.
func TestKeyLines(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	f, a, b, c := threeKeys(t, now)
	lost := sealing.KEKID{0xff, 1, 2, 3}
	use := &service.KeyUse{Wrapped: map[sealing.KEKID]int64{c: 1234567, lost: 4}, Damaged: 2}
	want := []string{
		"ID        MADE                       WRAPS  STATE",
		a.String() + "  2026-11-29T12:00:00Z           0  not in use; consentd keys retire destroys it",
		b.String() + "  2026-11-30T11:00:00Z           0  not in use; may be retired from 2026-11-30T12:01:00Z on",
		c.String() + "  2026-11-30T11:46:00Z     1234567  newest",
		"ff010203                                 4  not in the file",
		"?                                        2  damaged",
	}
	if diff := cmp.Diff(want, keyLines(f, use, now)); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	if got, want := lostKeys(f, use), "4 secrets are wrapped by keys that the key file lacks (ff010203: 4)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := lostKeys(f, &service.KeyUse{Wrapped: map[sealing.KEKID]int64{a: 1}}); got != "" {
		t.Errorf("nothing is lost, and it says %q", got)
	}
}

// TestKeysProgress: which step, how far, and how much was rewrapped.
func TestKeysProgress(t *testing.T) {
	t.Parallel()
	p := &keysProgress{}
	if got := p.text(); got != "" {
		t.Errorf("before it begins it says %q", got)
	}
	at := p.at("rewrapping")
	if got := p.text(); got != "rewrapping" {
		t.Errorf("at the beginning it says %q", got)
	}
	at(service.KeyUse{Organizations: 1, Of: 2, Wrapped: map[sealing.KEKID]int64{{1}: 400, {2}: 100}, Rewrapped: 400})
	if got := p.text(); got != "rewrapping: 1 of 2 organizations, 500 secrets looked at, 400 rewrapped" {
		t.Errorf("it says %q", got)
	}
	p.at("counting")(service.KeyUse{Of: 1, Wrapped: map[sealing.KEKID]int64{{1}: 1}})
	if got := p.text(); got != "counting: 0 of 1 organization, 1 secret looked at" {
		t.Errorf("the next step says %q", got)
	}
}

// TestKeyAddedMeanwhile: where another command has added a key since the file was read, no other is added.
func TestKeyAddedMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	file, _, err := sealing.Create(path, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	others, err := sealingtest.Rotate(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := &keysWork{keys: &keyFile{path: path, file: file}, out: &out, progress: &keysProgress{}}
	for want, says := range []string{"Another command added the key " + others.Newest().ID.String(), "Added the key "} {
		out.Reset()
		if err := w.addKey(); err != nil {
			t.Fatal(err)
		}
		if n := len(w.keys.file.KEKs()); n != 2+want {
			t.Errorf("the file has %d keys, want %d", n, 2+want)
		}
		hold(t, "what is said", out.String(), says)
	}
}
