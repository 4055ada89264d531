package importing

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func zipped(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parts tells what an input consists of.
func parts(t testing.TB, in *Input, rank func(string) int) (all []string) {
	t.Helper()
	for p, err := range in.Parts(rank) {
		if err != nil {
			return append(all, err.Error())
		}
		text, err := io.ReadAll(p.Text)
		if err != nil {
			return append(all, err.Error())
		}
		all = append(all, p.Name+"="+string(text))
	}
	return all
}

func TestInput(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "b.csv", gzipped(t, "2"))
	write(t, folder, "a.csv", "1")
	write(t, folder, ".hidden", "3")
	last := func(name string) int { return map[string]int{"a.csv": 2, "b.csv": 1}[name] }
	for _, tc := range []struct {
		file string
		rank func(string) int
		want []string
	}{
		{write(t, dir, "one.csv", "1"), nil, []string{"one.csv=1"}},
		{write(t, dir, "empty.csv", ""), nil, []string{"empty.csv="}},
		{write(t, dir, "all.zip", zipped(t, "x/b.csv", "2", "a.csv", "1", "__MACOSX/._a.csv", "9")), nil,
			[]string{"a.csv=1", "b.csv=2"}},
		{filepath.Join(dir, "all.zip"), last, []string{"b.csv=2", "a.csv=1"}},
		{folder, nil, []string{"a.csv=1", "b.csv=2"}},
		{folder, func(name string) int { return last(name) - 2 }, []string{"a.csv=1"}},
		{folder, func(string) int { return -1 }, []string{"none of its files is one that this format reads"}},
	} {
		in, err := Open(tc.file, "")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it is read as often as one likes
			if got := parts(t, in, tc.rank); !slices.Equal(got, tc.want) {
				t.Errorf("%s: %q, want %q", tc.file, got, tc.want)
			}
		}
		if in.Done() == 0 && in.Size > 0 && !strings.Contains(tc.want[0], "none") {
			t.Errorf("%s: nothing was counted", tc.file)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	for text, fails := range map[string]string{"PK\x03\x04": "it begins as zip does, and is not: zip: not a valid zip file",
		zipped(t): "", zipped(t, "x/", ""): "broken.zip has 0 files; it must have 1 to 10000"} {
		in, err := Open(write(t, dir, "broken.zip", text), "")
		if fails != "" && (err == nil || err.Error() != fails) || fails == "" && err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			in.Close()
		}
	}
}
