package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
)

func openSigned(t testing.TB, path string) *Checkpoints {
	t.Helper()
	c, err := OpenCheckpoints(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ledgerRoot(n int) consent.LedgerRoot {
	return consent.LedgerRoot{Size: int64(n), Root: [32]byte{byte(n), byte(n >> 8), 7}}
}

func put(t testing.TB, c *Checkpoints, organization consent.ID, newest, next consent.LedgerRoot) {
	t.Helper()
	if ok, err := c.Put(organization, newest, next); err != nil || !ok {
		t.Fatalf("put %d in place of %d: %t, %v", next.Size, newest.Size, ok, err)
	}
}

func newestIs(t testing.TB, c *Checkpoints, organization consent.ID, want consent.LedgerRoot) {
	t.Helper()
	if is, err := c.Newest(organization); err != nil || is != want {
		t.Fatalf("the newest is of %d entries, want %d: %v", is.Size, want.Size, err)
	}
}

// TestSignedForm is the file, which outlives every version of the program.
func TestSignedForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek.checkpoints")
	c := openSigned(t, path)
	a := consent.ID{1}
	put(t, c, a, consent.LedgerRoot{}, ledgerRoot(300))
	zeros := strings.Repeat("0", 58)
	first := "01000000-0000-0000-0000-000000000000 00000000000000000001 00000000000000000300 2c0107" + zeros
	blank := strings.Repeat(" ", len(first)+9) + "\n"
	if text, err := os.ReadFile(path); err != nil || string(text) != first+" 57eda164\n"+blank {
		t.Errorf("%q, %v", text, err)
	}
	put(t, c, a, ledgerRoot(300), ledgerRoot(2))
	newestIs(t, c, a, ledgerRoot(2)) // the newer one, not the larger one: an epoch may begin before
	newestIs(t, openSigned(t, path), a, ledgerRoot(2))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != int64(2*len(blank)) {
		t.Errorf("%v, %v", info, err)
	}
}

// TestSignedByMany: of two that put a checkpoint in place of the same one, one does; each ledger has its own, and the
// files of several processes are one.
func TestSignedByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	organizations := make([]consent.ID, 20)
	for i := range organizations {
		organizations[i] = uuid.New()
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	won := map[consent.ID]int{}
	const files, rounds = 4, 25
	for range files {
		c := openSigned(t, path)
		running.Go(func() {
			for range rounds {
				for _, o := range organizations {
					newest, err := c.Newest(o)
					if err != nil {
						t.Error(err)
						return
					}
					ok, err := c.Put(o, newest, ledgerRoot(int(newest.Size)+1))
					if err != nil {
						t.Error(err)
						return
					}
					if ok {
						mu.Lock()
						won[o]++
						mu.Unlock()
					}
				}
			}
		})
	}
	running.Wait()
	all, err := openSigned(t, path).All()
	if err != nil || len(all) != len(organizations) {
		t.Fatalf("%d ledgers, %v", len(all), err)
	}
	for o, is := range all {
		if is != ledgerRoot(won[o]) || won[o] < rounds {
			t.Errorf("%s has %d entries, and was put %d times", o, is.Size, won[o])
		}
	}
}

// TestSignedCutOff: a process or the power may end at any byte of what is written. What was acknowledged before stays,
// and the next checkpoint is put.
func TestSignedCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	a, b := consent.ID{1}, consent.ID{2}
	c := openSigned(t, path)
	var states [][]byte
	keep := func() {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, text)
	}
	keep()
	put(t, c, a, consent.LedgerRoot{}, ledgerRoot(1))
	keep()
	for n := 1; n < 4; n++ {
		put(t, c, a, ledgerRoot(n), ledgerRoot(n+1))
		keep()
	}
	put(t, c, b, consent.LedgerRoot{}, ledgerRoot(9))
	keep()
	acknowledged := []consent.LedgerRoot{{}, ledgerRoot(1), ledgerRoot(2), ledgerRoot(3), ledgerRoot(4), ledgerRoot(4)}
	for n := 1; n < len(states); n++ {
		before, after := states[n-1], states[n]
		for cut := 0; cut <= len(after); cut++ {
			torn := append(bytes.Clone(after[:cut]), before[min(cut, len(before)):]...)
			if cut%2 == 1 { // some file systems have the length first, and zeros where nothing came
				torn = append(torn, make([]byte, len(after)-len(torn))...)
			}
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := OpenCheckpoints(path)
			if err != nil {
				t.Fatalf("write %d cut at %d: %v", n, cut, err)
			}
			is, err := c.Newest(a)
			if err != nil || is != acknowledged[n-1] && is != acknowledged[n] {
				t.Fatalf("write %d cut at %d: %d entries, %v", n, cut, is.Size, err)
			}
			put(t, c, a, is, ledgerRoot(100))
			of, err := c.Newest(b)
			if err != nil {
				t.Fatal(err)
			}
			put(t, c, b, of, ledgerRoot(200))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			again := openSigned(t, path)
			newestIs(t, again, a, ledgerRoot(100))
			newestIs(t, again, b, ledgerRoot(200))
			_ = again.Close()
		}
	}
}

