package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestJournalMistakes: where journals cannot be kept, or are none, no server starts, and it is said what to do; without
// them there is a warning.
func TestJournalMistakes(t *testing.T) {
	dir := t.TempDir()
	root := []string{"CONSENTD_ROOT_KEY=" + rootKey}
	serveOn(t, dir, root).stop(t)
	path := filepath.Join(dir, keyFileName+erasuresSuffix)
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Fatalf("the journal of nobody: %v, %v", info, err)
	}
	p := command(t, root, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--journals", filepath.Join(dir, "no"))
	hold(t, "a folder that is not there", p.errOut.String(), "no such file or directory", "--journals", "\"off\"")
	if p.code != exitUsage {
		t.Errorf("exit code %d", p.code)
	}
	if err := os.WriteFile(path, []byte("somebody's notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = command(t, root, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	hold(t, "another file", p.errOut.String(), path, "line 1", "put back a copy")
	if p.code != exitFailed {
		t.Errorf("exit code %d", p.code)
	}
	p = command(t, nil, "doctor", "--data", dir)
	hold(t, "the doctor on another file", p.out.String(), "fail  erasures", "line 1")
	s := serveWith(t, root, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--journals", "off")
	hold(t, "no journal", s.errOut.String(), "no journals are kept")
	s.stop(t)
	p = command(t, nil, "doctor", "--data", dir, "--journals", "off")
	hold(t, "the doctor without one", p.out.String(), "warn  erasures", "--journals")
}
