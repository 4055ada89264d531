package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/consentd/consentd/internal/importing"
)

// refusedFile keeps refused records so that the same command imports them once they are mended: a table has the header
// of its file and a last column with the reason, all else is a JSON object a line with the reason as its last member.
// Of a folder or an archive it is a folder with a file for each that has any.
type refusedFile struct {
	name   string // empty: nothing is kept
	temp   string
	part   string
	header []string
	file   *os.File
	out    *bufio.Writer
	table  *csv.Writer
	folder bool
}

// checkRefusedFile refuses a name for a refusedFile that is taken: nothing that is there is written over, be it the
// records that somebody has mended meanwhile.
func checkRefusedFile(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("--errors: %s is there already: name another, or remove it", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--errors: %w", err)
	}
	if info, err := os.Stat(filepath.Dir(name)); err != nil {
		return fmt.Errorf("--errors: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("--errors: %s is no folder", filepath.Dir(name))
	}
	return nil
}

// newRefusedFile makes a file beside the one that it will be, which appears when all is in it.
func newRefusedFile(name string) (*refusedFile, error) {
	k := &refusedFile{name: name}
	if name == "" {
		return k, nil
	}
	temp, err := os.MkdirTemp(filepath.Dir(name), ".consentd-refused-")
	if err != nil {
		return nil, fmt.Errorf("--errors: %w", err)
	}
	k.temp = temp
	return k, nil
}

// add keeps a record.
func (k *refusedFile) add(record *importing.Record, why string) error {
	if k.name == "" {
		return nil
	}
	if k.file == nil || k.part != record.Part {
		if err := k.open(record); err != nil {
			return err
		}
	}
	s := &record.Source
	switch {
	case k.table != nil:
		cells := slices.Clone(s.Cells)
		for len(cells) < len(k.header) {
			cells = append(cells, "")
		}
		return k.table.Write(append(cells, why))
	case s.JSON != nil:
		object, err := importing.WithError(s.JSON, why)
		if err != nil {
			return err
		}
		_, err = k.out.Write(append(object, '\n'))
		return err
	}
	// What is no JSON cannot be kept in it: where it was is told.
	object, err := importing.WithError([]byte("{}"), placeOf(record)+": "+why)
	if err != nil {
		return err
	}
	_, err = k.out.Write(append(object, '\n'))
	return err
}

// open begins the file of a part.
func (k *refusedFile) open(record *importing.Record) error {
	if err := k.close(); err != nil {
		return err
	}
	k.part, k.folder = record.Part, record.Part != ""
	name := "records"
	if k.folder {
		name = filepath.Base(record.Part)
	}
	file, err := os.OpenFile(filepath.Join(k.temp, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	k.file, k.out, k.table, k.header = file, bufio.NewWriter(file), nil, slices.Clone(record.Source.Header)
	if len(k.header) > 0 {
		k.table = csv.NewWriter(k.out)
		return k.table.Write(append(slices.Clone(k.header), importing.ErrorColumn))
	}
	return nil
}

// close ends the file of a part, and has it on the disk.
func (k *refusedFile) close() error {
	if k.file == nil {
		return nil
	}
	if k.table != nil {
		k.table.Flush()
		if err := k.table.Error(); err != nil {
			return err
		}
	}
	err := errors.Join(k.out.Flush(), k.file.Sync(), k.file.Close())
	k.file = nil
	return err
}

// keep puts what was kept where it was asked for.
func (k *refusedFile) keep() error {
	if k.name == "" {
		return nil
	}
	if err := k.close(); err != nil {
		return errors.Join(err, k.abandon())
	}
	if err := checkRefusedFile(k.name); err != nil { // it came meanwhile
		return fmt.Errorf("%w; what was refused is in %s", err, k.temp)
	}
	if k.folder {
		return os.Rename(k.temp, k.name)
	}
	return errors.Join(os.Rename(filepath.Join(k.temp, "records"), k.name), k.abandon())
}

// abandon removes what was kept.
func (k *refusedFile) abandon() error {
	if k.temp == "" {
		return nil
	}
	if k.file != nil {
		k.file.Close()
	}
	return os.RemoveAll(k.temp)
}
