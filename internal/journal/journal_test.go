package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func erasure(n int) consent.ErasedSubject {
	return consent.ErasedSubject{SubjectKey: consent.SubjectKey{Organization: consent.ID{1},
		Subject: consent.ID{14: byte(n >> 8), 15: byte(n)}},
		Erasure: consent.Erasure{At: noon.Add(time.Duration(n) * time.Microsecond), Suppress: n%2 == 1}}
}

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func add(t testing.TB, f *File, erased ...consent.ErasedSubject) {
	t.Helper()
	if err := f.Add(erased); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, f *File) (read []consent.ErasedSubject) {
	t.Helper()
	if err := f.Read(func(e consent.ErasedSubject) error { read = append(read, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return read
}

// TestForm is the file, which outlives every version of the program.
func TestForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek.erasures")
	f := open(t, path)
	add(t, f, erasure(1), erasure(2))
	want := `{"organization":"01000000-0000-0000-0000-000000000000","subject":"00000000-0000-0000-0000-000000000001",` +
		`"at":"2026-03-01T12:00:00.123457Z","suppress":true}
{"organization":"01000000-0000-0000-0000-000000000000","subject":"00000000-0000-0000-0000-000000000002",` +
		`"at":"2026-03-01T12:00:00.123458Z"}
`
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got := all(t, open(t, path)); !cmp.Equal(got, []consent.ErasedSubject{erasure(1), erasure(2)}) {
		t.Errorf("read: %v", got)
	}
}

// TestLinesCutOff: a process may die at any byte of a line. What is left of it is passed over, and is gone once another
// line is added; those before it stay.
func TestLinesCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "erasures")
	add(t, open(t, path), erasure(1), erasure(2))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for end := 0; end <= len(whole); end++ {
		if err := os.WriteFile(path, whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		want := []consent.ErasedSubject{erasure(1), erasure(2)}[:bytes.Count(whole[:end], []byte{'\n'})]
		f := open(t, path)
		if got := all(t, f); !cmp.Equal(got, want, cmp.Comparer(func(a, b []consent.ErasedSubject) bool {
			return slices.Equal(a, b)
		})) {
			t.Fatalf("cut at %d (the first line ends at %d): %v", end, first, got)
		}
		add(t, f, erasure(3))
		if got := all(t, f); !slices.Equal(got, append(want, erasure(3))) {
			t.Fatalf("cut at %d and added to: %v", end, got)
		}
	}
}

// TestNotAJournal: what is no journal is refused, the line is named, and nothing of it is cut off.
func TestNotAJournal(t *testing.T) {
	good := string(form(new(erasure(1))))
	for name, text := range map[string]string{
		"a word":            good + "hello\n",
		"no id":             good + strings.Replace(good, "01000000", "0100000g", 1),
		"an id in capitals": good + strings.Replace(good, "01000000", "0A000000", 1),
		"a date alone":      good + strings.Replace(good, "T12:00:00.123457Z", "", 1),
		"a member more":     good + strings.Replace(good, "{", `{"who":"ada",`, 1),
		"a member twice":    good + strings.Replace(good, "{", `{"suppress":true,`, 1),
		"a space":           good + " " + good,
		"two in a line":     good + strings.TrimSpace(good) + good,
		"an empty line":     good + "\n" + good,
		"very long":         good + strings.Repeat(" ", 100_000) + good,
	} {
		path := filepath.Join(t.TempDir(), "erasures")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := open(t, path).Read(func(consent.ErasedSubject) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "erasures")
	long := strings.Repeat("x", 100_000)
	if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	if err := f.Read(func(consent.ErasedSubject) error { return nil }); err == nil {
		t.Error("a long text was read as a line that was cut off")
	}
	if err := f.Add([]consent.ErasedSubject{erasure(1)}); err == nil {
		t.Error("a long text was added to")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != long {
		t.Error("somebody's file was changed")
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
}

// TestManyAtOnce: lines of many processes (each has opened the file by itself) and goroutines are whole, and all there,
// also where some read and find a line cut off.
func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "erasures")
	if err := os.WriteFile(path, []byte(`{"organiz`), 0o600); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	const files, goroutines, each = 3, 3, 20
	for i := range files {
		f := open(t, path)
		for g := range goroutines {
			running.Go(func() {
				for n := range each {
					if err := f.Add([]consent.ErasedSubject{erasure((i*goroutines+g)*each + n)}); err != nil {
						t.Error(err)
					}
					if err := f.Read(func(consent.ErasedSubject) error { return nil }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	running.Wait()
	seen := map[string]bool{}
	for _, e := range all(t, open(t, path)) {
		seen[fmt.Sprint(e)] = true
	}
	if len(seen) != files*goroutines*each {
		t.Errorf("%d lines of %d", len(seen), files*goroutines*each)
	}
}

// TestMovedAway: what is added to a file that nobody finds any more would be lost.
func TestMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "erasures")
	f := open(t, path)
	refused := func(what string) {
		t.Helper()
		err := f.Add([]consent.ErasedSubject{erasure(1)})
		if err == nil || !strings.Contains(err.Error(), "moved or removed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("removed")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("replaced")
}

func FuzzParse(f *testing.F) {
	f.Add(form(new(erasure(1))))
	f.Add(form(new(erasure(2))))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e, ok := parse(line); ok && !bytes.Equal(form(&e), line) {
			t.Errorf("%q is read as %q", line, form(&e))
		}
	})
}
