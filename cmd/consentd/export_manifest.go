package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
)

const manifestName = "manifest.json"

// Kinds of files of an export.
const (
	kindEvents   = "events"
	kindConsents = "consents"
	kindPurposes = "purposes"
)

// exportManifest says what is in the folder of an export, and where a further run goes on.
type exportManifest struct {
	Organization string    `json:"organization"`
	Project      string    `json:"project,omitempty"` // as it was named; empty: all
	Format       string    `json:"format"`
	Program      string    `json:"program"` // the version that wrote it
	Since        time.Time `json:"since,omitzero"`
	StartedAt    time.Time `json:"startedAt"`
	FinishedAt   time.Time `json:"finishedAt,omitzero"`
	Complete     bool      `json:"complete"`
	Projects     []string  `json:"projects,omitempty"` // ids of those that events are of
	// What a further run goes on behind.
	LastSequence   int64        `json:"lastSequence,omitzero"`
	LastRecordedAt time.Time    `json:"lastRecordedAt,omitzero"`
	Parts          []exportPart `json:"parts"`
}

// exportPart is a file of an export.
type exportPart struct {
	Name          string    `json:"name"`
	Kind          string    `json:"kind"`
	Count         int64     `json:"count"`
	Bytes         int64     `json:"bytes"`
	SHA256        string    `json:"sha256"`
	From          time.Time `json:"from,omitzero"` // when its events were recorded
	To            time.Time `json:"to,omitzero"`
	FirstSequence int64     `json:"firstSequence,omitzero"`
	LastSequence  int64     `json:"lastSequence,omitzero"`
}

func (m *exportManifest) files(kind string) (n int64) {
	for i := range m.Parts {
		if m.Parts[i].Kind == kind {
			n++
		}
	}
	return n
}

func (m *exportManifest) count(kind string) (n int64) {
	for i := range m.Parts {
		if m.Parts[i].Kind == kind {
			n += m.Parts[i].Count
		}
	}
	return n
}

// put notes a file, in the place of one of the same name.
func (m *exportManifest) put(part exportPart) {
	m.Parts = slices.DeleteFunc(m.Parts, func(p exportPart) bool { return p.Name == part.Name })
	m.Parts = append(m.Parts, part)
}

// write puts the manifest into its folder, in one step.
func (m *exportManifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	f, err := newPartFile(dir, manifestName)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		return errors.Join(err, f.abandon())
	}
	_, err = f.keep(exportPart{})
	return err
}

// maxManifest is how large a manifest may be.
const maxManifest = 256 << 20

func readManifest(dir string) (*exportManifest, error) {
	file := filepath.Join(dir, manifestName)
	if info, err := os.Stat(file); err == nil && info.Size() > maxManifest {
		return nil, fmt.Errorf("%s has more than %d MiB", file, maxManifest>>20)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := &exportManifest{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// open makes the folder, or finds out where it goes on.
func (x *exportRun) open(since time.Time) error {
	if err := os.MkdirAll(x.To, 0o700); err != nil {
		return err
	}
	m, err := readManifest(x.To)
	if errors.Is(err, os.ErrNotExist) {
		entries, err := os.ReadDir(x.To)
		if err != nil || len(entries) > 0 && !isPartOnly(entries) {
			return errors.Join(err, &exitError{exitUsage, fmt.Errorf("%s holds other files: name a new or an empty folder",
				x.To)})
		}
		x.manifest = exportManifest{Organization: x.Organization, Project: x.Project, Format: x.Format, Since: since,
			Program: "consentd " + version, StartedAt: time.Now().UTC()}
		return x.manifest.write(x.To)
	}
	if err != nil {
		return err
	}
	x.manifest = *m
	switch {
	case m.Format != x.Format || m.Project != x.Project || x.Organization != "" && m.Organization != x.Organization:
		return &exitError{exitUsage, fmt.Errorf("%s is an export of another organization or project, or in another format: "+
			"name another folder", x.To)}
	case x.Since != "last" && !m.Since.Equal(since):
		return &exitError{exitUsage, fmt.Errorf("%s was begun with another --since", x.To)}
	case m.Complete && x.Since != "last":
		return &exitError{exitUsage, fmt.Errorf("%s is complete; add what was recorded since by --since last", x.To)}
	}
	x.manifest.Complete, x.manifest.FinishedAt = false, time.Time{}
	return x.manifest.write(x.To)
}

// isPartOnly tells that a folder has nothing but what a run left that was killed at its beginning.
func isPartOnly(entries []os.DirEntry) bool {
	return !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) != partSuffix })
}

const partSuffix = ".part"

// partFile is a file that appears under its name when it is whole.
type partFile struct {
	dir, name string
	file      *os.File
	out       *bufio.Writer
	sum       hash.Hash
	bytes     int64
}

func newPartFile(dir, name string) (*partFile, error) {
	file, err := os.OpenFile(filepath.Join(dir, name+partSuffix), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	f := &partFile{dir: dir, name: name, file: file, sum: sha256.New()}
	f.out = bufio.NewWriterSize(io.MultiWriter(file, f.sum), 256<<10)
	return f, nil
}

func (f *partFile) Write(p []byte) (int, error) {
	n, err := f.out.Write(p)
	f.bytes += int64(n)
	return n, err
}

// keep has the file on the disk under its name, and tells what is in it.
func (f *partFile) keep(part exportPart) (exportPart, error) {
	err := errors.Join(f.out.Flush(), f.file.Sync(), f.file.Close())
	if err != nil {
		return part, errors.Join(err, os.Remove(f.file.Name()))
	}
	part.Bytes, part.SHA256 = f.bytes, hex.EncodeToString(f.sum.Sum(nil))
	if part.Count == 0 && part.Kind != "" && part.Kind != kindPurposes {
		if part.Count, err = countIn(f.file.Name(), filepath.Ext(f.name)); err != nil {
			return part, err
		}
	}
	if err := os.Rename(f.file.Name(), filepath.Join(f.dir, f.name)); err != nil {
		return part, err
	}
	return part, syncFolder(f.dir)
}

func (f *partFile) abandon() error { return errors.Join(f.file.Close(), os.Remove(f.file.Name())) }

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// countIn counts the rows of a file, which shows too that it is whole: the last line of NDJSON says how many there are,
// and Parquet has a footer.
func countIn(name, form string) (int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	switch form {
	case ".parquet":
		info, err := file.Stat()
		if err != nil {
			return 0, err
		}
		table, err := parquet.OpenFile(file, info.Size())
		if err != nil {
			return 0, fmt.Errorf("the table is not whole: %w", err)
		}
		return table.NumRows(), nil
	case ".csv":
		in := csv.NewReader(bufio.NewReader(file))
		in.ReuseRecord = true
		for n := int64(-1); ; n++ {
			if _, err := in.Read(); errors.Is(err, io.EOF) {
				return max(n, 0), nil
			} else if err != nil {
				return 0, err
			}
		}
	}
	return countLines(file)
}

func countLines(file io.Reader) (n int64, err error) {
	in := bufio.NewScanner(file)
	in.Buffer(make([]byte, 64<<10), 16<<20)
	ended := false
	for in.Scan() {
		if ended = bytes.HasPrefix(in.Bytes(), []byte(`{"end":true,`)); !ended {
			n++
		}
	}
	if err := in.Err(); err != nil {
		return 0, err
	}
	if !ended {
		return 0, errors.New("the last line does not say that it is the last")
	}
	return n, nil
}
