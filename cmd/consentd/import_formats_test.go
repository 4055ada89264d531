package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/importing"
)

// TestFormatsAreFound: each sample of a format is taken for it, without being told.
func TestFormatsAreFound(t *testing.T) {
	t.Parallel()
	const folder = "../../internal/importing"
	samples := 0
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		parts := strings.Split(strings.TrimPrefix(filepath.ToSlash(file), folder+"/"), "/")
		if err != nil || len(parts) != 3 || parts[1] != "testdata" || parts[2] == "fuzz" {
			return err
		}
		ending := filepath.Ext(file)
		if ending == ".want" || ending == ".map" || file == filepath.FromSlash(folder+"/csv/testdata/wide.csv") {
			return nil // the last is one that only its map tells
		}
		samples++
		in, err := importing.Open(file, "")
		if err != nil {
			return err
		}
		defer in.Close()
		want := strings.Replace(parts[0], "cookieconsent", "vanilla-cookieconsent", 1)
		if found, err := importing.Detect(in, importFormats); err != nil || found.Name != want {
			t.Errorf("%s is taken for %v, %v", file, found, err)
		}
		return nil
	})
	if err != nil || samples < 15 {
		t.Errorf("%d samples, %v", samples, err)
	}
	in, err := importing.Open(folder+"/csv/testdata/wide.csv", "")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	wide := &importing.Map{Wide: map[string]string{"Newsletter": "newsletter"}}
	if found, err := formatOf(autoFormat, in, wide); err != nil || found.Name != "csv" {
		t.Errorf("a table with a map is taken for %v, %v", found, err)
	}
	if _, err := formatOf(autoFormat, in, &importing.Map{}); !errors.Is(err, importing.ErrUnknownTable) {
		t.Errorf("a table without a map: %v", err)
	}
}
