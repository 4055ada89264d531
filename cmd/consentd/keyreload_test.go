package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
)

// TestKeyFileReload: a running server takes in what was added and retired, and nothing else.
func TestKeyFileReload(t *testing.T) {
	t.Parallel()
	made := func(path string) *sealing.File {
		t.Helper()
		f, _, err := sealing.Create(path, rand.Reader, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	rotated := func(path string) *sealing.File {
		t.Helper()
		f, err := sealingtest.Rotate(path, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path+".put", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".put", path); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		change func(path string)
		keys   int // 0: the ones of before stay
		says   string
	}{
		"nothing":       {func(string) {}, 0, ""},
		"touched":       {func(path string) { write(path, read(path)) }, 0, ""},
		"a key added":   {func(path string) { rotated(path) }, 3, ""},
		"a key retired": {func(path string) { retireFirst(t, path) }, 1, ""},
		"both":          {func(path string) { rotated(path); retireFirst(t, path) }, 2, ""},
		"another file": {func(path string) {
			made(path + ".other")
			write(path, read(path+".other"))
		}, 0, "is not the one"},
		"an older copy": {func(path string) {
			lines := strings.SplitAfter(strings.TrimSpace(read(path)), "\n")
			write(path, strings.Join(lines[:len(lines)-1], ""))
		}, 0, "is an older copy"},
		"an older copy and another key": {func(path string) {
			lines := strings.SplitAfter(strings.TrimSpace(read(path)), "\n")
			write(path, strings.Join(lines[:len(lines)-1], ""))
			rotated(path)
		}, 0, "is an older copy"},
		"gone":             {func(path string) { _ = os.Remove(path) }, 0, "no such file"},
		"open to others":   {func(path string) { _ = os.Chmod(path, 0o644); rewritten(path) }, 0, "chmod 600"},
		"half of the file": {func(path string) { write(path, read(path)[:300]) }, 0, "restore"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "kek")
			made(path)
			k := &keyFile{path: path, file: rotated(path)}
			if _, changed, err := k.reload(false); changed || err != nil {
				t.Fatalf("at the first look: changed %t, %v", changed, err)
			}
			tc.change(path)
			for _, always := range []bool{false, true} {
				ring, changed, err := k.reload(always)
				switch {
				case tc.says != "":
					if err == nil || !strings.Contains(err.Error(), tc.says) || changed {
						t.Errorf("always %t: changed %t, error %v, want %q", always, changed, err, tc.says)
					}
				case err != nil || changed != (tc.keys != 0 && !always):
					t.Errorf("always %t: changed %t, %v", always, changed, err)
				case changed && ring.Newest() != k.file.Newest().ID:
					t.Error("the ring is another's")
				}
			}
			want := tc.keys
			if want == 0 {
				want = 2
			}
			if n := len(k.file.KEKs()); n != want {
				t.Errorf("%d keys are in use, want %d", n, want)
			}
		})
	}
}

// rewritten gives a file other times.
func rewritten(path string) { _ = os.Chtimes(path, time.Now(), time.Now().Add(time.Second)) }

func retireFirst(t *testing.T, path string) {
	t.Helper()
	f, err := sealing.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealing.Retire(path, f.KEKs()[0].ID); err != nil {
		t.Fatal(err)
	}
}