// TestNoCheckpoints: another file is refused and left alone, and so is one that went away.
func TestNoCheckpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	if err := os.WriteFile(path, bytes.Repeat([]byte("somebody's notes\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoints(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("another file: %v", err)
	}
	if _, err := OpenCheckpoints(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
	path = filepath.Join(t.TempDir(), "checkpoints")
	c := openSigned(t, path)
	put(t, c, consent.ID{1}, consent.LedgerRoot{}, ledgerRoot(1))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := c.Put(consent.ID{1}, ledgerRoot(1), ledgerRoot(2))
	if err == nil || !strings.Contains(err.Error(), "moved") {
		t.Errorf("removed: %v", err)
	}
}

func FuzzParseSigned(f *testing.F) {
	f.Add(signedForm(consent.ID{1}, signed{ledgerRoot(3), 1}))
	f.Add(bytes.Repeat([]byte{' '}, signedLine))
	f.Fuzz(func(t *testing.T, line []byte) {
		if o, s, ok := parseSigned(line); ok && !bytes.Equal(signedForm(o, s), line) {
			t.Errorf("%q is read as %q", line, signedForm(o, s))
		}
	})
}

// TestDamagedCheckpoints: of a ledger whose lines are both damaged it is not known what was signed, and to pass it over
// would have a second history signed. Neither a server nor who reads alone takes such a file, and what it holds stays.
func TestDamagedCheckpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	c := openSigned(t, path)
	a, b := consent.ID{1}, consent.ID{2}
	put(t, c, a, consent.LedgerRoot{}, ledgerRoot(1))
	put(t, c, b, consent.LedgerRoot{}, ledgerRoot(5))
	put(t, c, b, ledgerRoot(5), ledgerRoot(6))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(places ...int) []byte {
		text := bytes.Clone(whole)
		for _, at := range places {
			text[at] ^= 1
		}
		return text
	}
	inOne := make([]byte, signedPair)
	copy(inOne, whole[:signedLine])
	copy(inOne[signedLine:], whole[signedPair:])
	for name, text := range map[string][]byte{
		"both lines of the last":    flipped(signedPair+100, signedPair+signedLine+100),
		"both lines of the first":   flipped(100, signedLine+100),
		"the only line of one":      flipped(100),
		"the only line of the last": flipped(100)[:signedPair],
		"its sums":                  flipped(signedLine-3, signedPair+signedLine-3, signedPair+2*signedLine-3),
		"zeros in the middle":       append(append(bytes.Clone(whole[:50]), make([]byte, 20)...), whole[70:]...),
		"zeros behind it":           append(bytes.Clone(whole[:signedLine-9]), make([]byte, signedPair)...),
		"two ledgers at a place":    inOne,
		"a ledger twice":            append(bytes.Clone(whole), whole[:signedPair]...),
		"garbage":                   []byte(strings.Repeat("garbage\n", 300)),
		"a little garbage":          []byte("garbage\n"),
		"garbage behind":            append(bytes.Clone(whole), "garbage\n"...),
		"cut off within, of before": append(flipped(100, signedLine+100)[:signedPair], whole[signedPair:400]...),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		for how, open := range map[string]func(string) (*Checkpoints, error){"open": OpenCheckpoints,
			"open to read": OpenCheckpointsToRead} {
			c, err := open(path)
			if err == nil {
				_ = c.Close()
				t.Errorf("%s: %s: was taken", name, how)
				continue
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "put back a copy") {
				t.Errorf("%s: %s: %v", name, how, err)
			}
		}
		if is, err := os.ReadFile(path); err != nil || !bytes.Equal(is, text) {
			t.Errorf("%s: it was changed", name)
		}
	}
}

// TestDamagedMeanwhile: a file is damaged while it is open.
func TestDamagedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	c := openSigned(t, path)
	a := consent.ID{1}
	put(t, c, a, consent.LedgerRoot{}, ledgerRoot(1))
	if err := os.WriteFile(path, bytes.Repeat([]byte{'x'}, 2*signedPair), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, organization := range []consent.ID{a, {2}} {
		if is, err := c.Newest(organization); err == nil {
			t.Errorf("the newest of %s is of %d entries", organization, is.Size)
		}
		if ok, err := c.Put(organization, consent.LedgerRoot{}, ledgerRoot(3)); ok || err == nil {
			t.Errorf("put %s: %t, %v", organization, ok, err)
		}
	}
	if all, err := c.All(); err == nil {
		t.Errorf("%v", all)
	}
}

// TestCheckpointsToRead: who reads alone makes nothing, and sees what others put meanwhile.
func TestCheckpointsToRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	if _, err := OpenCheckpointsToRead(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	c := openSigned(t, path)
	put(t, c, consent.ID{1}, consent.LedgerRoot{}, ledgerRoot(1))
	r, err := OpenCheckpointsToRead(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	put(t, c, consent.ID{1}, ledgerRoot(1), ledgerRoot(2))
	put(t, c, consent.ID{2}, consent.LedgerRoot{}, ledgerRoot(7))
	newestIs(t, r, consent.ID{1}, ledgerRoot(2))
	newestIs(t, r, consent.ID{2}, ledgerRoot(7))
}
