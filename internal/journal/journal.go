// Package journal knows the files that are kept apart from the store, beside the key file, for when the store is put
// back from a backup: who was erased, and the newest checkpoint of each ledger that was signed. It knows their lines,
// and how they get onto the disk; not the store, nor what is done with them.
//
// A line of erasures is a JSON object, {"organization":ID,"subject":ID,"at":INSTANT} and "suppress":true where the
// identifiers were suppressed: RFC 3339 in UTC, to the microsecond. It says nothing of a person but the random id of a
// record that is gone.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// maxLine is more than any line has.
const maxLine = 512

// File is a journal. It is for use at once by many goroutines, and by many processes of one machine.
type File struct {
	path string
	mu   sync.Mutex // the lock of the file itself is that of all goroutines
	file *os.File
	seen fs.FileInfo
}

// Open opens a journal, or makes an empty one, mode 0600. The folder must be there. Errors: those of the file system,
// and that others may write it.
func Open(path string) (*File, error) {
	file, info, err := openOrMake(path, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, wrong(path, err)
	}
	return &File{path: path, file: file, seen: info}, nil
}

// OpenToRead opens a journal that is there, to read it alone. Errors: those of Open, and fs.ErrNotExist where there is
// none.
func OpenToRead(path string) (*File, error) {
	file, info, err := openThere(path, os.O_RDONLY)
	if err != nil {
		return nil, wrong(path, err)
	}
	return &File{path: path, file: file, seen: info}, nil
}

// Path is where the file is.
func (f *File) Path() string { return f.path }

// Close closes the file; Add and Read may not be called after it.
func (f *File) Close() error { return f.file.Close() }

// entry is a line.
type entry struct {
	Organization string `json:"organization"`
	Subject      string `json:"subject"`
	At           string `json:"at"`
	Suppress     bool   `json:"suppress,omitempty"`
}

// instantForm has the precision that instants are kept in.
const instantForm = "2006-01-02T15:04:05.000000Z"

// Add puts erasures at the end, and returns nil when they are on the disk. Of their Erasure, At and Suppress are kept.
// What a process that died left of a line is cut off first. Errors: those of the file system, also where the file was
// moved or removed since it was opened.
func (f *File) Add(erased []consent.ErasedSubject) error {
	var lines bytes.Buffer
	for i := range erased {
		lines.Write(form(&erased[i]))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.append(lines.Bytes()); err != nil {
		return wrong(f.path, err)
	}
	return nil
}

func (f *File) append(lines []byte) error {
	if err := lock(f.file, syscall.LOCK_EX); err != nil {
		return err
	}
	defer unlock(f.file)
	if now, err := os.Stat(f.path); err != nil || !os.SameFile(now, f.seen) {
		return errMoved
	}
	end, err := f.end()
	if err != nil {
		return err
	}
	if _, err := f.file.Write(lines); err != nil {
		return errors.Join(err, f.file.Truncate(end))
	}
	return f.file.Sync()
}

// end cuts off what is left of a line that was never whole, and gives the file's size. The file is locked.
func (f *File) end() (int64, error) {
	info, err := f.file.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	tail := make([]byte, min(info.Size(), maxLine))
	if _, err := f.file.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return 0, err
	}
	left := len(tail) - 1 - bytes.LastIndexByte(tail, '\n')
	if left == 0 {
		return info.Size(), nil
	}
	if left == maxLine {
		return 0, errors.New("its last line is none of a journal's: mend it, or put back a copy")
	}
	return info.Size() - int64(left), f.file.Truncate(info.Size() - int64(left))
}

// Read hands over all erasures in the order of the file, which is about that of when they were, some perhaps more than
// once. What is being added meanwhile may be in it or not. Errors: those of each, of the file system, and a line that
// is none, by its number.
func (f *File) Read(each func(consent.ErasedSubject) error) error {
	size, err := f.size()
	if err != nil {
		return wrong(f.path, err)
	}
	lines := bufio.NewReaderSize(io.NewSectionReader(f.file, 0, size), 64<<10)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			if len(line) > maxLine {
				return wrong(f.path, fmt.Errorf("line %d is none of a journal's", n))
			}
			return nil // what is left of a line was never acknowledged
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return wrong(f.path, err)
		}
		e, ok := parse(line)
		if !ok {
			return wrong(f.path, fmt.Errorf("line %d is none of a journal's: mend it, or put back a copy", n))
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// size is where the last line ends that is there by now.
func (f *File) size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := lock(f.file, syscall.LOCK_SH); err != nil {
		return 0, err
	}
	defer unlock(f.file)
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// form is the line of an erasure.
func form(e *consent.ErasedSubject) []byte {
	line, err := json.Marshal(entry{e.Organization.String(), e.Subject.String(), e.At.UTC().Format(instantForm),
		e.Suppress})
	if err != nil {
		panic(err) // strings and a bool
	}
	return append(line, '\n')
}

// parse reads a line as Add writes it, to the byte.
func parse(line []byte) (e consent.ErasedSubject, ok bool) {
	var said entry
	if len(line) > maxLine || json.Unmarshal(line, &said) != nil {
		return e, false
	}
	var ok1, ok2 bool
	var err error
	e.Organization, ok1 = consent.ParseID(said.Organization)
	e.Subject, ok2 = consent.ParseID(said.Subject)
	e.At, err = time.Parse(instantForm, said.At)
	e.Suppress = said.Suppress
	return e, ok1 && ok2 && err == nil && bytes.Equal(form(&e), line)
}

var errMoved = errors.New("it was moved or removed while this process ran: put it back")

func lock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK) {
				return nil // a file system without locks: of one process, the mutex is enough
			}
			return err
		}
	}
}

func unlock(file *os.File) { _ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

// syncFolder makes names in a folder last.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// wrong says of which file an error is.
func wrong(path string, err error) error {
	return fmt.Errorf("journal of erasures %s: %w", path, withoutPath(err))
}

// withoutPath takes off what the caller says better.
func withoutPath(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
