package evidence

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// The bounds of a bundle. What is beyond them is refused before it is unpacked.
const (
	maxZip     = 256 << 20                  // bytes
	maxContent = 256 << 20                  // of all files together, unpacked
	maxFile    = 128 << 20                  // of one of them
	maxRatio   = 100                        // how often smaller a file may be packed
	smallFile  = 64 << 10                   // one that is smaller may be packed as it will
	maxFiles   = len(fixedFiles) + 20_000   // each decision may have a text, and its version of a purpose two
	maxEntry   = 46 + len(textFolder) + 300 // bytes of an entry of the directory
	endSize    = 22                         // bytes of the end of a zip that has no comment
)

// fixedFiles are in each bundle.
var fixedFiles = [...]string{ReadmeFile, PageFile, DataFile, KeysFile, PurposesFile, ReceiptFile}

// zipDate is 1 January 1980, the first date that a zip can say, as MS-DOS writes it.
const zipDate = 1<<5 | 1

// Write writes a bundle as a zip: the same bytes for the same bundle. What it writes is within the bounds of Verify, or
// it is an error that wraps ErrTooLarge. It does not verify what it is given. Safe for use by many at once.
func Write(w io.Writer, b *Bundle) error {
	if b.tooMany() || len(fixedFiles)+len(b.Texts) > maxFiles || b.Size() > maxContent {
		return ErrTooLarge
	}
	files, err := packAll(b)
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b packedFile) int { return cmp.Compare(a.name, b.name) })
	out := zip.NewWriter(w)
	for i := range files {
		if err := files[i].put(out); err != nil {
			return fmt.Errorf("pack %s: %w", files[i].name, err)
		}
	}
	return out.Close()
}

// Size is how many bytes the bodies, idents and texts of a bundle take, without what is rendered of them.
func (b *Bundle) Size() (n int) {
	for i := range b.Decisions {
		n += len(b.Decisions[i].Body) + len(b.Decisions[i].Ident)
	}
	for _, text := range b.Texts {
		n += len(text)
	}
	return n
}

// isBomb tells whether a file is smaller by far than what it unpacks to.
func isBomb(packed, size int) bool { return size > smallFile && size/maxRatio > packed }

// unzip reads all files of a bundle into memory. An error wraps ErrUnreadable.
func unzip(r io.ReaderAt, size int64) (map[string][]byte, error) {
	if err := checkEnd(r, size); err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no zip: %w", ErrUnreadable, err)
	}
	if err := checkLayout(r, size, archive.File); err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(archive.File))
	var total uint64
	for _, f := range archive.File {
		if _, twice := files[f.Name]; twice {
			return nil, fmt.Errorf("%w: it has %.60q twice", ErrUnreadable, f.Name)
		}
		if err := admit(f); err != nil {
			return nil, err
		}
		if total += f.UncompressedSize64; total > maxContent {
			return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrUnreadable, maxContent)
		}
		if files[f.Name], err = unpack(f); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, f.Name, err)
		}
	}
	for _, name := range fixedFiles {
		if _, there := files[name]; !there {
			return nil, fmt.Errorf("%w: it lacks %s", ErrUnreadable, name)
		}
	}
	return files, nil
}

