package importing

import (
	"archive/zip"
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// maxParts is how many files a folder or an archive may have.
const maxParts = 10_000

// Input is what is imported: a file, a zip archive, a folder, or a stream that can be read once. It may be read by one
// goroutine while others ask how far it is.
type Input struct {
	Name     string // without its folder
	Size     int64  // bytes of its files as they are stored; 0: nobody knows
	encoding string
	parts    []source
	once     bool // it is a stream
	read     atomic.Int64
	archive  io.Closer
}

// source is a file that can be opened.
type source struct {
	name string
	open func() (io.ReadCloser, error)
}

// Part is one file of an input, as text.
type Part struct {
	Name  string // within its folder or archive, or the file's own
	Shown string // what messages say of it; empty: there is one part only
	Text  io.Reader
}

// IsJSON tells whether the text begins as a JSON object or array does.
func (p *Part) IsJSON() bool {
	in := bufio.NewReader(p.Text)
	p.Text = in
	for n := 1; ; n++ {
		head, err := in.Peek(n)
		if err != nil || n == in.Size() {
			return false
		}
		switch head[n-1] {
		case ' ', '\t', '\r', '\n':
		default:
			return head[n-1] == '{' || head[n-1] == '['
		}
	}
}

// Open opens what is at a path; its text is in the named encoding, see OpenText. Whoever opens it closes it.
func Open(name, encoding string) (*Input, error) {
	if encoding != "" {
		if _, err := encodingOf(encoding); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	in := &Input{Name: filepath.Base(name), encoding: encoding}
	if info.IsDir() {
		return in, in.openFolder(name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	in.Size, in.archive = info.Size(), file
	var magic [4]byte
	if _, err := file.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "PK\x03\x04" {
		if err := in.openArchive(file, info.Size()); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return in, nil
	}
	in.parts = []source{{in.Name, func() (io.ReadCloser, error) {
		_, err := file.Seek(0, io.SeekStart)
		return io.NopCloser(&counted{file, &in.read}), err
	}}}
	return in, nil
}

// OpenStream makes an input of what can be read once. The caller keeps the stream, and closes it.
func OpenStream(r io.Reader, encoding string) *Input {
	in := &Input{Name: "standard input", encoding: encoding, once: true}
	in.parts = []source{{in.Name, func() (io.ReadCloser, error) { return io.NopCloser(&counted{r, &in.read}), nil }}}
	return in
}

func (in *Input) openFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		in.Size += info.Size()
		file := filepath.Join(dir, entry.Name())
		in.parts = append(in.parts, source{entry.Name(), func() (io.ReadCloser, error) {
			f, err := os.Open(file)
			if err != nil {
				return nil, err
			}
			return readCloser{&counted{f, &in.read}, f}, nil
		}})
	}
	return in.checkParts()
}

func (in *Input) openArchive(file io.ReaderAt, size int64) error {
	archive, err := zip.NewReader(&countedAt{file, &in.read}, size)
	if err != nil {
		return fmt.Errorf("it begins as zip does, and is not: %w", err)
	}
	for _, entry := range archive.File {
		name := path.Base(entry.Name)
		if entry.Mode().IsRegular() && !strings.HasPrefix(name, ".") && !strings.HasPrefix(entry.Name, "__MACOSX/") {
			in.parts = append(in.parts, source{name, entry.Open})
		}
	}
	return in.checkParts()
}

func (in *Input) checkParts() error {
	if n := len(in.parts); n == 0 || n > maxParts {
		return fmt.Errorf("%s has %d files; it must have 1 to %d", in.Name, n, maxParts)
	}
	slices.SortFunc(in.parts, func(a, b source) int { return cmp.Compare(a.name, b.name) })
	return nil
}

// Done tells how many bytes of the files were read since it was opened or rewound.
func (in *Input) Done() int64 { return in.read.Load() }

// Rewind counts from 0 again.
func (in *Input) Rewind() { in.read.Store(0) }

// Again tells whether it can be read more than once.
func (in *Input) Again() bool { return !in.once }

// Close lets go of the files.
func (in *Input) Close() error {
	if in.archive == nil {
		return nil
	}
	return in.archive.Close()
}

// WriteTo writes all files as they are, one behind the other in the order of their names, for a hash.
func (in *Input) WriteTo(w io.Writer) (n int64, err error) {
	for _, s := range in.parts {
		from, err := s.open()
		if err != nil {
			return n, err
		}
		more, err := io.Copy(w, from)
		n += more
		if err := errors.Join(err, from.Close()); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Parts goes through its files, in the order of a rank and of their names; each is read before the next one is asked
// for. Nil ranks all alike; those below 0 are passed over.
func (in *Input) Parts(rank func(name string) int) iter.Seq2[*Part, error] {
	if rank == nil {
		rank = func(string) int { return 0 }
	}
	parts := slices.DeleteFunc(slices.Clone(in.parts),
		func(s source) bool { return len(in.parts) > 1 && rank(s.name) < 0 })
	slices.SortStableFunc(parts, func(a, b source) int { return cmp.Compare(rank(a.name), rank(b.name)) })
	return func(yield func(*Part, error) bool) {
		if len(parts) == 0 {
			yield(nil, errors.New("none of its files is one that this format reads"))
		}
		for _, s := range parts {
			if !in.part(s, yield) {
				return
			}
		}
	}
}

func (in *Input) part(s source, yield func(*Part, error) bool) bool {
	p := &Part{Name: s.name}
	if len(in.parts) > 1 {
		p.Shown = s.name
	}
	from, err := s.open()
	if err != nil {
		return yield(nil, err)
	}
	defer from.Close()
	if p.Text, err = OpenText(from, in.encoding); err != nil {
		return yield(nil, fmt.Errorf("%s: %w", s.name, err))
	}
	return yield(p, nil)
}

type counted struct {
	in   io.Reader
	read *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.read.Add(int64(n))
	return n, err
}

type countedAt struct {
	in   io.ReaderAt
	read *atomic.Int64
}

func (c *countedAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.in.ReadAt(p, at)
	c.read.Add(int64(n))
	return n, err
}

type readCloser struct {
	io.Reader
	io.Closer
}
