package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// verifyExport holds the files of a folder to its manifest, a line for each that is not as it says.
func verifyExport(dir string, out io.Writer) error {
	m, err := readManifest(dir)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	wrong := 0
	complain := func(format string, args ...any) {
		wrong++
		fmt.Fprintf(out, "FAIL  "+format+"\n", args...)
	}
	if !m.Complete {
		complain("the export is not complete: run the same command again")
	}
	known := map[string]bool{manifestName: true}
	for i := range m.Parts {
		part := &m.Parts[i]
		known[part.Name] = true
		if part.Name != filepath.Base(part.Name) {
			complain("%s is no name of a file in the folder", printable(part.Name))
			continue
		}
		size, sum, err := sumOf(filepath.Join(dir, part.Name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			complain("%s is missing", part.Name)
		case err != nil:
			return err
		case size != part.Bytes:
			complain("%s has %d bytes, and not %d", part.Name, size, part.Bytes)
		case sum != part.SHA256:
			complain("%s is not what was written: its SHA-256 is another", part.Name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !known[entry.Name()] {
			fmt.Fprintf(out, "NOTE  %s is not in the manifest\n", printable(entry.Name()))
		}
	}
	if wrong > 0 {
		return &exitError{exitFailed, errSaid}
	}
	_, err = fmt.Fprintf(out, "%s in %s: all are what was written.\n", plural(m.count(kindEvents), "event"),
		plural(int64(len(m.Parts)), "file"))
	return err
}

func sumOf(name string) (int64, string, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	return n, hex.EncodeToString(sum.Sum(nil)), err
}
