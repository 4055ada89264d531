package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/pgtest"
)

// TestKeyFile: the first start makes the key file, for its owner alone, and says so; later ones need that very file. A
// store that is used already, and whose file is lost or another's, is refused with what to do.
func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	kek := filepath.Join(dir, "kek")
	start := func(t *testing.T, env []string, args ...string) *process {
		t.Helper()
		return serveWith(t, append([]string{"CONSENTD_ROOT_KEY=" + rootKey}, env...),
			append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	}
	first := start(t, nil, "--data", dir)
	first.stop(t)
	info, err := os.Stat(kek)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v: mode %v", err, info.Mode())
	}
	hold(t, "the first start", first.errOut.String(), "made a file of keys", "keep a copy", kek)
	second := start(t, nil, "--data", dir)
	second.stop(t)
	if strings.Contains(second.errOut.String(), "made a file") {
		t.Error("the second start made another file")
	}
	refused := func(name string, env []string, args []string, code int, says ...string) {
		t.Helper()
		p := command(t, append([]string{"CONSENTD_ROOT_KEY=" + rootKey}, env...),
			append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
		if p.code != code {
			t.Errorf("%s: exit code %d, want %d", name, p.code, code)
		}
		hold(t, name, p.errOut.String(), says...)
	}
	text, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(kek, kek+".lost"); err != nil {
		t.Fatal(err)
	}
	refused("a file that is lost", nil, []string{"--data", dir}, exitFailed, kek, "restore it from its copy", "--kek-file")
	other := t.TempDir()
	start(t, nil, "--data", other).stop(t)
	refused("another store's file", []string{"CONSENTD_KEK_FILE=" + filepath.Join(other, "kek")}, []string{"--data", dir},
		exitFailed, "is not the one", "--kek-file")
	moved := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(moved, text, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("one that others may read", nil, []string{"--data", dir, "--kek-file", moved}, exitFailed, "chmod 600")
	if err := os.Chmod(moved, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, "--data", dir, "--kek-file", moved).stop(t)
	url := "CONSENTD_DATABASE_URL=" + pgtest.Database(t, "", nil)
	refused("a database without one", []string{url, "CONSENTD_KEK_FILE="}, nil, exitUsage, "--kek-file")
	start(t, []string{url, "CONSENTD_KEK_FILE=" + moved}).stop(t)
	start(t, []string{url, "CONSENTD_KEK_FILE=" + moved}).stop(t)
	refused("another database's file", []string{url, "CONSENTD_KEK_FILE=" + filepath.Join(other, "kek")}, nil, exitFailed,
		"is not the one")
}
