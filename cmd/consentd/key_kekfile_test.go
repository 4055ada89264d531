package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKeyWithKeyFileNamed: key create and key revoke take the key file by the flag that their help and their errors
// name, before the verb and behind it.
func TestKeyWithKeyFileNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	chmod(t, dir, 0o700)
	serveOn(t, dir, nil).stop(t)
	kek := filepath.Join(t.TempDir(), "kek")
	if err := os.Rename(filepath.Join(dir, keyFileName), kek); err != nil {
		t.Fatal(err)
	}
	hold(t, "no key file", command(t, nil, "key", "create", "--name", "x", "--data", dir).errOut.String(), "--kek-file")
	for _, args := range [][]string{{"key", "create", "--name", "x", "--data", dir, "--kek-file", kek},
		{"key", "--kek-file", kek, "--data", dir, "create", "--name", "y"}} {
		made := command(t, nil, args...)
		if key := keyPattern.FindString(made.out.String()); made.code != 0 || key == "" {
			t.Errorf("%v ends with %d: %s", args, made.code, made.errOut.String())
		} else if p := command(t, nil, "key", "revoke", key, "--data", dir, "--kek-file", kek); p.code != 0 {
			t.Errorf("revoke ends with %d: %s", p.code, p.errOut.String())
		}
	}
}