// checkEnd looks at the end of a zip, before package zip reads all that it points to: it has no comment, and its
// directory, which is right before, is no larger than that of a bundle. A bundle needs none of zip's larger forms.
func checkEnd(r io.ReaderAt, size int64) error {
	var end [endSize]byte
	if size > maxZip {
		return fmt.Errorf("%w: it has more than %d bytes", ErrUnreadable, maxZip)
	}
	if size < endSize {
		return fmt.Errorf("%w: it is no zip", ErrUnreadable)
	}
	if _, err := r.ReadAt(end[:], size-endSize); err != nil && err != io.EOF {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if string(end[:4]) != "PK\x05\x06" || binary.LittleEndian.Uint16(end[20:]) != 0 {
		return fmt.Errorf("%w: it does not end as a zip does", ErrUnreadable)
	}
	files := int(binary.LittleEndian.Uint16(end[10:]))
	length, at := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if files > maxFiles || length > int64(files*maxEntry) || at+length != size-endSize {
		return fmt.Errorf("%w: its directory is not that of a bundle", ErrUnreadable)
	}
	return nil
}

// checkLayout wants the files of a zip to lie one behind the other, from its beginning to its directory, each with what
// the directory says of it. So no two programs read different files in it, and no two files share bytes.
func checkLayout(r io.ReaderAt, size int64, files []*zip.File) error {
	type placed struct {
		*zip.File
		at int64 // of its content
	}
	order := make([]placed, len(files))
	for i, f := range files {
		at, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%w: %.60q: %w", ErrUnreadable, f.Name, err)
		}
		order[i] = placed{f, at}
	}
	slices.SortFunc(order, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	var next int64
	for _, f := range order {
		if err := checkHeader(r, next, f.File, f.at); err != nil {
			return err
		}
		behind, err := checkDescriptor(r, f.File, f.at)
		if err != nil {
			return err
		}
		next = f.at + int64(f.CompressedSize64) + behind
	}
	var end [endSize]byte
	if _, err := r.ReadAt(end[:], size-endSize); err != nil && err != io.EOF {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if next != int64(binary.LittleEndian.Uint32(end[16:])) {
		return fmt.Errorf("%w: it has more in it than its directory says", ErrUnreadable)
	}
	return nil
}

// streamed is the flag of a file whose sizes stand behind it, as programs write them that write to a stream.
const streamed = 0x8

// checkHeader wants what stands before a file (APPNOTE.TXT, 4.3.7), at a place and up to its content, to say the same
// as the directory.
func checkHeader(r io.ReaderAt, at int64, f *zip.File, content int64) error {
	const fixed = 30 // bytes before the name
	differs := fmt.Errorf("%w: %.60q is not where, or what, its directory says", ErrUnreadable, f.Name)
	length := content - at - fixed - int64(len(f.Name)) // of what is extra
	if length < 0 || length >= 1<<16 {
		return differs
	}
	own := make([]byte, content-at)
	if _, err := r.ReadAt(own, at); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	word := binary.LittleEndian.Uint16
	name := own[fixed : fixed+len(f.Name)]
	if string(own[:4]) != "PK\x03\x04" || word(own[6:]) != f.Flags || word(own[8:]) != f.Method ||
		int(word(own[26:])) != len(name) || int64(word(own[28:])) != length || string(name) != f.Name ||
		!sameSizes(own[14:], f, f.Flags&streamed != 0) {
		return differs
	}
	if !plainExtra(f.Extra) || !plainExtra(own[fixed+len(name):]) {
		return fmt.Errorf("%w: %.60q has something extra that not all programs read alike", ErrUnreadable, f.Name)
	}
	return nil
}

// sameSizes tells whether a check sum and two sizes are those that the directory has for a file. orNone: each may be 0.
func sameSizes(b []byte, f *zip.File, orNone bool) bool {
	for i, want := range []uint64{uint64(f.CRC32), f.CompressedSize64, f.UncompressedSize64} {
		if got := uint64(binary.LittleEndian.Uint32(b[4*i:])); got != want && (got != 0 || !orNone) {
			return false
		}
	}
	return true
}

// checkDescriptor wants what stands behind a file that was written to a stream (APPNOTE.TXT, 4.3.9) to say the same as
// the directory, and gives how many bytes that takes: with a mark of its own, or without.
func checkDescriptor(r io.ReaderAt, f *zip.File, at int64) (int64, error) {
	if f.Flags&streamed == 0 {
		return 0, nil
	}
	var behind [16]byte // there is the directory behind it
	if _, err := r.ReadAt(behind[:], at+int64(f.CompressedSize64)); err != nil {
		return 0, fmt.Errorf("%w: %.60q: %w", ErrUnreadable, f.Name, err)
	}
	if string(behind[:4]) == "PK\x07\x08" && sameSizes(behind[4:], f, false) {
		return 16, nil
	}
	if sameSizes(behind[:], f, false) {
		return 12, nil
	}
	return 0, fmt.Errorf("%w: behind %.60q stands another size than its directory says", ErrUnreadable, f.Name)
}

// plainExtra tells whether all programs read what is extra of a file alike (APPNOTE.TXT, 4.5): whole fields, none of
// which is Info-ZIP's other name for it, under which some would unpack it.
func plainExtra(extra []byte) bool {
	const unicodePath = 0x7075
	for len(extra) >= 4 {
		tag, length := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if extra = extra[4:]; tag == unicodePath || length > len(extra) {
			return false
		}
		extra = extra[length:]
	}
	return len(extra) == 0
}

// admit refuses a file that no bundle has. So names with .., from the root or of folders are refused too.
func admit(f *zip.File) error {
	_, text := textOf(f.Name)
	switch {
	case !text && !slices.Contains(fixedFiles[:], f.Name):
		return fmt.Errorf("%w: it has %.60q, which is no file of a bundle", ErrUnreadable, f.Name)
	case !f.Mode().IsRegular() || f.Flags&0x1 != 0:
		return fmt.Errorf("%w: %s is no plain file", ErrUnreadable, f.Name)
	case f.UncompressedSize64 > maxFile:
		return fmt.Errorf("%w: %s unpacks to more than %d bytes", ErrUnreadable, f.Name, maxFile)
	case f.CompressedSize64 > maxZip || isBomb(int(f.CompressedSize64), int(f.UncompressedSize64)):
		return fmt.Errorf("%w: %s is packed more than %d times smaller", ErrUnreadable, f.Name, maxRatio)
	}
	return nil
}

// unpack reads a file, and not more of it than it has said.
func unpack(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var content bytes.Buffer
	if _, err := io.Copy(&content, io.LimitReader(r, int64(f.UncompressedSize64)+1)); err != nil {
		return nil, err
	}
	if uint64(content.Len()) != f.UncompressedSize64 {
		return nil, io.ErrUnexpectedEOF
	}
	return content.Bytes(), nil
}
